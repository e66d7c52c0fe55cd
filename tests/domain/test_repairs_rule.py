"""Which repair of a document is safe, over every combination of what the systems hold."""

from dataclasses import replace
from itertools import product
from typing import get_args

import pytest

from domain.repairs import (
    KINDS,
    MEANINGS,
    Act,
    Books,
    ErpHolds,
    Holdings,
    Plan,
    RepairRefused,
    TaxHolds,
    Unsafe,
    forward,
    options,
    planned,
    reverse_journal,
    undo,
)

REFUSED = Holdings("PNY-1", books="issued", has_entry=True, is_reversed=False, erp="nothing", tax="committed")
ALL = [
    Holdings("PNY-1", books, has_entry, is_reversed and has_entry, erp, tax, later)
    for books, has_entry, is_reversed, erp, tax, later in product(
        get_args(Books), (True, False), (True, False), get_args(ErpHolds), get_args(TaxHolds), (None, "PNY-2")
    )
]


def test_a_refused_document_is_sent_again_or_undone_in_every_system():
    assert options(REFUSED) == (
        Plan("resend", ("send_again",)),
        Plan("void", ("withdraw", "void_tax", "reverse_entry", "void_document")),
    )


def test_only_what_is_held_is_undone():
    nothing = replace(REFUSED, tax="nothing", has_entry=False)

    assert planned("void", nothing).acts == ("withdraw", "void_document")
    assert planned("void", replace(REFUSED, tax="void", is_reversed=True)).acts == ("withdraw", "void_document")
    assert planned("void", replace(REFUSED, tax="maybe_committed")).acts[1] == "void_tax"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"erp": "document"}, "credit note"),
        ({"erp": "document_without_journal"}, "correct it there"),
        ({"erp": "other_document"}, "correct it there"),
        ({"erp": "unknown"}, "not known"),
        ({"later": "PNY-2"}, "PNY-2 bills the difference"),
        ({"books": "not_issued"}, "not issued"),
        ({"books": "void"}, "is void"),
    ],
)
def test_an_undo_that_is_not_safe_is_refused_by_name(change, words):
    with pytest.raises(RepairRefused, match=words) as raised:
        planned("void", replace(REFUSED, **change))

    assert raised.value.code == "repair_refused"
    assert raised.value.facts == {"number": "PNY-1", "kind": "void"}


def test_invoice_in_and_journal_out_is_repaired_forward():
    assert planned("resend", replace(REFUSED, erp="document_without_journal")).acts == ("send_again",)


@pytest.mark.parametrize("books", ["not_issued", "void"])
def test_what_is_not_issued_is_not_sent(books):
    with pytest.raises(RepairRefused, match="nothing to send"):
        planned("resend", replace(REFUSED, books=books))


def test_journal_in_and_document_out_takes_the_journal_alone():
    void = replace(REFUSED, books="void")

    assert options(void) == (Plan("reverse_journal", ("reverse_entry",)),)
    assert isinstance(options(replace(void, is_reversed=True))[0], Unsafe)
    with pytest.raises(RepairRefused, match="its entry stands"):
        planned("reverse_journal", REFUSED)


def test_whatever_is_held_nothing_confirmed_or_unknown_is_ever_undone():
    for held in ALL:
        for option in options(held):
            if isinstance(option, Plan) and option.kind == "void":
                assert held.books == "issued"
                assert held.erp in ("nothing", "draft")
                assert option.acts[0] == "withdraw"
                assert option.acts[-1] == "void_document"
                assert len(set(option.acts)) == len(option.acts)


@pytest.mark.parametrize("kind", KINDS)
def test_every_case_has_a_plan_of_the_kind_or_a_sentence_that_names_the_document(kind):
    for held in ALL:
        answers = [each for each in (forward(held), undo(held), reverse_journal(held)) if each.kind == kind]
        assert len(answers) == 1
        if isinstance(answers[0], Unsafe):
            assert "PNY-1" in answers[0].sentence
        else:
            assert planned(kind, held) == answers[0]


def test_every_act_has_words():
    assert set(MEANINGS) == set(get_args(Act))
