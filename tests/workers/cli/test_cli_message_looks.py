"""Messages at which a look ends as nobody foresaw: the next ones are heard, and after five looks they are poison."""

import pytest

from workers import messages

RAISING = """
create function raise_it() returns trigger language plpgsql as $$
begin
  raise exception 'it went wrong' using errcode = '{}';
end $$;
create trigger raise_it before update on accounts for each row when (new.name = 'Wrong') execute function raise_it();
"""


@pytest.fixture
def raising(others):
    """Makes the database raise an error of that SQLSTATE when an account is called `Wrong`."""
    yield lambda sqlstate: others.operator.run(RAISING.format(sqlstate))
    others.operator.run("drop function if exists raise_it() cascade")


def let_time_pass(others):
    others.operator.run("update master_messages set due_at = now()")


def starts(others):
    return others.operator.one("select starts from master_messages where id = 1")


def test_a_message_that_ends_unexpectedly_keeps_no_other_waiting_and_is_poison_after_five_looks(others, raising):
    raising("P0001")
    others.say("account", {"id": "A", "name": "Wrong"})

    assert others.say("account", {"id": "B", "name": "Beta"}, version=2)[0] == "applied"
    for _ in range(4):
        let_time_pass(others)
        assert messages.tick() == 1
    assert (others.of("id = 1")[0], starts(others)) == ("received", 5)
    let_time_pass(others)
    messages.tick()

    state, code, sentence = others.of("id = 1")
    assert (state, code, starts(others)) == ("refused", "poison", 0)
    assert "looked at 5 times without an outcome" in sentence
    assert others.exceptions() == [("poison", None, None, None)]
    assert messages.tick() == 0


def test_a_message_that_was_poison_is_applied_once_the_cause_is_gone_and_somebody_retries_it(others, raising):
    raising("P0001")
    others.say("account", {"id": "A", "name": "Wrong"})
    for _ in range(5):
        let_time_pass(others)
        messages.tick()
    others.operator.run("drop function raise_it() cascade")

    others.operator.json("master", "retry", "1")

    assert others.of("id = 1")[0] == "applied"
    assert (others.exceptions(), len(others.exceptions("resolved"))) == ([], 1)


@pytest.mark.parametrize(("looks", "wait_s"), [(1, 2), (2, 12), (3, 72), (4, 432), (5, 2_592)])
def test_looks_that_end_unexpectedly_come_further_and_further_apart(others, raising, looks, wait_s):
    raising("P0001")
    others.say("account", {"id": "A", "name": "Wrong"})
    for _ in range(looks - 1):
        let_time_pass(others)
        messages.tick()

    rests_s = others.operator.one("select extract(epoch from due_at - now())::float8 from master_messages")
    assert wait_s - 9 < rests_s <= wait_s
    assert looks == 1 or messages.tick() == 0


# busy, and then what no message can be at fault for: no right, no table, no disk, an error of its own
@pytest.mark.parametrize("sqlstate", ["40P01", "55P03", "42501", "42P01", "58030", "XX000"])
def test_a_database_that_was_busy_or_is_not_as_it_must_be_costs_a_message_nothing(others, raising, sqlstate):
    raising(sqlstate)
    others.say("account", {"id": "A", "name": "Wrong"})

    assert others.say("account", {"id": "B", "name": "Beta"}, version=2)[0] == "applied"
    assert (others.of("id = 1")[0], starts(others)) == ("received", 0)


def test_a_message_that_somebody_else_looks_at_is_left_to_them(others):
    others.say("account", {"id": "A", "bill_to": "B"})
    others.operator.run("update master_messages set state = 'received', code = null")
    with others.operator.owner.connect() as conn:
        conn.exec_driver_sql("select from master_messages for update")

        messages.tick()

    assert (others.last()[0], starts(others)) == ("received", 0)


def test_a_fault_of_all_messages_makes_none_of_them_poison_and_all_are_applied_when_it_is_over(others):
    """The right that publishing needs is gone, as after an upgrade that went half through."""
    others.operator.run("revoke select on accounts from tallyline_app")
    for n in range(3):
        others.say("account", {"id": f"N-{n}", "name": f"New {n}"}, version=n + 1)
    for _ in range(9):
        let_time_pass(others)
        messages.tick()
    stood = others.operator.rows("select distinct state, starts from master_messages")
    others.operator.run("grant select on accounts to tallyline_app")
    assert stood == [("received", 0)]

    let_time_pass(others)
    messages.tick()

    assert others.operator.rows("select distinct state, starts from master_messages") == [("applied", 0)]
    assert others.exceptions() == []
