"""What coupons and limits would give or ask beside the lines that usage is added to, before and after it is added."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection, text

from domain.document_adjustments import Charged, Terms, Treatment, adjustments
from domain.money import EXACT, ZERO, Currency, Money, exact_sum
from domain.taxation import TaxEvidence
from workers.store.adjustments import IS_CONCERNED, Asked, terms_for
from workers.store.replay_money import Bill, Billed, Touched

#: (contract, billing period)
Period = tuple[int, int]
#: How what is not taxed yet is taxed moves no sum before tax.
_UNTAXED: Final = TaxEvidence("", "", "", ZERO, date.min, "")
_CONCERNED = text(f"""
select -row_number() over (order by c.id, p.id) as id, c.currency, c.id as contract_id, p.id as billing_period_id,
  p.ends_on - 1 as last_day, p.ends_at
from unnest(cast(:contracts as integer[]), cast(:periods as integer[])) as t (contract_id, billing_period_id)
join contracts c on c.id = t.contract_id join billing_periods p on p.id = t.billing_period_id
where {IS_CONCERNED.format(contract="c.id")} order by 3, 4
""")


def beside(
    conn: Connection, found: Sequence[Touched], before: Sequence[Bill], after: Sequence[Bill]
) -> Mapping[Period, tuple[Decimal, Decimal]]:
    """What a document of each contract and period would adjust with the one bills and with the others.

    What is not touched counts as it is billed. One that cannot be priced counts for nothing, as its lines do.
    """
    touched = sorted({_period(each) for each in found})
    values = {"contracts": [each[0] for each in touched], "periods": [each[1] for each in touched]}
    concerned = [Asked(*row) for row in conn.execute(_CONCERNED, values)]
    if not concerned:
        return {}
    names = _names(conn, [*before, *after])
    sums: dict[Period, tuple[Decimal, Decimal]] = {}
    terms = terms_for(conn, concerned)
    for asked in concerned:
        key = asked.contract_id, asked.billing_period_id
        mine = [
            (each, was, will)
            for each, was, will in zip(found, before, after, strict=True)
            if _period(each) == key and isinstance(was, Billed) and isinstance(will, Billed)
        ]
        due = [was.nets for each, was, _ in mine if each.is_due]
        look = _Look(terms[asked.id], asked, names)
        coming = [was.pending for _, was, _ in mine if was.pending]
        base = look.of(coming) if coming else ZERO
        sums[key] = (
            EXACT.subtract(look.of([*coming, *due]), base) if due else ZERO,
            EXACT.subtract(look.of([*coming, *(will.nets for _, _, will in mine)]), base),
        )
    return sums


def _period(found: Touched) -> Period:
    return found.run.contract_id, found.run.billing_period_id


def _names(conn: Connection, bills: Sequence[Bill]) -> Mapping[int, str]:
    billed = [each for each in bills if isinstance(each, Billed)]
    ids = sorted({metric for each in billed for metric in (*each.nets, *each.pending)})
    found = conn.execute(text("select id, name from metrics where id = any(cast(:ids as integer[]))"), {"ids": ids})
    return {row.id: row.name for row in found}


class _Look:
    """The terms of one contract and period, asked for several sets of lines."""

    def __init__(self, terms: Terms, asked: Asked, names: Mapping[int, str]) -> None:
        limits = terms.limits
        self._terms = terms
        if limits is not None and limits.evidence is None:
            self._terms = replace(terms, limits=replace(limits, evidence=_UNTAXED))
        self._asked = asked
        self._names = names
        self._treatments = {each.metric: each.treatment for each in terms.charged}

    def of(self, nets: Sequence[Mapping[int, Decimal]]) -> Decimal:
        """What a document with lines of these nets by metric would adjust."""
        currency = Currency(self._asked.currency)
        lines = [
            Charged(
                self._names[metric],
                self._treatments.get(self._names[metric], Treatment(_UNTAXED, "")),
                Money(net, currency),
            )
            for each in nets
            for metric, net in each.items()
        ]
        found = adjustments(self._terms, lines, currency=currency, on=self._asked.last_day)
        return exact_sum(each.net.amount for each in found)
