"""Document numbers: gapless and in order of date within each series, given last of all before the commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, text

from domain.documents import Series, format_number, issue_date

#: A series that nobody has set up is named after its legal entity; what follows must fit into a number of an ERP.
PREFIX_LENGTH_MAX = 8
#: Between the entity's name and the digits.
MARKS = {"invoice": "-", "credit_note": "-C"}


@dataclass(frozen=True, slots=True)
class Unnumbered:
    """A document that is about to be issued."""

    id: int
    legal_entity_id: str
    kind: str
    invoice_on: date


_ENSURE = text("""
insert into number_series (legal_entity_id, series, prefix) values (:entity, :series, :prefix) on conflict do nothing
""")
_TERMS = text("""
select prefix, digits, earlier, last_number, last_on from number_series
where legal_entity_id = :entity and series = :series for update
""")
_DRAW = text("""
update number_series set last_number = last_number + :count, last_on = :on
where legal_entity_id = :entity and series = :series returning last_number
""")
_ISSUE = text("""
update invoices i set state = 'issued', series = :series, number = t.number, number_text = t.number_text,
  invoice_on = :on
from unnest(cast(:ids as bigint[]), cast(:numbers as bigint[]), cast(:texts as text[])) as t (id, number, number_text)
where i.id = t.id
""")


def prefix_of(legal_entity_id: str, kind: str) -> str:
    """The prefix of a series that nobody has set up: `PONY-` for invoices, `PONY-C` for credit notes."""
    return legal_entity_id.upper()[:PREFIX_LENGTH_MAX].strip("-") + MARKS[kind]


def issue(conn: Connection, drafts: Sequence[Unnumbered]) -> None:
    """Give each draft the next number of its entity's series, by (invoice date, id): the last statements of all.

    A series is held from here to the commit; series are taken in sorted order, so two issuers never wait for each
    other. Raises `IssueDateTooEarly` where the series refuses a date before its last, and `NumberTooLong`.
    """
    groups: dict[tuple[str, str, date], list[int]] = {}
    for draft in drafts:
        groups.setdefault((draft.legal_entity_id, draft.kind, draft.invoice_on), []).append(draft.id)
    series = sorted({(entity, kind) for entity, kind, _ in groups})
    for entity, kind in series:
        conn.execute(_ENSURE, {"entity": entity, "series": kind, "prefix": prefix_of(entity, kind)})
    for (entity, kind, on), ids in sorted(groups.items()):
        _number(conn, entity, kind, on=on, ids=sorted(ids))


def _number(conn: Connection, entity: str, kind: str, *, on: date, ids: Sequence[int]) -> None:
    key = {"entity": entity, "series": kind}
    terms = conn.execute(_TERMS, key).one()
    last_on = terms.last_on if terms.last_number else None
    issued_on = issue_date(on, last_on=last_on, policy=terms.earlier)
    last = conn.execute(_DRAW, {**key, "count": len(ids), "on": issued_on}).scalar_one()
    numbers = range(last - len(ids) + 1, last + 1)
    series = Series(entity, terms.prefix, terms.digits)
    conn.execute(
        _ISSUE,
        {
            "series": kind,
            "on": issued_on,
            "ids": list(ids),
            "numbers": list(numbers),
            "texts": [format_number(series, number) for number in numbers],
        },
    )
