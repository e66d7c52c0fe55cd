"""The ticking process: asks again and again what is due; what is due lies in PostgreSQL, never in a timer.

`python -m workers.scheduler` may run several times; one leads, the others wait to take over.
"""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, time
from threading import Event
from uuid import uuid4

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from structlog.contextvars import bound_contextvars

from queues import metrics
from queues.metrics import Gauge
from queues.publishing import NotPublished
from queues.settings import settings
from queues.telemetry import configure_logging, correlation_id, start_sentry
from workers import close_calendar, closing, gaps, looking, messages, outages, recognising, replaying, sweeper, ticks
from workers.figures import GAUGES
from workers.leader import lead
from workers.store.database import DatabaseUrlMissing, is_away
from workers.watch import watch

log = structlog.get_logger(__name__)

ROLE = "scheduler"


@dataclass(frozen=True, slots=True)
class Tick:
    """What is asked, every so many seconds or once a day. It must be harmless when asked twice or late."""

    ask: Callable[[], object]
    every_s: float | None = None
    daily_at: time | None = None

    def __post_init__(self) -> None:
        assert (self.every_s is None) != (self.daily_at is None), "a tick has a rhythm, and one only"


#: Every tick of a deployment by name; a line here is all a new one needs.
TICKS: dict[str, Tick] = {
    "sweep": Tick(sweeper.sweep, every_s=1),
    "show dead rows": Tick(sweeper.show_dead, every_s=5),
    "hide resolved rows": Tick(sweeper.hide_resolved, every_s=10),
    "press on billing runs": Tick(closing.tick, every_s=1),
    "ask for what is due": Tick(close_calendar.ask_due, every_s=60),
    "warn of deadlines": Tick(close_calendar.warn, every_s=60),
    "release replays": Tick(replaying.tick, every_s=1),
    "hear of master data": Tick(messages.tick, every_s=1),
    "heal dead work": Tick(ticks.heal_dead, every_s=10),
    "appraise exceptions": Tick(ticks.appraise, every_s=3),
    "look for gaps": Tick(gaps.tick, every_s=5),
    "tell outages": Tick(outages.tell, every_s=2),
    "look at limits": Tick(looking.tick, every_s=looking.EVERY_S),
    "fold totals": Tick(ticks.fold_totals, every_s=60),
    "purge work": Tick(ticks.purge_work, daily_at=time(3, 10)),
    "erase bodies": Tick(ticks.erase_bodies, daily_at=time(3, 20)),
    "erase messages": Tick(ticks.erase_messages, daily_at=time(3, 22)),
    "recognise revenue": Tick(recognising.tick, daily_at=time(3, 27)),
    "end credits": Tick(ticks.end_credits, daily_at=time(3, 25)),
    "check books": Tick(ticks.check_books, daily_at=time(3, 30)),
    "appraise exceptions anew": Tick(ticks.appraise_anew, daily_at=time(3, 50)),
    "look at parked": Tick(ticks.look_at_parked, daily_at=time(4, 0)),
    "tell endings": Tick(ticks.tell_endings, every_s=300),
    "tell audit head": Tick(ticks.tell_audit_head, daily_at=time(4, 30)),
}


@contextmanager
def ticking(ticks: Mapping[str, Tick]) -> Iterator[None]:
    """Asks every tick at once and then in its rhythm meanwhile; on leaving waits for those that run.

    A tick that is late is asked once, one that still runs is not asked again, one that fails is asked the next time.
    """
    scheduler = BackgroundScheduler(
        timezone=UTC,
        # The default forgets a tick that is a second late; nothing here may be forgotten.
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    for name, tick in ticks.items():
        first = {} if tick.every_s is None else {"next_run_time": datetime.now(UTC)}
        scheduler.add_job(_asked, _trigger(tick), args=[name, tick], id=name, name=name, **first)
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown(wait=True)


def _trigger(tick: Tick) -> IntervalTrigger | CronTrigger:
    if tick.daily_at is None:
        return IntervalTrigger(seconds=tick.every_s, timezone=UTC)
    at = tick.daily_at
    return CronTrigger(hour=at.hour, minute=at.minute, second=at.second, timezone=UTC)


def _asked(name: str, tick: Tick) -> None:
    """Ask once, under a correlation id of its own, so that all work it inserts can be traced to it.

    APScheduler logs what it raises and asks again the next time. An outage, which every tick would meet each second, is
    told once, by the watch.
    """
    correlation_id.set(f"tick-{name}-{uuid4()}")
    with bound_contextvars(tick=name, correlation_id=correlation_id.get()):
        try:
            tick.ask()
        except (NotPublished, DBAPIError, PoolTimeout) as error:
            if not (isinstance(error, NotPublished) or is_away(error)):
                raise
            log.debug("asked in vain", reason=type(error).__name__)


def run(ticks: Mapping[str, Tick], gauges: Sequence[Gauge], *, stop: Event) -> None:
    """Serve `/metrics`, and the ticks whenever this process leads, until `stop`."""
    chosen = settings()
    if chosen.database_url is None:
        raise DatabaseUrlMissing("the scheduler needs TALLYLINE_DATABASE_URL")
    with metrics.serving(gauges, host=chosen.metrics_host, port=chosen.metrics_port) as port:
        log.info("serves metrics", host=chosen.metrics_host, port=port)
        lead(chosen.database_url.get_secret_value(), ROLE, stop=stop, office=lambda: ticking(ticks))


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logging()
    start_sentry(settings())
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with watch().watching() if settings().mode == "fleet" else nullcontext():
        run(TICKS, GAUGES, stop=stop)


if __name__ == "__main__":
    main()
