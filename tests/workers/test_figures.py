"""What is measured of the line: each gauge answers from the database, money before it is billed included."""

from decimal import Decimal

import psycopg
import pytest
from line_bench import Bound, batch, event
from sqlalchemy.exc import OperationalError

from queues.metrics import FiguresAway
from queues.telemetry import correlation_id
from workers import figures, ticks
from workers.store import figures as store
from workers.store import identity
from workers.store.database import snapshot
from workers.watch import Watch


@pytest.fixture(autouse=True)
def _flowing(register: Bound, receive, drain) -> None:
    register.run("""truncate receipts, receipt_counts, event_keys, usage_events, batches, attributions, exclusions,
        aggregates, aggregate_values, control_totals, work, exceptions, notices, lots, prices cascade""")
    register.run("update billing_periods set lot = 1")
    register.run("""insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
        select v.id, m.id, '{"model": "per_unit", "unit_amount": "0.125"}', 'standard', 'income'
        from contract_versions v, metrics m where m.name = 'departures'""")
    receive(batch(event("1"), event("2"), event("2"), event("3", type="unknown"), event("4", subject="ZZ")))
    drain()
    receive(batch(event("5")))


def readings(name: str) -> dict[tuple[str, ...], float]:
    (gauge,) = (each for each in figures.GAUGES if each.name == name)
    return {tuple(labels): figure for labels, figure in gauge.read()}


def test_every_gauge_answers(register):
    assert all(isinstance(list(gauge.read()), list) for gauge in figures.GAUGES)


def test_events_are_counted_by_fate_and_refusals_by_code(register):
    assert readings("tallyline_events") == {("accepted",): 3, ("duplicate",): 1, ("parsed",): 4}
    assert readings("tallyline_refusals") == {("meter_unknown",): 1}


def test_due_work_and_its_age_are_told_by_step_and_lane(register):
    register.run("update work set due_at = now() - interval '10 seconds' where step = 'validate' and state = 'ready'")

    due, ages = readings("tallyline_due_work"), readings("tallyline_due_work_age_seconds")

    assert due == {("notify", "live"): 1, ("validate", "live"): 1}
    assert 10 <= ages["validate", "live"] < 60


def test_exceptions_are_told_by_step_and_code(register):
    assert readings("tallyline_exceptions_open") == {
        ("enrich", "subscription_not_found"): 3,
        ("validate", "meter_unknown"): 1,
    }


def test_unbilled_money_is_what_a_bill_would_come_to_now(register):
    with snapshot() as conn:
        assert [(each.legal_entity, each.currency, each.amount) for each in store.unbilled(conn)] == [
            ("pony", "USD", Decimal("0.25"))
        ]


@pytest.mark.parametrize(
    "terms",
    [
        '{"model": "dynamic", "multiplier": "1"}',
        '{"model": "matrix", "dimensions": ["tail"], "default": {"unit_amount": "1"}}',
    ],
)
def test_a_price_that_asks_for_more_than_a_quantity_is_left_out_of_unbilled_money(register, terms):
    register.run("update prices set terms = cast(:terms as jsonb)", terms=terms)

    with snapshot() as conn:
        assert [each.amount for each in store.unbilled(conn)] in ([], [0])


def test_windows_whose_price_refuses_them_are_counted_beside_the_unbilled_money(register, monkeypatch):
    monkeypatch.setattr(figures, "PREVIEW_S", 0.0)
    assert readings("tallyline_unpriced_windows") == {(): 0}
    assert readings("tallyline_unbilled_money") == {("pony", "USD"): 0.25}

    register.run("""update prices set terms = '{"model": "dynamic", "multiplier": "1"}'""")

    assert readings("tallyline_unpriced_windows") == {(): 1}
    assert readings("tallyline_unbilled_money") == {("pony", "USD"): 0}


def test_money_is_asked_for_once_however_often_it_is_scraped(register, monkeypatch):
    asked = []
    ask = figures._kept(lambda _conn: asked.append(1) or len(asked))

    assert (ask(), ask()) == (1, 1)
    monkeypatch.setattr(figures, "PREVIEW_S", 0.0)
    assert ask() == 2


def test_with_the_database_away_a_figure_is_left_out_and_with_any_other_error_it_is_not(register, monkeypatch):
    refused = OperationalError("select", {}, psycopg.OperationalError("refused"))
    too_slow = OperationalError("select", {}, psycopg.errors.QueryCanceled("statement timeout"))
    for error, meets in ((refused, FiguresAway), (too_slow, OperationalError)):

        def snapshot(error=error):
            raise error

        monkeypatch.setattr(figures, "snapshot", snapshot)
        with pytest.raises(meets):
            readings("tallyline_due_work")

    monkeypatch.setattr(figures, "snapshot", lambda: (_ for _ in ()).throw(refused))
    monkeypatch.setattr(figures, "watch", lambda: Watch({}))
    assert readings("tallyline_dependency_up") == {}


def test_exceptions_past_their_deadline_are_counted_by_code(register):
    assert set(readings("tallyline_exceptions_overdue").values()) == {0}

    register.run("update exceptions set opened_at = now() - interval '400 days' where code = 'meter_unknown'")

    assert readings("tallyline_exceptions_overdue") == {
        ("enrich", "subscription_not_found"): 0,
        ("validate", "meter_unknown"): 1,
    }


def test_what_the_nightly_check_found_is_told_from_then_on(register, monkeypatch):
    monkeypatch.setattr(ticks, "last_check", {})
    assert readings("tallyline_identity_differences") == {}

    ticks.check_books()
    assert readings("tallyline_identity_differences") == {("identity",): 0, ("windows",): 0}

    register.run("update aggregates set quantity = quantity + 1")
    ticks.check_books()
    drifted = register.one("select count(*) from aggregates")
    assert readings("tallyline_identity_differences")["windows",] == drifted


def test_a_preview_that_would_be_too_large_says_so(register, monkeypatch):
    monkeypatch.setattr(store, "PREVIEWED_MAX", 0)

    with snapshot() as conn, pytest.raises(store.PreviewTooLarge):
        store.unbilled(conn)


def test_folding_control_totals_changes_no_sum(register, receive, drain):
    drain()
    before = register.rows("select hop, source_id, metric_id, hour, sum(events), sum(hash) from control_totals "
                           "group by 1, 2, 3, 4 order by 1, 2, 3, 4")  # fmt: skip

    ticks.fold_totals()

    after = register.rows(
        "select hop, source_id, metric_id, hour, events, hash from control_totals order by 1, 2, 3, 4"
    )
    assert after == before
    with snapshot() as conn:
        assert identity.differences(conn) == []


def test_checking_the_books_reports_a_window_that_drifted(register, caplog, capsys):
    register.run("update aggregates set quantity = quantity + 1 where quantity = 2")

    ticks.check_books()

    assert "window differs from its recompute" in capsys.readouterr().out + caplog.text


def test_the_daily_look_at_parked_usage_hints_enrich(register):
    correlation_id.set("tick-look at parked-test")
    try:
        ticks.look_at_parked()
    finally:
        correlation_id.set(None)

    assert [name for name, _, _ in register.hints if name == "enrich"][-1] == "enrich"
    assert register.rows("select correlation_id from work where subject like 'parked/%'") == [
        ("tick-look at parked-test",)
    ]


def test_purging_ends_when_nothing_is_old(register):
    ticks.purge_work()

    assert register.one("select count(*) from work_history") == 0
