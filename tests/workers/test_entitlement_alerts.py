"""Alerts about limits: each threshold of a period is told once, whoever aggregates, however often and in what order."""

import json
import random
from decimal import Decimal

import pika
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from usage_line import event

from queues import broker as brokers
from queues.settings import settings
from workers import looking, notify, step
from workers.store import entitlement_alerts, entitlements, recompute
from workers.store.database import snapshot
from workers.store.entitlement_alerts import Key, Watched

#: Ten calls a month for every contract; the subscription s2 has twenty.
LIMITED = """
insert into features (name, kind, metric_id, owner) values ('talk', 'metered', 1, 'product');
insert into entitlements (feature_id, kind, contract_version_id, limit_quantity, enforcement, rollover_max, thresholds)
  select 1, 'metered', id, 10, 'hard', 0, '{80,100}' from contract_versions where id < 4;
insert into entitlements (feature_id, kind, subscription_id, limit_quantity, enforcement, rollover_max, thresholds)
  values (1, 'metered', 2, 20, 'soft', 0, '{50}');
"""


@pytest.fixture
def limited(line):
    own(line, LIMITED)
    return line


def own(line, statements):
    with line.owner.begin() as conn:
        conn.exec_driver_sql(statements)


def use(line, *names, perform=True, **changes):
    """One receipt with a call of each name; the work row of its batch if it is not to be aggregated yet."""
    line.receive(*(event(name, **changes) for name in names))
    line.run("validate", "enrich")
    if perform:
        line.run("aggregate")
    return line.ready("aggregate")


def calls(first, last):
    return [f"e{number}" for number in range(first, last + 1)]


def alerts(line):
    return line.rows("""select subscription_id, threshold, trim_scale(used), trim_scale(limit_quantity)
      from entitlement_alerts order by id""")


def told(line):
    """(subject, threshold, used) of the notices, in the order in which they are sent."""
    return line.rows("""select body ->> 'subject', body -> 'data' ->> 'threshold', body -> 'data' ->> 'used'
      from notices where routing_key = 'tallyline.entitlement.threshold_reached' order by id""")


def test_each_threshold_is_told_when_usage_reaches_it_and_not_again(limited):
    use(limited, *calls(1, 7))
    assert told(limited) == []

    use(limited, "e8")
    use(limited, "e9")
    assert told(limited) == [("s1/talk", "80", "8")]

    use(limited, *calls(10, 12))
    use(limited, *calls(13, 30))
    assert told(limited) == [("s1/talk", "80", "8"), ("s1/talk", "100", "12")]
    assert alerts(limited) == [(1, 80, 8, 10), (1, 100, 12, 10)]


def test_a_burst_over_both_thresholds_tells_both_the_lower_first(limited):
    use(limited, *calls(1, 15))

    assert told(limited) == [("s1/talk", "80", "15"), ("s1/talk", "100", "15")]
    assert limited.value("select count(*) from work where step = 'notify'") == 1


def test_an_alert_says_whose_what_and_how_much(limited):
    use(limited, *calls(1, 8))

    ((body,),) = limited.rows("select body from notices")
    assert body["data"] == {
        "subscription": "s1", "account": "a1", "feature": "talk", "metric": "calls", "unit": "call",
        "period_starts_on": "2026-11-01", "period_ends_on": "2026-12-01", "threshold": 80, "enforcement": "hard",
        "limit": "10", "used": "8", "remaining": "2",
    }  # fmt: skip


def test_each_subscription_and_each_period_has_alerts_of_its_own(limited):
    use(limited, *calls(1, 10), subject="k2")
    use(limited, *calls(11, 18), subject="k3")
    use(limited, *calls(21, 28), subject="k3", time="2026-10-05T12:00:00Z")
    use(limited, *calls(31, 60), subject="k4")

    assert [(subject, threshold) for subject, threshold, _ in told(limited)] == [
        ("s2/talk", "50"), ("s3/talk", "80"), ("s3/talk", "80"),
    ]  # fmt: skip
    assert limited.value("select count(distinct billing_period_id) from entitlement_alerts") == 2


def test_usage_under_other_metrics_is_not_measured_against_the_limit(limited):
    use(limited, "e1", minutes=1000)

    assert told(limited) == []


def test_a_correction_below_the_threshold_takes_nothing_back_and_crossing_again_tells_nothing(limited):
    use(limited, *calls(1, 8))
    move_back(limited, "e8")
    limited.run("aggregate")
    assert limited.quantities()["calls"] == 7

    use(limited, "e9")

    assert limited.quantities()["calls"] == 8
    assert told(limited) == [("s1/talk", "80", "8")]


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


def test_a_hint_that_comes_again_tells_nothing_again(limited):
    (row,) = use(limited, *calls(1, 8), perform=False)

    for _ in range(3):
        step.perform("aggregate", [row])
    with limited.engine.begin() as conn:
        conn.execute(text("update work set state = 'ready', outcome = null where step = 'aggregate'"))
    limited.run("aggregate")

    assert told(limited) == [("s1/talk", "80", "8")]


def test_a_worker_that_is_killed_before_it_commits_has_told_nothing_and_the_next_one_tells_once(limited):
    (row,) = use(limited, *calls(1, 10), perform=False)

    with limited.rolled_back("aggregate", row):
        pass
    assert (told(limited), alerts(limited)) == ([], [])

    step.perform("aggregate", [row])
    assert [threshold for _, threshold, _ in told(limited)] == ["80", "100"]


def test_of_two_workers_that_add_to_one_window_the_second_tells(limited):
    one, two = use_two(limited, calls(1, 5), calls(6, 10))

    with limited.uncommitted("aggregate", one):
        second = limited.blocked(lambda: step.perform("aggregate", [two]))
    second.join()

    assert told(limited) == [("s1/talk", "80", "10"), ("s1/talk", "100", "10")]


def test_two_workers_that_add_to_different_windows_do_not_miss_what_only_both_reach(limited):
    own(limited, "update metrics set dimensions = '{caller}' where name = 'calls'")
    (one,) = use(limited, *calls(1, 5), perform=False, caller="ann")
    two = next(row for row in use(limited, *calls(6, 10), perform=False, caller="bob") if row != one)

    with limited.uncommitted("aggregate", one):
        second = limited.blocked(lambda: step.perform("aggregate", [two]))
    second.join()

    assert told(limited) == [("s1/talk", "80", "10"), ("s1/talk", "100", "10")]


def use_two(line, *groups):
    rows = []
    for group in groups:
        rows += [row for row in use(line, *group, perform=False) if row not in rows]
    return rows


def test_workers_in_any_order_tell_each_threshold_once_and_do_not_deadlock(limited):
    own(limited, "update metrics set dimensions = '{caller}' where name = 'calls'")
    chance = random.Random(5)
    for batch in range(20):
        subjects = [f"k{chance.randint(1, 3)}" for _ in range(6)]
        limited.receive(
            *(event(f"e{batch}-{n}", subject=k, caller=f"c{chance.randint(1, 3)}") for n, k in enumerate(subjects))
        )
    limited.run("validate", "enrich")
    rows = limited.ready("aggregate")

    def aggregate(mine):
        for row in mine:
            step.perform("aggregate", [row])

    both = [limited.start(lambda mine=mine: aggregate(mine)) for mine in (rows[::2], rows[:0:-2])]
    for each in both:
        each.join()
    limited.run("aggregate")

    assert sorted((subject, int(threshold)) for subject, threshold, _ in told(limited)) == [
        ("s1/talk", 80), ("s1/talk", 100), ("s2/talk", 50), ("s3/talk", 80), ("s3/talk", 100),
    ]  # fmt: skip
    with snapshot() as conn:
        assert recompute.drifts(conn) == []


def test_grants_and_what_was_left_over_move_the_thresholds(limited):
    own(limited, """
      update entitlements set rollover_max = 5 where contract_version_id = 1;
      insert into entitlement_grants (subscription_id, feature_id, name, quantity, priority, starts_at, ends_at)
      values (1, 1, 'extra', 5, 1, '2026-11-01', '2027-01-01')""")  # fmt: skip

    use(limited, *calls(1, 4), time="2026-10-05T12:00:00Z")  # leaves five of October, with September's more
    use(limited, *calls(11, 25))
    assert alerts(limited) == []

    use(limited, "e26")
    assert alerts(limited) == [(1, 80, 16, 20)]


def test_the_limit_of_a_period_that_is_over_is_that_of_its_end(limited):
    own(limited, """
      update contract_versions set ends_at = '2026-10-20' where id = 1;
      insert into contract_versions (contract_id, version, starts_at, recorded_by)
        values (1, 2, '2026-10-20', 'finance');
      insert into entitlements (feature_id, kind, contract_version_id, limit_quantity, enforcement, rollover_max,
        thresholds)
      select 1, 'metered', id, 4, 'hard', 0, '{100}' from contract_versions where version = 2""")  # fmt: skip

    use(limited, *calls(1, 4), time="2026-10-05T12:00:00Z")

    assert alerts(limited) == [(1, 100, 4, 4)]


def test_late_usage_of_a_version_without_a_limit_counts_for_that_of_the_next_one(limited):
    own(limited, """
      update contract_versions set ends_at = '2026-10-20' where id = 4;
      insert into contract_versions (contract_id, version, starts_at, recorded_by)
        values (4, 2, '2026-10-20', 'finance');
      insert into entitlements (feature_id, kind, contract_version_id, limit_quantity, enforcement, rollover_max,
        thresholds)
      select 1, 'metered', id, 4, 'hard', 0, '{100}' from contract_versions where version = 2""")  # fmt: skip

    use(limited, *calls(1, 4), subject="k4", time="2026-10-05T12:00:00Z")

    assert alerts(limited) == [(4, 100, 4, 4)]


def test_a_subscription_whose_terms_are_over_gets_no_alert(limited):
    own(limited, "update contract_versions set ends_at = '2026-10-20' where id = 1")

    use(limited, *calls(1, 20), time="2026-10-05T12:00:00Z")

    assert alerts(limited) == []


def test_distinct_values_are_measured_as_they_are_counted(line):
    own(line, """
      insert into features (name, kind, metric_id, owner) values ('lines', 'metered', 3, 'product');
      insert into entitlements (feature_id, kind, contract_version_id, limit_quantity, enforcement, rollover_max,
        thresholds) values (1, 'metered', 1, 2, 'hard', 0, '{100}')""")  # fmt: skip

    use(line, *calls(1, 5), caller="ann")
    assert alerts(line) == []

    use(line, "e6", caller="bob")
    looking.tick()
    assert alerts(line) == [(1, 100, 2, 2)]


def test_the_database_refuses_a_second_alert_and_any_change_of_one(limited):
    use(limited, *calls(1, 8))
    again = """insert into entitlement_alerts (subscription_id, feature_id, billing_period_id, threshold, used,
      limit_quantity) select subscription_id, feature_id, billing_period_id, threshold, 9, 10 from entitlement_alerts"""

    with pytest.raises(IntegrityError):
        limited.rows(again)
    for statement in ("update entitlement_alerts set used = 1", "delete from entitlement_alerts"):
        with pytest.raises(ProgrammingError):
            limited.rows(f"{statement} returning 1")


@pytest.mark.parametrize(
    ("refused_by", "row"),
    [
        ("entitlements_check", "'metered', 4, 3, null, null, null, 10, 'hard', 0, '{80}'"),  # of both
        ("entitlements_check", "'metered', null, null, null, null, null, 10, 'hard', 0, '{80}'"),  # of none
        ("entitlements_feature_id_kind_fkey", "'boolean', 4, null, true, null, null, null, null, null, null"),
        ("entitlements_check", "'metered', 4, null, true, null, null, null, null, null, null"),
        ("limit_quantity_check", "'metered', 4, null, null, null, null, -1, 'hard', 0, '{80}'"),
        ("limit_quantity_check", "'metered', 4, null, null, null, null, 'NaN', 'hard', 0, '{80}'"),
        ("rollover_max_check", "'metered', 4, null, null, null, null, 1, 'hard', -1, '{80}'"),
        ("thresholds_check", "'metered', 4, null, null, null, null, 1, 'hard', 0, '{}'"),
        ("thresholds_check", "'metered', 4, null, null, null, null, 1, 'hard', 0, '{0}'"),
        ("thresholds_check", "'metered', 4, null, null, null, null, 1, 'hard', 0, '{80,null}'"),
        ("enforcement_check", "'metered', 4, null, null, null, null, 1, 'firm', 0, '{80}'"),
        ("entitlements_check", "'metered', 4, null, null, null, null, 1, 'hard', null, '{80}'"),
        ("contract_version_id_feature_id_key", "'metered', 1, null, null, null, null, 1, 'hard', 0, '{80}'"),
    ],
)
def test_the_database_refuses_terms_that_contradict_themselves(limited, refused_by, row):
    with pytest.raises(IntegrityError, match=refused_by):
        own(
            limited,
            f"""insert into entitlements (feature_id, kind, contract_version_id, subscription_id, is_on,
          text_value, number_value, limit_quantity, enforcement, rollover_max, thresholds) values (1, {row})""",
        )


def test_whoever_judges_a_limit_reads_usage_that_was_never_seen_as_nothing(limited):
    with limited.engine.begin() as conn:
        assert entitlement_alerts.near(conn, [Watched(Key(1, 1, 99), Decimal(80))]) == []
        assert entitlements.listed(conn, "nobody", conn.execute(text("select now()")).scalar_one()) == []


def test_alerts_go_out_on_the_exchange_once_each(limited, vhost, monkeypatch):
    monkeypatch.setenv("TALLYLINE_MODE", "fleet")
    monkeypatch.setenv("TALLYLINE_AMQP_URL", vhost)
    settings.cache_clear()
    made = brokers.build_broker(settings())
    monkeypatch.setattr("workers.channels.exchange.broker", lambda: made)
    connection = pika.BlockingConnection(pika.URLParameters(vhost))
    listening = connection.channel()
    listening.exchange_declare("tallyline", "topic", durable=True)
    queue = listening.queue_declare("", exclusive=True).method.queue
    listening.queue_bind(queue, "tallyline", "tallyline.entitlement.#")

    use(limited, *calls(1, 9))
    use(limited, *calls(10, 20))
    limited.run(notify.__name__.rpartition(".")[2])

    bodies = [json.loads(body) for _, _, body in iter(lambda: listening.basic_get(queue, auto_ack=True), (None,) * 3)]
    assert [each["data"]["threshold"] for each in bodies] == [80, 100]
    assert len({each["id"] for each in bodies}) == 2
    assert limited.value("select count(*) from notices where sent_at is null") == 0
    connection.close()
    made.close()
