"""What documents give or ask beside their lines: however a period is split over documents, it comes to the same."""

from datetime import date
from decimal import Decimal

import pytest
from domain_strategies import decimals
from hypothesis import given
from hypothesis import strategies as st

from domain.coupons import Coupon
from domain.document_adjustments import Charged, Given, Giver, Limits, Owned, Terms, Treatment, adjustments
from domain.explanations import ToldBeside, explained_beside
from domain.money import Currency, Money, total
from domain.taxation import TaxEvidence

pytestmark = pytest.mark.fast

USD = Currency("USD")
DAY = date(2026, 3, 31)


def usd(amount) -> Money:
    return Money.of(amount, USD)


def treatment(category: str = "standard", percent: str = "8.875", account: str = "revenue") -> Treatment:
    return Treatment(TaxEvidence("table", "US-NY", category, Decimal(percent), DAY, "test"), account)


STANDARD, REDUCED = treatment(), treatment("reduced", "4")


def owned(coupon: Coupon, number: int = 1) -> Owned:
    return Owned(Giver("coupon", number, coupon.name), coupon)


def limits(*, minimum: str | None = None, maximum: str | None = None) -> Limits:
    return Limits(7, maximum and usd(maximum), minimum and usd(minimum), "standard", "revenue", STANDARD.evidence)


def nets(terms: Terms, *lines: Charged) -> list[tuple[str, str, str]]:
    found = adjustments(terms, lines, currency=USD, on=DAY)
    return [(each.giver.kind, each.treatment.evidence.category, each.net.to_text()) for each in found]


def test_a_percentage_is_rounded_once_and_spread_over_treatments_to_the_cent():
    terms = Terms(coupons=(owned(Coupon("ten", percent=Decimal(10))),))

    found = nets(terms, Charged("a", STANDARD, usd("0.05")), Charged("b", REDUCED, usd("0.09")))

    # 10 % of 0.14 is 0.014, a cent: the larger remainder has it
    assert found == [("coupon", "reduced", "-0.01")]


def test_a_coupon_gives_on_prices_and_what_was_promised_at_least_is_paid_all_the_same():
    half = owned(Coupon("half", percent=Decimal(50)))
    line = Charged("a", STANDARD, usd("100"))

    assert nets(Terms((half,), limits(minimum="80")), line) == [
        ("coupon", "standard", "-50.00"), ("minimum", "standard", "30.00"),
    ]  # fmt: skip
    assert nets(Terms((half,), limits(maximum="80")), line) == [("coupon", "standard", "-50.00")]
    assert nets(Terms((half,), limits(maximum="40")), line)[1:] == [("maximum", "standard", "-10.00")]


def test_what_is_above_the_maximum_is_taken_off_where_it_was_charged():
    lines = Charged("a", STANDARD, usd("90")), Charged("b", REDUCED, usd("30")), Charged("c", REDUCED, usd("-10"))

    # 110 in all, 10 above: by 90 and 30
    assert nets(Terms(limits=limits(maximum="100")), *lines) == [
        ("maximum", "standard", "-7.50"), ("maximum", "reduced", "-2.50"),
    ]  # fmt: skip


def test_a_month_without_a_charge_asks_for_the_minimum_alone():
    assert nets(Terms(limits=limits(minimum="80"))) == [("minimum", "standard", "80.00")]


def test_what_a_coupon_gave_that_gives_nothing_any_more_is_taken_back():
    before = Given(Giver("coupon", 1, "Ten"), STANDARD, usd("-10"), ("A-1", "A-2"))

    (found,) = adjustments(Terms(given=(before,)), [], currency=USD, on=DAY)

    assert found.net == usd("10")
    told = ToldBeside(found.giver.title, date(2026, 3, 1), date(2026, 4, 1), found.net, found.steps)
    assert [each.text for each in explained_beside(told)] == [
        "Ten asks this beside the lines, for all of 2026-03-01 to 2026-03-31.",
        "Already given on A-1, A-2: USD 10.00.",
        "The sum before tax is USD 10.00.",
    ]


TREATMENTS = st.sampled_from([STANDARD, REDUCED, treatment(account="other")])
LINES = st.builds(
    Charged,
    st.sampled_from(["a", "b", "c"]),
    TREATMENTS,
    decimals(lowest="-50", highest="1000", places=2).map(usd),
)
COUPONS = st.lists(
    st.one_of(
        st.builds(
            lambda percent, only: Coupon("", percent=percent, only=only),
            decimals(lowest="0.1", highest="100", places=1),
            st.none() | st.frozensets(st.sampled_from(["a", "b", "c"]), min_size=1),
        ),
        st.builds(lambda amount: Coupon("", amount=usd(amount)), decimals(lowest="0.01", highest="500", places=2)),
    ),
    max_size=3,
)
LIMITS = st.none() | st.sampled_from(
    [limits(minimum="100"), limits(maximum="200"), limits(minimum="100", maximum="200")]
)


def named(coupons: list[Coupon]) -> tuple[Owned, ...]:
    return tuple(owned(Coupon(f"c{n}", each.percent, each.amount, only=each.only), n) for n, each in enumerate(coupons))


def sums(found) -> dict[tuple[object, object], Decimal]:
    """What givers came to by treatment, without those that came to nothing."""
    result: dict[tuple[object, object], Decimal] = {}
    for each in found:
        key = each.giver, each.treatment
        result[key] = result.get(key, Decimal(0)) + each.net.amount
    return {key: amount for key, amount in result.items() if amount}


@given(st.lists(st.lists(LINES, max_size=3), min_size=1, max_size=4), COUPONS, LIMITS, st.randoms())
def test_however_lines_are_split_over_documents_and_shuffled_the_period_comes_to_the_same(
    documents, coupons, limit, chance
):
    lines = [line for document in documents for line in document]
    at_once = adjustments(Terms(named(coupons), limit), lines, currency=USD, on=DAY)
    chance.shuffle(documents)

    charged, done = [], []
    for document in documents:
        before = tuple(Given(each.giver, each.treatment, each.net) for each in done)
        terms = Terms(named(coupons), limit, tuple(charged), before)
        done += adjustments(terms, document, currency=USD, on=DAY)
        charged += document

    assert sums(done) == sums(at_once)
    again = Terms(named(coupons), limit, tuple(charged), tuple(Given(e.giver, e.treatment, e.net) for e in done))
    assert adjustments(again, [], currency=USD, on=DAY) == (), "saying it twice changes nothing"


@given(st.lists(LINES, max_size=6), COUPONS, LIMITS)
def test_each_adjustment_is_the_sum_of_its_steps_and_the_limits_hold(lines, coupons, limit):
    found = adjustments(Terms(named(coupons), limit), lines, currency=USD, on=DAY)

    for each in found:
        assert each.net.is_rounded
        assert sum((step.amount for step in each.steps), Decimal(0)) == each.net.amount
        told = ToldBeside("x", date(2026, 3, 1), date(2026, 4, 1), each.net, each.steps)
        assert explained_beside(told)[-1].text.startswith("The sum before tax is")
    due = total([line.net for line in lines] + [each.net for each in found], USD)
    if limit is not None and limit.minimum is not None:
        assert due >= limit.minimum
    if limit is not None and limit.maximum is not None:
        assert due <= limit.maximum
