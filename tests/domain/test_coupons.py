from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from domain_strategies import decimals
from hypothesis import given
from hypothesis import strategies as st

from domain.coupons import Coupon, CouponInvalid, Discountable, redeemed
from domain.discounts import percentage_per_line, spread, spread_exactly
from domain.money import EXACT, AllocationImpossible, Currency, Money, total

pytestmark = pytest.mark.fast

EUR = Currency("EUR")
DAY = date(2026, 3, 31)


def eur(amount) -> Money:
    return Money.of(amount, EUR)


def amounts(lowest: str = "-100") -> st.SearchStrategy[Money]:
    return decimals(lowest=lowest, highest="10000", places=2).map(eur)


def coupons() -> st.SearchStrategy[Coupon]:
    only = st.none() | st.frozensets(st.sampled_from(["a", "b", "c"]))
    uses = st.none() | st.integers(0, 3)
    percentages = decimals(lowest="0.1", highest="100", places=1)
    return st.one_of(
        st.builds(Coupon, st.text(max_size=3), percent=percentages, only=only, uses_left=uses),
        st.builds(Coupon, st.text(max_size=3), amount=amounts("0"), used=st.just(eur("0")), only=only, uses_left=uses),
    )


def lines() -> st.SearchStrategy[list[Discountable]]:
    return st.lists(st.builds(Discountable, st.sampled_from(["a", "b", "c"]), amounts()), min_size=1, max_size=6)


@given(amounts("0"), st.lists(amounts(), min_size=1, max_size=6))
def test_a_discount_that_is_spread_sums_to_itself_and_takes_no_more_than_there_is(discount, given):
    positive = total((amount for amount in given if amount.amount > 0), EUR)

    for shares in (spread(discount, given), spread_exactly(discount, given)):
        assert total(shares, EUR) == min(discount, positive)
        for share, amount in zip(shares, given, strict=True):
            assert 0 <= share.amount <= EXACT.add(max(amount.amount, Decimal(0)), Decimal("1e-40"))
    assert all(share.is_rounded for share in spread(discount, given))


@given(amounts("0"), st.lists(amounts(), min_size=1, max_size=6))
def test_rounded_shares_are_within_a_cent_of_the_exact_ones(discount, given):
    for rounded, exact in zip(spread(discount, given), spread_exactly(discount, given), strict=True):
        assert abs(rounded - exact) < eur("0.01") + eur("0.0000000001")


def test_the_cent_left_over_goes_to_the_largest_remainder_and_then_to_the_earlier_line():
    assert spread(eur("1.00"), [eur("3.33"), eur("3.33"), eur("3.34")]) == (eur("0.33"), eur("0.33"), eur("0.34"))
    assert spread(eur("0.02"), [eur("1"), eur("1"), eur("1")]) == (eur("0.01"), eur("0.01"), eur("0"))
    assert spread(eur("1"), []) == ()


def test_a_discount_that_is_not_rounded_cannot_be_spread_in_cents():
    with pytest.raises(AllocationImpossible):
        spread(eur("0.005"), [eur("1")])


def test_a_percentage_of_each_line_may_miss_the_percentage_of_their_sum():
    assert percentage_per_line(Decimal(10), [eur("0.05"), eur("0.05"), eur("-0.05")]) == (
        eur("0.01"), eur("0.01"), eur("-0.01"),
    )  # fmt: skip


@given(lines(), st.lists(coupons(), max_size=5), st.sampled_from(["as_listed", "percentage_first"]))
def test_coupons_take_what_they_say_from_the_lines_they_are_for_and_leave_the_rest(given, listed, order):
    found = redeemed(given, listed, on=DAY, order=order)

    currency_total = total((line.amount for line in given), EUR)
    assert currency_total - total(found.remaining, EUR) == total((use.amount for use in found.uses), EUR)
    for line, left in zip(given, found.remaining, strict=True):
        assert left == line.amount if line.amount.amount <= 0 else 0 <= left.amount <= line.amount.amount
    for use in found.uses:
        assert use.amount == total(use.shares, EUR)
        assert use.coupon.uses_left != 0
        assert use.coupon.amount is None or use.amount <= use.coupon.amount
        only = use.coupon.only
        for line, share in zip(given, use.shares, strict=True):
            assert share.is_zero or only is None or line.name in only


@given(lines(), st.lists(coupons(), max_size=5))
def test_percentages_first_depends_on_no_order_between_the_kinds(given, listed):
    by_kind = [each for each in listed if each.percent] + [each for each in listed if not each.percent]

    assert redeemed(given, listed, on=DAY, order="percentage_first") == redeemed(
        given, by_kind, on=DAY, order="as_listed"
    )


def test_each_coupon_acts_on_what_the_ones_before_it_left():
    ten_percent, fifty = Coupon("ten", percent=Decimal(10)), Coupon("fifty", amount=eur("50"))
    line = [Discountable("a", eur("100"))]

    assert redeemed(line, [fifty, ten_percent], on=DAY, order="as_listed").remaining == (eur("45"),)
    assert redeemed(line, [fifty, ten_percent], on=DAY, order="percentage_first").remaining == (eur("40"),)


def test_a_coupon_ends_with_its_amount_its_uses_or_its_day():
    line = [Discountable("a", eur("100"))]
    once = Coupon("once", amount=eur("130"), used=eur("0"))
    thrice = Coupon("thrice", amount=eur("5"), uses_left=3)

    once = once.after(eur("100"))
    assert once.of(eur("100")) == eur("30")
    assert once.after(eur("30")).of(eur("100")) == eur("0")
    assert thrice.after(eur("5")) == replace(thrice, uses_left=2)
    assert thrice.after(eur("0")) == thrice
    for spent in (replace(thrice, uses_left=0), replace(thrice, expires_on=DAY)):
        assert redeemed(line, [spent], on=DAY, order="as_listed").uses == ()
    assert redeemed(line, [replace(thrice, expires_on=date(2026, 4, 1))], on=DAY, order="as_listed").uses


def test_a_coupon_for_other_lines_gives_nothing():
    coupon = Coupon("b only", percent=Decimal(50), only=frozenset({"b"}))

    assert redeemed([Discountable("a", eur("9"))], [coupon], on=DAY, order="as_listed").uses == ()
    assert redeemed([], [coupon], on=DAY, order="as_listed").remaining == ()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "percent"),
        ({"percent": Decimal(5), "amount": eur("5")}, "percent"),
        ({"percent": Decimal(0)}, "percent"),
        ({"percent": Decimal("100.5")}, "percent"),
        ({"amount": eur("-1")}, "amount"),
        ({"amount": eur("0.001")}, "amount"),
        ({"amount": eur("1"), "uses_left": -1}, "uses_left"),
    ],
)
def test_a_coupon_that_makes_no_sense_is_refused_by_field_with_a_fix(given, field):
    with pytest.raises(CouponInvalid) as refused:
        Coupon("odd", **given)

    assert (refused.value.code, refused.value.field) == ("coupon_invalid", field)
    assert refused.value.fix
