from decimal import Decimal
from itertools import accumulate

import pytest
from domain_strategies import decimals, prices, quantities
from hypothesis import given
from hypothesis import strategies as st

from domain.lines import Part, booked, corrections, fee_line, part_line, rerated
from domain.money import Currency, Money, total
from domain.prices import Adjusted, Adjustments, QuantityNegative, parse_price
from domain.prices.adjustments import Minimum

pytestmark = pytest.mark.fast

USD = Currency("USD")
NONE = Money.zero(USD)
TIERS = [{"up_to": "10", "unit_amount": "2", "flat_amount": "7"}, {"up_to": None, "unit_amount": "1"}]
OPEN = {"up_to": None, "unit_amount": "1"}
GRADUATED = {"model": "graduated", "zero_usage": "first_tier_flat", "tiers": TIERS}


def usd(amount: str) -> Money:
    return Money.of(amount, USD)


def part(quantity, position="single", *, before=0, billed=NONE, **more):
    return Part(Decimal(before), Decimal(quantity), position, billed, **more)


def bounds() -> st.SearchStrategy[Adjustments]:
    """Adjustments under which parts sum to the whole but for the cents of their components."""
    maximum = decimals(lowest="500", highest="100000", places=2)
    minimum = st.none() | st.builds(Minimum, decimals(lowest="0.01", highest="400", places=2))
    percentage = decimals(highest="100", places=2)
    return st.builds(
        Adjustments,
        free_units=quantities(),
        percentage=percentage,
        amount_off=decimals(highest="5000", places=2),
        maximum=st.none() | maximum,
        minimum=minimum,
    )


@given(prices(), bounds(), st.lists(quantities(), min_size=2, max_size=5))
def test_the_parts_of_a_period_sum_to_the_whole_but_for_their_cents(price, by, given):
    positions = ["first", *["mid"] * (len(given) - 2), "last"]
    billed, before, components = NONE, Decimal(0), 0
    for quantity, position in zip(given, positions, strict=True):
        line = part_line(Adjusted(price, by), Part(before, quantity, position, billed))
        billed, before, components = billed + line.total, before + quantity, components + len(line.components)

    whole = part_line(Adjusted(price, by), part(before))

    assert abs(billed - whole.total).amount <= (components + len(whole.components)) * Decimal("0.01")


def test_an_amount_that_came_off_a_flat_amount_without_usage_does_not_come_off_again():
    ladder = {"model": "graduated", "tiers": [{"up_to": None, "unit_amount": "1", "flat_amount": "5"}]}
    price = parse_price({**ladder, "zero_usage": "first_tier_flat", "adjustments": {"amount_off": "8"}})

    first = part_line(price, part(0, "first"))
    last = part_line(price, part(10, "last", billed=first.total))

    assert (first.total, last.total) == (usd("0"), usd("7"))  # 5 and 10, of which 8 come off


@given(prices(), bounds(), st.lists(quantities(), min_size=1, max_size=5))
def test_what_is_booked_sums_to_the_price_of_the_last_quantity(price, by, given):
    found = booked(Adjusted(price, by), given, currency=USD)

    assert total(found, USD) == rerated(Adjusted(price, by), given[-1], currency=USD, is_final=True)


@given(prices(), bounds(), st.lists(st.lists(quantities(), min_size=1, max_size=4), min_size=1, max_size=4))
def test_late_usage_corrects_the_part_it_belongs_to_and_the_sum_stays_that_of_the_whole(price, by, looks):
    looks = [list(accumulate(look)) for look in sorted(looks, key=len)]
    price = Adjusted(price, by)

    found = corrections(price, looks, currency=USD)

    assert [len(each) for each in found] == [len(look) for look in looks]
    assert total((amount for each in found for amount in each), USD) == rerated(
        price, looks[-1][-1], currency=USD, is_final=True
    )


@given(prices(), bounds(), quantities(), quantities())
def test_a_maximum_holds_for_all_parts_together(price, by, before, quantity):
    earlier = part_line(Adjusted(price, by), Part(Decimal(0), before, "first", NONE)).total
    later = part_line(Adjusted(price, by), Part(before, quantity, "mid", earlier)).total

    assert by.maximum is None or (earlier + later).amount <= by.maximum


def test_a_first_tiers_flat_amount_is_due_with_the_first_part_even_without_usage_and_not_again():
    price = parse_price(GRADUATED)

    assert part_line(price, part(0, "first")).total == usd("7")
    assert part_line(price, part(12, "mid")).total == usd("22")
    assert part_line(price, part(12, "single")).total == usd("29")
    assert part_line(price, part(0, "last")).components == ()


def test_a_first_tiers_flat_amount_that_needs_usage_is_due_with_the_first_part_that_has_some():
    price = parse_price({**GRADUATED, "zero_usage": "none"})

    assert part_line(price, part(0, "first")).components == ()
    assert part_line(price, part(3, "mid")).total == usd("13")
    assert part_line(price, part(3, "last", before=3)).total == usd("6")


def test_a_part_that_crosses_a_tier_has_a_component_for_each_side():
    line = part_line(parse_price(GRADUATED), part(5, "mid", before=8))

    assert [(each.tier, each.quantity, each.amount) for each in line.components] == [
        (1, 2, usd("4")), (2, 3, usd("3")),
    ]  # fmt: skip


def test_what_has_a_cap_is_one_component_so_that_a_maximum_sees_what_it_comes_to():
    tiers = [{"up_to": "10", "unit_amount": "2", "flat_amount": "7", "cap_amount": "15"}, OPEN]
    ladder = parse_price({**GRADUATED, "tiers": tiers, "adjustments": {"maximum": "16"}})
    unit = parse_price({"model": "per_unit", "unit_amount": "2", "cap_amount": "15"})

    assert [each.net for each in part_line(ladder, part(12)).components] == [usd("15"), usd("1")]
    assert [each.net for each in part_line(ladder, part(3, "mid", before=3)).components] == [usd("2")]
    assert part_line(unit, part(9, "first")).total == usd("15")
    assert part_line(unit, part(9, "last", before=9)).total == NONE


def test_turnover_is_billed_in_parts_by_the_percentages_of_its_tiers():
    tiers = [{"up_to": "100", "rate_percent": "2"}, {"up_to": None, "rate_percent": "1"}]
    price = parse_price({"model": "graduated_percentage", "tiers": tiers})

    assert part_line(price, part(100, "last", before=50)).total == usd("1.50")


def test_every_component_is_rounded_before_its_discount():
    terms = {"model": "per_unit", "unit_amount": "0.333", "adjustments": {"percentage": "33.3"}}

    line = part_line(parse_price(terms), part(5))

    # 1.665 is 1.67, a third of it is 0.55611
    assert (line.amount, line.discounts, line.total) == (usd("1.67"), usd("0.56"), usd("1.11"))


def test_by_volume_nothing_is_billed_before_the_last_part_and_then_everything():
    price = parse_price({**GRADUATED, "model": "volume"})

    assert part_line(price, part(8, "mid")).total == NONE
    assert part_line(price, part(8, "last", before=8)).total == usd("16")


def test_a_commitment_by_window_is_billed_with_the_last_part():
    terms = {"model": "per_unit", "unit_amount": "2", "adjustments": {"windowed": {"amount": "50", "true_up": True}}}

    assert part_line(parse_price(terms), part(8, "first")).total == NONE
    assert part_line(parse_price(terms), part(8, "last", before=8)).total == usd("50")


def test_a_package_is_charged_by_the_part_that_starts_it_and_a_first_part_starts_its_own():
    price = parse_price({"model": "package", "package_size": "10", "package_amount": "15"})

    assert part_line(price, part(5, "mid", before=17)).total == usd("15")
    assert part_line(price, part(3, "last", before=17)).components == ()
    assert part_line(price, part(3, "first", before=17)).total == usd("30")


def test_what_lies_above_the_maximum_is_a_discount_of_the_components_that_cross_it():
    terms = {**GRADUATED, "adjustments": {"maximum": "30"}}

    line = part_line(parse_price(terms), part(10, "mid", before=8, billed=usd("23")))

    assert [(each.amount, each.discount) for each in line.components] == [(usd("4"), NONE), (usd("8"), usd("5"))]
    assert part_line(parse_price(terms), part(1, "mid", billed=usd("40"))).total == NONE


def test_the_minimum_is_topped_up_with_the_last_part_only_less_what_was_billed():
    terms = {"model": "per_unit", "unit_amount": "1", "adjustments": {"minimum": {"amount": "31", "prorate": True}}}
    price = parse_price(terms)

    assert part_line(price, part(3, "mid")).charges == NONE
    assert part_line(price, part(3, "last", billed=usd("8"))).charges == usd("20")
    assert part_line(price, part(3, "last", billed=usd("8"), service_days=(14, 31))).charges == usd("3")


def test_free_units_are_taken_by_the_earliest_parts_after_conversion():
    adjustments = {"convert": {"divisor": "1000", "rounding": "ceiling"}, "free_units": "3"}
    price = parse_price({"model": "per_unit", "unit_amount": "1", "adjustments": adjustments})

    assert part_line(price, part(1200, "mid", before=1200)).quantity == 1
    assert part_line(price, part(1200, "mid", before=2900)).quantity == 2


def test_an_amount_off_is_used_up_by_the_earliest_parts():
    price = parse_price({"model": "per_unit", "unit_amount": "1", "adjustments": {"amount_off": "10"}})

    assert part_line(price, part(8, "first")).total == NONE
    assert part_line(price, part(8, "mid", before=8)).total == usd("6")
    assert part_line(price, part(8, "last", before=16)).total == usd("8")


def test_credits_pay_what_is_due_and_no_more():
    line = part_line(parse_price(GRADUATED), part(1, credits=(usd("5"), usd("9"), usd("1"))))

    assert (line.amount, line.credits, line.total) == (usd("9"), usd("9"), NONE)


@pytest.mark.parametrize(("term", "billed"), [("in_advance", ["single", "first"]), ("in_arrears", ["single", "last"])])
def test_a_fee_is_billed_once_at_its_term_less_the_percentage_alone(term, billed):
    by = Adjustments(percentage=Decimal(10), minimum=Minimum(Decimal(500)), maximum=Decimal(500))
    lines = {
        position: fee_line(usd("100"), term, part(1, position), by) for position in ("single", "first", "mid", "last")
    }

    assert {position: line.total for position, line in lines.items()} == {
        position: usd("90") if position in billed else NONE for position in lines
    }


def test_a_part_whose_usage_falls_is_refused_since_the_difference_is_booked_instead():
    price = parse_price(GRADUATED)

    for each in (part(-1), part(1, before=-1)):
        with pytest.raises(QuantityNegative):
            part_line(price, each)
    assert booked(price, [Decimal(7), Decimal(3)], currency=USD) == (usd("21"), usd("-8"))
