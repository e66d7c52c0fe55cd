import json
from dataclasses import replace
from datetime import date
from decimal import Decimal, localcontext

import pytest
from domain_strategies import decimals, prices, quantities
from hypothesis import given
from hypothesis import strategies as st

from domain.commitments import WindowedCommitment, below_minimum, over_maximum, owed_in, prorated_minimum
from domain.metrics.buckets import buckets_of
from domain.money import EXACT
from domain.periods import MonthlyCycle, Window, first_instant
from domain.prices import (
    Adjusted,
    Adjustments,
    Measured,
    NotMeasured,
    PriceInvalid,
    QuantityNegative,
    moved_by,
    parse_price,
    price_json,
)
from domain.prices.adjustments import Minimum, free_in
from domain.prices.priced import Priced, TraceStep
from domain.rating import moved
from domain.units import Conversion

pytestmark = pytest.mark.fast

PER_UNIT = {"model": "per_unit", "unit_amount": "2"}


def adjusted(terms=PER_UNIT, **adjustments):
    return parse_price({**terms, "adjustments": adjustments})


def steps(priced):
    return [(step.rule, step.amount) for step in priced.steps]


def conversions() -> st.SearchStrategy[Conversion]:
    numbers = decimals(lowest="0.001", highest="1000000", places=3)
    rounding = st.sampled_from(["ceiling", "half_up", "floor"])
    rounded = st.builds(Conversion, numbers, numbers, rounding, st.integers(0, 6))
    return st.one_of(st.builds(Conversion, factor=numbers), rounded)


@st.composite
def adjustments(draw: st.DrawFn) -> Adjustments:
    maximum = draw(st.none() | decimals(highest="100000", places=2))
    minimum = decimals(lowest="0.01", highest="100000", places=2).filter(lambda m: maximum is None or m <= maximum)
    windowed = st.builds(
        WindowedCommitment,
        decimals(lowest="0.01", highest="100", places=2),
        st.booleans(),
        decimals(lowest="0.01", highest="9", places=2),
    )
    is_bounded = maximum is None or maximum > 0
    return Adjustments(
        draw(st.none() | conversions().filter(lambda c: c.factor == 1 or c.divisor == 1)),
        draw(decimals(highest="1000", places=2)),
        draw(decimals(highest="100", places=2)),
        draw(decimals(highest="500", places=2)),
        maximum,
        draw(st.none() | st.builds(Minimum, minimum, st.booleans())) if is_bounded else None,
        draw(st.none() | windowed),
    )


@given(prices(), adjustments(), quantities())
def test_the_steps_of_an_adjusted_price_sum_to_its_amount(price, by, quantity):
    priced = Adjusted(price, by).amount_for(quantity)

    with localcontext(EXACT):
        assert sum(step.amount for step in priced.steps) == priced.amount


@given(prices(), adjustments(), quantities())
def test_an_adjusted_price_lies_between_its_minimum_and_its_maximum(price, by, quantity):
    amount = Adjusted(price, by).amount_for(quantity).amount

    assert amount >= (by.minimum.amount if by.minimum else 0)
    assert by.maximum is None or amount <= by.maximum


@given(prices(), adjustments(), quantities(), quantities())
def test_more_units_never_cost_less_after_adjustments(price, by, a, b):
    low, high = sorted((a, b))
    price = Adjusted(price, by)

    if by.windowed is None or by.windowed.overage_factor >= 1:
        assert price.amount_for(low).amount <= price.amount_for(high).amount


@given(prices(), adjustments())
def test_an_adjusted_price_that_is_printed_is_read_as_the_same_price(price, by):
    if by != Adjustments():
        assert parse_price(json.loads(json.dumps(price_json(Adjusted(price, by))))) == Adjusted(price, by)


@given(prices(), quantities())
def test_no_adjustments_change_nothing(price, quantity):
    assert parse_price({**price_json(price), "adjustments": {"free_units": "0"}}) == price
    assert Adjusted(price, Adjustments()).amount_for(quantity) == price.amount_for(quantity)


def test_every_adjustment_is_a_step_in_the_order_that_holds_for_all():
    price = adjusted(
        convert={"divisor": "1000", "rounding": "ceiling"}, free_units="3", percentage="10", maximum="17",
        minimum={"amount": "16.5"},
    )  # fmt: skip

    priced = price.amount_for(Decimal(13_001))  # 14 units, 11 paid: 22.00, less 2.20, cut at 17

    assert steps(priced) == [
        ("converted", 0), ("free_units", 0), ("per_unit", 22),
        ("discount", Decimal("-2.2")), ("maximum", Decimal("-2.8")),
    ]  # fmt: skip
    assert priced.amount == 17
    assert steps(price.amount_for(Decimal(0)))[-1] == ("minimum", Decimal("16.5"))


def test_a_minimum_is_prorated_by_the_days_that_the_price_is_in_force_only_if_it_says_so():
    whole, by_days = (adjusted(minimum={"amount": "310", "prorate": prorate}) for prorate in (False, True))
    half = Measured(Decimal(10), service_days=(14, 31))

    assert whole.price(half).amount == 310
    assert by_days.price(half).amount == 140
    assert by_days.price(Measured(Decimal(10))).amount == 310
    assert by_days.price(half).steps[-1].fact("service_days") == "14 of 31"


def test_a_discount_takes_its_part_off_a_credit_too():
    price = adjusted({**PER_UNIT, "negative_quantity": "credit"}, percentage="25", maximum="100")

    assert price.amount_for(Decimal(-2)).amount == -3


def test_an_amount_off_comes_off_once_after_the_percentage_and_never_below_nothing():
    price = adjusted({**PER_UNIT, "negative_quantity": "credit"}, percentage="25", amount_off="5")

    assert [price.amount_for(Decimal(units)).amount for units in (10, 2, -2)] == [10, 0, -3]
    assert steps(price.amount_for(Decimal(2)))[1:] == [("discount", -1), ("amount_off", -3)]


def test_what_the_price_refuses_stays_refused():
    with pytest.raises(QuantityNegative):
        adjusted(free_units="5").amount_for(Decimal(-1))


def test_a_commitment_holds_for_each_bucket_alone_and_free_units_go_to_the_first():
    price = adjusted(free_units="1", windowed={"amount": "10", "true_up": True, "overage_factor": "1.5"})

    priced = price.price(Measured(Decimal(14), buckets=(Decimal(3), Decimal(11))))

    # 2 x 2 = 4, topped up to 10; 11 x 2 = 22, of which 12 are above and cost 18
    assert priced.amount == 10 + 10 + 18
    assert steps(priced) == [
        ("free_units", 0), ("per_unit", 4), ("window_true_up", 6), ("per_unit", 22), ("window_overage", 6),
    ]  # fmt: skip
    assert price.amount_for(Decimal(14)).amount == 10 + 16 * Decimal("1.5")


def test_a_bucket_without_usage_is_topped_up_as_well_and_its_price_is_not_asked():
    price = adjusted(windowed={"amount": "10", "true_up": True})

    assert price.price(Measured.none()).amount == 0
    assert price.price(Measured(Decimal(0))).amount == 10
    assert price.price(replace(Measured.none(), idle_buckets=720)).amount == 7_200
    priced = price.price(Measured(Decimal(3), buckets=(Decimal(3),), idle_buckets=2))
    assert steps(priced) == [("per_unit", 6), ("window_true_up", 4), ("window_true_up", 20)]
    assert adjusted(windowed={"amount": "10"}).price(replace(Measured.none(), idle_buckets=720)).amount == 0


def test_what_usage_in_an_idle_bucket_is_worth_is_what_it_adds_to_the_commitment():
    price = adjusted(windowed={"amount": "10", "true_up": True})
    before, after = Measured(Decimal(3), buckets=(Decimal(3),)), Measured(Decimal(9), buckets=(Decimal(3), Decimal(6)))

    assert moved(price, before, after) == moved(price, after, before) == 2


@pytest.mark.parametrize(
    ("zone", "first_on", "hours"),
    [("UTC", "2026-03-01", 744), ("Europe/Berlin", "2026-03-01", 743), ("Europe/Berlin", "2026-10-20", 12 * 24 + 1)],
)
def test_the_hours_that_are_owed_are_those_of_the_service_days_as_the_clock_shows_them(zone, first_on, hours):
    served_from = date.fromisoformat(first_on)
    period = MonthlyCycle(zone).period_at(first_instant(served_from, zone))

    owed = owed_in(buckets_of(period, "hour"), Window(first_instant(served_from, zone), period.ends_at))

    assert len(owed) == hours
    assert len(owed_in(buckets_of(period, "month"), Window(first_instant(served_from, zone), period.ends_at))) == 1


def test_a_tier_is_chosen_by_the_converted_quantity_before_it_was_prorated_less_what_is_free():
    tiers = [{"up_to": "10", "unit_amount": "3"}, {"up_to": None, "unit_amount": "2"}]
    price = adjusted({"model": "volume", "tiers": tiers}, convert={"divisor": "100"}, free_units="1")

    assert price.price(Measured(Decimal(600), unprorated=Decimal(1200))).amount == 10
    assert price.price(Measured(Decimal(600), unprorated=Decimal(1100))).amount == 15


def test_a_commitment_without_true_up_leaves_low_usage_alone():
    assert adjusted(windowed={"amount": "10"}).amount_for(Decimal(2)).amount == 4


@pytest.mark.parametrize(
    ("rounding", "scale", "found"),
    [
        ("ceiling", 0, ["2", "2", "1", "-1", "-1"]),
        ("floor", 0, ["1", "1", "1", "-2", "-2"]),
        ("half_up", 0, ["2", "1", "1", "-2", "-1"]),
        ("ceiling", 1, ["1.5", "1.5", "1", "-1.5", "-1.4"]),
    ],
)
def test_a_converted_quantity_is_rounded_as_the_contract_says(rounding, scale, found):
    convert = Conversion(divisor=Decimal(1000), rounding=rounding, scale=scale)
    quantities = [Decimal(units) for units in ("1500", "1499", "1000", "-1500", "-1499")]

    assert [convert.apply(quantity) for quantity in quantities] == [Decimal(units) for units in found]


def test_a_quotient_that_never_ends_is_rounded_up_only_for_what_is_really_above():
    convert = Conversion(divisor=Decimal(3), rounding="ceiling")

    assert convert.apply(Decimal(10)) == 4
    assert convert.apply(Decimal(9)) == 3
    assert Conversion(factor=Decimal("0.001")).apply(Decimal(7)) == Decimal("0.007")
    assert Conversion(divisor=Decimal(3)).apply(Decimal(1)) == Decimal("0." + "3" * 50)


@given(conversions(), quantities())
def test_rounding_up_and_down_hold_the_quotient_between_them(convert, quantity):
    if convert.rounding == "none":
        return
    up, down = (
        Conversion(convert.factor, convert.divisor, rounding, convert.scale).apply(quantity)
        for rounding in ("ceiling", "floor")
    )

    assert down * convert.divisor <= quantity * convert.factor <= up * convert.divisor
    assert up - down <= Decimal(1).scaleb(-convert.scale)
    assert down <= convert.apply(quantity) <= up


@given(quantities(), st.lists(quantities(), max_size=5))
def test_free_units_are_used_once_however_usage_is_split(free, parts):
    before, used = Decimal(0), Decimal(0)
    for part in parts:
        earlier, here = free_in(free, before, part)
        assert earlier == used
        before, used = before + part, used + here

    assert used == min(free, before)


@given(quantities(), quantities(), quantities())
def test_a_maximum_and_a_minimum_bound_what_was_billed_and_is_to_be(amount, bound, billed):
    above, lacking = over_maximum(amount, bound, billed=billed), below_minimum(amount, bound, billed=billed)

    assert 0 <= above <= amount
    assert amount + billed - above <= max(bound, billed)
    assert amount + billed + lacking == max(bound, amount + billed)


def test_a_minimum_for_some_days_is_their_share():
    assert prorated_minimum(Decimal(10), part=0, whole=28) == 0
    assert prorated_minimum(Decimal(28), part=25, whole=28) == 25


class OfEvents:
    """A price model that prices more than a quantity."""

    model = "of_events"

    def price(self, measured):
        return Priced.of(TraceStep.of("events", Decimal(len(measured.events))))

    def to_json(self):
        return {}


def test_a_price_of_more_than_a_quantity_takes_what_changes_its_amount_and_no_more():
    price = Adjusted(OfEvents(), Adjustments(percentage=Decimal(50)))

    assert price.price(Measured(Decimal(9), events=(Decimal(4), Decimal(5)))).amount == 1
    with pytest.raises(PriceInvalid, match="of_events prices more than a quantity"):
        Adjusted(OfEvents(), Adjustments(free_units=Decimal(1)))


def test_usage_that_a_maximum_or_a_minimum_swallows_is_no_money_at_risk():
    price = adjusted(maximum="100", minimum={"amount": "10"})

    assert moved_by(price, Decimal(1), held=Decimal(60)) == 0
    assert moved_by(price, Decimal(2), held=Decimal(2)) == 0
    assert moved_by(price, Decimal(2), held=Decimal(4)) == 2


def test_where_commitments_are_by_the_bucket_nobody_knows_what_more_units_would_move():
    price = adjusted(windowed={"amount": "10"})

    with pytest.raises(NotMeasured):
        moved_by(price, Decimal(1), held=Decimal(60))


def test_a_bucket_that_gives_free_units_back_is_no_credit_for_them():
    model = {"model": "per_unit", "unit_amount": "2", "negative_quantity": "credit"}
    price = adjusted(model, free_units="10", windowed={"amount": "1000"})

    for buckets in ([10, -10, 10], [-4, 14], [12, -5, 3], [30, -40], [5, 5]):
        units = tuple(map(Decimal, buckets))
        priced = price.price(Measured(Decimal(sum(buckets)), buckets=units))

        assert priced.amount == adjusted(model, free_units="10").amount_for(Decimal(sum(buckets))).amount


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ([], "adjustments"),
        ({"discount": "1"}, "adjustments.discount"),
        ({"percentage": "0"}, "adjustments.percentage"),
        ({"percentage": "100.1"}, "adjustments.percentage"),
        ({"percentage": "1.234567891"}, "adjustments.percentage"),
        ({"percentage": 0.5}, "adjustments.percentage"),
        ({"amount_off": "-1"}, "adjustments.amount_off"),
        ({"free_units": "-1"}, "adjustments.free_units"),
        ({"maximum": "-1"}, "adjustments.maximum"),
        ({"minimum": "10"}, "adjustments.minimum"),
        ({"minimum": {"amount": "0"}}, "adjustments.minimum.amount"),
        ({"minimum": {"amount": "11"}, "maximum": "10"}, "adjustments.minimum.amount"),
        ({"minimum": {"amount": "1", "prorate": "yes"}}, "adjustments.minimum.prorate"),
        ({"minimum": {"amount": "1", "days": 3}}, "adjustments.minimum.days"),
        ({"convert": {}}, "adjustments.convert.factor"),
        ({"convert": {"factor": "1", "divisor": "2"}}, "adjustments.convert.factor"),
        ({"convert": {"divisor": "0"}}, "adjustments.convert.divisor"),
        ({"convert": {"factor": "1.00000000000000000001"}}, "adjustments.convert.factor"),
        ({"convert": {"factor": "2", "rounding": "up"}}, "adjustments.convert.rounding"),
        ({"convert": {"factor": "2", "rounding": "ceiling", "scale": 13}}, "adjustments.convert.scale"),
        ({"convert": {"factor": "2", "scale": 1}}, "adjustments.convert.scale"),
        ({"convert": {"unit": "GB"}}, "adjustments.convert.unit"),
        ({"windowed": {"true_up": True}}, "adjustments.windowed.amount"),
        ({"windowed": {"amount": "0"}}, "adjustments.windowed.amount"),
        ({"windowed": {"amount": "1", "overage_factor": "0"}}, "adjustments.windowed.overage_factor"),
        ({"windowed": {"amount": "1", "overage_factor": "1.123456789"}}, "adjustments.windowed.overage_factor"),
        ({"windowed": {"amount": "1", "overage": "1"}}, "adjustments.windowed.overage"),
    ],
)
def test_adjustments_that_make_no_sense_are_refused_by_field_with_a_fix(given, field):
    with pytest.raises(PriceInvalid) as refused:
        parse_price({**PER_UNIT, "adjustments": given})

    assert refused.value.field == field
    assert refused.value.fix
    assert str(refused.value).startswith(f"{field}: ")
