"""Exceptions one by one, as people look for them: filtered, with owner and deadline, and one with all that is known."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

from domain.codes import CODES, Kind
from domain.exceptions import HOURS
from workers.store.backlog import ROWS_MAX
from workers.store.exception_groups import CODE_TABLE, OWNER, code_values

#: Acts of a history that are shown; there are seldom more than a handful.
HISTORY_MAX = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which exceptions are wanted; None stands for any. A period is the days from `starts_on` to before `ends_on`."""

    state: str | None = "open"
    code: str | None = None
    cause: str | None = None
    step: str | None = None
    kind: Kind | None = None
    account: str | None = None
    source: str | None = None
    owner: str | None = None
    is_overdue: bool = False
    starts_on: date | None = None
    ends_on: date | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """An exception as a list shows it."""

    id: int
    step: str
    code: str
    cause: str
    state: str
    seen: int
    metric: str | None
    source: str | None
    event_id: str | None
    subject: str | None
    account: str | None
    money_at_risk: Decimal | None
    currency: str | None
    basis: str | None
    owner: str
    opened_at: datetime
    deadline_at: datetime
    is_overdue: bool
    happened_at: datetime | None
    quantity: Decimal | None
    event_no: int | None
    work_id: int | None
    sentence: str
    facts: Mapping[str, Any]


_DEADLINE = f"coalesce(x.deadline_at, x.opened_at + make_interval(hours => coalesce(k.hours, {HOURS['medium']})))"
_JOINED = f"""from (select y.*, y.work_id is not null as is_of_work from exceptions y {{where}}) x
left join {CODE_TABLE} on k.name = x.code
left join metrics m on m.id = x.metric_id left join sources s on s.id = x.source_id
left join meters e on e.id = x.meter_id left join billing_periods b on b.id = x.billing_period_id"""
#: Usage belongs to its billing period, and while that is not known to the month in which it happened.
_WANTED = """where (cast(:state as text) is null or (y.state = :stored_state
    and (y.state <> 'dismissed' or (y.resolution is not distinct from 'written_off') = (:state = 'written_off'))))
  and (cast(:code as text) is null or y.code = :code)
  and (cast(:codes as text[]) is null or y.code = any(cast(:codes as text[])))
  and (cast(:cause as text) is null or y.cause = :cause) and (cast(:step as text) is null or y.step = :step)
  and (cast(:account as text) is null or y.account_id = :account)"""
_LIST = text(f"""
select * from (
  select x.id, x.step, x.code, x.cause,
    case when x.state = 'dismissed' and x.resolution = 'written_off' then x.resolution else x.state end as state,
    x.seen, m.name as metric, coalesce(x.source, s.name) as source,
    x.event_id, x.subject, x.account_id as account, x.money_at_risk, x.currency, x.basis, {OWNER} as owner, x.opened_at,
    {_DEADLINE} as deadline_at, x.state = 'open' and {_DEADLINE} < now() as is_overdue,
    x.happened_at, x.quantity, x.event_no, x.work_id, x.sentence, x.facts
  {_JOINED.format(where=_WANTED)}
  where cast(:starts_at as timestamptz) is null or case when b.id is null
    then x.happened_at >= :starts_at and x.happened_at < :ends_at
    else b.starts_on >= cast(:starts_on as date) and b.starts_on < cast(:ends_on as date) end) t
where (cast(:owner as text) is null or owner = :owner) and (cast(:source as text) is null or source = :source)
  and (not :is_overdue or is_overdue)
order by id desc limit :rows
""")


def written_off(conn: Connection) -> Mapping[str, Decimal]:
    """The loss that people have decided to bear, by currency, as far as it was known."""
    found = conn.execute(
        text("""select currency, sum(money_at_risk) from exceptions
             where state = 'dismissed' and resolution = 'written_off' and money_at_risk is not null
             group by currency order by currency""")
    )
    return {row[0]: row[1] for row in found}


def listed(conn: Connection, wanted: Wanted, *, rows: int) -> Sequence[Listed]:
    """The newest exceptions that are wanted, at most `ROWS_MAX`."""
    codes = None if wanted.kind is None else [name for name, code in CODES.items() if code.kind == wanted.kind]
    values = {
        **asdict(wanted),
        **code_values(),
        "stored_state": "dismissed" if wanted.state == "written_off" else wanted.state,
        "codes": codes,
        "starts_at": None if wanted.starts_on is None else datetime.combine(wanted.starts_on, time(0), UTC),
        "ends_at": None if wanted.ends_on is None else datetime.combine(wanted.ends_on, time(0), UTC),
        "rows": min(rows, ROWS_MAX),
    }
    return [Listed(*row) for row in conn.execute(_LIST, values)]


_ONE = text(f"""
select x.id, x.state, x.step, x.code, x.cause, x.sentence, x.facts, x.seen, x.opened_at, {_DEADLINE} as deadline_at,
  x.state = 'open' and {_DEADLINE} < now() as is_overdue, {OWNER} as owner, x.assigned_to,
  x.money_at_risk, x.currency, x.basis, x.priced_at, coalesce(x.source, s.name) as source, x.event_id, x.subject,
  x.event_no, x.happened_at, x.quantity, e.name as meter, m.name as metric, x.account_id as account,
  x.legal_entity_id as legal_entity, n.ref as contract, u.ref as subscription,
  case when b.id is not null then b.starts_on || ' to ' || b.ends_on end as billing_period, x.invoice_id,
  i.number_text as invoice_number, x.erp_posting_id, p.state as posting_state, p.erp_ref, p.erp_number,
  x.connection_id as connection, x.waits_kind, x.waits_key, x.work_id, x.receipt_id, x.position, x.correlation_id,
  x.closed_at, x.closed_by, x.reason
{_JOINED.format(where="where y.id = :id")}
left join contracts n on n.id = x.contract_id left join subscriptions u on u.id = x.subscription_id
left join invoices i on i.id = x.invoice_id left join erp_postings p on p.id = x.erp_posting_id
""")


def one(conn: Connection, exception_id: int) -> Mapping[str, Any] | None:
    """Everything known of one exception, by name; None if it is not there."""
    row = conn.execute(_ONE, {"id": exception_id, **code_values()}).one_or_none()
    return None if row is None else dict(row._mapping)  # noqa: SLF001 -- how SQLAlchemy names it


@dataclass(frozen=True, slots=True)
class Act:
    """One entry of an exception's history."""

    at: datetime
    act: str
    person: str
    reason: str | None
    facts: Mapping[str, Any]


def history(conn: Connection, exception_id: int) -> Sequence[Act]:
    """What became of the exception, oldest first: the newest `HISTORY_MAX` acts."""
    found = conn.execute(
        text("""select at, act, person, reason, facts from (select * from exception_history where exception_id = :id
             order by id desc limit :rows) t order by id"""),
        {"id": exception_id, "rows": HISTORY_MAX},
    )
    return [Act(*row) for row in found]
