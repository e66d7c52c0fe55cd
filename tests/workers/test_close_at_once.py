"""What happens at once while a month is billed: numbers, siblings, seals, ticks; and what is left after a rollback."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from time import monotonic

import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError

from domain.documents import IssueDateTooEarly, NumberTooLong
from queues import work
from queues.work import NewWork
from workers import closing, issuing
from workers.step import perform
from workers.store import billing_runs, fence, numbers, rated_usages
from workers.store.billing_runs import Wanted
from workers.store.database import engine
from workers.store.numbers import Unnumbered

ON = date(2026, 4, 1)
WAIT_S = 20


@pytest.fixture
def drafts(month):
    """Makes taxed drafts that wait for a number; their ids."""

    def make(count: int, *, on: date = ON, kind: str = "invoice") -> list[Unnumbered]:
        rows = month.bound.rows(
            """with period as (
                 insert into billing_periods (cycle_id, starts_on, ends_on, starts_at, ends_at)
                 select y.id, d, d + 1, d, d + 1 from billing_cycles y,
                   (select date '2030-01-01' + (select count(*) from billing_periods)::integer as d) n limit 1
                 returning id),
               run as (insert into billing_runs (billing_period_id, lot, stage, invoice_on, posting_on, requested_by)
                 select id, n, 'drafted', :on, :on, 'test' from period, generate_series(1, :count) n returning id)
               insert into invoices (billing_run_id, legal_entity_id, account_id, contract_id, kind, state, currency,
                 pending, invoice_on, posting_on, service_starts_on, service_ends_on, net, tax, gross, correlation_id)
               select r.id, 'pony', 'ua', c.id, :kind, 'taxed', 'USD', 0, :on, :on, :on, :on, 1, 0, 1, 'test'
               from run r, contracts c where c.ref = 'c-ua' returning id""",
            on=on, kind=kind, count=count,
        )  # fmt: skip
        return [Unnumbered(row.id, "pony", kind, on) for row in rows]

    return make


def issued(month, series="invoice"):
    return [
        tuple(row)
        for row in month.bound.rows(
            "select number, number_text, invoice_on, id from invoices where series = :s order by number", s=series
        )
    ]


def test_numbers_follow_the_invoice_date_and_the_draft(month, drafts):
    later, earlier = drafts(2, on=date(2026, 4, 2)), drafts(2, on=ON)

    with engine().begin() as conn:
        numbers.issue(conn, [*later[::-1], *earlier])

    assert [row[3] for row in issued(month)] == [each.id for each in (*earlier, *later)]
    assert [row[1] for row in issued(month)] == [f"PONY-{n:06}" for n in range(1, 5)]


def test_concurrent_issuers_leave_no_gap_even_if_one_rolls_back(month, drafts):
    batches = [drafts(5) for _ in range(8)]

    def one(batch):
        with engine().begin() as conn:
            numbers.issue(conn, batch)
            if batch is batches[3]:
                raise ZeroDivisionError

    with ThreadPoolExecutor(4) as issuers:
        done = [issuers.submit(one, batch) for batch in batches]
    failed = [each for each in done if each.exception() is not None]

    assert [type(each.exception()) for each in failed] == [ZeroDivisionError]
    assert [row[0] for row in issued(month)] == list(range(1, 36))
    assert month.bound.one("select last_number from number_series") == 35


def test_a_series_is_taken_in_order_so_two_issuers_of_two_series_never_deadlock(month, drafts):
    pairs = [(drafts(1), drafts(1, kind="credit_note")) for _ in range(12)]

    def one(pair):
        with engine().begin() as conn:
            numbers.issue(conn, [*pair[1], *pair[0]])

    with ThreadPoolExecutor(4) as issuers:
        list(issuers.map(one, pairs))

    assert [row[0] for row in issued(month)] == list(range(1, 13))
    assert [row[1] for row in issued(month, "credit_note")][-1] == "PONY-C000012"


def test_a_date_before_the_last_of_the_series_is_refused(month, drafts):
    first, earlier = drafts(1), drafts(1, on=date(2026, 3, 31))
    with engine().begin() as conn:
        numbers.issue(conn, first)

    with pytest.raises(IssueDateTooEarly), engine().begin() as conn:
        numbers.issue(conn, earlier)

    assert len(issued(month)) == 1


def test_a_date_before_the_last_of_the_series_is_moved_where_the_series_says_so(month, drafts):
    month.bound.run(
        "insert into number_series (legal_entity_id, series, prefix, earlier) values ('pony', 'invoice', 'P', 'move')"
    )
    with engine().begin() as conn:
        numbers.issue(conn, drafts(1))
        numbers.issue(conn, drafts(1, on=date(2026, 3, 31)))

    assert [row[:3] for row in issued(month)] == [(1, "P000001", ON), (2, "P000002", ON)]


def test_a_number_that_erps_cannot_take_is_refused(month, drafts):
    month.bound.run(
        "insert into number_series (legal_entity_id, series, prefix) values ('pony', 'invoice', 'PORT-OF-NEW-YORK-')"
    )

    with pytest.raises(NumberTooLong), engine().begin() as conn:
        numbers.issue(conn, drafts(1))


@pytest.mark.parametrize(
    ("entity", "prefix"), [("pony", "PONY-"), ("port-of-new-york", "PORT-OF-"), ("port-of-2-newark", "PORT-OF-")]
)
def test_a_series_without_a_prefix_is_called_after_its_legal_entity(entity, prefix):
    assert numbers.prefix_of(entity, "invoice") == prefix
    assert numbers.prefix_of(entity, "credit_note") == prefix + "C"


def test_a_run_that_is_rolled_back_while_it_issues_leaves_nothing(month, monkeypatch):
    month.use(("u1", "UA", "N1", 1), ("d1", "DL", "N2", 1))
    run = month.request()

    def fail(*_arguments):
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(billing_runs, "enter", fail)
        month.approve(run)

    assert month.stage(run) == "drafted"
    for table in ("erp_postings", "journal_entries", "postings", "number_series"):
        assert month.bound.one(f"select count(*) from {table}") == 0
    month.let_time_pass()
    month.work()
    assert month.stage(run) == "closed"


def test_many_documents_are_issued_in_bounded_transactions(month, monkeypatch):
    month.use(("u1", "UA", "N1", 1), ("d1", "DL", "N2", 1))
    monkeypatch.setattr(issuing, "ISSUED_MAX", 1)

    run = month.bill()

    assert month.stage(run) == "closed"
    assert [row[0] for row in issued(month)] == [1, 2]


def test_of_two_last_siblings_exactly_one_goes_on_with_the_draft(month):
    """Both count down at once: each would see the other as still open, were the children counted."""
    month.bound.run(
        """insert into subscriptions (ref, contract_id, cycle_id)
           select 's-ua-2', c.id, y.id from contracts c, billing_cycles y where c.ref = 'c-ua' on conflict do nothing"""
    )
    month.use(("u1", "UA", "N1", 1))
    with engine().begin() as conn:
        run = billing_runs.request(conn, Wanted(month.period, ON, ON, "ann"))
        billing_runs.press(conn, run)
    month.work("close")
    ids = [
        row.id
        for row in month.bound.rows(
            """select w.id from work w join subscriptions s on w.subject like '%/subscription/' || s.id
               join contracts c on c.id = s.contract_id where w.step = 'rate' and c.ref = 'c-ua' order by w.id"""
        )
    ]
    assert len(ids) == 2
    finished: list[list[int]] = []

    def count(work_id, hold):
        with engine().begin() as conn:
            ready = work.claim(conn, "rate", [work_id])
            found = rated_usages.count_down(conn, ready, rated_usages.runs(conn, [work_id]))
            finished.append([invoice_id for _, invoice_id in found])
            hold()

    is_counted, may_commit = threading.Event(), threading.Event()

    def hold():
        is_counted.set()
        assert may_commit.wait(WAIT_S)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(count, ids[0], hold)
        assert is_counted.wait(WAIT_S)
        second = pool.submit(count, ids[1], lambda: None)
        may_commit.set()
        first.result(WAIT_S)
        second.result(WAIT_S)

    assert sorted(map(len, finished)) == [0, 1]


def until(is_so):
    """Wait for what another thread is about to do."""
    deadline = monotonic() + WAIT_S
    while not is_so():
        assert monotonic() < deadline, "it never came"


def test_freezing_waits_for_whoever_aggregates_and_seals_what_they_added(month):
    month.use(("u1", "UA", "N1", 1))
    with engine().begin() as conn:
        run = billing_runs.request(conn, Wanted(month.period, ON, ON, "ann"))
        billing_runs.press(conn, run)
    (close_id,) = [row.id for row in month.bound.rows("select id from work where step = 'close'")]

    with ThreadPoolExecutor(1) as pool, engine().connect() as other:
        with other.begin():
            fence.share(other)
            closer = pool.submit(perform, "close", [close_id])
            waits = """select count(*) from pg_locks where locktype = 'advisory' and not granted
                and database = (select oid from pg_database where datname = current_database())"""
            until(lambda: month.bound.one(waits))
            other.exec_driver_sql(
                "insert into batches (kind, aggregated_no) values ('healed', nextval('aggregated_numbers'))"
            )
            assert month.stage(run) == "open"
        closer.result(WAIT_S)

    sealed, last = month.bound.rows("select sealed_no, (select max(aggregated_no) from batches) from lots")[0]
    assert month.stage(run) == "frozen"
    assert sealed == last


def test_each_run_is_advanced_in_a_transaction_of_its_own(month):
    month.use(("u1", "UA", "N1", 1))
    with engine().begin() as conn:
        run = billing_runs.request(conn, Wanted(month.period, ON, ON, "ann"))
        rows = [NewWork("close", f"billing_run/{run}", "test", revision=n, close_id=run) for n in (1, 2)]
        ids = [row.id for row in work.insert(conn, rows)]

    perform("close", ids)

    assert month.stage(run) in ("frozen", "drafted")
    assert month.bound.one("select count(*) from lots") == 1
    assert (
        month.bound.one(
            "select count(*) from work where state = 'ready' and step = 'close' and id = any(:ids)", ids=ids
        )
        == 0
    )


def test_the_tick_leaves_a_run_alone_while_a_step_owes_it_something(month):
    month.use(("u1", "UA", "N1", 1))
    with engine().begin() as conn:
        run = billing_runs.request(conn, Wanted(month.period, ON, ON, "ann"))
        billing_runs.press(conn, run)
    month.work("close")

    assert closing.tick() == 0
    perform("close", press(run))
    assert month.stage(run) == "frozen"

    month.work("rate", "tax")
    assert closing.tick() == 1
    assert closing.tick() == 0


def press(run):
    with engine().begin() as conn:
        return [row.id for row in billing_runs.press(conn, run)]


def test_the_tick_tries_a_blocked_run_again_after_a_minute(month):
    month.use(("u1", "UA", "N1", 1))
    month.bound.run("delete from prices")
    run = month.request()
    assert month.blockers(run) == {"drafts_blocked": 1}

    assert closing.tick() == 0
    month.bound.run("update billing_runs set tried_at = now() - interval '61 s'")
    assert closing.tick() == 1


def test_a_run_that_is_closed_stays_closed(month):
    month.use(("u1", "UA", "N1", 1))
    run = month.bill()

    perform("close", press(run))

    assert month.stage(run) == "closed"
    assert closing.tick() == 0


def test_the_database_refuses_an_entry_that_does_not_balance(month):
    month.use(("u1", "UA", "N1", 1))
    month.bill()

    with pytest.raises(IntegrityError, match="does not balance"):
        month.bound.run("insert into postings select id, 99, 'assets:pocket', 0.01 from journal_entries limit 1")


def test_however_a_month_arrives_in_lots_its_lines_sum_to_the_rounded_total(month):
    total = 0
    for lot, departures in enumerate((3, 1, 2, 1, 4)):
        month.use(*((f"{lot}-{n}", "UA", f"N{lot}", 100) for n in range(departures)))
        month.bill()
        total += departures

    (billed,) = month.bound.rows(
        """select sum(l.net), count(*) from invoice_lines l join metrics m on m.id = l.metric_id
           where m.name = 'departures'"""
    )
    cent = Decimal("0.01")
    assert tuple(billed) == ((total * Decimal("41.2575")).quantize(cent, "ROUND_HALF_UP"), 5)
    naive = sum((n * Decimal("41.2575")).quantize(cent, "ROUND_HALF_UP") for n in (3, 1, 2, 1, 4))
    assert naive != billed[0], "the lots would have shown the same if each were rounded by itself"
    month.assert_all_accounted_for()


def test_a_subscription_that_is_published_while_drafts_are_made_is_in_its_draft_and_rated_or_in_neither(month):
    """A draft that counted one which nobody rates would wait for it for ever."""
    month.use(("u1", "UA", "N1", 1400))
    published = []

    def publish(_conn, _cursor, statement, *_rest):
        if "insert into invoices" in statement and not published:
            published.append(statement)
            month.bound.run(
                """insert into subscriptions (ref, contract_id, cycle_id)
                   select 's-ua-meanwhile', contract_id, cycle_id from subscriptions where ref = 's-ua'"""
            )

    event.listen(engine(), "before_cursor_execute", publish)
    try:
        run = month.request()
    finally:
        month.bound.run("delete from work where subject like 'run/%' and state = 'ready'")
        month.bound.run("delete from subscriptions where ref = 's-ua-meanwhile'")

    assert published
    assert month.bound.rows("select pending from invoices where billing_run_id = :run", run=run) == [(0,), (0,)]
