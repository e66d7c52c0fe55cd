"""Missing numbers at the command line: what never came, since when and what it may cost, until it has come."""

from datetime import UTC, datetime, timedelta

import pytest

from workers.cli.producing import LOCAL_USER

MASTER = f"""
connections:
  books: {{adapter: ledger-file}}
legal_entities:
  us: {{name: Us, currency: USD, zone: UTC, jurisdiction: us-ny, connection: books}}
cycles:
  us/month: {{}}
accounts:
  A: {{name: Account A}}
price_books:
  plain:
    calls: {{terms: {{model: per_unit, unit_amount: "1.50"}}, tax_category: service, revenue_account: revenue}}
contracts:
  C-1: {{account: A, legal_entity: us, currency: USD, versions: [{{version: 1, from: 2026-01-01, prices: plain}}]}}
subscriptions:
  S-1: {{contract: C-1, cycle: us/month}}
sources:
  /a: {{owner: operations, users: [{LOCAL_USER}], sequence_start: 1, gap_grace_s: 60}}
  /b: {{owner: operations, users: [{LOCAL_USER}]}}
meters:
  call.ended: {{owner: operations, versions: [{{version: 1, fields: [{{name: minutes, kind: decimal}}]}}]}}
metrics:
  calls: {{meter: call.ended, aggregation: count, unit: call}}
mappings:
  - {{source: /a, subject: k1, subscription: S-1}}
  - {{source: /b, subject: k1, subscription: S-1}}
tax_rates:
  - {{jurisdiction: us-ny, category: service, rate: "0", from: 2026-01-01, source: the state}}
"""


@pytest.fixture
def calls(operator, tmp_path):
    file = tmp_path / "master.yaml"
    file.write_text(MASTER)
    assert operator("master", "load", file).code == 0
    return operator


def call(number, source="/a", **changes):
    happened_at = datetime(2026, 3, 2, tzinfo=UTC) + timedelta(minutes=number)
    return {
        "specversion": "1.0", "id": f"{source}/{number}", "source": source, "type": "call.ended", "subject": "k1",
        "time": happened_at.isoformat(), "data": {"minutes": 1}, "sequence": str(number), **changes,
    }  # fmt: skip


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


def test_a_gap_is_shown_with_its_loss_blocks_the_close_and_is_gone_when_the_rest_has_come(calls, lines):
    calls("send", lines(*(call(n) for n in range(1, 1_001) if not 301 <= n <= 350)))

    (shown,) = calls.json("sources", "gaps")
    since = shown.pop("missing_since")
    assert shown == {
        "source": "/a", "start": 1, "received": 950, "highest": 1000, "missing": 50,
        "estimated_loss": {"USD": "75.00"}, "stretches": [{"from": 301, "to": 350, "missing": 50}],
    }  # fmt: skip
    assert datetime.fromisoformat(since).tzinfo is not None
    for words in ("301 to 350", "950", "USD 75.00"):
        assert words in text_of(calls("sources", "gaps"))
    status = calls.json("status")
    assert (status["estimated_loss"], status["missing_events"], status["gaps"]) == ({"USD": "75.00"}, 50, 1)
    assert (status["excepted"], status["exceptions"], status["unbilled"]) == ({}, 0, {"USD": "1425.00"})
    assert "Estimated loss: USD 75.00 for 50 events that never came" in text_of(calls("status"))
    assert "USD 75.00 (estimated loss)" in text_of(calls("exceptions"))
    (one,) = calls.json("exceptions", "list", "--code", "sequence_gap")
    assert one["sentence"] == "50 events are missing: numbers 301 to 350 of /a"
    blocked = calls("close", "us", "2026-03")
    assert blocked.code == 1
    assert "sequence_gap" in blocked.out

    calls("send", lines(*(call(n) for n in (*range(350, 320, -1), *range(301, 321)))))

    assert calls.json("sources", "gaps")[0]["missing"] == 0
    assert "Estimated loss" not in calls("status").out
    assert "none" in text_of(calls("sources", "gaps"))
    closed = calls.json("close", "us", "2026-03", "--approve")
    assert closed["stage"] == "closed"
    assert [each["net"] for each in closed["documents"]] == ["1500.00"]


def test_one_source_can_be_asked_for_and_a_single_missing_number_is_named(calls, lines):
    calls("send", lines(call(1), call(3), call(1, source="/b"), call(2, source="/b")))

    assert [each["source"] for each in calls.json("sources", "gaps")] == ["/a", "/b"]
    (only,) = calls.json("sources", "gaps", "/b")
    assert (only["received"], only["missing"], only["missing_since"], only["stretches"]) == (2, 0, None, [])
    assert "│ /a │ 2 │ 1 │" in text_of(calls("sources", "gaps", "/a"))


def test_a_loss_is_unknown_until_there_is_usage_with_a_price(calls, lines):
    calls("send", lines(call(1, subject="nobody"), call(3, subject="nobody")))

    (shown,) = calls.json("sources", "gaps")
    assert (shown["missing"], shown["estimated_loss"]) == (1, {})
    assert "unknown" in text_of(calls("sources", "gaps"))
    assert "Estimated loss: unknown for 1 event that never came" in text_of(calls("status"))


def test_a_source_that_is_not_numbered_is_a_mistake_with_a_way_out(calls, lines):
    event = call(1)
    del event["sequence"]
    calls("send", lines(event))

    assert "No source numbers its events" in calls("sources", "gaps").out
    assert calls.json("sources", "gaps") == []
    asked = calls("sources", "gaps", "/a")
    assert asked.code == 2
    assert "sources list" in text_of(asked)


def test_a_number_that_is_none_is_refused_to_its_sender(calls, lines):
    calls("send", lines(call(1, sequence="first")))

    (refused,) = calls.json("exceptions", "list")
    assert (refused["code"], refused["facts"]["field"]) == ("sequence_invalid", "sequence")


def test_where_numbers_start_and_how_long_one_may_be_missing_are_master_data(calls, tmp_path):
    kept = "select name, sequence_start, gap_grace_s from sources order by name"
    assert calls.rows(kept) == [("/a", 1, 60), ("/b", None, None)]
    file = tmp_path / "wrong.yaml"
    file.write_text(MASTER.replace("sequence_start: 1, gap_grace_s: 60", "sequence_start: -1, gap_grace_s: 2592001"))

    refused = calls("master", "load", file)

    assert refused.code == 2
    for field in ("sequence_start", "gap_grace_s"):
        assert field in text_of(refused)


def test_a_gap_that_will_never_be_filled_is_dismissed_and_blocks_no_more(calls, lines):
    calls("send", lines(*(call(number) for number in (1, 2, 5))))
    (gap,) = calls.rows("select id, money_at_risk from exceptions where code = 'sequence_gap'")
    assert "sequence_gap" in text_of(calls("close", "us", "2026-03"))
    assert "nothing is left of it" in text_of(calls("replay", gap[0], "--dry-run"))

    ran = calls("replay", "dismiss", gap[0], "--reason", "the meter was off", "--yes")

    assert (ran.code, "dismissed: 1" in text_of(ran)) == (0, True)
    assert f"money at risk: {gap[1]} USD" in text_of(ran)
    assert calls.rows("select state, resolution from exceptions") == [("dismissed", "dismissed")]
    assert calls("close", "us", "2026-03", "--approve").code == 0
    assert calls("status", "--identity").code == 0
    assert calls.rows("select state from exceptions") == [("dismissed",)]
