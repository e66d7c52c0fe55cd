"""Open exceptions by cause: one row of a list for all that one act of a person would put right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

from domain.codes import CODES
from domain.exceptions import FINANCE, HOURS, OPERATIONS, Cause, sentence_of

#: Groups that one look returns, those with the most money; a deployment with more has other worries.
GROUPS_MAX = 500
#: Accounts that are named in a group, and characters of a text that is shown.
NAMED_MAX = 6
SHOWN_MAX = 120

#: What the table of codes says, as a relation: hours until the deadline, and whose matter it is.
CODE_TABLE = """unnest(cast(:code_names as text[]), cast(:code_hours as integer[]), cast(:code_technical as boolean[]))
  as k (name, hours, is_technical)"""


def code_values() -> dict[str, object]:
    """The values of `CODE_TABLE`."""
    return {
        "code_names": list(CODES),
        "code_hours": [HOURS[code.severity] for code in CODES.values()],
        "code_technical": [code.kind == "technical" for code in CODES.values()],
    }


#: The SQL of `domain.exceptions.owner_of`, over an exception-like `x`, its code `k`, meter `e` and source `s`.
OWNER = f"""coalesce(x.assigned_to, case when k.is_technical then coalesce(
  case when not x.is_of_work then coalesce(e.owner, s.owner) end, '{OPERATIONS}') else '{FINANCE}' end)"""

#: Rows are folded into few parts first, and only these are joined and counted by name.
_GROUPS = text(f"""
with parts as (
  select code, cause, step, currency, account_id, assigned_to, source_id, meter_id, metric_id,
    work_id is not null as is_of_work, count(*) as exceptions, count(receipt_id) as events,
    count(invoice_id) as documents, sum(money_at_risk) as money, count(*) - count(money_at_risk) as unpriced,
    sum(seen) as seen, min(opened_at) as oldest_at,
    min(deadline_at) as set_at, min(opened_at) filter (where deadline_at is null) as unset_at,
    min(left(source, {SHOWN_MAX})) as source, min(left(subject, {SHOWN_MAX})) as subject,
    max(left(subject, {SHOWN_MAX})) as last_subject, min(contract_id) as contract_id,
    min(connection_id) as connection_id, min(facts ->> 'field') as field, min(waits_key) as waits_key
  from exceptions where state = 'open'
  group by code, cause, step, currency, account_id, assigned_to, source_id, meter_id, metric_id,
    work_id is not null),
metered as (  -- an event that several metrics read is one event
  select code, cause, sum(events)::bigint as events from (
    select code, cause, max(events) as events from (
      select code, cause, meter_id, metric_id, sum(events) as events from parts group by 1, 2, 3, 4) t
    group by code, cause, meter_id) t group by code, cause),
owned as (
  select x.*, {OWNER} as owner, coalesce(x.source, s.name) as source_name, e.name as meter,
    least(x.set_at, x.unset_at + make_interval(hours => coalesce(k.hours, {HOURS["medium"]}))) as deadline_at
  from parts x left join {CODE_TABLE} on k.name = x.code
  left join sources s on s.id = x.source_id left join meters e on e.id = x.meter_id),
summed as (
  select code, cause, currency, sum(money) as money from parts where money is not null group by 1, 2, 3),
moneys as (
  select code, cause, jsonb_object_agg(currency, money::text) as money, sum(money) as any_money from summed
  group by 1, 2),
groups as (
  select code, cause, sum(exceptions)::bigint as exceptions, sum(events) = sum(exceptions) as is_events,
    sum(documents) = sum(exceptions) as is_documents, sum(unpriced)::bigint as unpriced, sum(seen)::bigint as seen,
    count(distinct account_id) as accounts, (array_agg(distinct account_id) filter (where account_id is not null))
      [1:{NAMED_MAX}] as account_ids, min(oldest_at) as oldest_at, min(deadline_at) as deadline_at,
    array_agg(distinct owner) as owners, array_agg(distinct step) as steps,
    case when min(source_name) = max(source_name) then min(source_name) end as source,
    case when min(subject) = max(last_subject) then min(subject) end as subject,
    case when min(metric_id) = max(metric_id) then min(metric_id) end as metric_id,
    case when min(meter) = max(meter) then min(meter) end as meter, min(contract_id) as contract_id,
    min(connection_id) as connection, min(field) as field, min(waits_key) as waits_for
  from owned group by code, cause)
select g.*, case when is_events then d.events else 0 end as events, case when is_documents then g.exceptions else 0 end
  as documents, coalesce(m.money, '{{}}') as money, g.deadline_at < now() as is_overdue, t.name as metric,
  c.ref as contract
from groups g join metered d using (code, cause) left join moneys m using (code, cause)
left join metrics t on t.id = g.metric_id left join contracts c on c.id = g.contract_id
order by m.any_money desc nulls last, g.exceptions desc, code, cause limit :rows
""")


#: Columns that the sentence of a group may name.
_NAMES = ("source", "subject", "metric", "meter", "contract", "connection", "field", "waits_for")


@dataclass(frozen=True, slots=True)
class Group:
    """All open exceptions of one code and cause."""

    code: str
    cause: str
    sentence: str
    kind: str
    owners: Sequence[str]
    steps: Sequence[str]
    exceptions: int
    seen: int
    accounts: int
    account_ids: Sequence[str]
    money: Mapping[str, Decimal]
    unpriced: int
    oldest_at: datetime
    deadline_at: datetime
    is_overdue: bool
    fix: str


def groups(conn: Connection, *, rows: int = GROUPS_MAX) -> list[Group]:
    """The open exceptions by code and cause, the most money first, at most `GROUPS_MAX`."""
    return [_group(row) for row in conn.execute(_GROUPS, {**code_values(), "rows": min(rows, GROUPS_MAX)})]


def _group(row: Any) -> Group:  # noqa: ANN401 -- a row of the question above
    money = {currency: Decimal(amount) for currency, amount in row.money.items()}
    names = {name: getattr(row, name) for name in _NAMES} | {"step": row.steps[0]}
    cause = Cause(
        row.code, row.exceptions, events=row.events, documents=row.documents, accounts=row.accounts,
        unpriced=row.unpriced, money=money, names=names,
    )  # fmt: skip
    known = CODES.get(row.code)
    return Group(
        code=row.code, cause=row.cause, sentence=sentence_of(cause), kind=known.kind if known else "business",
        owners=row.owners, steps=row.steps, exceptions=row.exceptions, seen=row.seen, accounts=row.accounts,
        account_ids=row.account_ids or [], money=money, unpriced=row.unpriced, oldest_at=row.oldest_at,
        deadline_at=row.deadline_at, is_overdue=row.is_overdue, fix=known.fix if known else "see its sentence",
    )  # fmt: skip
