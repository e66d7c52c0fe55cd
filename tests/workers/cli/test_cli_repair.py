"""A document that the ERP refused or holds back, at the command line: what is shown, what can be done, by whom."""

import pytest
from operator_bench import departure
from two_people import begin, request_of


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


@pytest.fixture
def ledger(tmp_path):
    folder = tmp_path / "ledgers" / "ledger-newark"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def refused(airports, lines, ledger):
    """January of Newark is issued; the ledger's chart of accounts lacks what it books on."""
    (ledger / "declarations").mkdir()
    (ledger / "declarations" / "chart.journal").write_text("account nothing\n")
    airports("send", lines(departure(1)))
    airports("close", "newark", "2013-01", "--approve", "--as", "ann")
    return airports


def number(operator):
    return operator.one("select number_text from invoices where number_text is not null order by id limit 1")


def test_what_each_system_holds_and_what_can_be_done_is_shown(refused):
    shown = refused("repair", number(refused))

    assert shown.code == 0
    words = text_of(shown)
    assert "our books" in words
    assert "committed" in words
    assert f"tallyline repair {number(refused)} --resend" in words
    assert f"tallyline repair {number(refused)} --void" in words
    assert "book the entry that undoes" in words
    told = refused.json("repair", number(refused))
    assert told["holdings"]["erp"] == "nothing"
    assert [each["kind"] for each in told["options"]] == ["resend", "void"]
    assert told["repairs"] == []


def test_a_document_is_sent_again_when_the_ledger_takes_it(refused, ledger):
    (ledger / "declarations" / "chart.journal").unlink()

    done = refused("repair", number(refused), "--resend", "--reason", "the chart is right now")

    assert done.code == 0, done.err
    assert refused.one("select state from invoices where state <> 'empty'") == "posted"
    assert "the chart is right now" in text_of(done)
    assert text_of(refused("repair", number(refused))).count("there is nothing to repair") == 1


def test_a_document_is_voided_and_billed_by_the_next_close(refused, ledger):
    done = refused("repair", number(refused), "--void", "--reason", "wrong chart")
    assert done.code == 0, done.err
    assert refused.rows("select state, number_text from invoices where state <> 'empty'") == [("void", number(refused))]
    assert refused("status", "--identity").code == 0

    (ledger / "declarations" / "chart.journal").unlink()
    refused.run("update billing_runs set tried_at = now() - interval '1 hour'")
    refused("close", "newark", "2013-01")
    assert refused("close", "newark", "2013-01", "--approve").code == 0
    assert refused.rows("select state from invoices where state <> 'empty' order by id") == [("void",), ("posted",)]
    story = refused.json("trace", "/ops/ewr", "UA/1")
    assert {usage["line"]["state"] for usage in story["usages"]} == {"posted"}
    assert refused("status", "--identity").code == 0


def test_a_repair_that_finds_the_document_in_the_erp_ends_with_1(refused, ledger):
    """Somebody has put a file under our key into the ledger."""
    (ledger / "declarations" / "chart.journal").unlink()
    refused("repair", number(refused), "--resend", "--reason", "now")
    refused.run("alter table erp_postings disable trigger all")
    refused.run("update erp_postings set state = 'rejected', confirmed_at = null")
    refused.run("alter table erp_postings enable trigger all")
    refused.run("alter table invoices disable trigger all")
    refused.run("update invoices set state = 'issued' where state = 'posted'")
    refused.run("alter table invoices enable trigger all")

    ran = refused("repair", number(refused), "--void", "--reason", "wrong")

    assert ran.code == 1
    assert "send it again" in text_of(ran)
    assert refused.one("select state from invoices where state <> 'empty'") == "issued"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--void",), 2, "needs a reason"),
        (("--void", "--reason", " "), 2, "needs a reason"),
        (("--void", "--resend", "--reason", "x"), 2, "one way at a time"),
        (("--reverse-journal", "--reason", "x"), 1, "its entry stands"),
        (("--entity", "jfk"), 2, "there is no document"),
    ],
)
def test_what_is_not_asked_for_properly_is_not_done(refused, words, code, said):
    ran = refused("repair", number(refused), *words)

    assert (ran.code, refused.one("select count(*) from repairs")) == (code, 0)
    assert said in text_of(ran)


def test_a_number_that_does_not_exist_is_named(airports):
    ran = airports("repair", "NEWARK-999999")

    assert ran.code == 2
    assert "there is no document 'NEWARK-999999'" in text_of(ran)


def test_a_repair_takes_two_people_and_says_what_it_moves(refused):
    begin(refused)
    asked = request_of(refused("repair", number(refused), "--void", "--reason", "wrong chart", "--as", "finance"))
    assert refused.one("select count(*) from repairs") == 0
    gross = refused.one("select gross::text from invoices where state <> 'empty'")
    assert refused.one("select effect ->> 'USD' from approval_requests") == gross

    assert refused("repair", number(refused), "--void", "--reason", "x", "--as", "viewer").code == 1
    granted = refused("approve", asked, "--as", "approver")

    assert granted.code == 0, granted.err
    assert refused.rows("select state, requested_by, reason, approval_id from repairs") == [
        ("done", "finance", "wrong chart", asked)
    ]
    assert refused.one("select state from invoices where state <> 'empty'") == "void"


def test_a_closed_period_is_one_cause_and_the_close_says_that_documents_wait(airports, lines, ledger):
    (ledger / "periods").write_text("2013-01 closed\n")
    airports("send", lines(departure(1)))

    ran = airports("close", "newark", "2013-01", "--approve", "--as", "ann")

    assert ran.code == 1
    assert "1 of its documents wait until an accounting period is opened" in text_of(ran)
    (cause,) = airports.json("exceptions")
    assert (cause["code"], cause["exceptions"]) == ("period_closed", 1)
    assert cause["money"] == {"USD": airports.one("select gross::text from invoices where state <> 'empty'")}
    held = airports.json("status")
    assert held["unbilled"] == {}
    assert held["excepted"] == cause["money"]
    assert airports("status", "--identity").code == 0

    (ledger / "periods").write_text("2013-01 open\n")
    airports.run("update work set due_at = now() where subject like 'erp_period/%'")
    assert airports("send", lines(departure(2))).code == 0  # any command that works
    assert airports.one("select state from exceptions where code = 'period_closed'") == "resolved"
    assert airports.rows("select state from invoices where state <> 'empty'") == [("posted",)]


def test_a_close_counts_and_lists_who_has_no_document(airports, lines):
    airports("send", lines(departure(1)))
    ran = airports("close", "newark", "2013-01", "--approve", "--as", "ann")

    others = airports.one("select count(*) from subscriptions s join billing_cycles y on y.id = s.cycle_id "
                          "where y.legal_entity_id = 'newark'") - 1  # fmt: skip
    assert f"without a document: {others} nothing due" in text_of(ran)
    listed = airports.json("close", "newark", "2013-01", "--unbilled")
    assert listed["reasons"] == {"nothing_due": others}
    assert len(listed["unbilled"]) == others
    assert "it has no usage, and nothing is due without" in text_of(
        airports("close", "newark", "2013-01", "--unbilled")
    )
    assert airports.one("select count(*) from billing_runs") == 1


def test_a_close_whose_every_subscription_has_a_document_says_so(airports, lines):
    airports.run("update subscriptions set starts_at = '2020-01-01'")
    ran = airports("close", "newark", "2013-01", "--unbilled")

    assert "Every active subscription of the period has a document" in text_of(ran)


def test_in_a_list_the_rules_and_codes_are_named(airports, lines):
    airports("send", lines(departure(1, data={"air_time": None})))

    (row,) = [
        each for each in airports.json("close", "newark", "2013-01", "--unbilled")["unbilled"] if each["exceptions"]
    ]
    assert (row["reason"], row["exceptions"]) == ("in_exception", {"quantity_missing": 1})
    assert "quantity_missing 1" in text_of(airports("close", "newark", "2013-01", "--unbilled"))


def test_old_bodies_are_erased_and_a_trace_says_so(refused, ledger):
    (ledger / "declarations" / "chart.journal").unlink()
    refused("repair", number(refused), "--resend", "--reason", "now")
    refused.run("update billing_runs set tried_at = now() - interval '1 hour'")
    refused("close", "newark", "2013-01")
    refused.run("update receipts set received_at = now() - interval '500 days'")

    dry = refused.json("retention", "--dry-run")
    assert (dry["receipts"], dry["erased"]) == (1, False)
    assert refused.one("select count(*) from receipts where erased_at is not null") == 0
    done = refused("retention", "--as", "ann")

    assert "1 receipts" in text_of(done)
    assert refused.json("retention")["receipts"] == 0
    told = text_of(refused("trace", "/ops/ewr", "UA/1"))
    assert "bodies erased on" in told
    assert refused.one("select encode(body_hashes[1], 'hex') from receipts") in told
    assert refused.json("trace", "/ops/ewr", "UA/1")["receipt"]["sha256"]
    assert refused("trace", "--invoice", number(refused)).code == 0


def test_an_exception_whose_body_is_erased_shows_its_hash(airports, lines):
    airports("send", lines(departure(1, type="airport.arrival")))
    airports.run("update exceptions set state = 'dismissed', closed_at = now()")
    airports.run("update receipts set received_at = now() - interval '500 days'")
    airports("retention")

    shown = airports("exceptions", "show", 1)
    assert "bodies erased on" in text_of(shown)
    assert airports.one("select encode(body_hashes[1], 'hex') from receipts") in "".join(shown.out.split())
