"""A forecast says to the cent what a replay then comes to, and leaves nothing behind."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from line_bench import batch, event
from replay_bench import (
    REPAIRED,
    UNKNOWN_SOURCE,
    UNKNOWN_SUBJECT,
    amount,
    bill,
    carry_out,
    due,
    forecast,
    fresh,
    open_ids,
    plan,
    show,
    wanted,
)
from sqlalchemy.exc import DBAPIError

from workers import rehearsal
from workers.rehearsal import ReplayBusy
from workers.store import recompute
from workers.store.database import snapshot

pytestmark = pytest.mark.timeout(280)


def sent(name, *, subject="UA", source="/ops/jfk", tail="N1", miles=100):
    return event(name, subject=subject, source=source, data={"tail": tail, "distance": miles})


def receive(month, *events):
    if events:
        month.receive(batch(*events))
        month.work("validate", "enrich", "aggregate")


def state(month):
    """Everything that a forecast might have left."""
    tables = (
        "receipts", "receipt_counts", "event_keys", "usage_events", "batches", "attributions", "exclusions",
        "aggregates", "aggregate_values", "control_totals", "work", "exceptions", "notices", "replays", "replay_items",
        "rated_usages", "invoices", "invoice_lines", "source_hours", "amendments", "exception_history",
    )  # fmt: skip
    return {
        name: month.bound.one(f"select md5(string_agg(t::text, '|' order by t::text)) from {name} t") for name in tables
    }


def differences(told):
    return {each["account"]: Decimal(each["difference"]) for each in told["accounts"]}


miles = st.one_of(st.integers(1, 3000), st.decimals("0.01", "1500", places=2).map(float))
regular = st.builds(sent, st.sampled_from(["b1", "b2", "b3"]), subject=st.sampled_from(["UA", "DL"]), miles=miles)
troubled = st.builds(
    sent,
    st.sampled_from(["e1", "e2", "e3", "e4", "e5"]),
    subject=st.sampled_from(["UA", "DL", UNKNOWN_SUBJECT]),
    source=st.sampled_from([UNKNOWN_SOURCE, "/ops/jfk"]),
    tail=st.sampled_from(["N1", "N2", None]),
    miles=st.one_of(miles, st.just("far")),
)


@settings(max_examples=8, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(
    before=st.lists(regular, max_size=3, unique_by=lambda each: each["id"]),
    trouble=st.lists(troubled, min_size=1, max_size=7),
    so=st.fixed_dictionaries({"billed": st.booleans(), "put_right": st.booleans(), "rule": st.booleans()}),
)
def test_it_says_what_will_happen_to_the_cent(month, before, trouble, so):
    is_billed, is_put_right, has_rule = so["billed"], so["put_right"], so["rule"]
    fresh(month)
    receive(month, *before)
    if is_billed and before:
        bill(month)
    receive(month, *trouble)
    if is_put_right:
        month.bound.run(REPAIRED)
    if has_rule:
        month.bound.run("""insert into exclusion_rules (name, meter_id, metric_id, conditions, reason)
          select 'no_tail', m.meter_id, m.id, '[{"property": "tail", "op": "is_null"}]', 'unknown aircraft'
          from metrics m where name = 'aircraft'""")
    ids = open_ids(month)
    if not ids:
        return
    owed, was = due(month), state(month)

    told = forecast(wanted(*ids))

    assert state(month) == was
    assert told["unpriced"] == []
    replay = carry_out(month, plan(wanted(*ids)))
    now = due(month)
    moved = {account: now[account] - owed.get(account, Decimal(0)) for account in now}
    assert {k: v for k, v in differences(told).items() if v} == {k: v for k, v in moved.items() if v}
    assert told["outcomes"] == replay.forecast["outcomes"] == show_outcomes(month, replay.id)
    month.assert_all_accounted_for(in_flight=in_flight(month))
    with snapshot() as conn:
        assert recompute.drifts(conn) == []
    documents = bill(month) if month.bound.rows("select 1 from attributions limit 1") else {}
    after = {each["account"]: Decimal(each["after"]) for each in told["documents"]}
    assert {k: documents.get(k, Decimal(0)) for k in after} == after


def show_outcomes(month, replay_id):
    found = month.bound.rows(
        """select x.code, i.sort, i.state, i.outcome, count(*) from replay_items i
           join exceptions x on x.id = i.exception_id where replay_id = :id group by 1, 2, 3, 4 order by 1, 2, 3, 4""",
        id=replay_id,
    )
    return [dict(zip(("code", "sort", "state", "outcome", "exceptions"), row, strict=True)) for row in found]


def in_flight(month):
    from workers.store import identity

    with snapshot() as conn:
        return sum(each.in_flight for each in identity.usage_totals(conn))


def test_a_graduated_price_gives_the_exact_difference(month):
    fresh(month)
    receive(month, sent("1", miles=900))
    receive(month, sent("2", subject=UNKNOWN_SUBJECT, miles=300, tail="N9"))
    month.bound.run(REPAIRED.replace("else 's-dl'", "else 's-ua'"))

    told = forecast(wanted(*open_ids(month)))

    assert differences(told) == {"ua": amount(2, Decimal(1200), 2) - amount(1, Decimal(900), 1)}
    (document,) = told["documents"]
    assert (document["document"], document["period"]) == ("invoice of the next run", "2026-03-01/2026-04-01")
    assert told["effect"] == {"USD": document["difference"]}


def test_usage_of_a_billed_period_is_told_as_the_correction_that_the_next_run_makes(month):
    fresh(month)
    receive(month, sent("1", miles=900))
    receive(month, sent("2", subject=UNKNOWN_SUBJECT, miles=300))
    bill(month)
    month.bound.run(REPAIRED.replace("else 's-dl'", "else 's-ua'"))

    told = forecast(wanted(*open_ids(month)))

    (document,) = told["documents"]
    expected = amount(2, Decimal(1200), 1) - amount(1, Decimal(900), 1)
    assert (document["document"], Decimal(document["before"]), Decimal(document["after"])) == (
        "correction of the next run", 0, expected,
    )  # fmt: skip
    carry_out(month, plan(wanted(*open_ids(month))))
    assert bill(month) == {"ua": expected}


def test_usage_that_no_price_covers_is_named_and_no_amount_is_claimed(month):
    fresh(month)
    receive(month, sent("1", subject=UNKNOWN_SUBJECT))
    month.bound.run(REPAIRED)
    month.bound.run("delete from prices where metric_id in (select id from metrics where name = 'distance')")

    told = forecast(wanted(*open_ids(month)))

    assert [(each["account"], each["code"]) for each in told["unpriced"]] == [("dl", "price_not_found")]
    assert told["effect"] is None


def test_a_dead_rate_is_told_as_what_its_draft_will_bill(month):
    fresh(month)
    receive(month, sent("1", subject="DL", miles=500))
    month.bound.run("""delete from prices p using contract_versions v, contracts c
      where v.id = p.contract_version_id and c.id = v.contract_id and c.ref = 'c-dl'""")
    run = month.request()
    assert month.blockers(run) == {"drafts_blocked": 1}
    (exception,) = open_ids(month)
    assert forecast(wanted(exception))["documents"] == []
    month.bound.run("""insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
      select v.id, p.metric_id, p.terms, p.tax_category, p.revenue_account from prices p, contract_versions v
      join contracts c on c.id = v.contract_id where c.ref = 'c-dl'""")

    told = forecast(wanted(exception))

    expected = amount(1, Decimal(500), 1)
    assert [(each["account"], Decimal(each["difference"])) for each in told["documents"]] == [("dl", expected)]
    replay = carry_out(month, plan(wanted(exception)))
    assert (replay.done, replay.refused) == (1, 0)
    month.let_time_pass()
    month.work()
    month.approve(run)
    assert {row[0]: Decimal(row[4]) for row in month.documents(run)}["dl"] == expected


def test_a_dead_tax_is_told_as_the_whole_draft(month):
    fresh(month)
    receive(month, sent("1", miles=500))
    month.bound.run("delete from tax_rates")
    run = month.request()
    (exception,) = open_ids(month)
    refused = forecast(wanted(exception))
    assert [(each["state"], each["outcome"]) for each in refused["outcomes"]] == [("refused", "tax_rate_not_found")]
    month.bound.run("""insert into tax_rates (jurisdiction, category, rate, starts_on, source)
      values ('US-NY', 'standard', 8.875, '2013-01-01', 'test')""")

    told = forecast(wanted(exception))

    assert differences(told) == {"ua": amount(1, Decimal(500), 1)}
    carry_out(month, plan(wanted(exception)))
    month.let_time_pass()
    month.work()
    month.approve(run)
    assert {row[0]: Decimal(row[4]) for row in month.documents(run)}["ua"] == amount(1, Decimal(500), 1)


def test_of_two_dead_rows_that_fail_together_each_is_told_by_itself(month):
    fresh(month)
    receive(month, sent("1", miles=500), sent("2", subject="DL", miles=500))
    month.bound.run("create table kept as table prices")
    month.bound.run("delete from prices")
    month.request()
    month.bound.run("""insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
      select p.contract_version_id, p.metric_id, p.terms, p.tax_category, p.revenue_account from kept p
      join contract_versions v on v.id = p.contract_version_id join contracts c on c.id = v.contract_id
      where c.ref = 'c-ua'""")
    month.bound.run("drop table kept")

    told = forecast(wanted(*open_ids(month)))

    assert {each["outcome"] for each in told["outcomes"]} == {"done", "price_not_found"}
    assert differences(told) == {"ua": amount(1, Decimal(500), 1)}


def test_work_that_fails_for_no_reason_of_business_is_told_so(month):
    fresh(month)
    month.bound.run("""insert into work (step, subject, state, outcome, correlation_id, done_at)
      values ('validate', 'nothing/0', 'dead', 'attempts_exhausted', 'test', now())""")
    month.bound.run("""insert into exceptions (step, code, key16, hash, work_id, sentence)
      select 'validate', 'attempts_exhausted', gen_random_uuid(), '', id, 'KeyError' from work""")

    told = forecast(wanted(*open_ids(month)))

    assert [(each["state"], each["outcome"]) for each in told["outcomes"]] == [("refused", "attempts_exhausted")]


def test_usage_that_comes_between_two_looks_is_never_taken_for_the_replays(month, monkeypatch):
    fresh(month)
    receive(month, sent("1", subject=UNKNOWN_SUBJECT))
    month.bound.run(REPAIRED)
    aggregate = rehearsal._run

    def meanwhile(stage, name):
        if name == "aggregate":
            month.bound.run("""insert into aggregates (subscription_id, billing_period_id, metric_id,
                contract_version_id, lot, grain_start, dimensions, quantity, events)
              select u.id, p.id, 1, 1, 1, p.starts_at, 'another', 1, 1
              from subscriptions u, billing_periods p where u.ref = 's-dl'""")
        aggregate(stage, name)

    monkeypatch.setattr(rehearsal, "_run", meanwhile)
    receive(month, sent("2", subject="DL"))

    with pytest.raises(ReplayBusy, match="came meanwhile"):
        forecast(wanted(*open_ids(month)))


def test_an_error_of_the_database_that_is_not_about_locks_is_not_hidden(month, monkeypatch):
    fresh(month)
    receive(month, sent("1", subject=UNKNOWN_SUBJECT))
    monkeypatch.setattr(rehearsal, "LOCK_S_MAX", "no time")

    with pytest.raises(DBAPIError):
        forecast(wanted(*open_ids(month)))


def test_a_dead_posting_is_named_with_its_document_and_moves_no_money(month):
    fresh(month)
    receive(month, sent("1", miles=500))
    run = month.request()
    month.bound.run("update erp_connections set adapter = 'no-such'")
    month.approve(run)
    month.let_time_pass()
    month.work()
    month.bound.run("update work set state = 'dead', outcome = 'posting_rejected', done_at = now() where step = 'post'")
    month.bound.run("""insert into exceptions (step, code, key16, hash, work_id, sentence)
      select 'post', 'posting_rejected', gen_random_uuid(), '', id, 'closed' from work where step = 'post'""")

    told = forecast(wanted(max(open_ids(month))))

    net = amount(1, Decimal(500), 1)
    gross = net + (net * Decimal("0.08875")).quantize(Decimal("0.01"), "ROUND_HALF_UP")
    assert [(each["account"], Decimal(each["gross"])) for each in told["released"]] == [("ua", gross)]
    assert (told["documents"], told["effect"]) == ([], {})


def test_a_forecast_of_more_than_it_may_hold_says_so_and_claims_no_amount(month, monkeypatch):
    fresh(month)
    receive(month, sent("1", subject=UNKNOWN_SUBJECT))
    monkeypatch.setattr("workers.rehearsal.REHEARSED_MAX", 1)

    told = forecast(wanted(*open_ids(month)))

    assert "select less" in told["too_large"]
    assert told["effect"] is None


def test_what_is_planned_can_be_shown_with_what_it_would_come_to(month):
    fresh(month)
    receive(month, sent("1", subject=UNKNOWN_SUBJECT))
    month.bound.run(REPAIRED)

    replay = show(plan(wanted(code="subscription_not_found")))

    assert (replay.state, replay.total, replay.waiting) == ("planned", 3, 3)
    assert differences(replay.forecast) == {"dl": amount(1, Decimal(100), 1)}
