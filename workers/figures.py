"""The gauges of `/metrics`, each read from the database when it is asked for."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from domain.degradation import TIERS, tier_of
from queues.metrics import FiguresAway, Gauge, Reading
from workers import sweeper, ticks
from workers.store import figures, outages
from workers.store.database import is_away, snapshot
from workers.store.figures import EntityMoney
from workers.watch import watch

#: A preview of unbilled money is rated at most this often, however often it is scraped.
PREVIEW_S = 60.0
T = TypeVar("T")


@contextmanager
def _asking() -> Iterator[Connection]:
    """A snapshot to read figures from. Raises `FiguresAway` if the database does not answer."""
    try:
        with snapshot() as conn:
            yield conn
    except (DBAPIError, PoolTimeout) as error:
        if is_away(error):
            raise FiguresAway from error
        raise


def _read(ask: Callable[[Connection], Iterable[Sequence[object]]], labels: int) -> Callable[[], Iterator[Reading]]:
    """The rows of a question as readings: the first `labels` columns, and the next one as the figure."""

    def read() -> Iterator[Reading]:
        with _asking() as conn:
            for row in ask(conn):
                yield [str(label) for label in row[:labels]], float(str(row[labels]))

    return read


def _kept(ask: Callable[[Connection], T]) -> Callable[[], T]:
    """What a question answers, asked at most every `PREVIEW_S` seconds."""
    kept: list[T] = []
    asked_at = 0.0

    def answer() -> T:
        nonlocal asked_at
        if not kept or monotonic() - asked_at >= PREVIEW_S:
            with _asking() as conn:
                kept[:] = [ask(conn)]
            asked_at = monotonic()
        return kept[0]

    return answer


#: One preview answers for the money and for the windows that are not in it.
_preview = _kept(figures.preview)
_excepted = _kept(figures.excepted)


def _money(answer: Callable[[], Sequence[EntityMoney]]) -> Callable[[], Iterator[Reading]]:
    """Amounts by legal entity and currency."""

    def read() -> Iterator[Reading]:
        # Prometheus knows no decimals: the figure is for alarms, never for books.
        return iter([((each.legal_entity, each.currency), float(each.amount)) for each in answer()])

    return read


def _unpriced() -> Iterator[Reading]:
    return iter([((), float(_preview().unpriced))])


def _ages(conn: Connection) -> list[tuple[str, str, float]]:
    return [(step, lane, age_s) for step, lane, _, age_s in sweeper.due_work(conn)]


def _tier_ages(conn: Connection) -> list[tuple[int, float]]:
    """(tier, age of its oldest due row): 0 where nothing is due, so that an alarm that fired ends."""
    ages = dict.fromkeys((tier.number for tier in TIERS), 0.0)
    for step, lane, _, age_s in sweeper.due_work(conn):
        number = tier_of(step, lane).number
        ages[number] = max(ages[number], age_s)
    return sorted(ages.items())


def _dependencies() -> Iterator[Reading]:
    """Servers as the watch of this process sees them; partners as the work says, while the database answers."""
    for server, standing in watch().standing().items():
        yield (server, ""), float(standing.is_up)
    try:
        with _asking() as conn:
            away = {(each.dependency, each.name) for each in outages.waiting(conn)}
            partners = [("erp", name) for name in outages.connections(conn)] + [("tax_engine", "")]
    except FiguresAway:
        return  # the watch says so
    for dependency, name in partners:
        yield (dependency, name), float((dependency, name) not in away)


def _differences() -> Iterator[Reading]:
    """What the last nightly check of this process found; nothing before it."""
    return iter([((kind,), float(found)) for kind, found in ticks.last_check.items()])


#: Those that need no database come first: with it away they are still told.
GAUGES: tuple[Gauge, ...] = (
    Gauge(
        "tallyline_dependency_up",
        "Whether what we depend on answers: 1, or 0 for away. `name` is the ERP connection.",
        ("dependency", "name"),
        _dependencies,
    ),
    Gauge(
        "tallyline_identity_differences",
        "What did not add up in the last nightly check: differences of an identity, windows that drifted.",
        ("kind",),
        _differences,
    ),
    Gauge("tallyline_tier_due_age_seconds", "Age of a tier's oldest due row.", ("tier",), _read(_tier_ages, 1)),
    Gauge("tallyline_events", "Usage events since the beginning, by fate.", ("fate",), _read(figures.events, 1)),
    Gauge("tallyline_refusals", "Refused events and bodies, by code.", ("code",), _read(figures.refused, 1)),
    Gauge("tallyline_due_work", "Work rows that are due.", ("step", "lane"), _read(sweeper.due_work, 2)),
    Gauge("tallyline_due_work_age_seconds", "Age of the oldest due row.", ("step", "lane"), _read(_ages, 2)),
    Gauge("tallyline_lag_seconds", "Age of the oldest work still owed.", ("step",), _read(figures.lags, 1)),
    Gauge("tallyline_dead_work", "Work rows that a person must act on.", ("step",), _read(figures.dead_work, 1)),
    Gauge(
        "tallyline_exceptions_open",
        "Exceptions that wait for a person.",
        ("step", "code"),
        _read(figures.open_exceptions, 2),
    ),
    Gauge(
        "tallyline_exceptions_overdue",
        "Exceptions that wait for a person beyond their deadline.",
        ("step", "code"),
        _read(figures.overdue_exceptions, 2),
    ),
    Gauge(
        "tallyline_erp_postings",
        "Documents on their way into an ERP.",
        ("connection", "state"),
        _read(figures.erp_postings, 2),
    ),
    Gauge(
        "tallyline_unbilled_money",
        "What the open lots would bill now, before tax, coupons and limits of contracts.",
        ("legal_entity", "currency"),
        _money(lambda: _preview().unbilled),
    ),
    Gauge(
        "tallyline_unpriced_windows",
        "Windows without a document that no price could be worked out for: no money tells of them.",
        (),
        _unpriced,
    ),
    Gauge(
        "tallyline_excepted_money",
        "Money that waits for a person.",
        ("legal_entity", "currency"),
        _money(_excepted),
    ),
)
