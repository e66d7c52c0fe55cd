from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

import pytest
from domain_strategies import decimals
from hypothesis import given
from hypothesis import strategies as st

from domain.definitions import Definition, DefinitionInvalid
from domain.money import EXACT
from domain.units import MODES, Conversion, Rounding

pytestmark = pytest.mark.fast


def definition(**entries: object) -> Definition:
    return Definition(entries, DefinitionInvalid, "convert")


@pytest.mark.parametrize(
    ("mode", "scale", "number", "rounded"),
    [
        ("none", 2, "123.456", "123.456"),
        ("half_up", 2, "-1.225", "-1.23"),
        ("half_up", -2, "150", "200"),
        ("ceiling", -2, "123.456", "200"),
        ("ceiling", 0, "-1.5", "-1"),
        ("floor", 0, "-1.5", "-2"),
        ("floor", -1, "19.99", "10"),
        ("up", 2, "-1.221", "-1.23"),
        ("down", 2, "-1.229", "-1.22"),
        ("down", 0, "-0.4", "0"),
    ],
)
def test_a_number_is_rounded_as_its_rule_says(mode, scale, number, rounded):
    found = Rounding(mode, scale).apply(Decimal(number))

    assert found == Decimal(rounded)
    assert not (found == 0 and found.is_signed())


@pytest.mark.parametrize(
    ("conversion", "quantity", "converted"),
    [
        (Conversion(divisor=Decimal(1000), rounding="ceiling"), "1400", "2"),
        (Conversion(divisor=Decimal(1000), rounding="ceiling"), "1000", "1"),
        (Conversion(divisor=Decimal(1000), rounding="half_up"), "1400", "1"),
        (Conversion(divisor=Decimal(1000)), "1247", "1.247"),
        (Conversion(factor=Decimal("1.60934")), "10", "16.0934"),
        (Conversion(factor=Decimal(2), divisor=Decimal(3)), "3", "2"),
    ],
)
def test_a_quantity_is_turned_into_another_unit(conversion, quantity, converted):
    assert conversion.apply(Decimal(quantity)) == Decimal(converted)


def test_what_it_was_before_its_rounding_can_be_told():
    assert Conversion(divisor=Decimal(1000), rounding="ceiling").unrounded(Decimal(1400)) == Decimal("1.4")


@given(
    decimals(lowest="-1000000000"),
    decimals(lowest="0.000001", highest="1000"),
    decimals(lowest="0.000001", highest="1000"),
    st.integers(-3, 9),
)
def test_a_quotient_that_does_not_end_is_rounded_as_its_exact_value(quantity, factor, divisor, scale):
    exact = Fraction(quantity) * Fraction(factor) / Fraction(divisor) * Fraction(10) ** scale
    away = floor(abs(exact) + Fraction(1, 2)) * (1 if exact >= 0 else -1)
    expected = {
        "half_up": away,
        "ceiling": ceil(exact),
        "floor": floor(exact),
        "up": ceil(exact) if exact > 0 else floor(exact),
        "down": floor(exact) if exact > 0 else ceil(exact),
    }

    found = {mode: Conversion(factor, divisor, mode, scale).apply(quantity) for mode in expected}

    assert {mode: Fraction(number) * Fraction(10) ** scale for mode, number in found.items()} == expected


def test_a_value_just_beyond_a_tie_is_not_taken_for_one():
    nearly = EXACT.add(Decimal(5 * 10**29), Decimal("1E-30"))

    assert Conversion(nearly, Decimal(10**30), "half_up").apply(Decimal(1)) == 1
    assert Conversion(nearly, Decimal(10**30), "down").apply(Decimal(1)) == 0


@given(st.sampled_from(MODES), st.integers(-12, 12), decimals(lowest="0.1", highest="99", places=3))
def test_a_conversion_is_read_back_as_it_was_written(mode, scale, number):
    conversion = Conversion(number, Decimal(7), mode, 0 if mode == "none" else scale)

    assert Conversion.parse(definition(**conversion.to_json())) == conversion


def test_a_conversion_that_says_nothing_changes_nothing():
    conversion = Conversion.parse(definition())

    assert conversion.to_json() == {}
    assert conversion.apply(Decimal("1.5")) == Decimal("1.5")


@pytest.mark.parametrize(
    ("entries", "field"),
    [
        ({"factor": "0"}, "convert.factor"),
        ({"divisor": "-1"}, "convert.divisor"),
        ({"rounding": "half_even", "scale": 0}, "convert.rounding"),
        ({"scale": 2}, "convert.scale"),
        ({"rounding": "none", "scale": 2}, "convert.scale"),
        ({"rounding": "up", "scale": 31}, "convert.scale"),
        ({"round": "up"}, "convert.round"),
    ],
)
def test_a_conversion_that_cannot_be_meant_is_refused_by_its_field(entries, field):
    with pytest.raises(DefinitionInvalid) as refused:
        Conversion.parse(definition(**entries))

    assert refused.value.facts["field"] == field
