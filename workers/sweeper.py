"""The sweeper: hints what is due and forgotten, shows dead rows in the console, and takes resolved ones out of it."""

from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection, Row, text

from domain.degradation import tier_of
from queues.broker import broker
from queues.publishing import NotPublished
from queues.settings import settings
from queues.topology import queue_name
from queues.work import Hintable
from workers.step import publish
from workers.store.database import engine

log = structlog.get_logger(__name__)

#: Rows hinted in one sweep of one queue, and dead rows shown; the next sweep goes on.
ROWS_MAX = 20_000
SHOWN_MAX = 200
#: While a tier has work that has been due for so long, the queues of the tiers below are given one hint at a time.
OLD_S = 60.0
BOUNDED_ROWS_MAX = 200

_LAGGING = text("""
select step, lane, connection_id, count(*) as due, extract(epoch from now() - min(due_at))::float8 as age_s from work
where state = 'ready' and due_at <= now() and (lease_until is null or lease_until < now())
group by step, lane, connection_id order by step, lane, connection_id
""")
#: A row whose due time has just come is hinted at once; after that the rests double from 2 s to 300 s.
_STALE = """
  state = 'ready' and due_at <= now() and (lease_until is null or lease_until < now())
  and (hinted_at < due_at or hinted_at < now() - make_interval(secs => least(300, power(2, least(hints, 9)))))
"""
_HINT = text(f"""
update work set hinted_at = now(), hints = least(hints + 1, 100)
where id in (select id from work where step = :step and lane = :lane and connection_id is not distinct
  from :connection_id
  and (:at_once or ({_STALE})) and state = 'ready' and due_at <= now() and (lease_until is null or lease_until < now())
  order by due_at, id limit :rows for update skip locked)
returning id, weight, correlation_id
""")  # noqa: S608 -- constants of this module


#: Whether somebody closed all that was opened about the dead row `w`, dismissed it for instance: nobody has to see it.
_CLOSED = """(exists (select from exceptions x where x.work_id = w.id)
  and not exists (select from exceptions x where x.work_id = w.id and x.state = 'open'))"""
_DEAD = text(f"""
select w.id, w.step, w.lane, w.connection_id, w.subject, w.attempts, w.outcome, w.error, w.correlation_id, w.shown_in,
  x.money_at_risk, x.currency
from work w left join lateral (select e.money_at_risk, e.currency from exceptions e where e.work_id = w.id
  and e.state = 'open' order by e.id desc limit 1) x on true
where w.state = 'dead' and w.shown_at is null and not {_CLOSED} order by w.id limit :rows for update of w skip locked
""")  # noqa: S608 -- constants of this module
_SHOWN = text("""
update work w set shown_at = now(), shown_in = t.queue
from unnest(cast(:ids as bigint[]), cast(:queues as text[])) as t (id, queue) where w.id = t.id
""")
_RESOLVED = text(f"""
select w.id, w.shown_in from work w where w.shown_in is not null and (w.state <> 'dead' or {_CLOSED})
order by w.id limit :rows for update of w skip locked
""")  # noqa: S608 -- constants of this module


def sweep(*, at_once: bool = False) -> int:
    """Hint due rows whose hint is old, `at_once` all due rows, in order of tier; returns how many rows were hinted.

    A queue that still holds as many hints as its due rows need is left alone: a backlog is not hinted over and over.
    While a higher tier has old due work, a queue of a lower one holds one hint of ours: it goes on, it does not crowd.
    """
    with engine().connect() as conn:
        lagging = sorted(conn.execute(_LAGGING).all(), key=_rank)
    oldest_tier = min((_rank(row)[0] for row in lagging if row.age_s > OLD_S), default=None)
    hinted = 0
    for row in lagging:
        is_bounded = not at_once and oldest_tier is not None and _rank(row)[0] > oldest_tier
        queue = queue_name(row.step, row.lane, row.connection_id)
        look = broker().look(queue)
        needed = 1 if is_bounded else row.due
        if not at_once and look is not None and look.ready * settings().hint_rows_max >= needed:
            continue
        with engine().begin() as conn:
            rows = _hint(conn, row, at_once=at_once, rows_max=BOUNDED_ROWS_MAX if is_bounded else ROWS_MAX)
        publish(rows)
        hinted += len(rows)
    return hinted


def _rank(row: Row[Any]) -> tuple[int, str, str, str]:
    return tier_of(row.step, row.lane).number, row.step, row.lane, row.connection_id or ""


def _hint(conn: Connection, lagging: Row[Any], *, at_once: bool, rows_max: int) -> list[Hintable]:
    step, lane, connection_id = lagging.step, lagging.lane, lagging.connection_id
    values = {"step": step, "lane": lane, "connection_id": connection_id, "at_once": at_once, "rows": rows_max}
    found = conn.execute(_HINT, values).all()
    queue = queue_name(step, lane, connection_id)
    return sorted(
        (Hintable(row.id, step, queue, row.weight, row.correlation_id) for row in found), key=lambda row: row.id
    )


def show_dead() -> int:
    """Publish dead rows that nobody sees yet to their `.XQ`, at least once; returns how many.

    A row that was shown before and died again leaves the place where it still lies: its story is another one now.
    """
    with engine().begin() as conn:
        dead = conn.execute(_DEAD, {"rows": SHOWN_MAX}).all()
        _remove((row.shown_in, row.id) for row in dead if row.shown_in is not None)
        queues = {row.id: queue_name(row.step, row.lane, row.connection_id) for row in dead}
        for row in dead:
            broker().publish_dead(queues[row.id], row.id, headers=_story(row))
        conn.execute(_SHOWN, {"ids": list(queues), "queues": list(queues.values())})
    return len(dead)


def _story(row: Any) -> dict[str, Any]:  # noqa: ANN401 -- a row of the question above
    """What a person reads in the console about a dead row."""
    headers = {
        "code": row.outcome,
        "error": row.error,
        "subject": row.subject,
        "attempts": row.attempts,
        "correlation_id": row.correlation_id,
        "money_at_risk": None if row.money_at_risk is None else f"{row.money_at_risk} {row.currency}",
        "runbook": f"infra/runbooks/codes.md#{row.outcome}",
    }
    return {name: value for name, value in headers.items() if value is not None}


def _remove(shown: Iterable[tuple[str, int]]) -> None:
    """Take the bodies of these (queue, row) out of the `.XQ` of their queues."""
    queues: dict[str, list[int]] = {}
    for queue, work_id in shown:
        queues.setdefault(queue, []).append(work_id)
    for queue, ids in queues.items():
        broker().remove_dead(queue, ids)


def hide_resolved() -> int:
    """Take rows that are no longer dead, or whose exceptions are all closed, out of their `.XQ`; returns how many."""
    with engine().begin() as conn:
        resolved = conn.execute(_RESOLVED, {"rows": SHOWN_MAX}).all()
        _remove((row.shown_in, row.id) for row in resolved)
        conn.execute(
            text("update work set shown_at = null, shown_in = null where id = any(cast(:ids as bigint[]))"),
            {"ids": [row.id for row in resolved]},
        )
    return len(resolved)


def tick() -> None:
    """One round of all three; what RabbitMQ does not take now is taken by the next round."""
    try:
        sweep()
        show_dead()
        hide_resolved()
    except NotPublished as error:
        log.warning("sweep cut short", reason=str(error))


def purge(*, days: int = 7, rows: int = 10_000) -> int:
    """Move done rows older than `days` to the history, none before every period it may have fed is closed."""
    with engine().begin() as conn:
        moved = conn.execute(
            text("""with open_since as (
                   select coalesce(min(b.created_at), now()) as at from batches b
                   where exists (select from attributions a join billing_periods p on p.id = a.billing_period_id
                     where a.batch_no = b.id and not exists (select from billing_runs r
                       where r.billing_period_id = p.id and r.stage = 'closed'))),
                 gone as (delete from work where id in (select id from work where state = 'done'
                   and done_at < now() - make_interval(days => :days) and done_at < (select at from open_since)
                   and shown_at is null order by id limit :rows for update skip locked) returning *)
                 insert into work_history select * from gone returning id"""),
            {"days": days, "rows": rows},
        ).all()
    return len(moved)


def due_work(conn: Connection) -> Sequence[tuple[str, str, int, float]]:
    """(step, lane, due rows, age of the oldest in seconds): the backlog that scaling follows."""
    found = conn.execute(
        text("""select step, lane, count(*), extract(epoch from now() - min(due_at))::float8 from work
             where state = 'ready' and due_at <= now() group by step, lane order by step, lane""")
    )
    return [(row[0], row[1], row[2], row[3]) for row in found]
