"""Prepaid credits: an invoice draws what its account has, once; what is undone comes back; what has ended is told."""

import sys
import threading
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from billing_bench import issue
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from domain.credits import CreditInvalid, Rollover
from domain.money import Money
from workers import ticks
from workers.erp import registry
from workers.erp.ledger_file import LedgerFile
from workers.store import acting, invoices, prepaid, repairs
from workers.store.acting import Named
from workers.store.database import engine
from workers.store.prepaid import Wanted

sys.path.append(str(Path(__file__).parent / "erp"))
from erp_faults import Faulty

FIRST, NEXT = date(2026, 3, 1), date(2026, 4, 1)


def usd(amount: str) -> Money:
    return Money.of(amount, "USD")


@pytest.fixture
def grant(month):
    """Grant United credit with the Port, under a name; its number."""

    def make(amount: str, *, starts_on=FIRST, account="ua", **more) -> int:
        with engine().begin() as conn:
            acting.name(conn, Named("ann", "paid ahead"))
            wanted = Wanted(account, "pony", usd(amount), starts_on, **more)
            return prepaid.grant(conn, wanted, person="ann", reason="paid ahead")

    return make


@pytest.fixture
def entries(month):
    """(kind, amount, document) of every entry, in the order in which they were made."""

    def read(*grants: int):
        return [
            tuple(row)
            for row in month.bound.rows(
                """select e.kind, e.amount, i.number_text from credit_entries e
                left join invoices i on i.id = e.invoice_id where e.grant_id = any(:grants) order by e.id""",
                grants=list(grants),
            )
        ]

    return read


def gross(month, account="ua"):
    return month.bound.one("select sum(gross) from invoices where account_id = :id and state = 'posted'", id=account)


def test_an_invoice_draws_what_its_account_has_and_asks_for_the_same_amount(month, grant, entries):
    first, second = grant("30.00", priority=1), grant("5.00", ends_on=NEXT)
    other = grant("100.00", account="dl", starts_on=NEXT)
    month.use(("u1", "UA", "N1", 0), ("d1", "DL", "N1", 0))

    run = month.bill()

    # 41.26 + 118.13, with 14.15 of tax: more than all credit
    assert (month.stage(run), gross(month)) == ("closed", Decimal("173.54"))
    assert entries(second) == [("granted", 5, None), ("drawn", -5, "PONY-000001")]
    assert entries(first) == [("granted", 30, None), ("drawn", -30, "PONY-000001")]
    assert entries(other) == [("granted", 100, None)]
    month.assert_all_accounted_for()


def test_a_correction_draws_what_the_first_invoice_left_and_a_credit_note_draws_nothing(month, grant, entries):
    number = grant("500.00")
    month.use(("u1", "UA", "N1", 0))
    month.bill()
    month.use(("u2", "UA", "N1", 0))

    month.bill()

    drawn = [(-amount, document) for kind, amount, document in entries(number) if kind == "drawn"]
    assert drawn == [(Decimal("173.54"), "PONY-000001"), (Decimal("44.92"), "PONY-000002")]
    assert gross(month) == sum(amount for amount, _ in drawn)


def test_what_a_document_drew_comes_back_when_it_is_void_and_is_drawn_again_once(month, grant, entries, monkeypatch):
    month.ledger.mkdir(parents=True)
    erp = Faulty(LedgerFile(month.ledger))
    monkeypatch.setitem(registry.ADAPTERS, "ledger-file", lambda _connection: erp)
    number = grant("100.00")
    month.use(("u1", "UA", "N1", 0))
    erp.plan.append("refused")
    month.bill()
    with engine().begin() as conn:
        wanted = repairs.Wanted("PONY-000001", "void", "ann", "the customer was wrong")
        repairs.request(conn, wanted)
    month.work()

    month.bill()

    assert entries(number) == [
        ("granted", 100, None), ("drawn", -100, "PONY-000001"), ("returned", 100, "PONY-000001"),
        ("drawn", -100, "PONY-000002"),
    ]  # fmt: skip


@pytest.mark.parametrize("acts", ["dee", "eede", "ede"])
def test_a_grant_ends_when_its_time_is_over_and_pays_what_it_could_whenever_the_period_is_billed(
    month, grant, entries, acts
):
    rollover = Rollover(3_650, Decimal(50), usd("20.00"))
    ending = grant("1000.00", starts_on=date(2026, 1, 1), rollover=rollover, ends_on=date(2026, 2, 1))
    invoice, at = invoice_of(month), datetime(2026, 1, 31, tzinfo=UTC)

    for act in acts:
        ticks.end_credits() if act == "e" else draw_alone(invoice, at)

    (carried,) = month.bound.rows("select * from credit_grants where carried_from = :id", id=ending)
    assert (carried.amount, carried.rollover_days, carried.recorded_by) == (20, None, "tallyline")
    left = Decimal(1000) - Decimal("108.88")
    assert totals(month, ending) == {
        "granted": 1000, "drawn": Decimal("-108.88"), "carried": -20, "expired": 20 - left,
    }  # fmt: skip
    assert entries(carried.id) == [("granted", 20, None)]


def test_a_period_that_is_never_billed_keeps_no_credit_from_ending(month, grant, entries):
    idle = grant("7.00", starts_on=date(2026, 2, 1), ends_on=FIRST)

    ticks.end_credits()

    assert entries(idle) == [("granted", 7, None), ("expired", -7, None)]


def invoice_of(month):
    return month.bound.one("select invoice_id from erp_postings where id = :id", id=issue(month.bound))


def totals(month, *grants):
    """By kind, what is booked of grants; what comes into one of another's rest is granted."""
    return {
        row.kind: row.amount
        for row in month.bound.rows(
            """select case when e.kind = 'returned' then 'drawn'
                 when e.kind = 'carried' and g.carried_from is not null then 'granted' else e.kind end as kind,
                 sum(e.amount) as amount
               from credit_entries e join credit_grants g on g.id = e.grant_id
               where g.id = any(:grants) group by 1 having sum(e.amount) <> 0""",
            grants=list(grants),
        )
    }


def void_alone(invoice_id):
    with engine().begin() as conn:
        prepaid.give_back(conn, invoice_id)


@pytest.mark.parametrize("order", ["dvb", "edvb", "devb", "dveb", "edeveb"])
def test_in_any_order_of_ends_and_voids_the_same_is_carried_on_and_expires(month, grant, order):
    number = grant(
        "150.00", starts_on=date(2026, 1, 1), ends_on=date(2026, 2, 1), rollover=Rollover(3_650, Decimal(50))
    )
    first, second = invoice_of(month), invoice_of(month)
    at = datetime(2026, 1, 31, tzinfo=UTC)
    acts = {
        "d": lambda: draw_alone(first, at), "v": lambda: void_alone(first), "b": lambda: draw_alone(second, at),
        "e": ticks.end_credits,
    }  # fmt: skip

    for act in f"{order}e":
        acts[act]()

    (child,) = month.bound.rows("select id, amount from credit_grants where carried_from = :id", id=number)
    # 150 less 108.88 leaves 41.12, of which half is carried on.
    assert totals(month, number) == {
        "granted": 150, "drawn": Decimal("-108.88"), "carried": Decimal("-20.56"), "expired": Decimal("-20.56"),
    }  # fmt: skip
    assert totals(month, child.id) == {"granted": Decimal("20.56")}
    listed = {row.grant: row for row in prepaid_listed()}
    assert (listed[child.id].granted, listed[child.id].carried, listed[child.id].left) == (
        Decimal("20.56"), 0, Decimal("20.56"),
    )  # fmt: skip
    assert (listed[number].carried, listed[number].left) == (Decimal("20.56"), 0)


def prepaid_listed():
    with engine().connect() as conn:
        return prepaid.listed(conn, None)


def test_a_void_after_the_end_carries_more_on_and_a_grant_that_has_carried_nothing_yet_does(month, grant):
    number = grant("108.88", starts_on=date(2026, 1, 1), ends_on=date(2026, 2, 1), rollover=Rollover(3_650))
    first, at = invoice_of(month), datetime(2026, 1, 31, tzinfo=UTC)
    draw_alone(first, at)
    ticks.end_credits()
    assert totals(month, number) == {"granted": Decimal("108.88"), "drawn": Decimal("-108.88")}

    void_alone(first)
    ticks.end_credits()

    assert totals(month, number) == {"granted": Decimal("108.88"), "carried": Decimal("-108.88")}


def test_what_grants_hold_is_kept_with_every_entry_and_only_they_are_looked_at(month, grant):
    number, over = grant("100.00"), grant("7.00", starts_on=date(2026, 2, 1), ends_on=FIRST)
    draw_alone(invoice_of(month), datetime(2026, 3, 31, tzinfo=UTC))
    ticks.end_credits()

    held = month.bound.rows("select * from credit_balances where grant_id in (:one, :two)", one=number, two=over)
    assert [tuple(row) for row in held] == [(number, 0), (over, 0)]
    for statement in ("update credit_balances set held = 1", "insert into credit_balances values (99, 1)"):
        with pytest.raises(ProgrammingError):
            attempt(statement)


def test_two_documents_that_are_issued_at_once_draw_the_same_credit_one_after_the_other(month, grant, entries):
    number = grant("150.00", starts_on=date(2013, 1, 1))
    first, second = (
        month.bound.one("select invoice_id from erp_postings where id = :id", id=issue(month.bound)) for _ in range(2)
    )
    at = datetime(2013, 1, 31, tzinfo=UTC)
    other = threading.Thread(target=lambda: draw_alone(second, at))

    with engine().begin() as conn:
        prepaid.draw(conn, invoices.documents(conn, [first]), at=at)
        other.start()
        wait_for_lock(month)
    other.join(timeout=20)

    assert [amount for _, amount, _ in entries(number)] == [150, Decimal("-108.88"), Decimal("-41.12")]


def draw_alone(invoice_id, at):
    with engine().begin() as conn:
        prepaid.draw(conn, invoices.documents(conn, [invoice_id]), at=at)


def wait_for_lock(month):
    """Until somebody waits for an advisory lock."""
    deadline = time.monotonic() + 20
    while not month.bound.one("select count(*) from pg_locks where locktype = 'advisory' and not granted"):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(("account", "entity"), [("nobody", "pony"), ("ua", "nowhere")])
def test_credit_is_granted_to_an_account_by_a_legal_entity_that_are_there(month, account, entity):
    with engine().begin() as conn, pytest.raises(CreditInvalid, match="are not both there"):
        prepaid.grant(conn, Wanted(account, entity, usd("1"), FIRST), person="ann", reason="paid ahead")


def attempt(statement, **values):
    """Try it as the application, under a name."""
    with engine().begin() as conn:
        acting.name(conn, Named("eve", "to see whether it works"))
        conn.execute(text(statement), values)


def test_the_database_lets_no_grant_fall_below_nothing_nor_rise_above_its_amount(month, grant):
    number = grant("10.00")
    enter = "insert into credit_entries (grant_id, kind, amount, at) values (:id, :kind, :amount, now())"

    with pytest.raises(IntegrityError, match="would hold -1"):
        attempt(enter, id=number, kind="expired", amount=-11)
    for kind, amount in (("granted", 1), ("expired", 1), ("drawn", -1), ("carried", -1), ("granted", 0)):
        with pytest.raises(IntegrityError):
            attempt(enter, id=number, kind=kind, amount=amount)


@pytest.mark.parametrize(
    "statement",
    [
        "update credit_entries set amount = 1",
        "delete from credit_entries",
        "truncate credit_entries",
        "update credit_grants set amount = 1",
        "delete from credit_grants",
    ],
)
def test_what_was_granted_and_entered_is_never_changed(month, grant, statement):
    grant("10.00")

    with pytest.raises(ProgrammingError) as refused:
        attempt(statement)

    assert refused.value.orig.sqlstate == "42501"


def test_the_owner_of_the_database_changes_no_entry_by_mistake(month, grant):
    grant("10.00")

    for statement in ("update credit_entries set amount = 1", "delete from credit_entries"):
        with pytest.raises(ProgrammingError, match="append-only"):
            month.bound.run(statement)


def test_a_grant_is_in_the_audit_log_under_whoever_gave_it(month, grant):
    number = grant("10.00")

    ((person, after),) = month.bound.rows(
        "select person, after from audit_log where action = 'credit_grants.insert' and subject = :subject",
        subject=f"credit/{number}",
    )
    assert (person, after["amount"]) == ("ann", 10)
