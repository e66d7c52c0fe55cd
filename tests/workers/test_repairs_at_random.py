"""Faults, kills, repairs and closes in any order: every cent is billed once, and the identity holds at each moment."""

import sys
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from billing_bench import PRICES
from billing_month import EMPTY, SECOND
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from domain.repairs import RepairRefused
from workers.erp import registry
from workers.erp.ledger_file import LedgerFile
from workers.store import identity, repairs
from workers.store.database import engine, snapshot
from workers.store.repairs import Wanted

sys.path.append(str(Path(__file__).parent / "erp"))
from erp_faults import Crash, Faulty

MARCH = (("u1", "UA", "N1", 1400), ("u2", "UA", "N1", 1400), ("d1", "DL", "N3", 500))
#: By hand, as in the tests of fates: United and Delta.
NET = (
    Decimal("82.52") + Decimal("300.82") + Decimal("118.13") + Decimal("41.26") + Decimal("262.58") + Decimal("118.13")
)
FAULTS = ("none", "refused", "refused", "lost answer", "lost request", "busy", "crash before", "crash after", "closed")
ACTS = ("void 0", "void 1", "resend 0", "resend 1", "work", "wait", "bill")


def begin(month, erp):
    for statements in (EMPTY, SECOND, PRICES):
        month.bound.run(statements)
    month.bound.run("update erp_connections set adapter = 'ledger-file'")
    month.use(*MARCH)
    work(month)
    assert erp.calls.count("post") == 0


def work(month):
    """As far as it goes, whoever dies meanwhile."""
    for _ in range(10):
        if survive(month, month.work):
            return
    raise AssertionError("the workers die for ever")


def survive(month, act):
    """Whether nobody died; whoever did is followed by another when the leases have run out."""
    try:
        act()
    except Crash:
        month.let_time_pass()
        return False
    return True


def bill(month):
    """Bill what no run bills yet, as an operator presses on."""
    last = month.bound.rows("select id, stage, blockers from billing_runs order by id desc limit 1")
    if last and last[0].stage == "drafted":
        survive(month, lambda: month.approve(last[0].id))
    elif not last or last[0].stage == "closed" or any(b["code"] == "usage_in_flight" for b in last[0].blockers):
        run = month.request()
        survive(month, lambda: month.approve(run))
    work(month)


def act(month, name):
    match name.split():
        case ["work"]:
            work(month)
        case ["wait"]:
            month.let_time_pass()
            work(month)
        case ["bill"]:
            bill(month)
        case [kind, which]:
            numbers = [row[0] for row in month.bound.rows("select number_text from invoices where number is not null")]
            with suppress(RepairRefused), engine().begin() as conn:
                if int(which) < len(numbers):
                    repairs.request(conn, Wanted(sorted(numbers)[-1 - int(which)], kind, "ann", "at random"))


def end(month):
    """Whoever is on duty clears what is left: sends again what is dead, and bills until all is billed."""
    for _ in range(15):
        month.let_time_pass()
        work(month)
        for row in month.bound.rows(
            """select i.number_text from work w join erp_postings p on w.subject = 'erp_posting/' || p.id
               join invoices i on i.id = p.invoice_id where w.state = 'dead'"""
        ):
            with engine().begin() as conn:
                repairs.request(conn, Wanted(row[0], "resend", "ann", "the last of it"))
        work(month)
        bill(month)
        if month.bound.one("select bool_and(stage = 'closed') from billing_runs"):
            return
    raise AssertionError("it is never billed")


@example(faults=["crash after"], acts=[])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(FAULTS), max_size=6), st.lists(st.sampled_from(ACTS), max_size=8))
def test_whatever_happens_in_whatever_order_every_cent_is_billed_once(
    month, monkeypatch, tmp_path_factory, faults, acts
):
    erp = Faulty(LedgerFile(tmp_path_factory.mktemp("erp") / "ledger"))
    monkeypatch.setitem(registry.ADAPTERS, "ledger-file", lambda _connection: erp)
    begin(month, erp)
    erp.plan.extend(faults)

    bill(month)
    for each in acts:
        act(month, each)
        with snapshot() as conn:
            assert identity.differences(conn) == []
    erp.plan.clear()
    end(month)

    month.assert_all_accounted_for(in_flight=0, excepted=0)
    gross = month.bound.one("select sum(gross) from invoices where state = 'posted'")
    owed = "select sum(amount) from postings where ledger_account = 'assets:receivable'"
    assert gross == month.bound.one("select sum(read_gross) from erp_postings where state = 'confirmed'")
    assert gross == month.bound.one(owed)
    assert month.bound.one("select sum(net) from invoices where state = 'posted'") == NET
