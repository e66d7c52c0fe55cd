"""Every aggregation through the line: in any order and with corrections, what is rated is what the domain says."""

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import metrics_bench
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from metrics_bench import METRICS
from sqlalchemy import create_engine, text
from usage_line import event

from domain.errors import Rejection
from domain.metrics import Increment
from workers import step
from workers.store import parked, recompute
from workers.store.database import snapshot
from workers.store.observed import IS_INVALID, QUANTITY, TAKES, VALUE

SEPTEMBER = datetime(2026, 9, 1, 4, tzinfo=UTC)
FRACTIONS = ("0.50", "-7", "12", "61.125", "150", "99.9")


def drawn(chance: random.Random, number: int) -> tuple[str, datetime, dict[str, object]]:
    """(subject, instant, data) of a call; now and then something is missing, or is no operation."""
    happened_at = SEPTEMBER + timedelta(
        days=chance.randrange(80), hours=chance.randrange(4), microseconds=chance.choice((0, 0, 1, 999_999))
    )
    data = {
        "minutes": chance.choice(FRACTIONS), "caller": chance.choice(("ann", "bob b", "cid")),
        "op": chance.choice(("add", "add", "remove", "removed", None)), "money": chance.choice(("1.10", "2")),
        "region": chance.choice(("europe", "asia", "africa")),
    }  # fmt: skip
    if chance.random() < 0.2:
        data["again"] = True
    for name in chance.sample(sorted(data), chance.choice((0, 0, 0, 1))):
        del data[name]
    return f"k{1 + number % 3}", happened_at, data


def move(line, subject, *, to):
    """Publish that usage of the subject has always been another subscription's, and owe what that moves."""
    with line.owner.begin() as conn:
        conn.execute(
            text("""update mappings set superseded_at = now() where subject = :subject"""), {"subject": subject}
        )
        conn.execute(
            text("""insert into mappings (source_id, subject, subscription_id, recorded_by)
                 values (1, :subject, :to, 'finance')"""),
            {"subject": subject, "to": to},
        )
    with line.engine.begin() as conn:
        parked.move(conn, "mapping", [parked.mapping_key(1, subject)], correlation_id="test")


@pytest.mark.parametrize("seed", range(3))
def test_any_order_with_repeats_and_corrections_is_rated_as_the_domain_says(line, seed):
    metrics_bench.publish(line)
    chance = random.Random(seed)
    calls = {f"e{number}": drawn(chance, number) for number in range(90)}
    sent = [event(name, subject=of, time=at.isoformat(), data=data) for name, (of, at, data) in calls.items()]
    order = chance.sample(sent, len(sent)) + chance.sample(sent, 20)

    for start in range(0, len(order), 22):
        line.receive(*order[start : start + 22])
    line.run("validate", "enrich")
    move(line, "k3", to=1)
    line.run("enrich")
    batches = line.ready("aggregate")
    for number, batch in enumerate(chance.sample(batches, len(batches))):
        if number == 2:
            metrics_bench.settle_doubts(line)
        step.perform("aggregate", [batch])
    metrics_bench.settle_doubts(line)

    expected = metrics_bench.expected(("k1" if of == "k3" else of, at, data) for of, at, data in calls.values())
    found = metrics_bench.found(line)
    told = {key: replace(measured, dimensions=None) for key, measured in found.items()}
    assert {key: told.get(key) for key in expected} == expected
    assert all(told[key].quantity == 0 for key in told.keys() - expected.keys())
    assert all(
        measured.dimensions == (json.loads(key.dimensions) if key.dimensions else None)
        for key, measured in found.items()
    )
    with snapshot() as conn:
        assert recompute.drifts(conn) == []
    assert line.differences() == []


@pytest.mark.parametrize("name", METRICS)
def test_the_store_keeps_of_an_event_what_the_domain_does(database_url, name):
    metric = METRICS[name]
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.connect() as conn:
        conn.exec_driver_sql("insert into meters (name, owner) values ('call.ended', 'x') on conflict do nothing")
        conn.exec_driver_sql("insert into dimensions (name, owner) values ('region', 'x') on conflict do nothing")
        metrics_bench.insert(conn, [metric])

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(st.integers(0, 10_000), min_size=1, max_size=40))
        def hold(seeds):
            calls = [drawn(random.Random(seed), 0) for seed in seeds]
            rows = conn.execute(
                text(f"""select {TAKES}, {IS_INVALID} is true, {QUANTITY}, {VALUE}
                     from unnest(cast(:events as jsonb[]), cast(:instants as timestamptz[])) with ordinality
                       as p (data, happened_at, n), metrics m where m.name = :name order by n"""),
                {"events": [json.dumps(data) for _, _, data in calls], "instants": [at for _, at, _ in calls],
                 "name": name},
            ).all()  # fmt: skip
            for (_, happened_at, data), (takes, is_invalid, quantity, value) in zip(calls, rows, strict=True):
                assert takes == metric.takes(data)
                assert contribution(metric, happened_at, data) in (None, (quantity, value))
                assert not is_invalid or contribution(metric, happened_at, data) is None

        hold()
    engine.dispose()


def contribution(metric, happened_at, data):
    """(quantity, value) as the store keeps them, or None for an exception."""
    try:
        made = metric.contribution(data, happened_at=happened_at)
    except Rejection:
        return None
    return (made.quantity, None) if isinstance(made, Increment) else (Decimal(1), made.value)


def test_an_operation_that_is_none_is_an_exception(line):
    metrics_bench.publish(line)

    line.receive(event("e1", data={"minutes": 1, "caller": "ann", "op": "removed", "money": 1}))
    line.run()

    with_operations = [each for each in METRICS.values() if each.aggregation.options().get("operation")]
    assert line.codes() == ["quantity_invalid"] * len(with_operations)
    assert line.rows("select distinct sentence, waits_kind from exceptions") == [
        ("an operation is neither add nor remove, or a reset neither true nor false", None)
    ]
    assert line.differences() == []


def test_what_no_metric_takes_is_excluded_by_its_filter_and_every_total_holds(line):
    with line.owner.begin() as conn:
        conn.exec_driver_sql("delete from metrics")
    (europe,) = metrics_bench._named([{"aggregation": "sum", "filter": {"region": ["europe"]}}], "minutes")
    metrics_bench.publish(line, [europe])

    line.receive(*(
        event(f"e{number}", data={"minutes": 2, "caller": "ann"} | ({"region": region} if region else {}))
        for number, region in enumerate(("europe", "africa", None, "europe"))
    ))  # fmt: skip
    line.run()

    assert line.rows("select quantity, events from aggregates") == [(4, 2)]
    assert line.rows("select metric_id, rule_id, quantity from exclusions") == [(0, None, 1)] * 2
    assert line.codes() == []
    assert line.differences() == []


def test_usage_moves_from_bucket_to_bucket_with_its_subscription_and_leaves_no_trace(line):
    hourly = METRICS["sum of minutes 17"]
    assert hourly.bucket == "hour"
    metrics_bench.publish(line, [hourly])
    line.receive(*(event(f"e{hour}", time=f"2026-11-05T{hour:02}:30:00Z", minutes=hour) for hour in (8, 9, 11)))
    line.run()

    move(line, "k1", to=2)
    line.run()

    measured = {key.subscription_id: each for key, each in metrics_bench.found(line).items()}
    assert measured["k1"].quantity == 0
    assert measured["k2"].buckets == (Decimal(8), Decimal(9), Decimal(11))
    with snapshot() as conn:
        assert recompute.drifts(conn) == []
    assert line.differences() == []
