"""What each model promises of more usage and of usage in parts, as its page says."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
from domain_strategies import (
    DIMENSION,
    FALLING,
    RISING,
    graduated_prices,
    growing_usages,
    package_prices,
    per_unit_prices,
    prices_of_quantity,
    quantities,
    usage_of,
)
from hypothesis import given
from hypothesis import strategies as st

import domain.prices
from domain.money import EXACT
from domain.prices import difference, parse_price
from domain.prices.price import MODELS

pytestmark = pytest.mark.fast

PAGE = (Path(domain.prices.__file__).parent / "README.md").read_text(encoding="utf-8")
PROMISES = {
    row[0]: row[-1]
    for line in PAGE.splitlines()
    if (row := re.findall(r"(?<=\| )[^|]+(?= \|)", line)) and row[0].startswith("`")
}
INSIDE = "as the price inside", "as the prices inside"

VOLUME = {
    "model": "volume",
    "tiers": [{"up_to": "100", "unit_amount": "1"}, {"up_to": None, "unit_amount": "0.5"}],
}
#: Prices under which 101 units cost less than 100.
CHEAPER = [
    VOLUME,
    {
        "model": "stairstep",
        "tiers": [{"up_to": "100", "flat_amount": "5"}, {"up_to": None, "flat_amount": "4"}],
        "zero_usage": "none",
    },
    {
        "model": "blocks",
        "charged": "top_tier",
        "tiers": [
            {"block_size": "1", "block_amount": "2", "max_blocks": "100"},
            {"block_size": "1", "block_amount": "1", "max_blocks": None},
        ],
    },
    {
        "model": "capacity",
        "tiers": [
            {"amount": "750", "limits": {"cores": "100", "memory": None}},
            {"amount": "500", "limits": {"cores": None, "memory": None}},
        ],
        "zero_usage": "none",
    },
    {"model": "matrix", "dimensions": [DIMENSION], "default": {"price": VOLUME}},
    {"model": "bucketed", "price": VOLUME},
    {"model": "converted", "pricing_unit": "credits", "conversion_rate": "2", "price": VOLUME},
]


def test_the_page_has_a_row_for_every_model():
    assert set(PROMISES) == {f"`{model}`" for model in MODELS}


@pytest.mark.parametrize("model", RISING)
@given(st.data(), growing_usages())
def test_more_usage_never_costs_less_where_the_page_says_so(model, data, grown):
    before, after = grown
    price = data.draw(RISING[model])

    assert PROMISES[f"`{model}`"] in {"yes", "all_tiers: yes; top_tier: no", *INSIDE}
    assert price.price(before).amount <= price.price(after).amount


@pytest.mark.parametrize("terms", CHEAPER, ids=lambda terms: terms["model"])
def test_more_usage_may_cost_less_where_the_page_says_so(terms):
    price = parse_price(terms)

    hundred, more = (price.price(usage_of([Decimal(units)], "eu")).amount for units in (100, 101))

    assert PROMISES[f"`{terms['model']}`"] in {"no", "all_tiers: yes; top_tier: no", *INSIDE}
    assert more < hundred


def test_every_model_that_may_cost_less_has_an_example():
    assert {terms["model"] for terms in CHEAPER} == set(FALLING)
    assert {model for model in MODELS if PROMISES[f"`{model}`"] == "no"} == FALLING.keys() - RISING.keys()


@given(graduated_prices(is_capped=True), quantities(), quantities())
def test_the_units_of_two_parts_lie_in_the_tiers_of_the_whole(price, first, second):
    whole = first + second
    by_tier: dict[int, Decimal] = {}
    for each in (*price.slices(first), *price.slices(whole, above=first)):
        by_tier[each.number] = by_tier.get(each.number, Decimal(0)) + each.units

    assert by_tier == {each.number: each.units for each in price.slices(whole)}


@given(prices_of_quantity(), quantities(), quantities())
def test_what_two_parts_move_an_amount_is_what_the_whole_moves_it(price, first, second):
    zero = Decimal(0)

    parts = EXACT.add(difference(price, first, held=zero), difference(price, second, held=first))

    assert parts == difference(price, first + second, held=zero)


@given(per_unit_prices(), quantities(), quantities())
def test_by_the_unit_two_parts_cost_what_the_whole_does(price, first, second):
    parts = price.amount_for(first).amount + price.amount_for(second).amount

    assert parts == price.amount_for(first + second).amount


@given(
    package_prices().filter(lambda price: price.rounding == "up" and not price.free_units), quantities(), quantities()
)
def test_parts_that_are_priced_by_themselves_never_hold_fewer_packages_than_the_whole(price, first, second):
    parts = price.amount_for(first).amount + price.amount_for(second).amount

    assert parts >= price.amount_for(first + second).amount
