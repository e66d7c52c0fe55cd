"""What ledger.md section 4 and 14 settle: times, and one event for each (source, id)."""

from datetime import UTC, datetime

from usage_line import event

from workers import step


def test_a_time_is_cut_to_microseconds_and_stays_in_its_month(line):
    line.receive(event("e1", time="2026-10-31T23:59:59.9999999-04:00"), event("e2", time="2026-11-01T00:00:00-04:00"))

    line.run()

    kept = line.rows("select event_id, happened_at from usage_events order by event_id")
    assert kept[0] == ("e1", datetime(2026, 11, 1, 3, 59, 59, 999999, tzinfo=UTC))
    assert line.rows("select starts_on::text from billing_periods order by 1") == [("2026-10-01",), ("2026-11-01",)]


def test_an_id_is_one_event_also_when_it_comes_again_for_another_month(line):
    line.receive(event("e1", time="2026-09-05T12:00:00Z"))
    line.receive(event("e1", time="2026-10-05T12:00:00Z"))

    line.run()

    assert line.value("select count(*) from usage_events") == 1
    assert line.codes() == ["conflicting_duplicate"]


def test_of_one_id_with_two_bodies_in_two_transactions_at_once_the_second_is_a_conflict(line):
    first, second = line.receive(event("e1", minutes=1)), line.receive(event("e1", minutes=2), event("e2"))

    with line.uncommitted("validate", first):
        other = line.blocked(lambda: step.perform("validate", [second]))
    other.join()
    line.run()

    assert line.rows("select parsed, accepted, duplicate, refused from receipt_counts order by receipt_id") == [
        (1, 1, 0, 0),
        (2, 1, 0, 1),
    ]
    assert line.codes() == ["conflicting_duplicate"]
    assert line.quantities() == {"calls": 2, "minutes": 2, "callers": 1}
    assert line.differences() == []


def test_of_one_event_in_two_transactions_at_once_the_second_is_a_duplicate(line):
    first, second = line.receive(event("e1"), event("e2")), line.receive(event("e2"), event("e1"))

    with line.uncommitted("validate", first):
        other = line.blocked(lambda: step.perform("validate", [second]))
    other.join()
    line.run()

    assert line.rows("select accepted, duplicate from receipt_counts order by receipt_id") == [(2, 0), (0, 2)]
    assert line.quantities()["calls"] == 2
    assert line.differences() == []


def test_an_event_whose_first_transaction_rolls_back_is_accepted_by_the_second(line):
    first, second = line.receive(event("e1")), line.receive(event("e1"))

    with line.rolled_back("validate", first):
        other = line.blocked(lambda: step.perform("validate", [second]))
    other.join()
    line.run()

    assert line.rows("select accepted, duplicate from receipt_counts order by receipt_id") == [(0, 1), (1, 0)]
    assert line.quantities()["calls"] == 1


def test_many_receipts_with_the_same_events_in_any_order_and_at_once_are_accepted_once(line):
    names = [f"e{number}" for number in range(200)]
    shuffled = [names, names[::-1], names[::2] + names[1::2], names[100:] + names[:100]]
    rows = [line.receive(*(event(name) for name in order)) for order in shuffled]

    both = [line.start(lambda mine=rows[part::2]: [step.perform("validate", [row]) for row in mine]) for part in (0, 1)]
    for each in both:
        each.join()
    line.run()

    assert line.work("distinct outcome") == [("done",)]
    assert line.rows("select sum(accepted), sum(duplicate), sum(refused) from receipt_counts") == [(200, 600, 0)]
    assert line.quantities()["calls"] == 200
    assert line.differences() == []
