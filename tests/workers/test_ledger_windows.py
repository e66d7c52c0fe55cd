"""What ledger.md sections 6 and 10 settle: windows add up, distinct values are counted over the whole period."""

import random
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from usage_line import event

from workers import step
from workers.store import aggregates, recompute
from workers.store.database import snapshot

MONTH = datetime(2026, 11, 2, tzinfo=UTC)


def hourly(count, *, chance):
    """Calls over two weeks by few callers, so that each caller is seen in many hours."""
    return [
        event(
            f"e{number}",
            time=(MONTH + timedelta(hours=number % 336)).isoformat(),
            subject=f"k{chance.randint(1, 6)}",
            caller=f"caller {chance.randint(1, 12)}",
            minutes=chance.randint(1, 60),
        )
        for number in range(count)
    ]


def test_distinct_values_are_counted_over_the_whole_period_and_never_summed(line):
    events = hourly(400, chance=random.Random(1))
    for start in range(0, 400, 40):
        line.receive(*events[start : start + 40])

    line.run()

    for subject in ("k1", "k2", "k3"):
        callers = {each["data"]["caller"] for each in events if each["subject"] == subject}
        assert line.quantities(subject)["callers"] == len(callers)


def test_windows_equal_a_full_recompute_whatever_the_order_of_the_batches(line):
    chance = random.Random(2)
    events = hourly(300, chance=chance)
    for start in range(0, 300, 25):
        line.receive(*events[start : start + 25])
    line.run("validate", "enrich")
    batches = line.ready("aggregate")

    for batch in chance.sample(batches, len(batches)):
        step.perform("aggregate", [batch])

    with snapshot() as conn:
        assert recompute.drifts(conn) == []
    assert line.differences() == []


def test_workers_that_add_to_the_same_windows_in_any_order_do_not_deadlock(line):
    chance = random.Random(3)
    for _ in range(24):
        line.receive(*({**each, "id": f"{each['id']}-{chance.random()}"} for each in hourly(30, chance=chance)))
    line.run("validate", "enrich")
    batches = [row[0] for row in line.rows("select id from batches order by id")]

    def add(mine):
        for batch in mine:
            with line.engine.begin() as conn:
                aggregates.aggregate(conn, [batch])

    both = [line.start(lambda mine=mine: add(mine)) for mine in (batches[::2], batches[:0:-2])]
    for each in both:
        each.join()

    with snapshot() as conn:
        assert recompute.drifts(conn) == []


def test_a_batch_that_is_performed_twice_is_added_once(line):
    line.receive(event("e1"))
    line.run()

    with line.engine.begin() as conn:
        assert aggregates.aggregate(conn, [line.value("select id from batches")]).batches == ()

    assert line.quantities() == {"calls": 1, "minutes": 1, "callers": 1}


def test_a_value_that_is_taken_back_does_not_exist(line):
    line.receive(event("e1", caller="ann"), event("e2", caller="bob"))
    line.run()

    move_back(line, "e2")
    line.run("aggregate")

    assert line.quantities() == {"calls": 1, "minutes": 1, "callers": 1}
    assert line.rows("select distinct value from aggregate_values") == [("ann",)]


def move_back(line, name):
    """Attribute the event no longer: -1 for what was +1, in a batch of its own."""
    with line.engine.begin() as conn:
        batch = conn.execute(text("insert into batches (kind) values ('moved') returning id")).scalar_one()
        conn.execute(
            text("""insert into attributions
                 select a.event_no, metric_id, subscription_id, contract_version_id, billing_period_id, a.source_id,
                   generation, -1, mapping_id, :batch, hour, quantity, value, dimensions
                 from attributions a join usage_events e using (event_no) where e.event_id = :name"""),
            {"batch": batch, "name": name},
        )
    line.owe("aggregate", f"batch/{batch}")


def test_values_and_dimensions_that_no_index_can_hold_are_counted_like_others(line):
    with line.owner.begin() as conn:
        conn.execute(text("update metrics set dimensions = '{caller}' where name in ('calls', 'minutes')"))
    chance = random.Random(4)
    one, other = ("".join(chr(chance.randrange(0x10000, 0x1F000)) for _ in range(1_000)) for _ in range(2))
    callers = ("ann", one, other, one)

    line.receive(*(event(f"e{number}", caller=caller) for number, caller in enumerate(callers)))
    line.run()

    assert line.quantities() == {"calls": 4, "minutes": 4, "callers": 3}
    assert line.value("select count(*) from aggregates g join metrics m on m.id = metric_id where name = 'calls'") == 3
    assert line.differences() == []
