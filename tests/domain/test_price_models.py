"""Each price model by examples, as its contract would be read aloud."""

from decimal import Decimal

import pytest

from domain.prices import Measured, NotMeasured, QuantityNegative, UsageNotPriced, difference, moved_by, parse_price

pytestmark = pytest.mark.fast


def amounts(terms, *quantities):
    price = parse_price(terms)
    return [price.price(Measured(Decimal(quantity))).amount for quantity in quantities]


def numbers(*texts):
    return tuple(Decimal(text) for text in texts)


def of_events(*texts):
    events = numbers(*texts)
    return Measured(sum(events, Decimal(0)), events=events)


def told(terms, measured):
    return [(step.rule, step.amount, dict(step.facts)) for step in parse_price(terms).price(measured).steps]


def test_a_price_may_be_for_so_many_units_and_charges_the_exact_part_of_them():
    assert amounts({"model": "per_unit", "unit_amount": "0.40", "per": "1000"}, 2500, 1) == [1, Decimal("0.0004")]
    thirds = amounts({"model": "per_unit", "unit_amount": "1", "per": "3"}, 1, 3)
    assert thirds == [Decimal("0." + "3" * 50), 1]


def test_an_amount_by_the_unit_ends_at_its_cap():
    terms = {"model": "per_unit", "unit_amount": "2", "cap_amount": "9", "negative_quantity": "credit"}

    assert amounts(terms, 4, 5, 500, -5) == [8, 9, 9, -10]
    assert told(terms, Measured(Decimal(5)))[1] == ("cap", -1, {"cap_amount": "9"})


def test_a_flat_amount_is_due_always_or_once_something_was_used():
    always = {"model": "flat", "amount": "49", "due": "always"}
    used = {"model": "flat", "amount": "49", "due": "when_used"}

    assert amounts(always, 0, 1, 1000) == [49, 49, 49]
    assert amounts(used, 0, "0.1", 1000) == [0, 49, 49]
    assert parse_price(always).price(Measured.none()).amount == 49
    assert parse_price(used).price(Measured.none()).amount == 0


def test_usage_below_zero_takes_nothing_from_a_flat_amount():
    always = {"model": "flat", "amount": "49", "due": "always", "negative_quantity": "zero"}

    assert amounts(always, -3) == [49]
    assert amounts({**always, "due": "when_used"}, -3) == [0]


def test_a_tiers_amount_ends_at_its_cap_its_flat_amount_included():
    tiers = [
        {"up_to": "100", "unit_amount": "1", "flat_amount": "10", "cap_amount": "60"},
        {"up_to": None, "unit_amount": "1"},
    ]
    terms = {"model": "graduated", "tiers": tiers, "zero_usage": "none"}

    assert amounts(terms, 0, 40, 50, 51, 100, 110) == [0, 50, 60, 60, 60, 70]
    assert told(terms, Measured(Decimal(100)))[2] == ("tier_cap", -50, {"tier": "1", "cap_amount": "60"})


def test_a_flat_amount_that_is_due_without_usage_ends_at_the_cap_of_its_tier_too():
    tiers = [{"up_to": None, "unit_amount": "1", "flat_amount": "10", "cap_amount": "6"}]
    terms = {"model": "graduated", "tiers": tiers, "zero_usage": "first_tier_flat"}

    assert amounts(terms, 0, 1) == [6, 6]


def test_each_slice_of_a_turnover_costs_the_percentage_of_its_tier():
    tiers = [
        {"up_to": "1000", "rate_percent": "2.5"},
        {"up_to": None, "rate_percent": "1", "flat_amount": "4"},
    ]
    terms = {"model": "graduated_percentage", "tiers": tiers}

    assert amounts(terms, 1000, 3000) == [25, 49]
    assert told(terms, Measured(Decimal(3000)))[1] == (
        "tier", 20, {"tier": "2", "above": "1000", "up_to": "open", "quantity": "2000", "rate_percent": "1"},
    )  # fmt: skip


def test_a_stair_costs_one_amount_however_far_it_was_climbed():
    stairs = [{"up_to": "10", "flat_amount": "50"}, {"up_to": None, "flat_amount": "80"}]
    terms = {"model": "stairstep", "tiers": stairs, "zero_usage": "none"}

    assert amounts(terms, 0, 1, 10, "10.5", 11, 999) == [0, 50, 50, 80, 80, 80]
    assert amounts({**terms, "zero_usage": "first_tier_flat"}, 0) == [50]
    assert told(terms, Measured(Decimal(11))) == [("stair", 80, {"tier": "2", "up_to": "open", "quantity": "11"})]


def test_exactly_the_bound_lies_in_the_next_tier_if_the_price_says_so():
    tiers = [{"up_to": "100", "unit_amount": "2"}, {"up_to": None, "unit_amount": "1"}]
    stairs = [{"up_to": "100", "flat_amount": "2"}, {"up_to": None, "flat_amount": "1"}]

    assert amounts({"model": "volume", "tiers": tiers}, 99, 100) == [198, 200]
    assert amounts({"model": "volume", "tiers": tiers, "bound": "excluded"}, 99, 100) == [198, 100]
    terms = {"model": "stairstep", "tiers": stairs, "zero_usage": "none", "bound": "excluded"}
    assert amounts(terms, 99, 100) == [2, 1]


def test_a_prorated_quantity_costs_the_tier_of_the_full_one():
    tiers = [{"up_to": "10", "unit_amount": "10"}, {"up_to": None, "unit_amount": "8", "flat_amount": "5"}]
    half_a_month = Measured(Decimal(6), unprorated=Decimal(12))

    assert parse_price({"model": "volume", "tiers": tiers}).price(half_a_month).amount == 53
    assert told({"model": "volume", "tiers": tiers}, half_a_month)[0][2]["chosen_by"] == "12"


def test_a_package_that_is_not_full_may_be_free():
    terms = {"model": "package", "package_size": "10", "package_amount": "3", "free_units": "5", "rounding": "down"}

    assert amounts(terms, 5, "14.9", 15, 34, 35) == [0, 0, 3, 6, 9]


def test_blocks_of_all_tiers_are_charged_as_they_fill():
    tiers = [
        {"block_size": "10", "block_amount": "1", "max_blocks": "2"},
        {"block_size": "100", "block_amount": "5", "max_blocks": None},
    ]
    terms = {"model": "blocks", "charged": "all_tiers", "tiers": tiers, "negative_quantity": "zero"}

    assert amounts(terms, -1, 0, 1, 10, 11, 20, 21, 120, "120.5") == [0, 0, 1, 1, 2, 2, 7, 7, 12]
    assert told(terms, Measured(Decimal(21)))[1] == (
        "block_tier", 5,
        {"tier": "2", "quantity": "1", "blocks": "1", "block_size": "100", "block_amount": "5"},
    )  # fmt: skip


def test_blocks_of_the_top_tier_are_charged_alone():
    tiers = [
        {"block_size": "10", "block_amount": "4", "max_blocks": "2"},
        {"block_size": "10", "block_amount": "1", "max_blocks": None},
    ]

    assert amounts({"model": "blocks", "charged": "top_tier", "tiers": tiers}, 10, 20, 21) == [4, 8, 3]


PERCENTAGE = {"model": "percentage", "rate_percent": "2", "fixed_amount": "1"}


def of_percentage(measured, **more):
    return parse_price({**PERCENTAGE, **more}).price(measured).amount


def test_each_event_costs_its_percentage_and_an_amount():
    assert of_percentage(of_events("100", "50", "0")) == 6
    assert of_percentage(of_events()) == 0
    assert of_percentage(Measured.none()) == 0


def test_the_first_events_are_free_by_their_times():
    assert of_percentage(of_events("100", "50", "30"), free_events=2) == Decimal("1.6")
    assert of_percentage(of_events("100", "50"), free_events=5) == 0


def test_an_event_that_is_free_in_part_pays_the_fixed_amount():
    assert of_percentage(of_events("100", "50"), free_amount="120") == Decimal("1.6")
    assert of_percentage(of_events("100", "50"), free_amount="100") == 2
    assert of_percentage(of_events("100", "50"), free_amount="150") == 0


def test_what_is_free_ends_with_the_events_or_the_amount_whichever_comes_first():
    events = of_events("10", "10", "10")

    assert of_percentage(events, free_events=1, free_amount="25") == Decimal("2.4")
    assert of_percentage(events, free_events=3, free_amount="15") == Decimal("2.3")


def test_an_events_cost_is_bounded_with_its_fixed_amount_and_what_is_free_is_not():
    bounds = {"event_minimum": "1.5", "event_maximum": "3"}
    events = of_events("10", "50", "1000")

    assert of_percentage(events, **bounds) == Decimal("1.5") + 2 + 3
    assert of_percentage(events, **bounds, free_events=1) == 5
    assert told({**PERCENTAGE, **bounds}, events)[2:] == [
        ("event_minimum", Decimal("0.3"), {"events": "1", "bound": "1.5"}),
        ("event_maximum", Decimal(-18), {"events": "1", "bound": "3"}),
    ]


def test_what_was_free_is_told_with_how_many_events_it_was():
    assert told({**PERCENTAGE, "free_amount": "120"}, of_events("100", "50"))[0] == (
        "free_events", 0, {"events": "1", "quantity": "120"},
    )  # fmt: skip


def test_where_the_sum_says_it_all_no_event_need_be_kept():
    terms = {"model": "percentage", "rate_percent": "2", "free_amount": "100"}

    assert amounts(terms, 0, 100, 150) == [0, 0, 1]


@pytest.mark.parametrize(
    "option", [{"fixed_amount": "1"}, {"free_events": 1}, {"event_minimum": "1"}, {"event_maximum": "1"}]
)
def test_where_each_event_counts_its_quantity_must_be_kept(option):
    price = parse_price({"model": "percentage", "rate_percent": "2", **option})

    with pytest.raises(NotMeasured) as refused:
        price.price(Measured(Decimal(3)))
    assert refused.value.facts == {"model": "percentage"}


def test_an_event_below_zero_is_refused_or_costs_nothing():
    events = of_events("100", "-40")

    assert of_percentage(events, negative_quantity="zero") == 3
    with pytest.raises(QuantityNegative):
        of_percentage(events)


DYNAMIC = {"model": "dynamic", "multiplier": "1.2"}


def of_dynamic(quantity, amount, **more):
    return parse_price({**DYNAMIC, **more}).price(Measured(Decimal(quantity), amount=Decimal(amount))).amount


def test_the_events_money_is_charged_with_a_surcharge():
    assert of_dynamic(20, "9.5") == Decimal("11.4")
    assert parse_price({"model": "dynamic"}).price(Measured(Decimal(1), amount=Decimal("9.5"))).amount == Decimal("9.5")


def test_without_a_unit_nothing_is_charged_whatever_money_came():
    assert of_dynamic(0, "9.5") == 0
    assert parse_price(DYNAMIC).price(Measured.none()).amount == 0


@pytest.mark.parametrize(("quantity", "amount"), [("-1", "5"), ("1", "-5")])
def test_units_or_money_below_zero_are_refused_free_or_a_credit(quantity, amount):
    with pytest.raises(QuantityNegative):
        of_dynamic(quantity, amount)
    assert of_dynamic(quantity, amount, negative_quantity="zero") == 0
    assert of_dynamic(quantity, amount, negative_quantity="credit") == Decimal(amount) * Decimal("1.2")


def test_a_metric_that_keeps_no_money_cannot_be_priced_so():
    with pytest.raises(NotMeasured):
        parse_price(DYNAMIC).price(Measured(Decimal(3)))


CAPACITY_TIERS = [
    {"amount": "10", "limits": {"cores": "8", "memory": "64"}},
    {"amount": "30", "limits": {"cores": "16", "memory": "64"}},
    {"amount": "90", "limits": {"cores": None, "memory": None}},
]
CAPACITY = {"model": "capacity", "tiers": CAPACITY_TIERS, "zero_usage": "none"}


def of_capacity(peaks, **more):
    kept = {name: Decimal(peak) for name, peak in peaks.items()}
    return parse_price({**CAPACITY, **more}).price(Measured(Decimal(0), peaks=kept)).amount


def test_the_lowest_tier_that_holds_every_peak_is_charged_once():
    assert of_capacity({"cores": "8", "memory": "64"}) == 10
    assert of_capacity({"cores": "8.5", "memory": "1"}) == 30
    assert of_capacity({"cores": "1", "memory": "65"}) == 90
    assert of_capacity({"cores": "1"}) == 10
    assert told(CAPACITY, Measured(Decimal(0), peaks={"cores": Decimal(9)})) == [
        ("capacity_tier", 30, {"tier": "2", "peaks": "cores 9"})
    ]


def test_without_usage_the_first_tier_is_due_if_the_price_says_so():
    assert of_capacity({"cores": "0"}) == 0
    assert of_capacity({}) == 0
    assert of_capacity({}, zero_usage="first_tier_flat") == 10


def test_a_single_peak_may_be_the_quantity():
    tiers = [{"amount": "10", "limits": {"cores": "8"}}, {"amount": "30", "limits": {"cores": None}}]
    single = {"model": "capacity", "tiers": tiers, "zero_usage": "none"}

    assert amounts(single, 8, 9) == [10, 30]
    with pytest.raises(NotMeasured, match="cores, memory"):
        amounts(CAPACITY, 8)


def test_a_peak_that_no_tier_names_is_refused():
    with pytest.raises(UsageNotPriced) as refused:
        of_capacity({"cores": "1", "disks": "2"})
    assert refused.value.code == "usage_not_priced"
    assert refused.value.facts == {"name": "disks"}


def test_a_peak_below_zero_is_refused_or_not_looked_at():
    assert of_capacity({"cores": "9", "memory": "-1"}, negative_quantity="zero") == 30
    with pytest.raises(QuantityNegative):
        of_capacity({"cores": "9", "memory": "-1"})


MATRIX_CELLS = [
    {"values": ["eu", 1], "unit_amount": "2"},
    {"values": ["us", "1"], "price": {"model": "package", "package_size": "10", "package_amount": "5"}},
]
MATRIX = {"model": "matrix", "dimensions": ["region", "class"], "cells": MATRIX_CELLS}


def of_matrix(quantity, dimensions, **more):
    return parse_price({**MATRIX, **more}).price(Measured(Decimal(quantity), dimensions=dimensions)).amount


def test_the_cell_of_its_values_prices_the_usage():
    assert of_matrix(11, {"region": "eu", "class": "1", "zone": "x"}) == 22
    assert of_matrix(11, {"region": "us", "class": 1}) == 10
    assert told(MATRIX, Measured(Decimal(1), dimensions={"region": "eu", "class": 1}))[0] == (
        "matrix_cell", 0, {"cell": "region eu, class 1"},
    )  # fmt: skip


def test_values_without_a_cell_take_the_default():
    default = {"default": {"unit_amount": "7"}}

    assert of_matrix(2, {"region": "asia", "class": None}, **default) == 14
    usage = Measured(Decimal(2), dimensions={"region": "asia", "class": None})
    assert told({**MATRIX, **default}, usage)[0][0] == "matrix_default"


def test_values_without_a_cell_and_a_default_are_refused():
    with pytest.raises(UsageNotPriced, match="region asia, class 1") as refused:
        of_matrix(2, {"region": "asia", "class": 1})
    assert refused.value.facts == {"dimensions": "region asia, class 1"}


@pytest.mark.parametrize("dimensions", [None, {}, {"region": "eu"}])
def test_a_metric_that_is_not_kept_apart_by_a_dimension_cannot_be_priced_so(dimensions):
    with pytest.raises(NotMeasured, match="class"):
        of_matrix(2, dimensions)


def test_no_usage_is_in_no_cell_and_costs_nothing():
    assert parse_price(MATRIX).price(Measured.none()).amount == 0


BUCKETED_LADDER = {
    "model": "graduated",
    "tiers": [{"up_to": "10", "unit_amount": "2"}, {"up_to": None, "unit_amount": "1"}],
}
BUCKETED = {"model": "bucketed", "price": BUCKETED_LADDER}


def of_bucketed(*buckets):
    kept = numbers(*buckets)
    return Measured(sum(kept, Decimal(0)), buckets=kept)


def test_tiers_begin_anew_in_each_bucket():
    assert parse_price(BUCKETED).price(of_bucketed("9", "15", "0")).amount == 18 + 25
    assert parse_price(BUCKETED).price(of_bucketed()).amount == 0


def test_steps_of_one_tier_are_told_once_with_how_many_buckets_they_are_of():
    assert told(BUCKETED, of_bucketed("9", "15"))[0] == (
        "tier", 38,
        {"tier": "1", "above": "0", "up_to": "10", "quantity": "19", "unit_amount": "2", "buckets": "2"},
    )  # fmt: skip


def test_a_metric_without_buckets_cannot_be_priced_so():
    with pytest.raises(NotMeasured):
        parse_price(BUCKETED).price(Measured(Decimal(3)))


def test_credits_become_money_at_their_rate():
    inner = {"model": "graduated", "tiers": [{"up_to": "10", "unit_amount": "2"}, {"up_to": None, "unit_amount": "1"}]}
    terms = {"model": "converted", "pricing_unit": "credits", "conversion_rate": "0.05", "price": inner}

    assert amounts(terms, 10, 30) == [1, 2]
    assert told(terms, Measured(Decimal(30)))[1][2].items() >= {
        ("pricing_units", "20"), ("pricing_unit", "credits"), ("conversion_rate", "0.05"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "terms",
    [
        {"model": "flat", "amount": "1", "due": "when_used"},
        {"model": "graduated_percentage", "tiers": [{"up_to": None, "rate_percent": "1"}]},
        {"model": "stairstep", "tiers": [{"up_to": None, "flat_amount": "1"}], "zero_usage": "none"},
        {
            "model": "blocks",
            "charged": "all_tiers",
            "tiers": [{"block_size": "1", "block_amount": "1", "max_blocks": None}],
        },
        {"model": "percentage", "rate_percent": "1"},
        {"model": "matrix", "dimensions": ["region"], "default": {"unit_amount": "1"}},
        {"model": "bucketed", "price": {"model": "per_unit", "unit_amount": "1"}},
        {
            "model": "converted",
            "pricing_unit": "credits",
            "conversion_rate": "1",
            "price": {"model": "per_unit", "unit_amount": "1"},
        },
    ],
    ids=lambda terms: terms["model"],
)
def test_a_quantity_below_zero_is_refused_unless_the_price_says_what_it_means(terms):
    below = Measured(Decimal(-3), buckets=(Decimal(-3),), dimensions={"region": "eu"})

    with pytest.raises(QuantityNegative) as refused:
        parse_price(terms).price(below)
    assert refused.value.facts == {"quantity": Decimal(-3)}


def test_by_how_much_units_move_an_amount_is_told_with_its_sign_or_without():
    tiers = [{"up_to": "100", "unit_amount": "2"}, {"up_to": None, "unit_amount": "1"}]
    price = parse_price({"model": "volume", "tiers": tiers})

    assert difference(price, Decimal(1), held=Decimal(100)) == -99
    assert moved_by(price, Decimal(1), held=Decimal(100)) == 99


@pytest.mark.parametrize(
    "terms",
    [
        {"model": "percentage", "rate_percent": "1", "fixed_amount": "1"},
        {"model": "dynamic"},
        {"model": "bucketed", "price": {"model": "per_unit", "unit_amount": "1"}},
        {"model": "matrix", "dimensions": ["region"], "default": {"unit_amount": "1"}},
    ],
    ids=lambda terms: terms["model"],
)
def test_a_quantity_alone_does_not_tell_how_it_moves_what_depends_on_more(terms):
    with pytest.raises(NotMeasured):
        moved_by(parse_price(terms), Decimal(1), held=Decimal(0))
