from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from domain_strategies import decimals
from hypothesis import given
from hypothesis import strategies as st

from domain.documents import Document, Line, kind_of
from domain.journal import JournalEntry, JournalUnbalanced, LedgerAccounts, Posting, document_entry, reversal
from domain.money import Currency, Money, total
from domain.periods import Days
from domain.taxation import TaxEvidence, TaxSubtotal, tax_on

pytestmark = pytest.mark.fast

USD = Currency("USD")
DAY = date(2026, 6, 30)
ACCOUNTS = LedgerAccounts("1200", "2200", {"R": "2210"})


def document(*lines: tuple[str, str], percent: str = "0", category: str = "S") -> Document:
    rate = Decimal(percent)
    evidence = TaxEvidence("table", "US-NY", category, rate, DAY, "")
    service = Days(DAY, date(2026, 7, 1))
    made = tuple(
        Line("", Decimal(1), "", Money.of(net, USD).rounded(), account, service, evidence) for account, net in lines
    )
    net = total((line.net for line in made), USD)
    tax = tax_on(net, rate)
    return Document(kind_of(net + tax), "ny", "acme", USD, DAY, DAY, made, (TaxSubtotal(category, rate, net, tax),))


def booked(entry: JournalEntry) -> dict[str, str]:
    return {posting.ledger_account: posting.amount.to_text() for posting in entry.postings}


def test_an_invoice_debits_what_is_owed_and_credits_revenue_and_tax():
    june = document(("4000", "700"), ("4100", "1650"), ("4000", "30"), percent="8.875")

    entry = document_entry(june, ACCOUNTS, description="invoice NY-1")

    assert booked(entry) == {"1200": "2591.23", "4000": "-730.00", "4100": "-1650.00", "2200": "-211.23"}
    assert (entry.legal_entity_id, entry.posting_on, entry.description) == ("ny", DAY, "invoice NY-1")


def test_a_credit_note_books_the_opposite():
    entry = document_entry(document(("4000", "-100"), percent="7", category="R"), ACCOUNTS, description="credit note")

    assert booked(entry) == {"1200": "-107.00", "4000": "100.00", "2210": "7.00"}


def test_each_of_several_taxes_is_booked_on_its_own_account_where_it_has_one():
    made = document(("4000", "100"), percent="12.875")
    parts = (("GST", Money.of("5.00", USD)), ("QST", Money.of("7.88", USD)))
    accounts = LedgerAccounts("1200", "2200", {"QST": "2290"})

    entry = document_entry(replace(made, taxes=(replace(made.taxes[0], parts=parts),)), accounts, description="")

    assert booked(entry) == {"1200": "112.88", "4000": "-100.00", "2200": "-5.00", "2290": "-7.88"}


def test_accounts_that_come_to_nothing_are_left_out():
    free = document(("4000", "5"), ("4000", "-5"))

    assert document_entry(free, ACCOUNTS, description="").postings == ()


def test_an_entry_that_does_not_balance_is_refused_and_says_by_how_much():
    legs = (Posting("1200", Money.of("100", USD)), Posting("4000", Money.of("-99.99", USD)))

    with pytest.raises(JournalUnbalanced) as refused:
        JournalEntry("ny", DAY, "wrong", legs)

    assert refused.value.facts == {"off": {"USD": "0.01"}}


def test_currencies_balance_one_by_one():
    with pytest.raises(JournalUnbalanced):
        JournalEntry("ny", DAY, "", (Posting("1200", Money.of("1", "USD")), Posting("4000", Money.of("-1", "EUR"))))


def test_a_posting_is_never_zero():
    with pytest.raises(AssertionError):
        Posting("1200", Money.zero(USD))


@given(
    st.lists(
        st.tuples(st.sampled_from(["4000", "4100"]), decimals(lowest="-9999", highest="9999", places=2)),
        min_size=1,
        max_size=9,
    ),
    st.sampled_from(["0", "7", "8.875", "19"]),
)
def test_every_document_balances_and_its_reversal_undoes_it(lines, percent):
    made = document(*((account, str(net)) for account, net in lines), percent=percent)

    entry = document_entry(made, ACCOUNTS, description="")
    undone = reversal(entry, posting_on=date(2026, 7, 1), description="undone")

    assert total((posting.amount for posting in entry.postings), USD).is_zero
    for posting, back in zip(entry.postings, undone.postings, strict=True):
        assert (posting.ledger_account, (posting.amount + back.amount).is_zero) == (back.ledger_account, True)
