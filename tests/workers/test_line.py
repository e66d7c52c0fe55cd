"""Validate, enrich and aggregate over real receipts: each event counts once, and whatever does not says why."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from line_bench import HAPPENED_AT, Bound, batch, event

from queues.contracts import STRUCTURED, Delivery
from workers.store import fence, identity, parked, recompute
from workers.store.database import engine, snapshot


@pytest.fixture(autouse=True)
def _empty(register: Bound) -> None:
    register.run("""truncate receipts, receipt_counts, event_keys, usage_events, batches, attributions,
      exclusions, aggregates,
        aggregate_values, control_totals, work, exceptions, notices, source_hours, exclusion_rules, lots cascade""")


def windows(bound: Bound) -> dict[str, tuple[Decimal, int]]:
    rows = bound.rows("select m.name, a.quantity, a.events from aggregates a join metrics m on m.id = a.metric_id")
    return {name: (quantity, events) for name, quantity, events in rows}


def refusals(bound: Bound) -> list[tuple[str, str]]:
    return [tuple(row) for row in bound.rows("select code, coalesce(event_id, '') from exceptions order by id")]


def assert_identity() -> None:
    with snapshot() as conn:
        assert identity.differences(conn) == []
        assert recompute.drifts(conn) == []
        assert identity.event_totals(conn).is_balanced
        assert all(each.is_balanced for each in identity.usage_totals(conn))


def test_events_of_one_subscription_end_in_one_window_a_metric(register, receive, drain):
    receive(batch(event("1"), event("2", data={"distance": 600, "tail": "N2"}), event("3")))

    drain()

    assert windows(register) == {"departures": (3, 3), "distance": (3400, 3), "aircraft": (3, 3)}
    assert register.rows("select value, n from aggregate_values order by 1") == [("N14228", 2), ("N2", 1)]
    assert_identity()


def test_numbers_are_exact_to_the_last_digit(register, receive, drain):
    body = json.dumps(event("1")).replace("1400", "12345678901234.123456789")

    receive(Delivery(body.encode(), {"content_type": STRUCTURED, "user_id": "upstream"}))
    drain()

    assert windows(register)["distance"] == (Decimal("12345678901234.123456789"), 1)


def test_the_same_event_again_is_counted_and_changes_nothing(register, receive, drain):
    receive(batch(event("1"), event("1")))
    receive(batch(event("1")))

    drain()

    assert windows(register)["departures"] == (1, 1)
    assert register.rows("select sum(accepted), sum(duplicate), sum(refused) from receipt_counts") == [(1, 2, 0)]
    assert_identity()


def test_numbers_written_otherwise_make_no_other_event(register, receive, drain):
    receive(batch(event("1", data={"distance": 1400})), batch(event("1", data={"distance": 1400.0})))

    drain()

    assert register.rows("select sum(accepted), sum(duplicate) from receipt_counts") == [(1, 1)]


@pytest.mark.parametrize("is_one_batch", [True, False])
def test_the_same_id_with_another_body_is_refused_and_names_the_first(register, receive, drain, is_one_batch):
    first, second = event("1"), event("1", data={"distance": 1})
    if is_one_batch:
        receive(batch(first, second))
    else:
        receive(batch(first))
        drain()
        receive(batch(second))

    drain()

    assert refusals(register) == [("conflicting_duplicate", "1")]
    assert windows(register)["distance"] == (1400, 1)
    assert_identity()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"source": "/ops/ewr"}, "source_unknown"),
        ({"type": "airport.arrival"}, "meter_unknown"),
        ({"dataschema": "v9"}, "schema_unknown"),
        ({"time": "2026-03-14T15:09:26"}, "time_naive"),
        ({"time": "2026-06-30T23:59:60Z"}, "time_is_leap_second"),
        ({"time": "2011-01-01T00:00:00Z"}, "time_too_old"),
        ({"time": "2999-01-01T00:00:00Z"}, "time_in_future"),
        ({"time": "yesterday at noon"}, "time_invalid"),
        ({"specversion": "0.3"}, "specversion_unsupported"),
        ({"data": {"distance": None}}, "field_invalid"),
        ({"data": {"distance": "many"}}, "field_invalid"),
        ({"data": {"distance": True}}, "field_invalid"),
        ({"data": {"distance": 1e300}}, "number_out_of_bounds"),
        ({"data": {"distance": int("9" * 40)}}, "number_out_of_bounds"),
        ({"data": {"distance": float("nan")}}, "number_out_of_bounds"),
        ({"data": {"tail": "N\0"}}, "text_invalid"),
        ({"data": {"tail": "\ud800"}}, "text_invalid"),
        ({"subject": "U\0"}, "envelope_invalid"),
        ({"id": ""}, "envelope_invalid"),
        ({"id": "x" * 256}, "envelope_invalid"),
    ],
)
def test_a_refused_event_names_the_reason_and_its_neighbours_go_through(register, receive, drain, changes, code):
    receive(
        batch(event("good"), event("bad") | changes | ({"data": event("bad", **changes)["data"]}), event("also good"))
    )

    drain()

    assert [found for found, _ in refusals(register)] == [code]
    assert windows(register)["departures"] == (2, 2)
    assert register.one("select body -> 'data' ->> 'code' from notices") == code
    assert register.rows("select state, weight from work where step = 'notify'") == [("ready", 1)]
    assert_identity()


@pytest.mark.parametrize(
    ("delivery", "code"),
    [
        (Delivery(b"\xff\xfe", {"content_type": STRUCTURED}), "body_unreadable"),
        (Delivery(b"{", {"content_type": STRUCTURED}), "body_unreadable"),
        (Delivery(b"[" * 200_000, {"content_type": STRUCTURED}), "body_unreadable"),
        (Delivery(b"{}", {"content_type": "application/cloudevents-batch+json"}), "body_unreadable"),
        (Delivery(b"{}", {"content_type": "text/plain"}), "content_type_unknown"),
        (Delivery(b"{}", {}), "content_type_unknown"),
        (Delivery(b"x" * (5 * 2**20), {"content_type": STRUCTURED}), "body_too_large"),
        (
            Delivery(b"[" + b"1," * 10_000 + b"1]", {"content_type": "application/cloudevents-batch+json"}),
            "batch_too_large",
        ),
    ],
)
def test_a_body_that_cannot_be_read_is_one_refusal(register, receive, drain, delivery, code):
    receive(batch(event("1")), delivery, batch(event("2")))

    drain()

    assert [found for found, _ in refusals(register)] == [code]
    assert register.rows("select bodies, unreadable, parsed, accepted from receipt_counts") == [(3, 1, 2, 2)]
    assert_identity()


def test_a_user_may_only_send_for_its_own_sources(register, receive, drain):
    receive(batch(event("1"), user="somebody else"), batch(event("2")))

    drain()

    assert refusals(register) == [("source_not_allowed", "1")]
    assert register.one("select routing_key from notices") == "somebody else./ops/jfk"


def test_what_goes_beyond_the_quota_of_an_hour_is_refused(register, receive, drain):
    register.run("update sources set quota_per_hour = 2")
    try:
        receive(batch(event("1"), event("2"), event("3")))
        drain()
    finally:
        register.run("update sources set quota_per_hour = null")

    assert refusals(register) == [("quota_exceeded", "3")]
    assert windows(register)["departures"] == (2, 2)
    assert_identity()


def binary(prefix: str, **changes: Any) -> Delivery:
    attributes = event("1", **changes)
    data = json.dumps(attributes.pop("data")).encode()
    headers = {prefix + name: value for name, value in attributes.items()}
    return Delivery(data, {"content_type": "application/json", "user_id": "upstream", "headers": headers})


def test_binary_mode_reads_attributes_from_headers_in_every_spelling(register, receive, drain):
    for prefix in ("cloudEvents:", "cloudEvents_", "ce-", "CE-"):
        receive(binary(prefix))

    drain()

    assert register.rows("select sum(accepted), sum(duplicate) from receipt_counts") == [(1, 3)]


def test_in_binary_mode_a_time_in_milliseconds_is_the_same_instant(register, receive, drain):
    receive(binary("cloudEvents_", time=int(HAPPENED_AT.timestamp() * 1000)))
    receive(binary("cloudEvents_"))

    drain()

    assert register.rows("select sum(accepted), sum(duplicate) from receipt_counts") == [(1, 1)]


@pytest.mark.parametrize("time", [2**62, True, None, {}])
def test_in_binary_mode_a_time_that_is_none_is_refused(register, receive, drain, time):
    receive(binary("cloudEvents_", time=time))

    drain()

    assert refusals(register) == [("envelope_invalid", "1")]


def test_an_exclusion_rule_takes_usage_out_under_its_name(register, receive, drain):
    register.run("""insert into exclusion_rules (name, meter_id, conditions, reason) select 'cancelled_departure', id,
        '[{"property": "is_cancelled", "op": "equals", "value": "true"}]', 'never left' from meters""")

    receive(batch(event("1"), event("2", data={"is_cancelled": True}), event("3", data={"is_cancelled": False})))
    drain()

    assert windows(register)["departures"] == (2, 2)
    assert register.one("select count(*) from exclusions") == 3
    assert_identity()


def test_usage_that_lacks_what_a_metric_counts_is_an_exception_for_that_metric_alone(register, receive, drain):
    receive(batch(event("1"), event("2", data={"tail": None})))

    drain()

    assert windows(register)["departures"] == (2, 2)
    assert refusals(register) == [("quantity_missing", "2")]
    assert_identity()


def test_usage_without_a_subscription_heals_when_the_mapping_arrives(register, receive, drain):
    receive(batch(event("1"), event("2", subject="DL")))
    drain()
    assert refusals(register) == [("subscription_not_found", "2")] * 3
    assert_identity()

    with engine().begin() as conn:
        fence.take(conn)
        register.run("""insert into mappings (source_id, subject, subscription_id, recorded_by)
            select s.id, 'DL', u.id, 'test' from sources s, subscriptions u""")
    source_id = register.one("select id from sources")
    with engine().begin() as conn:
        parked.wake(conn, [("mapping", parked.mapping_key(source_id, "DL"))], correlation_id="test")
    drain()

    assert windows(register)["departures"] == (2, 2)
    assert register.one("select count(*) from exceptions where state = 'open'") == 0
    assert_identity()
    register.run("delete from mappings where subject = 'DL'")


def test_the_daily_look_heals_what_nobody_woke(register, receive, drain):
    receive(batch(event("1", subject="AA")))
    drain()
    register.run("""insert into mappings (source_id, subject, subscription_id, recorded_by)
        select s.id, 'AA', u.id, 'test' from sources s, subscriptions u""")

    with engine().begin() as conn:
        woken = parked.wake_all(conn, correlation_id="daily")
    drain()

    assert len(woken) == 1
    assert windows(register)["departures"] == (1, 1)
    assert_identity()
    register.run("delete from mappings where subject = 'AA'")


def test_usage_after_the_end_of_a_contract_version_waits_for_the_contract(register, receive, drain):
    register.run("update contract_versions set ends_at = :at", at=HAPPENED_AT)
    try:
        receive(batch(event("1"), event("2", time=(HAPPENED_AT - timedelta(seconds=1)).isoformat())))
        drain()
    finally:
        register.run("update contract_versions set ends_at = '9999-12-31 00:00:00+00'")

    assert refusals(register) == [("contract_not_in_force", "1")] * 3
    assert windows(register)["departures"] == (1, 1)
    assert_identity()


def test_a_meter_that_nobody_bills_is_an_exception_until_a_rule_says_so(register, receive, drain):
    register.run("""insert into meters (name, owner) values ('unbilled', 'test') on conflict do nothing;
        insert into meter_versions (meter_id, version, fields) select id, 1, '[]' from meters where name = 'unbilled'
        on conflict do nothing""")
    receive(batch(event("1", type="unbilled")))
    drain()

    assert refusals(register) == [("metric_not_found", "1")]
    assert_identity()


def test_a_period_is_made_for_the_local_month_of_the_event(register, receive, drain):
    register.run("truncate billing_periods cascade")
    receive(batch(event("1", time="2026-03-01T04:59:59.9999999Z"), event("2", time="2026-03-01T05:00:00Z")))

    drain()

    assert register.rows("select starts_on::text, ends_on::text from billing_periods order by 1") == [
        ("2026-02-01", "2026-03-01"), ("2026-03-01", "2026-04-01"),
    ]  # fmt: skip
    assert_identity()


def test_usage_after_a_seal_lands_in_the_next_lot_of_the_same_period(register, receive, drain):
    receive(batch(event("1")))
    drain()
    with engine().begin() as conn:
        fence.take(conn)
        register.run("""insert into lots (billing_period_id, lot, sealed_no)
            select id, lot, (select max(aggregated_no) from batches) from billing_periods;
            update billing_periods set lot = lot + 1""")
    receive(batch(event("2")))

    drain()

    rows = register.rows("""select lot, events from aggregates
        where metric_id = (select id from metrics where name = 'departures') order by 1""")
    assert [tuple(row) for row in rows] == [(1, 1), (2, 1)]
    assert_identity()
    register.run("update billing_periods set lot = 1")


def test_the_identity_names_what_does_not_add_up(register, receive, drain):
    receive(batch(event("1"), event("2")))
    drain()
    register.run("delete from attributions where ctid = (select min(ctid) from attributions)")

    with snapshot() as conn:
        differences, drifts = identity.differences(conn), recompute.drifts(conn)

    assert [each.check for each in differences] == ["usage: attributed = billed + excluded + in exception + in flight"]
    assert differences[0].source == "/ops/jfk"
    assert len(drifts) >= 1


def test_a_backdated_contract_version_moves_usage_and_leaves_every_total_as_it_was(register, receive, drain):
    receive(batch(event("1"), event("2", time=(HAPPENED_AT + timedelta(hours=1)).isoformat())))
    drain()
    register.run("update contract_versions set ends_at = :at", at=HAPPENED_AT + timedelta(minutes=30))
    register.run(
        """insert into contract_versions (contract_id, version, starts_at, recorded_by)
        select id, 2, :at, 'test' from contracts""",
        at=HAPPENED_AT + timedelta(minutes=30),
    )
    contract = str(register.one("select id from contracts"))

    for _ in range(2):
        with engine().begin() as conn:
            parked.move(conn, "contract", [contract], correlation_id="test")
        drain()

    moved = "select v.version, a.events from aggregates a join contract_versions v on v.id = a.contract_version_id"
    assert sorted(tuple(row) for row in register.rows(moved)) == [(1, 1)] * 3 + [(2, 1)] * 3
    assert register.rows("select value, n from aggregate_values") == [("N14228", 1), ("N14228", 1)]
    assert register.one("select count(*) from attributions where sign = -1") == 3
    assert_identity()
    register.run(
        "delete from contract_versions where version = 2; update contract_versions set ends_at = '9999-12-31Z'"
    )


def test_a_contract_cut_short_turns_usage_into_exceptions(register, receive, drain):
    receive(batch(event("1"), event("2", time=(HAPPENED_AT - timedelta(hours=1)).isoformat())))
    drain()
    register.run("update contract_versions set ends_at = :at", at=HAPPENED_AT)
    contract = str(register.one("select id from contracts"))
    with engine().begin() as conn:
        parked.move(conn, "contract", [contract], correlation_id="test")

    drain()

    assert refusals(register) == [("contract_not_in_force", "1")] * 3
    assert windows(register)["departures"] == (1, 1)
    assert_identity()
    register.run("update contract_versions set ends_at = '9999-12-31Z'")


def test_a_mapping_that_leads_elsewhere_takes_its_usage_along(register, receive, drain):
    receive(batch(event("1"), event("2")))
    drain()
    register.run("""insert into subscriptions (ref, contract_id, cycle_id)
        select 's-other', contract_id, cycle_id from subscriptions where ref = 's-ua';
        update mappings set superseded_at = now();
        insert into mappings (source_id, subject, subscription_id, starts_at, recorded_by)
        select source_id, subject, (select id from subscriptions where ref = 's-other'), starts_at, 'test'
          from mappings""")
    source_id = register.one("select id from sources")
    with engine().begin() as conn:
        parked.move(conn, "mapping", [parked.mapping_key(source_id, "UA")], correlation_id="test")

    drain()

    held = register.rows("""select s.ref, sum(a.events)
      from aggregates a join subscriptions s on s.id = a.subscription_id
        group by 1 order by 1""")
    assert [tuple(row) for row in held] == [("s-other", 6), ("s-ua", 0)]
    assert_identity()


def test_validating_a_receipt_again_later_decides_by_the_time_it_was_received(register, receive, drain):
    receive(batch(event("1")))
    register.run("update receipts set received_at = :at", at=HAPPENED_AT - timedelta(hours=2))

    drain()

    assert refusals(register) == [("time_in_future", "1")]
