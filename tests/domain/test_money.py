from decimal import Decimal, Inexact
from functools import reduce

import pytest
from domain_strategies import currencies, decimals
from hypothesis import given
from hypothesis import strategies as st

from domain.currencies import MINOR_UNITS, WITHOUT_MINOR_UNITS
from domain.money import (
    EXACT,
    QUOTIENT,
    AllocationImpossible,
    CurrenciesMixed,
    Currency,
    CurrencyUnknown,
    CurrencyWithoutMinorUnits,
    Money,
    allocate,
    proportion,
    rounded_to,
    spread,
    total,
)

pytestmark = pytest.mark.fast

EUR, USD, JPY, KWD = Currency("EUR"), Currency("USD"), Currency("JPY"), Currency("KWD")


def signed() -> st.SearchStrategy[Decimal]:
    return decimals(lowest="-1000000000")


@pytest.mark.parametrize(
    ("code", "minor_units"), [("JPY", 0), ("EUR", 2), ("KWD", 3), ("CLF", 4), ("UYW", 4), ("XCG", 2)]
)
def test_a_currency_knows_its_minor_units(code, minor_units):
    assert Currency(code).minor_units == minor_units


def test_the_table_of_currencies_holds_codes_of_three_letters_once():
    assert all(len(code) == 3 and code.isupper() for code in MINOR_UNITS)
    assert not WITHOUT_MINOR_UNITS & set(MINOR_UNITS)
    assert len(MINOR_UNITS) > 160


def test_a_code_that_is_no_currency_is_refused_by_name():
    with pytest.raises(CurrencyUnknown) as refused:
        Currency("eur")

    assert (refused.value.code, refused.value.facts) == ("currency_unknown", {"currency": "eur"})


def test_gold_has_no_minor_unit_and_is_refused_by_name():
    with pytest.raises(CurrencyWithoutMinorUnits):
        Currency("XAU")


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("1.005", EUR, "1.01"),
        ("-1.005", EUR, "-1.01"),
        ("1.0049999999999999999", EUR, "1.00"),
        ("-0.004", EUR, "0.00"),
        ("2.5", JPY, "3"),
        ("-2.5", JPY, "-3"),
        ("0.0005", KWD, "0.001"),
        ("999999999.999", EUR, "1000000000.00"),
        ("1E+3", EUR, "1000.00"),
    ],
)
def test_rounding_is_half_up_away_from_zero_to_minor_units(amount, currency, rounded):
    assert Money(Decimal(amount), currency).rounded().to_text() == rounded


def test_rounding_to_hundreds_is_possible():
    assert rounded_to(Decimal(150), -2) == 200


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "sNaN"])
def test_money_is_finite(amount):
    with pytest.raises(AssertionError):
        Money(Decimal(amount), EUR)


def test_text_never_has_an_exponent_and_shows_minor_units_or_all_there_is():
    texts = [Money(Decimal(text), EUR).to_text() for text in ("1E+6", "1E-10", "12.5000")]

    assert texts == ["1000000.00", "0.0000000001", "12.50"]


@pytest.mark.parametrize("operation", ["__add__", "__sub__", "__lt__", "__le__", "__gt__", "__ge__"])
def test_currencies_never_mix(operation):
    with pytest.raises(CurrenciesMixed):
        getattr(Money.of("1", "EUR"), operation)(Money.of("1", "USD"))


def test_money_compares_within_a_currency():
    one, two = Money.of("1", EUR), Money.of("2", EUR)

    assert one < two
    assert one <= two
    assert two > one
    assert two >= one
    assert Money.of("1.0", EUR) == one
    assert Money.of("1", USD) != one
    assert abs(-two) == two
    assert (one - one).is_zero
    assert (one - two).is_negative
    assert one.times(Decimal("0.5")).to_text() == "0.50"


def test_a_sum_that_would_not_be_exact_is_never_rounded_silently():
    with pytest.raises(Inexact):
        EXACT.add(Decimal("1e400"), Decimal("1e-400"))


def test_a_part_of_the_whole_is_the_whole_at_full_length():
    amount = Money.of("10", EUR)

    assert proportion(amount, part=31, whole=31) is amount
    assert proportion(amount, part=1, whole=3).rounded().to_text() == "3.33"


@given(st.lists(signed(), max_size=20))
def test_a_total_does_not_depend_on_the_order(amounts):
    money = [Money(amount, EUR) for amount in amounts]

    assert total(money, EUR) == total(reversed(money), EUR) == Money(sum(amounts, Decimal(0)), EUR)


@given(signed(), currencies())
def test_rounding_moves_by_at_most_half_a_minor_unit_and_only_once(amount, currency):
    rounded = Money(amount, currency).rounded()

    assert abs(rounded.amount - amount) * 2 <= Decimal(1).scaleb(-currency.minor_units)
    assert rounded.is_rounded
    assert rounded.rounded() == rounded


@given(signed(), currencies())
def test_what_is_owed_and_what_is_credited_round_alike(amount, currency):
    assert Money(-amount, currency).rounded() == -(Money(amount, currency).rounded())


@given(signed(), currencies(), st.lists(decimals(highest="100", places=3), min_size=1, max_size=9))
def test_parts_sum_to_the_whole_and_differ_from_their_share_by_less_than_a_minor_unit(amount, currency, weights):
    whole = Money(amount, currency).rounded()
    if not any(weights):
        weights = [Decimal(1), *weights]

    parts = allocate(whole, weights)

    assert total(parts, currency) == whole
    for part, weight in zip(parts, weights, strict=True):
        assert part.is_rounded
        share = QUOTIENT.divide(EXACT.multiply(whole.amount, weight), reduce(EXACT.add, weights))
        assert EXACT.abs(EXACT.subtract(part.amount, share)) < Decimal(1).scaleb(-currency.minor_units)


def test_equal_remainders_go_to_the_earlier_weight():
    parts = allocate(Money.of("0.05", EUR), [Decimal(1)] * 3)

    assert [part.to_text() for part in parts] == ["0.02", "0.02", "0.01"]


def test_a_credit_is_spread_as_a_debt_would_be():
    parts = allocate(Money.of("-0.05", EUR), [Decimal(1)] * 3)

    assert [part.to_text() for part in parts] == ["-0.02", "-0.02", "-0.01"]


@pytest.mark.parametrize(
    ("amount", "weights"), [("0.001", ["1"]), ("1", []), ("1", ["0", "0"]), ("1", ["2", "-1"]), ("0", ["0"])]
)
def test_what_cannot_be_spread_is_refused_by_name(amount, weights):
    with pytest.raises(AllocationImpossible):
        allocate(Money.of(amount, EUR), [Decimal(weight) for weight in weights])


def test_a_unit_that_rounding_leaves_over_goes_to_the_largest_remainder():
    shares = [Decimal("0.0057"), Decimal("0.0057"), Decimal("0.0086")]

    assert [each.to_text() for each in spread(Money.of("0.02", EUR), shares)] == ["0.01", "0.00", "0.01"]


@given(st.lists(decimals(lowest="-1000", highest="1000", places=5), min_size=1, max_size=9), currencies())
def test_what_is_spread_over_exact_shares_sums_to_the_rounded_sum(shares, currency):
    whole = Money(sum(shares, Decimal(0)), currency).rounded()

    parts = spread(whole, shares)

    assert total(parts, currency) == whole
    unit = Decimal(1).scaleb(-currency.minor_units)
    assert all(part.is_rounded and abs(part.amount - share) < unit for part, share in zip(parts, shares, strict=True))
