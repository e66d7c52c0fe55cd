import re
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.documents import (
    EXTERNAL_KEY_LENGTHS,
    Adjustment,
    Document,
    DocumentCurrencyMixed,
    DocumentEmpty,
    IssueDateTooEarly,
    Line,
    NumberTooLong,
    Series,
    TotalNegative,
    as_shown,
    external_key,
    format_number,
    issue_date,
    kind_of,
)
from domain.money import Currency, Money
from domain.periods import Days
from domain.rating import AmountNotRounded
from domain.taxation import TaxEvidence, TaxSubtotal

pytestmark = pytest.mark.fast

USD = Currency("USD")
DAY = date(2026, 6, 30)
EVIDENCE = TaxEvidence("table", "US-NY", "S", Decimal("8.875"), DAY, "NY DTF")


def line(net: str, currency: str = "USD") -> Line:
    service = Days(date(2026, 6, 1), date(2026, 7, 1))
    return Line("calls", Decimal(1), "call", Money.of(net, currency), "4000", service, EVIDENCE)


def document(*lines: Line, tax: str = "0", kind: str = "invoice", currency: str = "USD") -> Document:
    nets = sum((each.net.amount for each in lines), Decimal(0))
    subtotal = TaxSubtotal("S", EVIDENCE.percent, Money(nets, USD), Money.of(tax, currency))
    return Document(kind, "ny", "acme", USD, DAY, DAY, lines, (subtotal,))


def test_totals_are_sums_of_rounded_parts():
    june = document(line("700.00"), line("1650.00"), line("30.00"), tax="211.23")

    assert [amount.to_text() for amount in (june.net, june.tax, june.gross)] == ["2380.00", "211.23", "2591.23"]


def test_what_stands_beside_the_lines_is_part_of_the_net_and_may_be_all_of_it():
    service = Days(date(2026, 6, 1), date(2026, 7, 1))
    given = Adjustment("Ten percent", Money.of("-70.00", USD), "4000", service, EVIDENCE)
    june = document(line("700.00"), tax="55.91")

    assert replace(june, adjustments=(given,)).net.to_text() == "630.00"
    alone = replace(june, kind="credit_note", lines=(), taxes=(), adjustments=(given,))
    assert (alone.net.to_text(), alone.parts) == ("-70.00", (given,))
    with pytest.raises(DocumentCurrencyMixed):
        replace(june, adjustments=(replace(given, net=Money.of("-70.00", "EUR")),))


def test_a_document_that_gives_money_is_a_credit_note_and_is_shown_without_a_sign():
    note = document(line("-250.00"), tax="-22.19", kind="credit_note")

    assert kind_of(note.gross) == "credit_note"
    assert as_shown(note.gross, note.kind).to_text() == "272.19"
    assert as_shown(Money.of("5", USD), "invoice").to_text() == "5.00"


def test_a_document_over_nothing_is_an_invoice():
    assert document(line("0.00")).kind == kind_of(Money.zero(USD)) == "invoice"


@pytest.mark.parametrize(("net", "kind"), [("-1.00", "invoice"), ("1.00", "credit_note"), ("0.00", "credit_note")])
def test_a_document_of_the_wrong_kind_is_refused(net, kind):
    with pytest.raises(TotalNegative):
        document(line(net), kind=kind)


def test_a_document_without_lines_is_refused():
    with pytest.raises(DocumentEmpty):
        document()


def test_an_amount_in_another_currency_is_refused():
    with pytest.raises(DocumentCurrencyMixed):
        document(line("1.00", "EUR"))
    with pytest.raises(DocumentCurrencyMixed):
        document(line("1.00"), currency="EUR")


@pytest.mark.parametrize(("net", "tax"), [("1.001", "0"), ("1.00", "0.001")])
def test_an_unrounded_amount_is_refused(net, tax):
    with pytest.raises(AmountNotRounded):
        document(line(net), tax=tax)


def test_a_number_is_the_prefix_and_at_least_so_many_digits():
    series = Series("ny", "NY-13-", 5)

    assert [format_number(series, number) for number in (7, 1_234_567)] == ["NY-13-00007", "NY-13-1234567"]


@pytest.mark.parametrize("prefix", ["PORT-OF-NEW-YORK-", "NY/13", "NY 13", "É"])
def test_a_number_that_an_erp_would_not_take_is_refused(prefix):
    with pytest.raises(NumberTooLong):
        format_number(Series("ny", prefix), 1)


def test_dates_never_fall_while_numbers_rise():
    earlier, later = date(2026, 6, 30), date(2026, 7, 1)

    assert issue_date(later, last_on=earlier, policy="refuse") == later
    assert issue_date(earlier, last_on=None, policy="refuse") == earlier
    assert issue_date(earlier, last_on=later, policy="move") == later
    with pytest.raises(IssueDateTooEarly):
        issue_date(earlier, last_on=later, policy="refuse")


@given(st.lists(st.text(max_size=20), min_size=1, max_size=3), st.lists(st.text(max_size=20), min_size=1, max_size=3))
def test_an_external_key_is_plain_short_and_its_own(one, other):
    key = external_key(*one)

    assert len(key) in EXTERNAL_KEY_LENGTHS
    assert re.fullmatch(r"[a-z0-9-]+", key)
    assert (external_key(*other) == key) == (one == other)
