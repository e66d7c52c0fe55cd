"""What the console of a real RabbitMQ shows: dead rows while their exception is open, and nothing once it is closed."""

import pytest
from rabbit import wait_until
from sqlalchemy import text

from domain.errors import Rejection
from queues import work
from queues.settings import settings
from queues.work import NewWork
from workers import sweeper
from workers.store import acting, parked
from workers.store.acting import Named
from workers.store.database import engine, forget_engine
from workers.unit import bury

QUEUE = "tax.XQ"
RATE = """insert into tax_rates (jurisdiction, category, rate, starts_on, source)
  values ('US-NY', 'standard', 8.875, '2020-01-01', 'test')"""
WAITS = {"jurisdiction": "US-NY", "category": "standard", "tax_point_on": "2026-03-31"}


@pytest.fixture
def console(rabbit, new_database, monkeypatch):
    """A database of its own whose dead rows are shown on the virtual host of the test."""
    monkeypatch.setenv("TALLYLINE_DATABASE_URL", new_database())
    settings.cache_clear()
    forget_engine()
    broker = rabbit.broker()
    monkeypatch.setattr(sweeper, "broker", lambda: broker)
    yield rabbit
    settings.cache_clear()
    forget_engine()


def die(number: int) -> int:
    """A row of `tax` that dies for want of a tax rate; its number."""
    refusal = Rejection("no rate", code="tax_rate_not_found", **WAITS)
    with engine().begin() as conn:
        (row,) = work.insert(conn, [NewWork("tax", f"invoice/{number}", "corr")])
        ready = work.hold(conn, row.id)
        assert ready is not None
        bury(conn, ready, code=refusal.code, sentence=refusal.sentence, facts=refusal.facts)
    return row.id


def run(statement: str, **values: object) -> None:
    with engine().begin() as conn:
        conn.execute(text(statement), values)


def shown(rabbit, *ids: int) -> None:
    """The console comes to show exactly these rows."""
    sweeper.show_dead()
    sweeper.hide_resolved()
    wait_until(lambda: sorted(rabbit.ids(QUEUE)) == sorted(ids))


def heal(_work_id: int) -> None:
    with engine().begin() as conn:
        acting.name(conn, Named("ann", "the rate of the state"))
        conn.execute(text(RATE))
    with engine().begin() as conn:
        assert parked.heal_dead(conn)


def replay(work_id: int) -> None:
    """What a replay makes of a dead row and its exception."""
    run("update work set state = 'ready', lane = 'replay', due_at = now() where id = :id", id=work_id)
    run(
        """update exceptions set state = 'replayed', closed_at = now(), closed_by = 'ann', reason = 'again'
        where work_id = :id""",
        id=work_id,
    )


def dismiss(work_id: int) -> None:
    run(
        """update exceptions set state = 'dismissed', closed_at = now(), closed_by = 'ann', reason = 'nothing to do'
        where work_id = :id""",
        id=work_id,
    )


def finish(work_id: int) -> None:
    with engine().begin() as conn:
        work.done(conn, [work_id])


@pytest.mark.parametrize("resolve", [heal, replay, dismiss, finish], ids=lambda act: act.__name__)
def test_the_body_of_a_resolved_exception_leaves_the_console_and_its_neighbours_stay(console, resolve):
    rows = [die(number) for number in (1, 2)]
    shown(console, *rows)
    run("update exceptions set facts = '{}' where work_id = :id", id=rows[1])  # it heals by no rate

    resolve(rows[0])

    shown(console, rows[1])
    shown(console, rows[1])  # a closed one is not shown again by the next round


def test_a_dismissed_row_that_is_opened_again_is_shown_again(console):
    row = die(1)
    shown(console, row)
    dismiss(row)
    shown(console)

    run("update exceptions set state = 'open', closed_at = null, closed_by = null, reason = null")

    shown(console, row)


def test_a_row_that_dies_again_before_anybody_looked_is_shown_once(console):
    row = die(1)
    shown(console, row)
    run("update work set state = 'ready', due_at = now()")
    with engine().begin() as conn:
        ready = work.hold(conn, row)
        assert ready is not None
        bury(conn, ready, code="tax_rate_not_found", sentence="still no rate", facts=WAITS)

    sweeper.show_dead()
    dismiss(row)

    shown(console)
