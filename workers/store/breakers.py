"""Accounts that breakers park: which drafts of a run are held, how one is released, and what leaves the run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, text

from domain.breakers import Draft, Limits, Tripped, is_released, tripped
from domain.canonical import Json, decimal_of
from domain.errors import Rejection
from domain.money import Currency, Money
from workers.store.billing_runs import Run

#: Holds that are listed at once.
LISTED_MAX: Final = 1_000
_encode = msgspec.json.Encoder(decimal_format="string").encode


class HoldUnknown(Rejection):
    """There is no hold of that number."""

    code = "account_parked"
    is_unknown = True


class HoldReleased(Rejection):
    """The hold was released before."""

    code = "account_parked"


#: Of each draft of the run: the period's total with it and that of the period before, the account's lines of a day and
#: its currencies, and what was used, whatever the units, then and now.
_DRAFTS = text("""
with meant as materialized (
  select i.id, i.contract_id, i.account_id, i.legal_entity_id, i.currency from invoices i
  where i.billing_run_id = :run and i.state in ('taxed', 'empty')),
before as materialized (
  select p.id from billing_periods p, billing_periods n
  where n.id = :period and p.cycle_id = n.cycle_id and p.starts_at < n.starts_at order by p.starts_at desc limit 1),
totals as (
  select i.contract_id, r.billing_period_id = :period as is_now, sum(i.gross) as total
  from invoices i join billing_runs r on r.id = i.billing_run_id
  where (r.billing_period_id = :period and i.state <> 'void'
      or r.billing_period_id in (select id from before) and i.state in ('issued', 'posted'))
    and i.contract_id in (select contract_id from meant) group by 1, 2),
used as (
  select s.contract_id, a.billing_period_id = :period as is_now, sum(a.events) as used
  from aggregates a join subscriptions s on s.id = a.subscription_id
  where (a.billing_period_id = :period and a.lot <= :lot or a.billing_period_id in (select id from before))
    and s.contract_id in (select contract_id from meant) group by 1, 2),
lines as (
  select i.account_id, count(l.id) as lines from invoices i join invoice_lines l on l.invoice_id = i.id
  where i.state <> 'void' and i.created_at > now() - interval '1 day'
    and i.account_id in (select account_id from meant) group by 1),
currencies as (
  select i.legal_entity_id, i.account_id, array_agg(distinct i.currency::text) as currencies from invoices i
  where i.state in ('issued', 'posted') and i.account_id in (select account_id from meant) group by 1, 2)
select m.id, m.contract_id, m.account_id, m.currency, e.breakers, coalesce(t.total, 0) as total, b.total as earlier,
  coalesce(l.lines, 0) as lines, coalesce(c.currencies, '{}') as currencies, coalesce(u.used, 0) as used,
  coalesce(o.used, 0) as used_earlier
from meant m join legal_entities e on e.id = m.legal_entity_id
left join totals t on t.contract_id = m.contract_id and t.is_now
left join totals b on b.contract_id = m.contract_id and not b.is_now
left join used u on u.contract_id = m.contract_id and u.is_now
left join used o on o.contract_id = m.contract_id and not o.is_now
left join lines l on l.account_id = m.account_id
left join currencies c on c.account_id = m.account_id and c.legal_entity_id = m.legal_entity_id
order by m.id
""")
#: What was let pass in an earlier run of the period.
_RELEASED = text("""
select distinct on (h.contract_id, h.breaker) h.contract_id, h.breaker, h.total from account_holds h
where h.billing_period_id = :period and h.released_at is not null
order by h.contract_id, h.breaker, abs(h.total) desc
""")
_HOLD = text("""
insert into account_holds (invoice_id, billing_period_id, contract_id, account_id, breaker, sentence, facts, currency,
  total)
select * from jsonb_to_recordset(cast(:rows as jsonb)) as t (invoice_id bigint, billing_period_id integer,
  contract_id integer, account_id text, breaker text, sentence text, facts jsonb, currency text, total numeric)
order by 1, 5 on conflict (invoice_id, breaker) do nothing
""")


def park(conn: Connection, run: Run) -> int:
    """Hold every draft of the run that a breaker trips for and that was not released before; how many holds."""
    values = {"run": run.id, "period": run.billing_period_id, "lot": run.lot}
    released = {
        (row.contract_id, row.breaker): row.total for row in conn.execute(_RELEASED, {"period": run.billing_period_id})
    }
    rows = [
        _hold(run, row, each)
        for row in conn.execute(_DRAFTS, values)
        for each in tripped(_draft(row), limits(row.breakers))
        if not _is_let_pass(row, each, released)
    ]
    if rows:
        conn.execute(_HOLD, {"rows": _encode(rows).decode()})
    return len(rows)


def limits(said: Mapping[str, Any]) -> Limits:
    """A legal entity's limits: what it does not say is as ever."""
    numbers = {
        name: decimal_of(str(said[name])) for name in ("jump_percent", "jump_from") if said.get(name) is not None
    }
    return Limits(**{**said, **numbers})


def _draft(row: Row[Any]) -> Draft:
    currency = Currency(row.currency)
    return Draft(
        total=Money(row.total, currency),
        earlier=None if row.earlier is None else Money(row.earlier, currency),
        lines=row.lines,
        currencies=frozenset(row.currencies),
        used=row.used,
        used_earlier=row.used_earlier,
    )


def _is_let_pass(row: Row[Any], each: Tripped, released: Mapping[tuple[int, str], Decimal]) -> bool:
    seen = released.get((row.contract_id, each.breaker))
    currency = Currency(row.currency)
    return seen is not None and is_released(each, Money(row.total, currency), seen=Money(seen, currency))


def _hold(run: Run, row: Row[Any], each: Tripped) -> dict[str, Json]:
    return {
        "invoice_id": row.id,
        "billing_period_id": run.billing_period_id,
        "contract_id": row.contract_id,
        "account_id": row.account_id,
        "breaker": each.breaker,
        "sentence": each.sentence,
        "facts": each.facts,
        "currency": row.currency,
        "total": row.total,
    }


_LEAVE = text("""
with held as (
  select i.id from invoices i where i.billing_run_id = :run and i.state in ('taxed', 'empty')
    and exists (select from account_holds h where h.invoice_id = i.id and h.released_at is null)
  order by i.id for update of i)
update invoices i set state = 'void' from held where held.id = i.id
""")


def leave(conn: Connection, run: Run) -> int:
    """Void the run's drafts that are still held: the period's next run bills what they held. How many there were."""
    return conn.execute(_LEAVE, {"run": run.id}).rowcount


#: A contract is parked until a later run of the period has gone out and voided nothing of it: it was billed, or it owed
#: nothing any more.
_IS_OVER: Final = """exists (select from billing_runs r join billing_runs o on o.billing_period_id = r.billing_period_id
    and o.lot > r.lot and o.stage in ('approved', 'posted', 'reconciled', 'closed')
  where r.id = {run} and not exists (select from invoices i
    where i.billing_run_id = o.id and i.contract_id = h.contract_id and i.state = 'void'))"""
_PARKED = text(f"""
select count(distinct h.contract_id) from account_holds h join invoices v on v.id = h.invoice_id
where v.billing_run_id = :run and v.state = 'void' and not {_IS_OVER.format(run="v.billing_run_id")}
""")


def parked(conn: Connection, run: Run) -> int:
    """How many contracts the run has parked that no later run has billed."""
    return int(conn.execute(_PARKED, {"run": run.id}).scalar_one())


@dataclass(frozen=True, slots=True)
class Hold:
    """A draft that a breaker holds: whose, of which period, why, and the period's total when it was parked."""

    id: int
    run_id: int
    legal_entity: str
    cycle: str
    starts_on: date
    account: str
    contract: str
    breaker: str
    sentence: str
    currency: str
    total: Decimal
    held_at: datetime
    released_by: str | None
    reason: str | None


_LISTED = """
select h.id, i.billing_run_id, y.legal_entity_id, y.name, p.starts_on, h.account_id, c.ref, h.breaker, h.sentence,
  h.currency, h.total, h.held_at, h.released_by, h.reason
from account_holds h join invoices i on i.id = h.invoice_id join contracts c on c.id = h.contract_id
join billing_periods p on p.id = h.billing_period_id join billing_cycles y on y.id = p.cycle_id
"""
_OPEN = text(f"""{_LISTED} where (cast(:run as bigint) is null or i.billing_run_id = :run)
  and (:is_all or (h.released_at is null and not {_IS_OVER.format(run="i.billing_run_id")}))
order by abs(h.total) desc, h.id limit :limit""")
_ONE = text(f"{_LISTED} where h.id = :id for update of h")


def listed(conn: Connection, *, run_id: int | None = None, is_all: bool = False) -> Sequence[Hold]:
    """The holds that are not released and that no later run went beyond, `is_all` also the others; most money first."""
    values = {"run": run_id, "is_all": is_all, "limit": LISTED_MAX}
    return [Hold(*row) for row in conn.execute(_OPEN, values)]


def held(conn: Connection, hold_id: int) -> Hold:
    """The hold, locked. Raises `HoldUnknown` or `HoldReleased`."""
    row = conn.execute(_ONE, {"id": hold_id}).one_or_none()
    if row is None:
        raise HoldUnknown(f"there is no hold {hold_id}", hold=hold_id)
    found = Hold(*row)
    if found.released_by is not None:
        raise HoldReleased(f"{found.released_by} has released hold {hold_id} before", hold=hold_id)
    return found


def release(conn: Connection, hold_id: int, *, person: str, reason: str) -> None:
    """Let the draft go out, or the one that the next run makes in its place if it is not worth more."""
    conn.execute(
        text("update account_holds set released_at = now(), released_by = :person, reason = :reason where id = :id"),
        {"id": hold_id, "person": person, "reason": reason},
    )
