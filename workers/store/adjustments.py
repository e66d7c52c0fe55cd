"""What documents give or ask beside their lines: the terms of their contracts, and what other documents did."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import groupby
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, text

from domain.coupons import Coupon
from domain.document_adjustments import (
    NAMED_MAX,
    Charged,
    Effect,
    Given,
    Giver,
    Limits,
    Owned,
    Terms,
    Treatment,
)
from domain.money import Currency, Money
from domain.taxation import TaxEvidence
from workers.taxing import Lined

_encode = msgspec.json.Encoder(decimal_format="string").encode

#: Whether a contract has, or once had, a coupon or a limit.
IS_CONCERNED: Final = """(
  exists (select from contract_coupons k where k.contract_id = {contract})
  or exists (select from contract_versions v join contract_limits l on l.contract_version_id = v.id
    where v.contract_id = {contract}))"""
#: The drafts with a contract that has, or once had, a coupon or a limit; of others nothing more is asked. What a
#: contract has of a coupon is held: drafts of two of its periods would both see the last use of it as left.
_CONCERNED = text(f"""
select i.id, i.currency, i.contract_id, r.billing_period_id, i.service_ends_on - 1 as last_day, p.ends_at
from invoices i join billing_runs r on r.id = i.billing_run_id join billing_periods p on p.id = r.billing_period_id
where i.id = any(cast(:ids as bigint[])) and {IS_CONCERNED.format(contract="i.contract_id")}
order by i.id
""")
_HOLD = text("""
select id from contract_coupons where contract_id = any(cast(:contracts as integer[])) order by id for no key update
""")
_OF_DRAFTS = """unnest(cast(:ids as bigint[]), cast(:contracts as integer[]), cast(:periods as integer[]),
  cast(:days as date[]), cast(:ends as timestamptz[])) as d (id, contract_id, billing_period_id, last_day, ends_at)"""
#: Uses are the other periods that it gave something in, by the documents that are not void: what is void is no use.
_COUPONS = text(f"""
select d.id, c.id as coupon_id, c.name, c.title, c.percent, c.amount, c.is_in_all, c.uses, c.expires_on,
  case when coalesce(c.products, c.metrics) is not null then array(select m.name from metrics m
    where m.name = any(c.metrics) or m.product_id = any(c.products)) end as only, u.used_in, u.used
from {_OF_DRAFTS}
join contract_coupons k on k.contract_id = d.contract_id and k.superseded_at = '9999-12-31 00:00:00+00' and k.is_given
  and k.starts_on <= d.last_day and k.ends_on > d.last_day
join coupons c on c.id = k.coupon_id
cross join lateral (select count(*) as used_in, coalesce(sum(g.used), 0) as used from (
  select -sum(a.net) as used from invoice_adjustments a join invoices j on j.id = a.invoice_id and j.state <> 'void'
  where a.contract_id = d.contract_id and a.coupon_id = c.id and a.billing_period_id <> d.billing_period_id
  group by a.billing_period_id having sum(a.net) <> 0) g) u
order by d.id, k.place, c.percent is null, c.name
""")
#: Of the version in force at the end of the period: limits are of the whole period, and of one version.
_LIMITS = text(f"""
select d.id, l.* from {_OF_DRAFTS}
join contract_versions v on v.contract_id = d.contract_id and v.superseded_at = '9999-12-31 00:00:00+00'
  and v.starts_at < d.ends_at and v.ends_at >= d.ends_at
join contract_limits l on l.contract_version_id = v.id order by d.id
""")
_OTHERS = f"""{_OF_DRAFTS}
join billing_runs r on r.billing_period_id = d.billing_period_id
join invoices j on j.billing_run_id = r.id and j.contract_id = d.contract_id and j.id <> d.id and j.state <> 'void'"""
_CHARGED = text(f"""
select d.id, m.name as metric, l.tax_evidence, l.revenue_account, sum(l.net) as net
from {_OTHERS} join invoice_lines l on l.invoice_id = j.id join metrics m on m.id = l.metric_id
group by d.id, m.name, l.tax_evidence, l.revenue_account having sum(l.net) <> 0 order by 1, 2, 3, 4
""")
_GIVEN = text(f"""
select d.id, a.kind, coalesce(a.coupon_id, a.contract_version_id) as giver_id, min(a.description) as title,
  a.tax_evidence, a.revenue_account, sum(a.net) as net,
  (array_agg(coalesce(j.number_text, 'draft ' || j.id) order by j.id desc))[1 : {NAMED_MAX}] as documents
from {_OTHERS} join invoice_adjustments a on a.invoice_id = j.id
group by 1, 2, 3, 5, 6 having sum(a.net) <> 0 order by 1, 2, 3, 5, 6
""")
_SAVE = text("""
insert into invoice_adjustments (invoice_id, position, contract_id, billing_period_id, kind, coupon_id,
  contract_version_id, description, net, tax_category, tax_rate, tax_evidence, revenue_account, service_starts_on,
  service_ends_on, trace)
select t.invoice_id, t.position, i.contract_id, r.billing_period_id, t.kind,
  case t.kind when 'coupon' then t.giver_id end, case when t.kind <> 'coupon' then t.giver_id end, t.description,
  t.net, t.tax_category, t.tax_rate, t.tax_evidence, t.revenue_account, i.service_starts_on, i.service_ends_on, t.trace
from jsonb_to_recordset(cast(:rows as jsonb)) as t (invoice_id bigint, position integer, kind text, giver_id integer,
  description text, net numeric, tax_category text, tax_rate numeric, tax_evidence jsonb, revenue_account text,
  trace jsonb)
join invoices i on i.id = t.invoice_id join billing_runs r on r.id = i.billing_run_id order by 1, 2
""")


@dataclass(frozen=True, slots=True)
class Asked:
    """A document of a contract and period: a draft, or one that is not there, whose id is no document's."""

    id: int
    currency: str
    contract_id: int
    billing_period_id: int
    last_day: date
    ends_at: datetime


def terms_of(conn: Connection, ids: Sequence[int]) -> dict[int, Terms]:
    """What holds for these drafts beside their lines; nothing for those of contracts without coupons and limits."""
    concerned = [Asked(*row) for row in conn.execute(_CONCERNED, {"ids": list(ids)})]
    if not concerned:
        return {}
    conn.execute(_HOLD, {"contracts": sorted({each.contract_id for each in concerned})})
    return terms_for(conn, concerned)


def terms_for(conn: Connection, concerned: Sequence[Asked]) -> dict[int, Terms]:
    """What holds for these documents beside their lines, with what the others of their periods did; nothing is held."""
    values = {
        "ids": [each.id for each in concerned],
        "contracts": [each.contract_id for each in concerned],
        "periods": [each.billing_period_id for each in concerned],
        "days": [each.last_day for each in concerned],
        "ends": [each.ends_at for each in concerned],
    }
    coupons, limits, charged, given = (
        {key: list(rows) for key, rows in groupby(conn.execute(statement, values), key=lambda row: row.id)}
        for statement in (_COUPONS, _LIMITS, _CHARGED, _GIVEN)
    )
    return {
        each.id: _terms(
            Currency(each.currency),
            coupons.get(each.id, ()),
            limits.get(each.id, ()),
            charged.get(each.id, ()),
            given.get(each.id, ()),
        )
        for each in concerned
    }


_Rows = Sequence[Row[Any]]


def _terms(currency: Currency, coupons: _Rows, limits: _Rows, charged: _Rows, given: _Rows) -> Terms:
    earlier = tuple(
        Given(Giver(row.kind, row.giver_id, row.title), _treatment(row), Money(row.net, currency), tuple(row.documents))
        for row in given
    )
    return Terms(
        coupons=tuple(_owned(row, currency) for row in coupons),
        limits=next((_limits(row, currency, earlier) for row in limits), None),
        charged=tuple(Charged(row.metric, _treatment(row), Money(row.net, currency)) for row in charged),
        given=earlier,
    )


def _treatment(row: Row[Any]) -> Treatment:
    return Treatment(TaxEvidence.from_json(row.tax_evidence), row.revenue_account)


def _owned(row: Row[Any], currency: Currency) -> Owned:
    coupon = Coupon(
        row.name,
        percent=row.percent,
        amount=None if row.amount is None else Money(row.amount, currency),
        used=Money(row.used, currency) if row.is_in_all else None,
        only=None if row.only is None else frozenset(row.only),
        uses_left=None if row.uses is None else max(row.uses - row.used_in, 0),
        expires_on=row.expires_on,
    )
    return Owned(Giver("coupon", row.coupon_id, row.title), coupon)


def _limits(row: Row[Any], currency: Currency, given: Sequence[Given]) -> Limits:
    """The limits of a version; what is topped up again is taxed as it was the first time."""
    known = (each.treatment.evidence for each in given if each.giver.kind == "minimum")
    limits = Limits(
        version_id=row.contract_version_id,
        maximum=None if row.maximum is None else Money(row.maximum, currency),
        minimum=None if row.minimum is None else Money(row.minimum, currency),
        tax_category=row.tax_category,
        revenue_account=row.revenue_account,
    )
    evidence = next((each for each in known if each.category == limits.tax_category), None)
    return replace(limits, evidence=evidence)


def save(conn: Connection, lined: Sequence[Lined]) -> None:
    """Insert what the drafts give or ask beside their lines."""
    rows = [
        _row(each.draft.invoice_id, position, effect)
        for each in lined
        for position, effect in enumerate(each.effects, start=1)
    ]
    if rows:
        conn.execute(_SAVE, {"rows": _encode(rows).decode()})


def _row(invoice_id: int, position: int, effect: Effect) -> dict[str, object]:
    evidence = effect.treatment.evidence
    return {
        "invoice_id": invoice_id,
        "position": position,
        "kind": effect.giver.kind,
        "giver_id": effect.giver.id,
        "description": effect.giver.title,
        "net": effect.net.amount,
        "tax_category": evidence.category,
        "tax_rate": evidence.percent,
        "tax_evidence": evidence.to_json(),
        "revenue_account": effect.treatment.revenue_account,
        "trace": [step.to_json() for step in effect.steps],
    }
