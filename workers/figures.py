"""The gauges of `/metrics`, each read from the database when it is asked for."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from time import monotonic

from sqlalchemy import Connection

from queues.metrics import Gauge, Reading
from workers import sweeper
from workers.store import figures
from workers.store.database import snapshot
from workers.store.figures import EntityMoney

#: A preview of unbilled money is rated at most this often, however often it is scraped.
PREVIEW_S = 60.0


def _read(ask: Callable[[Connection], Iterable[Sequence[object]]], labels: int) -> Callable[[], Iterator[Reading]]:
    """The rows of a question as readings: the first `labels` columns, and the next one as the figure."""

    def read() -> Iterator[Reading]:
        with snapshot() as conn:
            for row in ask(conn):
                yield [str(label) for label in row[:labels]], float(str(row[labels]))

    return read


def _money(ask: Callable[[Connection], list[EntityMoney]]) -> Callable[[], Iterator[Reading]]:
    """Amounts by legal entity and currency, asked at most every `PREVIEW_S` seconds."""
    kept: list[EntityMoney] = []
    asked_at = -PREVIEW_S

    def read() -> Iterator[Reading]:
        nonlocal kept, asked_at
        if monotonic() - asked_at >= PREVIEW_S:
            with snapshot() as conn:
                kept = ask(conn)
            asked_at = monotonic()
        # Prometheus knows no decimals: the figure is for alarms, never for books.
        return iter([((each.legal_entity, each.currency), float(each.amount)) for each in kept])

    return read


def _ages(conn: Connection) -> list[tuple[str, str, float]]:
    return [(step, lane, age_s) for step, lane, _, age_s in sweeper.due_work(conn)]


GAUGES: tuple[Gauge, ...] = (
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
        "tallyline_erp_postings",
        "Documents on their way into an ERP.",
        ("connection", "state"),
        _read(figures.erp_postings, 2),
    ),
    Gauge(
        "tallyline_unbilled_money",
        "What the open lots would bill now, before tax.",
        ("legal_entity", "currency"),
        _money(figures.unbilled),
    ),
    Gauge(
        "tallyline_excepted_money",
        "Money that waits for a person.",
        ("legal_entity", "currency"),
        _money(figures.excepted),
    ),
)
