"""What a replay is to hold: open exceptions by filter, or any by number, with what of each can be sent again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, text

from domain.codes import CODES
from domain.errors import Rejection

#: Exceptions that one replay holds.
ITEMS_MAX: Final = 100_000
#: Who pays for usage, where nobody knew that when its exception was opened.
_ACCOUNT: Final = """(select c.account_id from mappings g join subscriptions u on u.id = g.subscription_id
    join contracts c on c.id = u.contract_id
    where g.source_id = coalesce(x.source_id, (select s.id from sources s where s.name = x.source))
      and g.subject = x.subject and g.superseded_at = '9999-12-31 00:00:00+00'
      and x.happened_at >= g.starts_at and x.happened_at < g.ends_at)"""
_PERIOD: Final = """(exists (select from billing_periods b where b.id = x.billing_period_id
    and to_char(b.starts_on, 'YYYY-MM') = :period)
  or (x.billing_period_id is null and to_char(x.happened_at, 'YYYY-MM') = :period))"""
#: A condition for each part of a selection that is given.
_WHERE: Final[Mapping[str, str]] = {
    "ids": "x.id = any(cast(:ids as bigint[]))",
    "code": "x.code = :code",
    "cause": "x.cause = :cause",
    "account": f"coalesce(x.account_id, {_ACCOUNT}) = :account",
    "source": "coalesce(x.source, (select s.name from sources s where s.id = x.source_id)) = :source",
    "step": "x.step = :step",
    "kind": "x.code = any(cast(:codes as text[]))",
    "period": _PERIOD,
    "older_than_s": "x.opened_at < now() - make_interval(secs => :older_than_s)",
}
_SORT: Final = """case when x.state <> 'open' then null when x.work_id is not null then 'work'
    when x.event_no is not null and x.step = 'enrich' then 'usage' when x.receipt_id is not null then 'event' end"""


class ReplayTooLarge(Rejection):
    """More was selected than one replay holds."""

    code = "replay_too_large"


class ReplayEmpty(Rejection):
    """Nothing that was selected can be replayed, dismissed or written off."""

    code = "replay_empty"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which exceptions are meant: by number, or every open one that fits all that is given; None stands for any."""

    ids: Sequence[int] | None = None
    code: str | None = None
    cause: str | None = None
    account: str | None = None
    source: str | None = None
    step: str | None = None
    kind: str | None = None
    period: str | None = None
    older_than_s: int | None = None

    def given(self) -> dict[str, Any]:
        """The parts that narrow it, as they are kept with the replay."""
        named = {name: value for name, value in asdict(self).items() if value is not None}
        return named | ({} if self.ids is None else {"ids": list(self.ids)})


def missing(conn: Connection, ids: Sequence[int]) -> list[int]:
    """Those of the numbers that no exception has."""
    found = conn.execute(
        text("select id from exceptions where id = any(cast(:ids as bigint[]))"), {"ids": list(ids)}
    ).scalars()
    return sorted(set(ids) - set(found))


def fill(conn: Connection, replay_id: int, selection: Selection, *, is_decision: bool) -> int:
    """Put what is selected into the replay; how many of it can be done.

    A decision is made about whatever is no work row, also where nothing could be sent again, as of a gap in numbers.

    Raises `ReplayTooLarge`.
    """
    given = selection.given()
    conditions = [_WHERE[name] for name in given] + ([] if selection.ids else ["x.state = 'open'"])
    codes = [name for name, code in CODES.items() if code.kind == selection.kind]
    found = conn.execute(
        text(f"""with chosen as (
               select x.id, x.state, {_SORT} as sort from exceptions x where {" and ".join(conditions)}
               order by x.id limit :limit),
             filled as (
               insert into replay_items (replay_id, exception_id, sort, state, outcome)
               select :replay, id, sort, case when outcome is null then 'waiting' else 'skipped' end, outcome
               from (select *, case when state <> 'open' then 'it is ' || state
                   when :is_decision and sort = 'work' then 'work is replayed or repaired, never dismissed'
                   when sort is null and not :is_decision then 'nothing is left of it' end as outcome from chosen) c
               returning state)
             select count(*) as total, count(*) filter (where state = 'waiting') as waiting from filled"""),
        {**given, "codes": codes, "replay": replay_id, "limit": ITEMS_MAX + 1, "is_decision": is_decision},
    ).one()
    if found.total > ITEMS_MAX:
        raise ReplayTooLarge(
            f"more than {ITEMS_MAX:,} open exceptions fit: narrow it by account, source, period or age"
        )
    conn.execute(
        text("update replays set total = :total where id = :replay"), {"total": found.total, "replay": replay_id}
    )
    return int(found.waiting)
