"""A limit on every aggregation: what a check says is what the domain says, in any order, with corrections, bounded."""

import random
from datetime import datetime, timedelta
from decimal import Decimal

import limits_bench
import metrics_bench
import pytest
from limits_bench import ALL, check, expected, now
from metrics_bench import METRICS
from test_every_aggregation import move
from usage_line import event

from domain.errors import Rejection
from domain.metrics.aggregation import AggregateNegative
from domain.money import EXACT
from workers import looking, step
from workers.store import entitlement_usage
from workers.store.measures import ValuesTooMany

FRACTIONS = ("0.50", "-7", "12", "61.125", "150", "99.9")
#: Kept as sums by the database itself.
SUMMED = {"sum of minutes 15"}


@pytest.fixture
def limited(line):
    with line.owner.begin() as conn:
        conn.exec_driver_sql("delete from metrics")
    metrics_bench.publish(line)
    limits_bench.limit(line, "1000")
    return line


def drawn(chance: random.Random, number: int, until: datetime) -> tuple[str, datetime, dict[str, object]]:
    """(subject, instant, data) of a call in the last eighty days; now and then something is missing."""
    ago = timedelta(days=chance.randrange(80), hours=chance.randrange(4), microseconds=chance.choice((1, 999_999)))
    data = {
        "minutes": chance.choice(FRACTIONS), "caller": chance.choice(("ann", "bob b", "cid")),
        "op": chance.choice(("add", "add", "remove", None)), "money": chance.choice(("1.10", "2")),
        "region": chance.choice(("europe", "asia", "africa")),
    }  # fmt: skip
    for name in chance.sample(sorted(data), chance.choice((0, 0, 0, 1))):
        del data[name]
    return f"k{1 + number % 2}", until - ago, data


def assert_as_the_domain_says(line, calls):
    at = now(line)
    for metric in ALL:
        try:
            wanted = expected(metric, calls, at)
        except Rejection as rejection:  # a reading of a register that is doubted
            with pytest.raises(type(rejection)):
                check(line, metric.name, at)
            continue
        decision = check(line, metric.name, at)
        assert (metric.name, decision.used, decision.measured_at) == (metric.name, wanted, None)
        assert decision.remaining == max(EXACT.subtract(Decimal(1000), max(decision.used, Decimal(0))), 0)


@pytest.mark.parametrize("seed", range(2))
def test_in_any_order_and_with_corrections_a_check_says_what_the_domain_says(limited, seed):
    chance = random.Random(seed)
    calls = {f"e{number}": drawn(chance, number, now(limited)) for number in range(80)}
    sent = [event(name, subject=of, time=at.isoformat(), data=data) for name, (of, at, data) in calls.items()]
    for start in range(0, len(sent), 20):
        limited.receive(*chance.sample(sent, len(sent))[start : start + 20], *sent[start : start + 20])
    limited.run("validate", "enrich")
    batches = limited.ready("aggregate")
    for batch in chance.sample(batches, len(batches)):
        step.perform("aggregate", [batch])
        if chance.random() < 0.5:
            looking.tick()
    assert_as_the_domain_says(limited, [call[1:] for call in calls.values() if call[0] == "k1"])

    looking.tick()
    assert_as_the_domain_says(limited, [call[1:] for call in calls.values() if call[0] == "k1"])

    move(limited, "k2", to=1)
    limited.run("enrich", "aggregate")
    assert_as_the_domain_says(limited, [call[1:] for call in calls.values()])
    looking.tick()
    assert_as_the_domain_says(limited, [call[1:] for call in calls.values()])


def use(line, *minutes: object, name: str = "e", **changes: object) -> None:
    at = changes.pop("time", None) or now(line) - timedelta(seconds=1)
    line.receive(*(
        event(
            f"{name}{n}",
            time=(at + timedelta(milliseconds=n)).isoformat(),
            data={"minutes": each, "caller": f"c{n}", "region": "asia", **changes},
        )
        for n, each in enumerate(minutes)
    ))  # fmt: skip
    line.run()


def test_more_values_than_a_check_reads_are_answered_as_they_were_measured_last_and_that_is_said(limited, monkeypatch):
    op = {"op": "add", "money": "1"}
    use(limited, "5", "6", "7", name="a", **op)
    looking.tick()
    before = answers(limited)
    assert {name for name, each in before.items() if each.measured_at is not None} == set()

    monkeypatch.setattr(entitlement_usage, "CHECKED_MAX", 0)
    use(limited, "8", name="b", **op)
    after = answers(limited)
    assert {name for name, each in after.items() if each.measured_at is not None} == METRICS.keys() - SUMMED
    assert {name for name in still(after) if after[name].used != before[name].used} == set()

    looking.tick()
    exact = answers(limited)
    assert {name for name in still(exact) if exact[name].measured_at is not None} == set()
    monkeypatch.setattr(entitlement_usage, "CHECKED_MAX", 500)
    again = answers(limited)
    assert {name for name in still(exact) if again[name] != exact[name]} == set()


def answers(line):
    return {name: check(line, name, now(line)) for name in METRICS}


def still(found):
    """Those that time does not move, of which something was measured."""
    return [name for name in found if name not in SUMMED and "weighted" not in name]


def test_what_was_never_looked_at_is_measured_whole_however_much_it_is(limited, monkeypatch):
    monkeypatch.setattr(entitlement_usage, "CHECKED_MAX", 1)
    use(limited, "5", "6", "7")

    found = check(limited, "max of minutes 1", now(limited))

    assert (found.used, found.measured_at) == (7, None)


def test_more_values_than_are_ever_read_have_no_answer_and_hold_up_no_other_limit(limited, monkeypatch):
    monkeypatch.setattr(entitlement_usage, "CHECKED_MAX", 1)
    monkeypatch.setattr(entitlement_usage, "VALUES_MAX", 2)
    use(limited, "5", "6", "7")
    use(limited, "150", "1200", name="b")

    looking.tick()

    with pytest.raises(ValuesTooMany):
        check(limited, "max of minutes 1", now(limited))
    assert limited.value("select count(*) from entitlement_looks where due_at <= now()") == 0
    assert limited.value("select count(*) from entitlement_alerts") > 0


def test_what_was_taken_back_too_often_has_no_answer_and_holds_up_no_other_limit(limited):
    use(limited, "5", "6", "7")
    with limited.owner.begin() as conn:
        conn.exec_driver_sql("update aggregate_values set n = -1")

    looking.tick()

    with pytest.raises(AggregateNegative):
        check(limited, "max of minutes 1", now(limited))
    assert limited.value("select count(*) from entitlement_looks where due_at <= now()") == 0


def test_a_level_goes_on_and_uses_more_as_time_passes(limited):
    use(limited, "100", time=now(limited) - timedelta(days=70))
    level = next(name for name, each in METRICS.items() if each.aggregation.name == "weighted_sum" and each.recurring)
    at = now(limited)
    period = metrics_bench.period_of(at)

    found = check(limited, level, at)

    share = Decimal((at - period.starts_at) // timedelta(microseconds=1))
    whole = Decimal((period.ends_at - period.starts_at) // timedelta(microseconds=1))
    assert abs(found.used - 100 * share / whole) < Decimal("1e-9")
    assert check(limited, level, period.ends_at - timedelta(microseconds=1)).used > found.used


def test_what_a_measured_metric_leaves_over_moves_into_the_next_period(limited):
    with limited.owner.begin() as conn:
        conn.exec_driver_sql("update entitlements set rollover_max = 300")
    last = metrics_bench.period_of(now(limited)).starts_at - timedelta(days=1)
    use(limited, "900", time=last)

    for _ in range(2):
        found = check(limited, "max of minutes 1", now(limited))
        assert (found.limit, found.used) == (1300, 0)
        looking.tick()
