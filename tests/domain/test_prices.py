import json
from decimal import Decimal
from fractions import Fraction
from functools import reduce

import pytest
from domain_strategies import (
    all_prices,
    decimals,
    graduated_prices,
    per_unit_prices,
    quantities,
    usages,
)
from hypothesis import given

from domain.money import EXACT
from domain.prices import (
    Measured,
    Price,
    PriceInvalid,
    QuantityNegative,
    TraceStep,
    effective_unit_amount,
    moved_by,
    parse_price,
    price_json,
)
from domain.prices.graduated import Graduated
from domain.prices.per_unit import PerUnit
from domain.prices.tiers import Tier
from domain.prices.volume import Volume

pytestmark = pytest.mark.fast

OPEN = {"up_to": None, "unit_amount": "1"}


def to(bound: str, rate: str = "1", **more: str) -> dict[str, object]:
    return {"up_to": bound, "unit_amount": rate, **more}


@given(all_prices(), usages())
def test_the_steps_sum_to_the_amount_and_survive_storage(price, usage):
    priced = price.price(usage)

    assert reduce(EXACT.add, (step.amount for step in priced.steps), Decimal(0)) == priced.amount
    stored = json.loads(json.dumps([step.to_json() for step in priced.steps]))
    assert tuple(TraceStep.from_json(step) for step in stored) == priced.steps


@given(all_prices())
def test_what_is_printed_is_read_as_the_same_price(price):
    assert parse_price(json.loads(json.dumps(price_json(price)))) == price


@given(per_unit_prices())
def test_nothing_costs_nothing_by_the_unit(price):
    assert price.amount_for(Decimal(0)).amount == 0


@given(graduated_prices())
def test_nothing_costs_the_first_tiers_flat_amount_only_if_the_price_says_so(price):
    due = price.tiers[0].flat_amount if price.zero_usage == "first_tier_flat" else 0

    assert price.amount_for(Decimal(0)).amount == due


@given(graduated_prices(), quantities(), decimals(lowest="0.01", highest="1000", places=2))
def test_splitting_a_tier_in_two_of_the_same_rate_changes_nothing(price, quantity, cut):
    last = price.tiers[-1]
    floor = price.tiers[-2].up_to if len(price.tiers) > 1 else Decimal(0)
    halves = Tier(floor + cut, last.unit_amount, last.flat_amount), Tier(None, last.unit_amount)
    split = Graduated((*price.tiers[:-1], *halves), price.zero_usage)

    assert split.amount_for(quantity).amount == price.amount_for(quantity).amount


@given(graduated_prices(is_capped=True), quantities())
def test_every_unit_is_priced_in_exactly_one_tier(price, quantity):
    steps = [step for step in price.amount_for(quantity).steps if step.rule == "tier"]

    assert sum((Decimal(step.fact("quantity")) for step in steps), Decimal(0)) == quantity


def test_a_bound_belongs_to_the_tier_below_and_fractions_fall_into_the_next():
    price = parse_price({"model": "graduated", "tiers": [to("100", "2"), to(None, "1", flat_amount="5")]})

    assert price.amount_for(Decimal(100)).amount == 200
    assert price.amount_for(Decimal("100.5")).amount == Decimal("205.5")


def test_the_smallest_and_the_largest_numbers_that_are_accepted_meet_in_one_price():
    """Nothing of them is rounded, however far apart they lie."""
    least, most = f"1.{'7' * 37}E-30", "9E+30"
    tiers = [to(least, least), to("1", most), {"up_to": None, "unit_amount": least}]
    adjustments = {"convert": {"factor": f"1.{'7' * 19}E-30"}, "percentage": "33.3333333", "amount_off": least}
    inner = {"model": "graduated", "tiers": tiers, "zero_usage": "none"}
    for price in (
        parse_price({**inner, "adjustments": adjustments}),
        parse_price({"model": "converted", "pricing_unit": "credits", "conversion_rate": least, "price": inner}),
    ):
        priced = price.price(Measured(EXACT.add(Decimal(most), Decimal(least))))

        assert sum(Fraction(step.amount) for step in priced.steps) == Fraction(priced.amount)


def test_a_million_requests_by_the_ladder():
    tiers = [to("1000000", "0.0004"), to("5000000", "0.0003"), to(None, "0.0002")]

    priced = parse_price({"model": "graduated", "tiers": tiers}).amount_for(Decimal(6_480_000))

    assert [step.amount for step in priced.steps] == [400, 1200, 296]
    assert [step.fact("quantity") for step in priced.steps] == ["1000000", "4000000", "1480000"]
    assert priced.amount == 1896


@pytest.mark.parametrize(
    "price", [PerUnit(Decimal(1)), Graduated((Tier(None, Decimal(1)),), "none")], ids=lambda price: price.model
)
def test_a_negative_quantity_is_refused_unless_the_price_says_what_it_means(price: Price):
    with pytest.raises(QuantityNegative) as refused:
        price.amount_for(Decimal(-3))

    assert refused.value.facts == {"quantity": Decimal(-3)}


def test_a_negative_quantity_may_be_free_or_a_credit():
    free = [
        parse_price({"model": "per_unit", "unit_amount": "2", "negative_quantity": "zero"}),
        parse_price({"model": "graduated", "tiers": [OPEN], "negative_quantity": "zero"}),
    ]
    credit = parse_price({"model": "per_unit", "unit_amount": "2", "negative_quantity": "credit"})

    assert [price.amount_for(Decimal(-3)).amount for price in free] == [0, 0]
    assert credit.amount_for(Decimal(-3)).amount == -6


def test_by_volume_one_tier_prices_all_units_so_more_may_cost_less():
    ladder = parse_price({"model": "volume", "tiers": [to("100", "2"), to(None, "1", flat_amount="5")]})

    assert ladder.amount_for(Decimal(100)).amount == 200
    assert ladder.amount_for(Decimal("100.5")).amount == Decimal("105.5")
    assert [step.fact("tier") for step in ladder.amount_for(Decimal(101)).steps] == ["2", "2"]


@given(graduated_prices(), quantities())
def test_by_volume_the_steps_sum_and_no_usage_costs_what_it_does_in_a_graduated_ladder(graduated, quantity):
    price = Volume(graduated.tiers, graduated.zero_usage)

    priced = price.amount_for(quantity)

    assert sum((step.amount for step in priced.steps), Decimal(0)) == priced.amount
    assert price.amount_for(Decimal(0)) == graduated.amount_for(Decimal(0))


@given(graduated_prices())
def test_a_volume_price_is_read_as_it_is_printed(graduated):
    price = Volume(graduated.tiers, graduated.zero_usage)

    assert parse_price(json.loads(json.dumps(price_json(price)))) == price


def test_units_that_make_all_others_cheaper_move_the_amount_all_the_same():
    by_volume = parse_price({"model": "volume", "tiers": [to("1000", "2"), OPEN]})

    assert moved_by(by_volume, Decimal(100), held=Decimal(950)) == 850  # 1,900 become 1,050
    assert moved_by(by_volume, Decimal(50), held=Decimal(950)) == 100


def test_a_started_package_is_charged_whole_after_the_free_units():
    terms = {"model": "package", "package_size": "10", "package_amount": "3", "free_units": "5"}
    price = parse_price(terms)
    free = parse_price({**terms, "negative_quantity": "zero"})

    assert [price.amount_for(Decimal(units)).amount for units in ("0", "5", "5.01", "15", "15.5")] == [0, 0, 3, 3, 6]
    assert free.amount_for(Decimal(-1)).amount == 0
    with pytest.raises(QuantityNegative):
        price.amount_for(Decimal(-1))


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({}, "model"),
        ({"model": "free"}, "model"),
        ({"model": "per_unit"}, "unit_amount"),
        ({"model": "per_unit", "unit_amount": 0.5}, "unit_amount"),
        ({"model": "per_unit", "unit_amount": True}, "unit_amount"),
        ({"model": "per_unit", "unit_amount": "a lot"}, "unit_amount"),
        ({"model": "per_unit", "unit_amount": "1e99"}, "unit_amount"),
        ({"model": "per_unit", "unit_amount": "-1"}, "unit_amount"),
        ({"model": "per_unit", "unit_amount": "1", "unit_price": "2"}, "unit_price"),
        ({"model": "per_unit", "unit_amount": "1", "negative_quantity": "ignore"}, "negative_quantity"),
        ({"model": "package", "package_amount": "1"}, "package_size"),
        ({"model": "package", "package_size": "0", "package_amount": "1"}, "package_size"),
        ({"model": "package", "package_size": "5", "package_amount": "-1"}, "package_amount"),
        ({"model": "package", "package_size": "5", "package_amount": "1", "free_units": "-1"}, "free_units"),
        ({"model": "graduated"}, "tiers"),
        ({"model": "graduated", "tiers": "free"}, "tiers"),
        ({"model": "graduated", "tiers": []}, "tiers"),
        ({"model": "graduated", "tiers": [to(str(n)) for n in range(1, 202)]}, "tiers"),
        ({"model": "graduated", "tiers": [OPEN, 7]}, "tiers[1]"),
        ({"model": "graduated", "tiers": [{"unit_amount": "1"}]}, "tiers[0].up_to"),
        ({"model": "graduated", "tiers": [to("10")]}, "tiers[0].up_to"),
        ({"model": "graduated", "tiers": [OPEN, OPEN]}, "tiers[0].up_to"),
        ({"model": "graduated", "tiers": [to("0"), OPEN]}, "tiers[0].up_to"),
        ({"model": "graduated", "tiers": [to("10"), to("10"), OPEN]}, "tiers[1].up_to"),
        ({"model": "graduated", "tiers": [to("10"), to("9"), OPEN]}, "tiers[1].up_to"),
        ({"model": "graduated", "tiers": [to("10", "-1"), OPEN]}, "tiers[0].unit_amount"),
        (
            {"model": "graduated", "tiers": [to("10", flat_amount="-1"), OPEN], "zero_usage": "none"},
            "tiers[0].flat_amount",
        ),
        ({"model": "graduated", "tiers": [{**OPEN, "from": "1"}]}, "tiers[0].from"),
        ({"model": "graduated", "tiers": [{**OPEN, "flat_amount": "5"}]}, "zero_usage"),
        ({"model": "graduated", "tiers": [OPEN], "zero_usage": "maybe"}, "zero_usage"),
    ],
)
def test_bad_terms_are_refused_with_the_field_and_the_fix(terms, field):
    with pytest.raises(PriceInvalid) as refused:
        parse_price(terms)

    assert refused.value.code == "price_invalid"
    assert refused.value.facts == {"field": field, "fix": refused.value.fix}
    assert refused.value.fix


def test_a_step_has_no_fact_it_was_not_given():
    assert TraceStep.of("tier", Decimal(1), tier="1").fact("unit_amount") is None


def test_a_unit_came_to_nothing_if_there_were_none():
    assert effective_unit_amount(Decimal(5), Decimal(0)) == 0
