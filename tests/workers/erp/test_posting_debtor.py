"""A document goes out under the ERP's own name of the account that pays it, or waits for that name: never another's."""

from collections import deque
from dataclasses import replace

import pytest
from billing_bench import issue, standing
from erp_documents import document
from erp_faults import Faulty
from erp_two_step import TwoStepErp
from posting_bench import CONFIRMED, key_of, let_time_pass, ready

from workers import ticks
from workers.erp.moves import differences
from workers.erp.protocol import Posted, Resume
from workers.store import master
from workers.store.database import engine

NEEDED = "update erp_connections set debtor_system = 'erp', debtor_kind = 'erp_debtor', needs_debtor = true"
NAMED = """insert into account_identities (system, identifier, kind, account_id, starts_on, ends_on, recorded_by)
  values (:system, :identifier, :kind, :account, :starts, :ends, 'test')"""

USUAL = {"system": "erp", "kind": "erp_debtor", "account": "ua", "starts": "0001-01-01", "ends": "9999-12-31"}


@pytest.fixture
def names(books):
    """Says what systems call accounts; nothing is known before."""
    books.run("truncate account_identities")
    books.run("insert into accounts values ('dl', 'Delta, Inc.') on conflict do nothing")
    books.run("update erp_connections set debtor_system = null, debtor_kind = 'debtor', needs_debtor = false")

    def name(identifier, **other):
        books.run(NAMED, **{**USUAL, "identifier": identifier, **other})

    return name


def sent(erp, books, posting):
    """The document as the ERP holds it."""
    key = key_of(books, posting)
    return next(held.document for held in erp.held.values() if held.document.key == key)


def causes(books):
    return [tuple(row) for row in books.rows("select code, state, waits_kind, waits_key from exceptions")]


def test_the_document_carries_what_the_erp_calls_the_account(books, names, connected, deliver):
    erp = connected(TwoStepErp())
    books.run(NEEDED)
    names("D100")
    names("0017", system="crm", kind="crm_account")
    names("T-9", kind="tenant")

    posting = issue(books)
    deliver()

    assert standing(books, posting) == CONFIRMED
    assert sent(erp, books, posting).debtor == "D100"
    assert books.one("select request ->> 'debtor' from erp_attempts where outcome = 'sending'") == "D100"


def test_a_connection_that_says_nothing_of_debtors_sends_as_before(books, names, connected, deliver):
    erp = connected(TwoStepErp())
    names("D100")

    posting = issue(books)
    deliver()

    assert standing(books, posting) == CONFIRMED
    assert sent(erp, books, posting).debtor is None


def test_the_system_of_a_connection_is_its_own_name_unless_another_is_given(books, names, connected, deliver):
    erp = connected(TwoStepErp())
    names("D7", system="books", kind="debtor")

    posting = issue(books)
    deliver()

    assert sent(erp, books, posting).debtor == "D7"


def test_without_a_needed_debtor_nothing_is_sent_until_the_file_brings_it(books, names, connected, deliver, tmp_path):
    erp = connected(TwoStepErp())
    books.run(NEEDED)
    names("D100", account="dl")
    posting = issue(books)
    deliver()
    assert standing(books, posting) == ("planned", "issued", "dead")
    assert (erp.held, causes(books)) == ({}, [("debtor_unknown", "open", "debtor", "erp/ua")])
    assert books.one("select money_at_risk::text from exceptions") == "108.88"
    ticks.heal_dead()
    assert ready(books) == []

    file = tmp_path / "debtors.yaml"
    file.write_text("accounts: {ua: {identities: [{system: erp, kind: erp_debtor, identifier: D200}]}}")
    _, hints = master.load(engine(), file)
    deliver()

    assert [hint.queue for hint in hints] == ["post.books.replay"]
    assert standing(books, posting) == CONFIRMED
    assert sent(erp, books, posting).debtor == "D200"
    assert [row[:2] for row in causes(books)] == [("debtor_unknown", "resolved")]


def test_of_two_debtors_none_is_chosen(books, names, connected, deliver):
    erp = connected(TwoStepErp())
    books.run(NEEDED)
    names("D100")
    names("D101")
    posting = issue(books)
    deliver()
    assert (erp.held, causes(books)) == ({}, [("debtor_unknown", "open", "debtor", "erp/ua")])
    assert "2 identities" in books.one("select sentence from exceptions")

    books.run("update account_identities set superseded_at = now() where identifier = 'D100'")
    ticks.heal_dead()
    deliver()

    assert standing(books, posting) == CONFIRMED
    assert sent(erp, books, posting).debtor == "D101"


def test_the_debtor_is_that_of_the_day_of_the_document(books, names, connected, deliver):
    erp = connected(TwoStepErp())
    books.run(NEEDED)
    names("OLD", ends="2013-02-01")
    names("NEW", starts="2013-02-01")

    posting = issue(books)  # of 2013-02-01
    deliver()

    assert sent(erp, books, posting).debtor == "NEW"


def test_a_connection_that_needs_none_any_more_lets_documents_go(books, names, connected, deliver):
    connected(TwoStepErp())
    books.run(NEEDED)
    posting = issue(books)
    deliver()

    books.run("update erp_connections set needs_debtor = false")
    ticks.heal_dead()
    deliver()

    assert standing(books, posting) == CONFIRMED


def test_a_lost_answer_is_compared_with_the_debtor_that_was_sent(books, names, connected, attempt, deliver):
    erp = connected(Faulty(TwoStepErp(), deque(["lost answer"])))
    books.run(NEEDED)
    names("D100")
    posting = issue(books)
    attempt()
    assert standing(books, posting)[0] == "unknown"

    books.run("update account_identities set superseded_at = now()")
    names("D200")
    let_time_pass(books)
    deliver()

    assert standing(books, posting) == CONFIRMED
    assert sent(erp.erp, books, posting).debtor == "D100"


def test_another_debtor_in_the_erp_is_a_difference(books, names, connected, deliver):
    connected(TwoStepErp(alters=lambda asked: replace(asked, debtor="D999")))
    books.run(NEEDED)
    names("D100")

    issue(books)
    deliver()

    ((code, sentence),) = books.rows("select code, sentence from exceptions")
    assert code == "posting_differs"
    assert sentence.endswith("in debtor")


@pytest.mark.fast
@pytest.mark.parametrize("debtor", ["D100", "00 17;|: ä", None])
def test_every_erp_gives_the_debtor_back(bench, debtor):
    asked = replace(document("TL-1"), debtor=debtor)

    outcome = bench.erp.post(asked, Resume(keep_draft=lambda _ref: None))

    assert isinstance(outcome, Posted)
    back = bench.erp.read_back(outcome.ref)
    assert back.debtor in (None, debtor or "")
    assert differences(asked, back) == []


def test_the_receiver_of_the_documents_is_the_debtor(month):
    month.bound.run("truncate account_identities")
    month.bound.run(NEEDED)
    month.bound.run("update accounts set bill_to_id = 'dl' where id = 'ua'")
    for account, name in (("ua", "D-UA"), ("dl", "D-DL")):
        month.bound.run(NAMED, **{**USUAL, "identifier": name, "account": account})
    month.use(("a", "UA", "N1", 1000))

    run = month.bill()
    month.bound.run("update accounts set bill_to_id = null")
    month.bound.run("update erp_connections set needs_debtor = false, debtor_system = null, debtor_kind = 'debtor'")

    assert month.stage(run) == "closed"
    (path,) = month.ledger.glob("2026-*/*.journal")
    assert "    ; debtor: D-DL\n" in path.read_text()


@pytest.mark.parametrize("says", ["{kind: Debtor!}", "{system: ''}", "{required: maybe}"])
def test_a_debtor_that_cannot_be_is_refused_in_the_file(tmp_path, says):
    file = tmp_path / "connections.yaml"
    file.write_text("connections: {books: {adapter: ledger-file, debtor: " + says + "}}")

    with pytest.raises(master.MasterInvalid, match=r"connections\.books\.debtor\."):
        master.read(file)
