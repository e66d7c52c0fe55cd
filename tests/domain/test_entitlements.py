"""What a subscription may use: switches, values, limits with what is left over, and grants in their order."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from domain_strategies import decimals
from hypothesis import given
from hypothesis import strategies as st

from domain.entitlement_terms import EntitlementInvalid, Limit, Setting, Switch, parse_terms
from domain.entitlements import (
    AmountInvalid,
    Entitlement,
    Grant,
    Holding,
    Used,
    allowance,
    check,
    in_force,
    reached,
)
from domain.periods import EVER, OPEN_END, Window

D = Decimal
ALWAYS = Window(EVER, OPEN_END)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MONTHS = [datetime(2026 + n // 12, n % 12 + 1, 1, tzinfo=UTC) for n in range(25)]


def month(number: int) -> Window:
    return Window(MONTHS[number - 1], MONTHS[number])


def day(on: int, *, of: int = 1) -> datetime:
    return MONTHS[of - 1] + timedelta(days=on - 1)


def limit(quantity: str, *, enforcement="hard", rollover_max: str = "0") -> Entitlement:
    return Entitlement(Limit(D(quantity), enforcement, D(rollover_max)), ALWAYS, is_own=False)


def grant(quantity: str, *, name="extra", priority=1, window=ALWAYS, rollover_max: str | None = None) -> Grant:
    return Grant(name, D(quantity), priority, window, None if rollover_max is None else D(rollover_max))


def used(*quantities: str) -> list[Used]:
    """Usage of January and the months after it."""
    return [Used(month(n), D(quantity)) for n, quantity in enumerate(quantities, start=1)]


def figures(holding: Holding, at: datetime | None = None) -> tuple[str, str]:
    """Limit and what remains, by default in the middle of the last period."""
    left = allowance(holding, at=at or holding.periods[-1].window.starts_at + timedelta(days=14))
    return str(left.limit), str(left.remaining)


# ---------------------------------------------------------------------------------------------------- terms
@pytest.mark.parametrize(
    ("kind", "fields", "terms"),
    [
        ("boolean", {}, Switch(is_on=True)),
        ("boolean", {"is_on": False}, Switch(is_on=False)),
        ("static", {"value": "eu-west"}, Setting("eu-west")),
        ("static", {"value": 5}, Setting(D(5))),
        ("metered", {"limit": "1000", "enforcement": "soft"}, Limit(D(1000), "soft", D(0), (80, 100))),
        (
            "metered",
            {"limit": 0, "enforcement": "hard", "rollover_max": "2.5", "thresholds": [120, 50]},
            Limit(D(0), "hard", D("2.5"), (50, 120)),
        ),
    ],
)
def test_terms_are_read_by_the_kind_of_their_feature(kind, fields, terms):
    assert parse_terms(kind, fields) == terms


@pytest.mark.parametrize(
    ("kind", "fields", "field"),
    [
        ("boolean", {"limit": "1"}, "limit"),
        ("boolean", {"is_on": "yes"}, "is_on"),
        ("static", {}, "value"),
        ("static", {"value": ""}, "value"),
        ("static", {"value": True}, "value"),
        ("metered", {"enforcement": "hard"}, "limit"),
        ("metered", {"limit": "1"}, "enforcement"),
        ("metered", {"limit": "-1", "enforcement": "hard"}, "limit"),
        ("metered", {"limit": "1", "enforcement": "hard", "rollover_max": "-1"}, "rollover_max"),
        ("metered", {"limit": "1", "enforcement": "firm"}, "enforcement"),
        *(
            ("metered", {"limit": "1", "enforcement": "hard", "thresholds": given}, "thresholds")
            for given in ([], [0], [1001], [80, 80], ["80"], [True], [D("80.5")], list(range(1, 12)))
        ),
    ],
)
def test_terms_that_do_not_fit_are_refused_with_their_field(kind, fields, field):
    with pytest.raises(EntitlementInvalid) as refused:
        parse_terms(kind, fields)

    assert refused.value.field == field
    assert refused.value.fix


def test_a_subscriptions_own_terms_go_before_those_of_its_contract():
    plan = Entitlement(Switch(is_on=False), ALWAYS, is_own=False)
    own = Entitlement(Switch(is_on=True), month(2), is_own=True)

    assert in_force([plan, own], day(1, of=1)) == plan.terms
    assert in_force([plan, own], day(1, of=2)) == own.terms
    assert in_force([own], day(1, of=3)) is None


# ---------------------------------------------------------------------------------------------------- decisions
def test_a_switch_a_value_and_nothing_at_all():
    def decision(*terms):
        return check(Holding([Entitlement(each, ALWAYS, is_own=False) for each in terms]), at=BEGIN)

    assert (decision(Switch(is_on=True)).allowed, decision(Switch(is_on=True)).reason) == (True, "switched_on")
    assert (decision(Switch(is_on=False)).allowed, decision(Switch(is_on=False)).reason) == (False, "switched_off")
    assert (decision(Setting("eu")).allowed, decision(Setting("eu")).value) == (True, "eu")
    assert (decision().allowed, decision().reason) == (False, "not_entitled")


@pytest.mark.parametrize(
    ("quantity", "amount", "enforcement", "allowed", "reason"),
    [
        ("99", None, "hard", True, "within_limit"),
        ("99.5", None, "hard", True, "within_limit"),
        ("99.5", "1", "hard", False, "limit_reached"),
        ("99", "1", "hard", True, "within_limit"),
        ("100", None, "hard", False, "limit_reached"),
        ("100", None, "soft", True, "over_soft_limit"),
        ("130", "5", "soft", True, "over_soft_limit"),
        ("-3", "100", "hard", True, "within_limit"),
    ],
)
def test_a_limit_allows_what_still_fits_and_a_soft_one_allows_the_rest_too(
    quantity, amount, enforcement, allowed, reason
):
    holding = Holding([limit("100", enforcement=enforcement)], (), used(quantity))

    decision = check(holding, at=day(15), amount=None if amount is None else D(amount))

    assert (decision.allowed, decision.reason) == (allowed, reason)
    assert (decision.limit, decision.used) == (D(100), D(quantity))


@pytest.mark.parametrize("amount", ["0", "-1"])
def test_who_asks_for_nothing_is_refused(amount):
    with pytest.raises(AmountInvalid):
        check(Holding([limit("1")], (), used("0")), at=day(2), amount=D(amount))


@pytest.mark.parametrize(
    ("quantity", "shares"), [("79.99", ()), ("80", (80,)), ("99", (80,)), ("100", (80, 100)), ("500", (80, 100))]
)
def test_thresholds_are_reached_at_their_share_of_the_limit(quantity, shares):
    left = allowance(Holding([limit("100")], (), used(quantity)), at=day(2))

    assert reached(Limit(D(100), "hard"), left) == shares


def test_a_limit_of_nothing_is_reached_by_the_first_usage_and_not_before():
    holding = [allowance(Holding([limit("0")], (), used(quantity)), at=day(2)) for quantity in ("0", "-1", "0.1")]

    assert [reached(Limit(D(0), "hard"), left) for left in holding] == [(), (), (80, 100)]


# ---------------------------------------------------------------------------------------------------- rollover
def test_what_is_left_of_a_limit_rolls_over_up_to_the_maximum():
    terms = [limit("100", rollover_max="30")]

    assert figures(Holding(terms, (), used("80", "0"))) == ("120", "120")
    assert figures(Holding(terms, (), used("10", "0"))) == ("130", "130")
    assert figures(Holding(terms, (), used("140", "0"))) == ("100", "100")


def test_what_was_rolled_over_may_roll_over_again():
    # January leaves 30; of February's 130 units 20 are used, which leaves 110 and so again 30.
    terms = [limit("100", rollover_max="30")]

    assert figures(Holding(terms, (), used("0", "20", "5"))) == ("130", "125")
    assert figures(Holding(terms, (), used("0", "125", "5"))) == ("105", "100")


def test_a_correction_of_a_past_period_is_in_the_present_one_at_once():
    terms = [limit("100", rollover_max="30")]

    before = figures(Holding(terms, (), used("70", "10")))
    after = figures(Holding(terms, (), used("95", "10")))

    assert (before, after) == (("130", "120"), ("105", "95"))


def test_a_period_that_ends_without_terms_leaves_nothing():
    terms = [Entitlement(Limit(D(100), "hard", D(50)), Window(day(1), day(20, of=1)), is_own=False),
             Entitlement(Limit(D(100), "hard", D(50)), Window(day(1, of=2), OPEN_END), is_own=False)]  # fmt: skip

    assert figures(Holding(terms, (), used("0", "0"))) == ("100", "100")


def test_the_terms_that_count_for_a_past_period_are_those_at_its_end():
    terms = [Entitlement(Limit(D(100), "hard", D(50)), Window(EVER, day(20)), is_own=False),
             Entitlement(Limit(D(200), "hard", D(150)), Window(day(20), OPEN_END), is_own=False)]  # fmt: skip

    assert figures(Holding(terms, (), used("90", "0"))) == ("310", "310")


# ---------------------------------------------------------------------------------------------------- grants
def test_the_limit_goes_first_then_grants_by_priority_then_what_expires_first():
    until_march = grant("10", name="march", priority=2, window=Window(day(1), day(1, of=4)))
    until_june = grant("10", name="june", priority=2, window=Window(day(1), day(1, of=7)))
    first = grant("10", name="first", priority=1, window=Window(day(1), day(1, of=7)), rollover_max="0")
    holding = Holding([limit("5")], (until_june, until_march, first), used("27", "0"))

    # January: 5 of the limit, 10 of `first`, 10 of `march`, 2 of `june`. February: the limit, 8 of `june`.
    assert figures(holding) == ("13", "13")


def test_a_grant_stays_until_it_expires_and_no_longer():
    grants = (grant("40", window=Window(day(10), day(10, of=3))),)
    terms = [limit("100")]

    assert figures(Holding(terms, grants, used("0")), day(9)) == ("100", "100")
    assert figures(Holding(terms, grants, used("0")), day(10)) == ("140", "140")
    assert figures(Holding(terms, grants, used("110", "0"))) == ("130", "130")
    assert figures(Holding(terms, grants, used("110", "0", "0")), day(9, of=3)) == ("130", "130")
    assert figures(Holding(terms, grants, used("110", "0", "0")), day(10, of=3)) == ("100", "100")
    assert figures(Holding(terms, grants, used("110", "0", "0", "0"))) == ("100", "100")


def test_what_an_expired_grant_covered_stays_covered_and_the_rest_is_gone():
    grants = (grant("50", priority=0, window=Window(day(1), day(15))),)

    assert figures(Holding([limit("0")], grants, used("20")), day(14)) == ("50", "30")
    assert figures(Holding([limit("0")], grants, used("20")), day(15)) == ("20", "0")
    assert figures(Holding([limit("100")], grants, used("120")), day(20)) == ("120", "0")


def test_of_a_grant_only_its_maximum_moves_into_the_next_period():
    assert figures(
        Holding([limit("0")], (grant("50", window=Window(day(1), OPEN_END), rollover_max="20"),), used("10", "0"))
    ) == ("20", "20")
    assert figures(
        Holding([limit("0")], (grant("50", window=Window(day(1), OPEN_END), rollover_max="0"),), used("10", "0"))
    ) == ("0", "0")
    assert figures(Holding([limit("0")], (grant("50", window=Window(day(1), OPEN_END)),), used("10", "0"))) == (
        "40",
        "40",
    )


def test_a_grant_older_than_the_look_back_is_what_may_be_left_of_it():
    old = (grant("50", name="a", rollover_max="20"), grant("50", name="b"), grant("7", name="c", rollover_max="0"))

    assert figures(Holding([limit("0")], old, used("0"))) == ("70", "70")


@st.composite
def holdings(draw: st.DrawFn) -> Holding:
    quantities = decimals(highest="1000", places=2)
    terms = Entitlement(Limit(draw(quantities), "hard", draw(quantities)), ALWAYS, is_own=False)
    starts = draw(st.lists(st.integers(0, 200), max_size=4))
    grants = tuple(
        Grant(f"g{n}", draw(quantities), draw(st.integers(0, 2)),
              Window(BEGIN + timedelta(days=start), BEGIN + timedelta(days=start + draw(st.integers(1, 200)))),
              draw(st.one_of(st.none(), quantities)))
        for n, start in enumerate(starts)
    )  # fmt: skip
    usage = draw(st.lists(quantities, min_size=1, max_size=8))
    return Holding([terms], grants, [Used(month(n), quantity) for n, quantity in enumerate(usage, start=1)])


@given(holdings(), st.integers(0, 27))
def test_what_remains_is_the_limit_less_what_is_used_and_never_below_nothing(holding, days):
    left = allowance(holding, at=holding.periods[-1].window.starts_at + timedelta(days=days))

    assert left.remaining == max(D(0), left.limit - left.used)


@given(holdings())
def test_the_order_in_which_grants_were_written_changes_nothing(holding):
    at = holding.periods[-1].window.starts_at

    backwards = Holding(holding.entitlements, holding.grants[::-1], holding.periods)

    assert allowance(backwards, at=at) == allowance(holding, at=at)


@given(holdings(), st.integers(0, 7), decimals(lowest="0.01", highest="500", places=2))
def test_more_usage_at_any_time_never_leaves_more(holding, place, more):
    at = holding.periods[-1].window.starts_at + timedelta(days=5)
    place %= len(holding.periods)
    periods = [
        Used(each.window, each.quantity + more) if n == place else each for n, each in enumerate(holding.periods)
    ]

    after = allowance(Holding(holding.entitlements, holding.grants, periods), at=at)

    assert after.remaining <= allowance(holding, at=at).remaining


@given(holdings())
def test_no_more_is_covered_over_all_periods_than_was_ever_given(holding):
    terms = holding.entitlements[0].terms
    covered = D(0)
    for n, period in enumerate(holding.periods, start=1):
        left = allowance(
            Holding(holding.entitlements, holding.grants, holding.periods[:n]),
            at=period.window.ends_at - timedelta(microseconds=1),
        )
        covered += min(left.limit, period.quantity)

    assert covered <= len(holding.periods) * terms.quantity + sum(each.quantity for each in holding.grants)


@given(holdings())
def test_a_period_without_usage_before_all_others_only_ever_helps_by_the_rollover_maximum(holding):
    at = holding.periods[-1].window.starts_at
    terms = holding.entitlements[0].terms
    shifted = [Used(Window(BEGIN - timedelta(days=30), BEGIN), D(0)), *holding.periods]

    earlier = allowance(Holding(holding.entitlements, holding.grants, shifted), at=at)

    assert D(0) <= earlier.limit - allowance(holding, at=at).limit <= terms.rollover_max
