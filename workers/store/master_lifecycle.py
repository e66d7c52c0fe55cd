"""The life of subscriptions: phases such as a trial, and cancellations; and which terms of contracts are due."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import Connection, text

from domain.canonical import canonical_json
from domain.renewals import Due, Renewal, next_due
from workers.store import master_kinds as kinds
from workers.store.master_contracts import read_book
from workers.store.master_file import Place
from workers.store.master_price_models import Phase
from workers.store.master_rows import Loading, ids
from workers.store.master_schedules import Entry, Scheduled, put_schedules

#: Contracts that one look at renewals reads.
CONTRACTS_MAX: Final = 10_000
PHASES: Final = Scheduled(
    "subscription_phases",
    {"subscription_id": "integer"},
    {"phase": "text", "is_trial": "boolean", "plan": "text", "prices": "text"},
)


def put_lifecycle(loading: Loading) -> None:
    """Put phases and cancellations; the caller has put what they belong to. Raises `MasterInvalid`."""
    subscriptions = loading.master.subscriptions
    named = [
        (("subscriptions", ref), ref)
        for ref, each in subscriptions.items()
        if each.phases or "cancellation" in each.model_fields_set
    ]
    known = ids(loading, kinds.SUBSCRIPTIONS, named, name="ref", what="subscription")
    put_schedules(loading, PHASES, [
        Entry(
            ("subscriptions", ref, "phases", n), (known[ref],), each.starts, each.ends,
            (each.phase, each.is_trial, each.plan, phase_prices(loading, ("subscriptions", ref, "phases", n), each)),
        ) for ref in known for n, each in enumerate(subscriptions[ref].phases)
    ])  # fmt: skip
    _put_cancellations(loading, known)


def phase_prices(loading: Loading, place: Place, phase: Phase) -> str | None:
    """The prices that a phase says, by metric, as they are kept; notes a problem for each that `domain` refuses."""
    if phase.prices is None:
        return None
    books = loading.master.price_books
    if isinstance(phase.prices, dict):
        rows = read_book(loading, (*place, "prices"), phase.prices)
    elif phase.prices in books:
        rows = read_book(loading, ("price_books", phase.prices), books[phase.prices])
    else:
        fix = "name a section of `price_books` in this file, or a plan of a published book by `plan: BOOK/PLAN`"
        loading.refuse((*place, "prices"), f"there is no price book {phase.prices!r}", fix=fix)
        return None
    return canonical_json(rows)  # type: ignore[arg-type]


def _put_cancellations(loading: Loading, known: dict[str, int]) -> None:
    """Supersede cancellations that are said anew or taken back, and say the new ones."""
    said = [
        {"subscription_id": known[ref], "ends_on": each and each.on.isoformat(), "reason": each and each.reason}
        for ref, each in ((ref, loading.master.subscriptions[ref].cancellation) for ref in known)
        if "cancellation" in loading.master.subscriptions[ref].model_fields_set
    ]
    values = {"rows": canonical_json(said), "person": loading.person}  # type: ignore[arg-type]
    gone = loading.conn.execute(
        text("""update subscription_cancellations c set superseded_at = now()
             from jsonb_to_recordset(cast(:rows as jsonb)) as n (subscription_id integer, ends_on date, reason text)
             where c.subscription_id = n.subscription_id and c.superseded_at = '9999-12-31 00:00:00+00'
               and (c.ends_on, c.reason) is distinct from (n.ends_on, n.reason) returning c.id"""),
        values,
    ).all()
    new = loading.conn.execute(
        text("""insert into subscription_cancellations (subscription_id, ends_on, reason, recorded_by)
             select n.subscription_id, n.ends_on, n.reason, :person
             from jsonb_to_recordset(cast(:rows as jsonb)) as n (subscription_id integer, ends_on date, reason text)
             where n.ends_on is not null and not exists (select from subscription_cancellations c
               where c.subscription_id = n.subscription_id and c.superseded_at = '9999-12-31 00:00:00+00')
             order by 1 returning id"""),
        values,
    ).all()
    count = sum(each["ends_on"] is not None for each in said)
    loading.tally.add("subscription_cancellations", new=len(new), changed=len(gone), same=count - len(new))


@dataclass(frozen=True, slots=True)
class DueContract:
    """A contract whose term is about to end, or to begin anew."""

    contract: str
    account: str
    term_months: int
    due: Due


def due_contracts(conn: Connection, *, on: date, until: date) -> Sequence[DueContract]:
    """The contracts whose term ends after a day and until another, those that need notice first at the top."""
    found = conn.execute(
        text("""select c.ref, c.account_id, r.starts_on, r.term_months, r.auto_renew, r.notice_days
             from contract_renewals r join contracts c on c.id = r.contract_id
             where r.superseded_at = '9999-12-31 00:00:00+00' and r.starts_on <= :until and r.ends_on > :on
             order by c.ref limit :rows"""),
        {"on": on, "until": until, "rows": CONTRACTS_MAX},
    )
    due = [
        DueContract(row.ref, row.account_id, row.term_months, next_due(
            Renewal(row.starts_on, row.term_months, auto_renew=row.auto_renew, notice_days=row.notice_days), on=on,
        )) for row in found
    ]  # fmt: skip
    return sorted((each for each in due if on < each.due.ends_on <= until), key=lambda each: each.due.notice_until)
