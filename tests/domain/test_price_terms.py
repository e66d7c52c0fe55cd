"""Terms that contradict themselves are refused with the field, from the top, and with what to do about it."""

import json

import pytest
from domain_strategies import FALLING, RISING
from hypothesis import given
from hypothesis import strategies as st

from domain.prices import PriceInvalid, parse_price, price_json
from domain.prices.price import MODELS

pytestmark = pytest.mark.fast

PER_UNIT = {"model": "per_unit", "unit_amount": "1"}
OPEN = {"up_to": None, "unit_amount": "1"}
FLAT = {"model": "flat", "amount": "1", "due": "always"}
STAIR = {"up_to": None, "flat_amount": "1"}
BLOCK = {"block_size": "1", "block_amount": "1", "max_blocks": None}
LIMITS = {"amount": "1", "limits": {"cores": "8"}}
NO_LIMITS = {"amount": "1", "limits": {"cores": None}}
CELL = {"values": ["eu"], "unit_amount": "1"}


def stairs(*tiers, **more):
    return {"model": "stairstep", "tiers": list(tiers), "zero_usage": "none", **more}


def blocks(*tiers, **more):
    return {"model": "blocks", "charged": "all_tiers", "tiers": list(tiers), **more}


def capacity(*tiers, **more):
    return {"model": "capacity", "tiers": list(tiers), "zero_usage": "none", **more}


def matrix(*cells, **more):
    return {"model": "matrix", "dimensions": ["region"], "cells": list(cells), **more}


def percentage(**more):
    return {"model": "percentage", "rate_percent": "1", **more}


def converted(**more):
    return {"model": "converted", "pricing_unit": "credits", "conversion_rate": "1", "price": PER_UNIT, **more}


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({**PER_UNIT, "per": "0"}, "per"),
        ({**PER_UNIT, "cap_amount": "-1"}, "cap_amount"),
        ({**FLAT, "amount": "-1"}, "amount"),
        ({"model": "flat", "amount": "1"}, "due"),
        ({**FLAT, "due": "often"}, "due"),
        ({"model": "package", "package_size": "1", "package_amount": "1", "rounding": "half"}, "rounding"),
        ({"model": "graduated", "tiers": [{**OPEN, "cap_amount": "-1"}]}, "tiers[0].cap_amount"),
        ({"model": "volume", "tiers": [{**OPEN, "cap_amount": "1"}]}, "tiers[0].cap_amount"),
        ({"model": "volume", "tiers": [OPEN], "bound": "open"}, "bound"),
        ({"model": "graduated_percentage", "tiers": [{"up_to": None, "unit_amount": "1"}]}, "tiers[0].unit_amount"),
        ({"model": "graduated_percentage", "tiers": [{"up_to": None, "rate_percent": "-1"}]}, "tiers[0].rate_percent"),
        (stairs(), "tiers"),
        (stairs({"up_to": None}), "tiers[0].flat_amount"),
        (stairs({"up_to": None, "flat_amount": "-1"}), "tiers[0].flat_amount"),
        (stairs({**STAIR, "unit_amount": "1"}), "tiers[0].unit_amount"),
        (stairs({"up_to": "5", "flat_amount": "1"}), "tiers[0].up_to"),
        ({"model": "stairstep", "tiers": [STAIR]}, "zero_usage"),
        (blocks(), "tiers"),
        (blocks(BLOCK, charged="some"), "charged"),
        (blocks({"block_size": "1", "block_amount": "1"}), "tiers[0].max_blocks"),
        (blocks({**BLOCK, "max_blocks": "3"}), "tiers[0].max_blocks"),
        (blocks(BLOCK, BLOCK), "tiers[0].max_blocks"),
        (blocks({**BLOCK, "max_blocks": "1.5"}, BLOCK), "tiers[0].max_blocks"),
        (blocks({**BLOCK, "max_blocks": "0"}, BLOCK), "tiers[0].max_blocks"),
        (blocks({**BLOCK, "block_size": "0"}), "tiers[0].block_size"),
        (blocks({**BLOCK, "block_amount": "-1"}), "tiers[0].block_amount"),
        (blocks({**BLOCK, "up_to": "1"}), "tiers[0].up_to"),
        (capacity(), "tiers"),
        (capacity({"amount": "1", "limits": {}}), "tiers[0].limits"),
        (capacity({"amount": "1"}), "tiers[0].limits"),
        (capacity(LIMITS), "tiers[0].limits"),
        (capacity({"amount": "-1", "limits": {"cores": None}}), "tiers[0].amount"),
        (capacity({"amount": "1", "limits": {"cores": "-1"}}, NO_LIMITS), "tiers[0].limits.cores"),
        (capacity({"amount": "1", "limits": {"cores": "many"}}, NO_LIMITS), "tiers[0].limits.cores"),
        (capacity(LIMITS, {"amount": "1", "limits": {"cores": "7"}}, NO_LIMITS), "tiers[1].limits.cores"),
        (capacity(NO_LIMITS, LIMITS, NO_LIMITS), "tiers[1].limits.cores"),
        (capacity(LIMITS, LIMITS, NO_LIMITS), "tiers[1].limits"),
        (capacity({"amount": "1", "limits": {f"peak {n}": None for n in range(201)}}), "tiers[0].limits"),
        ({"model": "capacity", "tiers": [NO_LIMITS]}, "zero_usage"),
        (percentage(rate_percent="-1"), "rate_percent"),
        (percentage(fixed_amount="-1"), "fixed_amount"),
        (percentage(free_events=0), "free_events"),
        (percentage(free_events="2"), "free_events"),
        (percentage(free_amount="0"), "free_amount"),
        (percentage(event_minimum="-1"), "event_minimum"),
        (percentage(event_maximum="-1"), "event_maximum"),
        (percentage(event_minimum="2", event_maximum="1"), "event_minimum"),
        (percentage(negative_quantity="credit"), "negative_quantity"),
        ({"model": "dynamic", "multiplier": "-1"}, "multiplier"),
        (matrix(dimensions=[]), "dimensions"),
        (matrix(CELL, dimensions=[f"d{n}" for n in range(9)], default={"unit_amount": "1"}), "cells[0].values"),
        (matrix(dimensions=[f"d{n}" for n in range(9)], default={"unit_amount": "1"}), "dimensions"),
        (matrix(), "cells"),
        (matrix({"values": ["eu"]}), "cells[0].price"),
        (matrix({"values": ["eu", "us"], "unit_amount": "1"}), "cells[0].values"),
        (matrix({"unit_amount": "1"}), "cells[0].values"),
        (matrix(CELL, CELL), "cells[1].values"),
        (matrix({**CELL, "price": PER_UNIT}), "cells[0].price"),
        (matrix({"values": ["eu"], "unit_amount": "-1"}), "cells[0].unit_amount"),
        (matrix({"values": ["eu"], "unit_amount": "much"}), "cells[0].unit_amount"),
        (matrix({"values": ["eu"], "price": {**PER_UNIT, "unit_amount": "-1"}}), "cells[0].price.unit_amount"),
        (matrix(CELL, default={"price": {"model": "stairstep"}}), "default.price.tiers"),
        (matrix(CELL, default={"price": matrix(CELL)}), "default.price.model"),
        (matrix(CELL, default={"amount": "1"}), "default.amount"),
        (matrix(CELL, default="1"), "default"),
        (matrix(*[{**CELL, "values": [str(n)]} for n in range(1_001)]), "cells"),
        ({"model": "bucketed"}, "price"),
        ({"model": "bucketed", "price": percentage()}, "price.model"),
        ({"model": "bucketed", "price": {"model": "bucketed", "price": PER_UNIT}}, "price.model"),
        ({"model": "bucketed", "price": {"model": "volume", "tiers": [OPEN, OPEN]}}, "price.tiers[0].up_to"),
        (converted(conversion_rate="0"), "conversion_rate"),
        (converted(pricing_unit=""), "pricing_unit"),
        (converted(price={**PER_UNIT, "unit_price": "1"}), "price.unit_price"),
        (converted(price=converted()), "price.model"),
    ],
)  # fmt: skip
def test_terms_that_contradict_themselves_are_refused_with_the_field_and_the_fix(terms, field):
    with pytest.raises(PriceInvalid) as refused:
        parse_price(terms)

    assert refused.value.facts == {"field": field, "fix": refused.value.fix}
    assert refused.value.fix
    assert str(refused.value).startswith(f"{field}: ")


def test_a_matrix_may_have_a_cell_for_every_country_with_four_products():
    parse_price(matrix(*[{**CELL, "values": [str(n)]} for n in range(1_000)]))


def test_every_model_is_tried_by_the_properties():
    assert RISING.keys() | FALLING.keys() == set(MODELS)


@pytest.mark.parametrize("model", MODELS)
@given(st.data())
def test_a_price_of_every_model_is_read_as_it_is_printed(model, data):
    price = data.draw(st.one_of(*(prices[model] for prices in (RISING, FALLING) if model in prices)))

    printed = json.loads(json.dumps(price_json(price)))

    assert printed["model"] == model
    assert parse_price(printed) == price


@pytest.mark.parametrize(
    "terms",
    [
        {"model": "per_unit", "unit_amount": "1", "negative_quantity": "refuse"},
        {
            "model": "package", "package_size": "5", "package_amount": "1", "free_units": "0",
            "negative_quantity": "refuse",
        },
        {
            "model": "volume", "tiers": [{"up_to": None, "unit_amount": "1", "flat_amount": "0"}],
            "zero_usage": "none", "negative_quantity": "refuse",
        },
        {
            "model": "graduated", "tiers": [{"up_to": None, "unit_amount": "1", "flat_amount": "0"}],
            "zero_usage": "none", "negative_quantity": "refuse",
        },
    ],
    ids=lambda terms: terms["model"],
)  # fmt: skip
def test_an_option_that_is_not_used_is_not_printed_so_that_published_prices_stay_as_they_are(terms):
    assert price_json(parse_price(terms)) == terms
