"""What the ERP holds is compared with what was approved, before a document is sent and after."""

from dataclasses import replace
from decimal import Decimal

import pytest
from billing_bench import issue, standing
from erp_documents import document
from erp_faults import Faulty
from erp_two_step import TwoStepErp
from posting_bench import CONFIRMED, calls, key_of, replay

from domain.money import Money
from workers.erp.moves import differences
from workers.erp.protocol import ReadBack


def taxed(asked, tax):
    """The document with another tax."""
    taxes = (replace(asked.document.taxes[0], tax=Money.of(tax, "USD")),)
    return replace(asked, document=replace(asked.document, taxes=taxes))


def test_other_totals_in_the_erp_are_parked_never_accepted(books, connected, deliver):
    erp = connected(TwoStepErp(alters=lambda asked: taxed(asked, "8.87")))
    posting = issue(books)

    deliver()

    assert standing(books, posting) == ("unknown", "issued", "dead")
    ((code, sentence),) = books.rows("select code, sentence from exceptions")
    assert code == "posting_differs"
    assert "tax, gross" in sentence
    assert books.one("select read_tax from erp_postings where id = :id", id=posting) == Decimal("8.87")

    erp.held["draft-1"].document = taxed(erp.held["draft-1"].document, "8.88")
    replay(books, posting)
    deliver()
    assert standing(books, posting) == CONFIRMED


def test_a_confirmed_document_that_is_looked_at_again_is_reconciled(books, connected, deliver, bench):
    connected(bench.erp)
    posting = issue(books)
    deliver()

    replay(books, posting)
    deliver()

    assert books.one("select reconciled_at is not null from erp_postings where id = :id", id=posting)
    assert calls(books, posting)[-1] == ("read_back", "equal")
    assert bench.count(key_of(books, posting)) == 1


@pytest.mark.parametrize("change", ["gone", "another"])
def test_a_confirmed_document_that_is_gone_or_another_one_is_an_exception(books, connected, deliver, change):
    erp = connected(TwoStepErp())
    posting = issue(books)
    deliver()

    held = erp.held.pop("draft-1")
    if change == "another":
        erp.held["draft-9"] = held
    replay(books, posting)
    deliver()

    ((code, sentence),) = books.rows("select code, sentence from exceptions")
    assert code == "posting_differs"
    assert ("nothing" if change == "gone" else "draft-9") in sentence
    assert standing(books, posting)[0] == "confirmed"


def test_a_document_whose_lines_are_not_what_was_approved_is_not_sent(books, connected, deliver):
    erp = connected(Faulty(TwoStepErp()))
    posting = issue(books)
    tampered = "update invoices set net = net + 0.01, gross = gross + 0.01"
    books.run(f"set local session_replication_role = replica; {tampered}")

    deliver()

    assert "post" not in erp.calls
    assert standing(books, posting)[2] == "dead"
    assert books.rows("select code from exceptions") == [("control_totals_differ",)]


@pytest.mark.parametrize("limit", [{"lines_max": 0}, {"amount_decimals_max": 1}])
def test_what_an_erp_cannot_take_is_not_sent(books, connected, deliver, limit):
    erp = connected(Faulty(TwoStepErp()))
    limits = replace(erp.limits(), **limit)
    erp.limits = lambda: limits
    posting = issue(books)

    deliver()

    assert "post" not in erp.calls
    assert standing(books, posting)[2] == "dead"
    assert books.rows("select code from exceptions") == [("posting_rejected",)]


def test_every_difference_between_a_document_and_what_was_read_back_has_a_name():
    asked = document("TL-1")
    same = ReadBack("ref", "TL-1", "1", asked.number, asked.totals, asked.entry.postings[::-1])

    assert differences(asked, same) == []
    assert differences(asked, replace(same, key="TL-2", document_number="PNY-2", entry=())) == [
        "key",
        "number",
        "entry",
    ]
    assert differences(asked, replace(same, document_number=None, entry=None)) == []
    other = replace(asked.totals, net=Money.of(1, "USD"), tax=Money.of("8.88", "EUR"), lines=2)
    assert differences(asked, replace(same, totals=other)) == ["net", "tax", "lines"]
