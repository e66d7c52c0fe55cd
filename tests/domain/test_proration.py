from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from domain_strategies import currencies, decimals, instants
from hypothesis import given
from hypothesis import strategies as st

from domain.definitions import Definition, DefinitionInvalid
from domain.money import AllocationImpossible, Currency, Money, total
from domain.periods import Days, PeriodEmpty, WindowOutside, prorated
from domain.proration import (
    Proportion,
    ProrationRule,
    month_share,
    months_amount,
    plan_change,
    ratable,
    ratable_mixed,
    unpaid_units,
)

pytestmark = pytest.mark.fast

MARCH = (date(2024, 3, 1), date(2024, 4, 1))


def eur(amount: str) -> Money:
    return Money.of(amount, "EUR")


def amounts() -> st.SearchStrategy[Money]:
    return st.builds(Money, decimals(lowest="-1000000", highest="1000000", places=4), currencies())


def definition(**entries: object) -> Definition:
    return Definition(entries, DefinitionInvalid, "proration")


def day(offset: int) -> date:
    return MARCH[0] + timedelta(days=offset)


def test_whole_local_days_are_counted_between_dates():
    share = ProrationRule().share((date(2024, 3, 12), date(2024, 4, 1)), MARCH)

    assert share == Proportion(20 * 86_400_000_000, 31 * 86_400_000_000)
    assert share.of(eur("15.00")).rounded() == eur("9.68")


def test_time_is_counted_between_instants():
    starts_at, ends_at = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)

    share = ProrationRule().share((datetime(2024, 1, 21, 21, 55, 18, tzinfo=UTC), ends_at), (starts_at, ends_at))

    assert share.of(eur("20")).rounded() == eur("6.51")


@given(amounts(), st.integers(0, 31), st.integers(0, 31))
def test_a_share_of_days_is_what_days_are_prorated_by(amount, one, other):
    first, end = sorted((one, other))
    if first == end:
        end += 1
    used, full = Days(day(first), day(end)), Days(day(0), day(32))

    share = ProrationRule().share((used.first_on, used.end_on), (full.first_on, full.end_on))

    assert share.of(amount) == prorated(amount, used=used, full=full)


@given(amounts(), st.integers(0, 31))
def test_a_period_split_at_any_day_sums_to_the_amount(amount, split):
    left, right = (ProrationRule().share(bounds, MARCH) for bounds in ((day(0), day(split)), (day(split), day(31))))

    assert left.part + right.part == left.whole == right.whole
    assert abs((left.of(amount) + right.of(amount) - amount).amount) <= Decimal("1E-40")


@given(amounts(), instants(2020, 2021), instants(2022, 2023), instants(2020, 2023))
def test_a_stretch_within_its_period_is_never_more_than_the_amount(amount, starts_at, ends_at, split):
    middle = min(max(split, starts_at), ends_at)

    share = ProrationRule().share((starts_at, middle), (starts_at, ends_at))

    assert abs(share.of(amount)) <= abs(amount)


@pytest.mark.parametrize(
    "used",
    [
        (date(2024, 2, 29), date(2024, 3, 2)),
        (date(2024, 3, 31), date(2024, 4, 2)),
        (date(2024, 3, 3), date(2024, 3, 2)),
    ],
)
def test_a_stretch_outside_its_period_is_refused(used):
    with pytest.raises(WindowOutside):
        ProrationRule().share(used, MARCH)


def test_a_stretch_outside_its_period_counts_where_the_rule_says_so():
    used = (date(2024, 2, 1), date(2024, 4, 1))

    assert ProrationRule("count").share(used, MARCH).factor(3) == Decimal("1.935")
    assert ProrationRule("cap").share(used, MARCH).factor(3) == 1


@pytest.mark.parametrize("bounds", [(day(4), day(4)), (day(31), day(31))])
def test_an_empty_stretch_is_nothing_or_by_rule_no_part_at_all(bounds):
    assert ProrationRule().share(bounds, MARCH).of(eur("9")) == eur("0")
    assert ProrationRule("cap").share(bounds, MARCH).of(eur("9")) == eur("9")
    assert ProrationRule("cap").share(MARCH, bounds).of(eur("9")) == eur("9")


@pytest.mark.parametrize(
    ("rule", "used", "full"),
    [
        (ProrationRule(), (day(1), day(1)), (day(1), day(1))),
        (ProrationRule("count"), (day(2), day(1)), MARCH),
        (ProrationRule(), MARCH, None),
    ],
)
def test_a_part_of_no_period_is_refused(rule, used, full):
    with pytest.raises(PeriodEmpty):
        rule.share(used, full)


@pytest.mark.parametrize(
    ("used", "full", "factor"),
    [
        ((date(2023, 2, 23), date(2023, 3, 15)), None, "0.733333333"),
        ((date(2024, 2, 23), date(2024, 3, 15)), None, "0.733333333"),
        ((date(2023, 6, 5), date(2023, 6, 20)), None, "0.5"),
        ((date(2023, 1, 1), date(2023, 4, 1)), (date(2023, 1, 1), date(2024, 1, 1)), "0.25"),
    ],
)
def test_every_month_may_count_thirty_days(used, full, factor):
    assert ProrationRule(month_days=30).share(used, full).factor(9) == Decimal(factor)


@given(st.sampled_from(["refuse", "count", "cap"]), st.one_of(st.none(), st.integers(1, 31)))
def test_a_rule_is_read_back_as_it_was_written(beyond, month_days):
    rule = ProrationRule(beyond, month_days)

    assert ProrationRule.parse(definition(**rule.to_json())) == rule


def test_a_rule_that_says_nothing_counts_what_is_within():
    assert ProrationRule.parse(definition()) == ProrationRule("refuse", None)


@pytest.mark.parametrize(
    ("entries", "field"),
    [
        ({"beyond": "guess"}, "proration.beyond"),
        ({"month_days": 0}, "proration.month_days"),
        ({"month_days": 32}, "proration.month_days"),
        ({"unit": "day"}, "proration.unit"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_by_its_field(entries, field):
    with pytest.raises(DefinitionInvalid) as refused:
        ProrationRule.parse(definition(**entries))

    assert refused.value.facts["field"] == field


def test_a_change_of_plan_gives_back_and_asks_for_what_is_left():
    # Polar: 22 of 29 days of February and March 2024 are left
    change = plan_change(eur("100"), eur("300"), left=Proportion(22, 29))

    assert (change.credit, change.charge, change.net) == (eur("-75.86"), eur("227.59"), eur("151.73"))


def test_a_new_period_is_asked_for_in_full():
    change = plan_change(eur("1000"), eur("100"), left=Proportion(10, 12), new_in_full=True)

    assert (change.credit, change.charge) == (eur("-833.33"), eur("100"))


@given(amounts(), st.integers(0, 400), st.integers(1, 400))
def test_a_change_to_the_same_price_costs_nothing(amount, left, whole):
    assert plan_change(amount, amount, left=Proportion(min(left, whole), whole)).net.is_zero


@pytest.mark.parametrize(
    ("first_on", "last_on", "rule", "share"),
    [
        # Zuora: the three readings of the same range
        (date(2021, 1, 27), date(2021, 1, 31), "actual", Proportion(5, 31)),
        (date(2021, 1, 27), date(2021, 1, 31), "actual_30", Proportion(5, 30)),
        (date(2021, 1, 27), date(2021, 1, 31), "strict_30", Proportion(4, 30)),
        (date(2021, 2, 27), date(2021, 2, 28), "strict_30", Proportion(4, 30)),
        (date(2021, 2, 1), date(2021, 2, 28), "strict_30", Proportion(30, 30)),
        (date(2021, 1, 31), date(2021, 1, 31), "strict_30", Proportion(1, 30)),
        (date(2021, 1, 16), date(2021, 2, 15), "strict_30", Proportion(30, 30)),
    ],
)
def test_a_part_of_a_month_is_counted_as_its_rule_says(first_on, last_on, rule, share):
    assert month_share(first_on, last_on, rule) == share


@given(st.dates(date(1990, 1, 1), date(2035, 1, 1)), st.sampled_from(["actual", "strict_30"]))
def test_a_whole_calendar_month_is_one(inside, rule):
    first_on = inside.replace(day=1)
    last_on = (first_on + timedelta(days=31)).replace(day=1) - timedelta(days=1)

    assert month_share(first_on, last_on, rule).factor(9) == 1


def test_days_out_of_order_are_no_part_of_a_month():
    with pytest.raises(PeriodEmpty):
        month_share(date(2021, 1, 2), date(2021, 1, 1), "actual")


def test_whole_months_and_a_part_are_added_before_they_are_rounded():
    assert months_amount(eur("100"), full_months=1, rest=Proportion(14, 31)).rounded() == eur("145.16")


def weights() -> st.SearchStrategy[list[Decimal]]:
    return st.lists(decimals(lowest="0.5", highest="31", places=1), min_size=1, max_size=14)


@given(amounts(), weights())
def test_what_is_spread_over_periods_sums_to_the_amount(amount, over):
    rounded = amount.rounded()

    for parts in (ratable(rounded, over), ratable(rounded, over, mode="down"), ratable_mixed(rounded, over)):
        assert len(parts) == len(over)
        assert all(part.is_rounded for part in parts)
        assert total(parts, amount.currency) == rounded


def test_the_last_period_takes_what_rounding_left():
    parts = ratable(eur("1200"), [Decimal(days) for days in (12, 31, 30, 31, 30, 31, 31, 28, 31, 30, 31, 30, 19)])

    assert (parts[0], parts[-1]) == (eur("39.45"), eur("62.46"))


def test_first_and_last_by_time_and_those_between_alike():
    # Stripe: 120 from noon of 15 June to noon of 13 October, first and last month prorated
    parts = ratable_mixed(eur("120"), [Decimal(days) for days in ("15.5", "31", "31", "30", "12.5")])

    assert parts == tuple(map(eur, ("15.50", "30.66", "30.66", "30.68", "12.50")))


def test_yen_are_spread_in_whole_yen():
    yen = Money.of("100", "JPY")

    assert [part.amount for part in ratable(yen, [Decimal(1)] * 3)] == [33, 33, 34]


@pytest.mark.parametrize("spread", [ratable, ratable_mixed])
@pytest.mark.parametrize(("amount", "over"), [("0.001", [1]), ("1", []), ("1", [0, 0, 0]), ("1", [1, -1, 3])])
def test_what_cannot_be_spread_is_refused(spread, amount, over):
    with pytest.raises(AllocationImpossible):
        spread(Money.of(amount, Currency("EUR")), [Decimal(weight) for weight in over])


@pytest.mark.parametrize(
    ("quantity", "paid", "units"),
    [("20", ["10", "5"], "5"), ("10", ["10"], "0"), ("4", ["10"], "0"), ("2.5", [], "2.5")],
)
def test_only_units_above_those_paid_are_billed(quantity, paid, units):
    assert unpaid_units(Decimal(quantity), [Decimal(each) for each in paid]) == Decimal(units)
