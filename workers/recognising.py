"""How revenue is recognised: what is due up to an accounting period, under whoever is named."""

import structlog
from sqlalchemy import Connection

from domain.canonical import Json
from domain.money import exact_sum
from domain.revenue import next_period
from workers.store import acting, audit, revenue_runs
from workers.store.acting import Named
from workers.store.database import engine
from workers.store.revenue_runs import AccountingPeriod, Recognised

log = structlog.get_logger(__name__)


def recognise(conn: Connection, meant: AccountingPeriod) -> list[Recognised]:
    """Recognise what is due up to the period, and record it if there is any. The caller has named who acts."""
    found = revenue_runs.recognise(conn, meant)
    if found:
        audit.record(conn, "revenue.run", str(meant), after=amounts(found))
    return found


def amounts(found: list[Recognised]) -> dict[str, Json]:
    """What was recognised by currency, as texts."""
    by_currency: dict[str, list[Recognised]] = {}
    for each in found:
        by_currency.setdefault(each.currency, []).append(each)
    return {currency: str(exact_sum(each.amount for each in parts)) for currency, parts in by_currency.items()}


def tick() -> None:
    """Recognise for every legal entity what is due up to the last accounting period that has ended."""
    with engine().connect() as conn:
        ended = revenue_runs.last_ended(conn)
    for meant in ended:
        with engine().begin() as conn:
            acting.name(conn, Named("tallyline", f"{meant.period:%Y-%m} has ended"))
            audit.hold(conn)
            found = recognise(conn, meant)
        log.info("revenue recognised", legal_entity=meant.legal_entity_id, until=str(next_period(meant.period)),
                 accounts=len(found))  # fmt: skip
