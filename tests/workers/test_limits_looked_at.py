"""Thresholds that no usage brings about: lowered limits, ended grants, seats and time are told once each."""

import os
import random
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import timedelta

import metrics_bench
import pytest
from limits_bench import check, now
from sqlalchemy import text
from test_entitlement_alerts import LIMITED, alerts, calls, own, told
from usage_line import event

from workers import looking, step
from workers.store import entitlement_alerts

LOWER = """
update entitlements set superseded_at = clock_timestamp() where subscription_id = 1 and superseded_at > now();
insert into entitlements (feature_id, kind, subscription_id, limit_quantity, enforcement, rollover_max, thresholds)
  values (1, 'metered', 1, {0}, 'hard', 0, '{{80,100}}')
"""
GRANT = """
update entitlement_grants set superseded_at = clock_timestamp() where superseded_at > now();
insert into entitlement_grants (subscription_id, feature_id, name, quantity, priority, starts_at, ends_at)
  values (1, 1, 'extra', {0}, 1, now() - interval '1 hour', now() + interval '{1}')
"""
MEASURED = """
insert into features (name, kind, metric_id, owner) select 'peak', 'metered', id, 'product' from metrics;
insert into entitlements (feature_id, kind, contract_version_id, limit_quantity, enforcement, rollover_max, thresholds)
  select f.id, 'metered', v.id, 10, 'hard', 0, '{80,100}' from features f, contract_versions v
"""
SEATS = """
insert into metrics (name, aggregation, property, unit) values ('seats', 'subscribed', 'seat', 'seat');
insert into features (name, kind, metric_id, owner) select 'seats', 'metered', id, 'product' from metrics
  where name = 'seats';
insert into entitlements (feature_id, kind, contract_version_id, limit_quantity, enforcement, rollover_max, thresholds)
  select f.id, 'metered', 1, 10, 'hard', 0, '{80,100}' from features f where name = 'seats';
"""


@pytest.fixture
def limited(line):
    """Ten calls a month for every contract."""
    own(line, LIMITED)
    return line


def use(line, *names, perform=True, **changes):
    """As of now, so that it is usage of the present period."""
    at = changes.pop("time", None) or now(line).isoformat()
    line.receive(*(event(name, time=at, **changes) for name in names))
    line.run("validate", "enrich")
    if perform:
        line.run("aggregate")
    return line.ready("aggregate")


def thresholds(line):
    return [int(threshold) for _, threshold, _ in told(line)]


def due(line):
    return line.value("select count(*) from entitlement_looks where due_at <= now()")


def test_a_lowered_limit_is_told_without_any_more_usage_and_once(limited):
    use(limited, *calls(1, 7))
    looking.tick()
    assert told(limited) == []

    own(limited, LOWER.format(7))
    looking.tick()
    looking.tick()

    assert told(limited) == [("s1/talk", "80", "7"), ("s1/talk", "100", "7")]
    use(limited, "e8")
    own(limited, LOWER.format(5))
    looking.tick()
    assert thresholds(limited) == [80, 100]
    assert limited.value("select count(*) from work where step = 'notify'") == 1


def test_a_limit_that_is_raised_or_lowered_above_what_was_used_tells_nothing(limited):
    use(limited, *calls(1, 7))

    own(limited, LOWER.format(100))
    own(limited, LOWER.format(9))
    looking.tick()

    assert told(limited) == []
    assert due(limited) == 0


def test_a_grant_that_expires_is_told_when_it_does(limited):
    own(limited, GRANT.format(10, "3 seconds"))
    use(limited, *calls(1, 10))
    looking.tick()
    assert told(limited) == []

    limited.wait_until(lambda: looking.tick() or told(limited))

    # What the grant did not cover of ten calls is gone, and the limit itself covers them all.
    assert told(limited) == [("s1/talk", "80", "10"), ("s1/talk", "100", "10")]


def test_a_grant_that_is_taken_back_is_told(limited):
    own(limited, GRANT.format(10, "1 year"))
    use(limited, *calls(1, 10))
    assert told(limited) == []

    own(limited, GRANT.format(0, "1 year"))
    looking.tick()

    assert thresholds(limited) == [80, 100]


def test_a_contract_version_that_gives_less_is_told_when_it_begins(limited):
    use(limited, *calls(1, 7))
    own(limited, """
      update contract_versions set ends_at = now() + interval '2 seconds' where id = 1;
      insert into contract_versions (contract_id, version, starts_at, recorded_by)
        select 1, 2, ends_at, 'finance' from contract_versions where id = 1;
      insert into entitlements (feature_id, kind, contract_version_id, limit_quantity, enforcement, rollover_max,
        thresholds)
      select 1, 'metered', id, 4, 'hard', 0, '{100}' from contract_versions where version = 2""")  # fmt: skip
    looking.tick()
    assert told(limited) == []

    limited.wait_until(lambda: looking.tick() or told(limited))

    assert told(limited) == [("s1/talk", "100", "7")]


def test_late_usage_of_an_earlier_period_is_told_of_the_present_one_that_it_leaves_less_for(limited):
    own(limited, "update entitlements set rollover_max = 10")
    last = metrics_bench.period_of(now(limited)).starts_at - timedelta(days=1)
    use(limited, *calls(1, 15))
    looking.tick()
    assert told(limited) == []

    use(limited, *calls(21, 35), time=last.isoformat())  # of 20; leaves five, so that 15 are left for the present

    assert told(limited) == []
    looking.tick()
    assert alerts(limited) == [(1, 80, 15, 15), (1, 100, 15, 15)]


def test_seats_that_are_added_and_seats_that_come_later_are_told(line):
    own(line, SEATS)
    assert check(line, "seats", now(line)).used == 0

    have(line, 8, "current_date - 40", "current_date + 40")
    looking.tick()
    assert told(line) == [("s1/seats", "80", "8")]
    assert check(line, "seats", now(line)).remaining == 2

    own(line, "update subscription_quantities set superseded_at = clock_timestamp()")
    have(line, 12, "current_date + 20", "current_date + 60")
    looking.tick()
    assert thresholds(line) == [80]
    assert line.value("select count(*) from entitlement_looks where due_at > now() + interval '50 days'") == 1
    assert check(line, "seats", now(line) + timedelta(days=22)).used == 12


def have(line, quantity, starts_on, ends_on):
    own(line, f"""insert into subscription_quantities (subscription_id, item, quantity, starts_on, ends_on, recorded_by)
      values (1, 'seat', {quantity}, {starts_on}, {ends_on}, 'x')""")  # fmt: skip


def test_seats_that_stay_are_told_again_in_the_next_period(line):
    own(line, SEATS)
    have(line, 8, "current_date - 40", "current_date + 40")
    looking.tick()
    end = metrics_bench.period_of(now(line)).ends_at

    assert line.rows("select due_at from entitlement_looks where due_at <= :end", end=end) == [(end,)]


def measure(line, definition):
    own(line, "delete from metrics")
    metrics_bench.publish(line, metrics_bench._named([definition], "minutes"))
    own(line, MEASURED)
    return line


def test_what_must_be_measured_is_told_by_the_tick_once_each(line):
    measure(line, {"aggregation": "max"})
    use(line, "e1", data={"minutes": 8.5})
    assert told(line) == []

    looking.tick()
    use(line, "e2", data={"minutes": 8})
    looking.tick()
    use(line, "e3", data={"minutes": 11})
    looking.tick()

    assert told(line) == [("s1/peak", "80", "8.5"), ("s1/peak", "100", "11")]


def test_of_a_level_time_alone_reaches_a_threshold_and_it_is_looked_at_when_it_does(line):
    measure(line, {"aggregation": "weighted_sum", "recurring": True})
    own(line, "update entitlements set thresholds = '{100}'")
    period = metrics_bench.period_of(now(line))
    length, passed = period.ends_at - period.starts_at, now(line) - period.starts_at
    level = 10 * length / (passed + timedelta(seconds=4))  # ten after four more seconds
    use(line, "e1", data={"minutes": f"{level:.9f}"}, time=(period.starts_at - timedelta(days=1)).isoformat())

    looking.tick()
    assert told(line) == []
    ((look,),) = line.rows("select due_at from entitlement_looks where due_at < :end", end=period.ends_at)
    assert timedelta(seconds=50) < look - now(line) <= timedelta(seconds=60)  # once a minute is enough

    own(line, "update entitlement_looks set due_at = now() where due_at < now() + interval '2 minutes'")
    line.wait_until(lambda: look_now(line) or told(line))
    assert thresholds(line) == [100]


def look_now(line):
    own(line, "update entitlement_looks set due_at = now() where due_at < now() + interval '2 minutes'")
    looking.tick()


def test_a_tick_takes_no_more_looks_than_it_may_and_the_next_one_goes_on(limited, monkeypatch):
    for subject in ("k1", "k3"):
        use(limited, *(f"{subject}-{n}" for n in range(7)), subject=subject)
    looking.tick()
    monkeypatch.setattr(looking, "PORTION", 1)
    monkeypatch.setattr(looking, "PORTIONS_MAX", 1)
    lower = LOWER.format(7)
    own(limited, f"""{lower};{lower.replace("_id = 1", "_id = 3").replace("'metered', 1", "'metered', 3")}""")

    looking.tick()
    assert len(told(limited)) == 2

    looking.tick()
    assert sorted(subject for subject, _, _ in told(limited)) == ["s1/talk"] * 2 + ["s3/talk"] * 2


def test_a_limit_without_a_look_is_told_with_the_next_usage_all_the_same(limited):
    use(limited, *calls(1, 7))
    own(limited, LOWER.format(8))
    own(limited, "delete from entitlement_looks")

    use(limited, "e8")

    assert thresholds(limited) == [80, 100]


# ------------------------------------------------------------------------------------------------- at once, and killed
@contextmanager
def held(line, subscription=1):
    """Whoever judges a limit of the subscription waits meanwhile."""
    with line.engine.begin() as conn:
        entitlement_alerts.lock(conn, [subscription])
        yield


def test_two_ticks_at_once_tell_each_threshold_once(limited):
    use(limited, *calls(1, 7))
    own(limited, LOWER.format(7))

    with held(limited):
        first = limited.blocked(looking.tick)
        own(limited, LOWER.format(6))
        second = limited.start(looking.tick)
    first.join()
    second.join()

    assert thresholds(limited) == [80, 100]
    assert due(limited) == 0


def test_usage_that_is_not_committed_yet_is_seen_by_the_tick_that_waits_for_it(limited):
    use(limited, *calls(1, 5))
    (row,) = use(limited, *calls(6, 7), perform=False)

    with limited.uncommitted("aggregate", row):
        own(limited, LOWER.format(7))
        tick = limited.blocked(looking.tick)
    tick.join()

    assert told(limited) == [("s1/talk", "80", "7"), ("s1/talk", "100", "7")]


def test_usage_that_waits_for_a_tick_is_judged_after_it(limited):
    own(limited, GRANT.format(10, "1 year"))
    use(limited, *calls(1, 7))
    (row,) = use(limited, *calls(8, 10), perform=False)

    with held(limited):
        waiting = limited.blocked(lambda: step.perform("aggregate", [row]))
        own(limited, GRANT.format(0, "1 year"))
    waiting.join()

    assert thresholds(limited) == [80, 100]


TICK = "from workers import looking; looking.tick()"


def test_a_scheduler_that_is_killed_while_it_looks_has_told_nothing_and_the_next_one_tells_once(limited):
    use(limited, *calls(1, 7))
    own(limited, LOWER.format(7))

    with held(limited):
        process = subprocess.Popen([sys.executable, "-c", TICK], env=dict(os.environ))
        limited.wait_until(limited.is_waiting_for_lock)
        process.send_signal(signal.SIGKILL)
        assert process.wait(20) == -signal.SIGKILL
    assert told(limited) == []
    limited.wait_until(lambda: looking.tick() or told(limited))  # the dead one's locks go with its session

    assert thresholds(limited) == [80, 100]
    assert alerts(limited) == [(1, 80, 7, 7), (1, 100, 7, 7)]


@pytest.mark.parametrize("seed", range(3))
def test_in_any_interleaving_each_threshold_that_was_reached_is_told_once(limited, seed):
    chance = random.Random(seed)
    rows = []
    for number in range(12):
        limited.receive(event(f"e{number}", time=now(limited).isoformat(), subject=f"k{1 + number % 3}"))
    limited.run("validate", "enrich")
    rows = limited.ready("aggregate")
    limits = [chance.randint(2, 12) for _ in range(5)]

    def aggregate(mine):
        for row in mine:
            step.perform("aggregate", [row])

    def publish():
        for each in limits:
            own(limited, LOWER.format(each))

    def tick():
        for _ in range(6):
            looking.tick()

    at_once = [limited.start(act) for act in (
        lambda: aggregate(rows[::2]), lambda: aggregate(rows[1::2]), publish, tick, tick)]  # fmt: skip
    for each in at_once:
        each.join()
    limited.run("aggregate")
    looking.tick()

    reached = {each for each in (80, 100) if each * limits[-1] <= 100 * 4}
    mine = [int(threshold) for subject, threshold, _ in told(limited) if subject == "s1/talk"]
    assert reached <= set(mine)
    assert len(mine) == len(set(mine))
    assert due(limited) == 0
    with limited.engine.connect() as conn:
        assert conn.execute(text("select count(*) from entitlement_alerts where used > 4")).scalar_one() == 0
