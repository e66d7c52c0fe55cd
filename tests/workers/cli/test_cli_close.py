"""Closing a billing period at the command line, and walking its documents back to their events."""

import json

import pytest
from operator_bench import TOKEN, departure
from sqlalchemy import text

from workers.cli import billing, reach, working

DIVERTED = {"data": {"air_time": None}}


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


@pytest.fixture
def month(airports, lines):
    """Two departures of UA from Newark; the second was diverted."""
    airports("send", lines(departure(1), departure(2, **DIVERTED)))
    return airports


def billed(operator) -> None:
    words = ("--override", "quantity_missing", "--reason", "diverted", "--approve", "--as", "ann")
    assert operator("close", "newark", "2013-01", *words).code == 0


def test_a_close_shows_what_is_in_the_way_and_ends_with_1(month):
    ran = month("close", "newark", "2013-01")

    assert ran.code == 1
    assert "quantity_missing" in ran.out
    assert "by name" in ran.out
    assert month.rows("select stage, lot from billing_runs") == [("open", 1)]


def test_an_override_needs_a_reason(month):
    ran = month("close", "newark", "2013-01", "--override", "quantity_missing")

    assert ran.code == 2
    assert "an override needs a reason" in text_of(ran)
    assert month.one("select count(*) from billing_runs") == 0


def test_an_override_lets_exactly_that_pass_and_the_drafts_wait_for_approval(month):
    ran = month("close", "newark", "2013-01", "--override", "quantity_missing", "--reason", "diverted", "--as", "ann")

    assert ran.code == 4, "it waits for somebody's approval"
    assert "is drafted" in text_of(ran)
    assert "tallyline close newark 2013-01 --approve" in text_of(ran)
    assert month.rows("select code, person, reason, exceptions from billing_overrides") == [
        ("quantity_missing", "ann", "diverted", 1)
    ]
    assert month.one("select count(*) from invoices where number is not null") == 0


def test_an_approved_close_posts_documents_and_is_closed(month, tmp_path):
    billed(month)

    # departures 2 x 38.9050 = 77.81, aircraft 2 x 97.50125 -> 195.00, miles 1,400 x 0.02375 + 175.00 = 208.25
    # tax: runway 286.06 x 3.5 % = 10.0121 -> 10.01, stand 195.00 x 6.625 % = 12.91875 -> 12.92
    (amounts,) = month.rows("select net::text, tax::text, gross::text from invoices where state = 'posted'")
    assert amounts == ("481.06", "22.93", "503.99")
    assert month.rows("select stage, approved_by from billing_runs") == [("closed", "ann")]
    assert len(list((tmp_path / "ledgers" / "ledger-newark" / "2013-01").glob("*.journal"))) == 1
    assert month("status", "--identity").code == 0
    assert "is closed, and no usage has come since" in text_of(month("close", "newark", "2013-01"))
    assert month.json("close", "newark", "2013-01")["stage"] == "closed"


def test_usage_that_comes_later_is_billed_by_the_next_run_with_the_difference_alone(month, lines):
    billed(month)
    month("send", lines(departure(3)))

    now = month.json(
        "close", "newark", "2013-01", "--approve", "--override", "quantity_missing", "--reason", "diverted"
    )

    assert (now["stage"], now["lot"]) == ("closed", 2)
    # one departure 38.9050 more: 116.715 -> 116.72 less 77.81; miles 1,400 x 0.02375; one aircraft 97.50
    assert [str(row[0]) for row in month.rows("select net from invoices where state = 'posted' order by id")] == [
        "481.06",
        "169.66",
    ]
    lot_2 = month.one("select max(id) from invoices where state = 'posted'")
    assert all(each["behind"]["is_proven"] for each in month.json("trace", "--invoice", lot_2))


def test_an_event_leads_to_its_document_and_back(month):
    billed(month)

    story = month.json("trace", "/ops/ewr", "UA/1")
    line = next(usage["line"] for usage in story["usages"] if usage["metric"] == "distance")
    told = month("trace", "/ops/ewr", "UA/1").out
    (back,) = month.json("trace", "--line", line["line"])

    assert line["erp_state"] == "confirmed"
    assert line["number"] in told
    assert "tier_flat" in told
    assert [event["event_id"] for event in back["behind"]["first_events"]] == ["UA/1"]
    assert back["behind"]["usages"] == 1
    assert month("trace", "--invoice", line["number"]).code == 0
    shown = month("trace", "--invoice", line["number"], "--events", 1).out
    assert "is what was billed" in shown
    assert "and 1 more" in shown


def test_a_line_whose_events_do_not_come_to_it_ends_with_1(month):
    billed(month)
    month.run("delete from attributions where metric_id = (select id from metrics where name = 'departures')")

    ran = month("trace", "--invoice", month.one("select number_text from invoices where state = 'posted'"))

    assert ran.code == 1
    assert "differs from what was billed" in ran.out


def test_a_period_that_has_not_ended_cannot_be_let_pass(airports):
    ran = airports("close", "newark", "2999-01", "--override", "period_not_ended", "--reason", "impatience")

    assert ran.code == 1
    assert "period_not_ended cannot be overridden" in text_of(ran)
    assert "period_not_ended" in airports("close", "newark", "2999-01").out


def test_an_override_of_what_is_not_in_the_way_changes_nothing(airports):
    words = ("close", "newark", "2013-03", "--override", "quantity_missing", "--reason", "none")
    now = json.loads(airports(*words, "--json").out)
    told = airports(*words)

    assert now["stage"] == "drafted"
    assert now["not_in_the_way"] == ["quantity_missing"]
    assert "quantity_missing is not in the way, so nothing was let pass" in text_of(told)
    assert airports.one("select count(*) from billing_overrides") == 0


def test_an_override_of_a_misspelt_code_ends_with_2_and_names_the_near_one(month):
    ran = month("close", "newark", "2013-01", "--override", "quantity_mising", "--reason", "diverted")

    assert ran.code == 2
    assert "nothing that could be in the way is called 'quantity_mising'" in text_of(ran)
    assert "did you mean quantity_missing?" in text_of(ran)
    assert month.one("select count(*) from billing_runs") == 0
    assert "did you mean" not in text_of(
        month("close", "newark", "2013-01", "--override", "zzzz", "--reason", "diverted")
    )


def test_who_may_only_approve_is_told_that_there_are_no_drafts_yet(month):
    month("people", "add", "pat", "--role", "approver")

    ran = month("close", "newark", "2013-01", "--approve", "--as", "pat")

    assert ran.code == 1
    assert "there are no drafts of newark 2013-01 to approve yet" in text_of(ran)
    assert "have somebody with that role call `tallyline close newark 2013-01` first" in text_of(ran)
    refused = month("close", "newark", "2013-01", "--as", "pat")
    assert refused.code == 1
    assert "no drafts" not in text_of(refused)


def test_what_an_override_left_out_is_told_until_the_next_run_bills_it(airports, lines):
    airports("send", lines(departure(1)))
    without = """delete from prices where metric_id = (select id from metrics where name = 'aircraft')
        and contract_version_id in (select v.id from contract_versions v join contracts c on c.id = v.contract_id
          where c.ref = 'newark-UA') returning *"""
    with airports.owner.begin() as conn:
        kept = conn.execute(text(without)).mappings().one()
    say = ("--override", "drafts_blocked", "--reason", "its price is on its way", "--as", "ann")

    airports("close", "newark", "2013-01", *say)
    ran = airports("close", "newark", "2013-01", "--approve", "--as", "ann")

    assert ran.code == 1
    assert "usage_in_flight" in ran.out
    assert "1 of its subscriptions were left out and are billed by no document" in text_of(ran)
    assert "then call tallyline close newark 2013-01 again" in text_of(ran)

    columns = ("contract_version_id", "metric_id", "tax_category", "revenue_account")
    airports.run(
        f"""insert into prices (terms, {", ".join(columns)})
            values (cast(:terms as jsonb), {", ".join(f":{each}" for each in columns)})""",
        terms=json.dumps(kept["terms"]),
        **{each: kept[each] for each in columns},
    )
    after = airports("close", "newark", "2013-01", "--approve", "--as", "ann")
    assert after.code == 0, after.out
    assert "left out" not in text_of(after)


def test_dates_are_the_periods_last_day_unless_they_are_given(airports):
    airports("close", "newark", "2013-03")
    airports("close", "newark", "2013-04", "--invoice-on", "2013-05-02", "--posting-on", "2013-05-03")

    assert airports.rows("select invoice_on::text, posting_on::text from billing_runs order by id") == [
        ("2013-03-31", "2013-03-31"),
        ("2013-05-02", "2013-05-03"),
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["boston", "2013-01"], "there is no legal entity 'boston' with a cycle"),
        (["newark", "2013-01", "--cycle", "week"], "newark has no cycle 'week', only month"),
        (["newark", "January"], "'January' is no period"),
        (["newark", "2013-01-02"], "no period of newark/month begins on 2013-01-02"),
        (["newark", "2013-01", "--invoice-on", "soon"], "Invalid value"),
    ],
)
def test_a_period_that_is_not_there_is_said_with_a_way_out(airports, words, says):
    ran = airports("close", *words)

    assert ran.code == 2
    assert says in text_of(ran)


def test_a_legal_entity_with_several_cycles_is_asked_which(airports):
    airports.run("insert into billing_cycles (legal_entity_id, name, zone) values ('newark', 'other', 'UTC')")

    assert "name one with --cycle" in text_of(airports("close", "newark", "2013-01"))
    assert airports("close", "newark", "2013-01", "--cycle", "other").code == 4


def test_in_a_fleet_the_command_asks_and_the_workers_go_on(month, monkeypatch):
    monkeypatch.setattr(reach, "is_fleet", lambda: True)
    monkeypatch.setenv("TALLYLINE_TOKEN", TOKEN)

    asked = month("close", "newark", "2013-01")
    early = month("close", "newark", "2013-01", "--approve")

    assert asked.code == 0
    assert "the fleet goes on with it" in text_of(asked)
    assert early.code == 1
    assert "its drafts are not complete" in text_of(early)


def test_a_run_that_nobody_works_on_is_not_waited_for_for_ever(month, monkeypatch):
    monkeypatch.setattr(reach, "is_fleet", lambda: True)
    monkeypatch.setenv("TALLYLINE_TOKEN", TOKEN)
    monkeypatch.setattr(billing, "REST_S_MAX", 0)

    ran = month("close", "newark", "2013-01", "--watch")

    assert ran.code == 1
    assert "is still moving after 0 s" in text_of(ran)


def test_work_that_does_not_come_to_an_end_is_said_so(month, monkeypatch):
    monkeypatch.setattr(working, "SETTLE_S", 0)
    month.run("""insert into work (step, subject, correlation_id, due_at)
      values ('enrich', 'parked/mapping/1/none', 'c', now() + interval '1 day')""")

    ran = month("replay", month.one("select min(id) from exceptions"), "--yes")

    assert ran.code == 1
    assert "still ready after 0 s" in text_of(ran)


def test_json_tells_the_same(month):
    ran = month("close", "newark", "2013-01", "--json")

    told = json.loads(ran.out)
    assert ran.code == 1
    assert [each["code"] for each in told["blockers"]] == ["quantity_missing"]
    assert told["legal_entity"] == "newark"


def in_the_way(operator, entity: str, month: str = "2013-01") -> dict[str, int]:
    told = json.loads(operator("close", entity, month, "--json").out)
    return {each["code"]: each["count"] for each in told["blockers"] if each["code"] != "approval_missing"}


def test_a_refused_event_is_in_the_way_of_the_period_that_it_says_it_is_of_and_of_no_other(airports, lines):
    airports("send", lines(departure(1, data={"distance": "far"}, time="2013-02-03T12:00:00Z")))

    assert airports.one("select happened_at::date::text from exceptions") == "2013-02-03"
    assert in_the_way(airports, "newark", "2013-01") == {}
    assert in_the_way(airports, "newark", "2013-02") == {"field_invalid": 1}
    assert airports("status", "--identity").code == 0


def test_an_event_without_a_time_is_in_the_way_only_of_those_whose_usage_its_source_sends(airports, lines):
    airports("send", lines(departure(1, time="2013-02-30T12:00:00Z")))  # of /ops/ewr, which is Newark's alone

    assert airports.one("select count(*) from exceptions where happened_at is null") == 1
    assert in_the_way(airports, "newark") == {"time_invalid": 1}
    assert in_the_way(airports, "pony") == {}


def test_usage_of_an_unmapped_subject_is_in_the_way_of_those_whose_usage_its_source_sends(airports, lines):
    airports("send", lines(departure(1, subject="ZZ")))

    assert in_the_way(airports, "newark") == {"subscription_not_found": 3}
    assert in_the_way(airports, "pony") == {}


def test_usage_of_a_source_that_nobody_knows_is_in_the_way_of_all(airports, lines):
    airports("send", lines(departure(1, source="/ops/bos")))

    assert in_the_way(airports, "newark") == in_the_way(airports, "pony") == {"source_unknown": 1}


def test_a_subject_that_is_mapped_is_in_the_way_of_its_own_legal_entity_alone(airports, lines):
    airports.run(
        """insert into mappings (source_id, subject, subscription_id, recorded_by)
           select s.id, 'ZZ', u.id, 'me' from sources s, subscriptions u
           where s.name = '/ops/ewr' and u.ref = 'pony-UA-usage'"""
    )
    airports("send", lines(departure(1, subject="ZZ", data={"distance": "far"})))

    assert in_the_way(airports, "pony") == {"field_invalid": 1}
    assert in_the_way(airports, "newark") == {}
