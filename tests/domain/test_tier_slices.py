from datetime import date
from decimal import Decimal

import pytest
from domain_strategies import decimals, graduated_prices
from hypothesis import given
from hypothesis import strategies as st

from domain.money import rounded_to
from domain.periods import Days
from domain.presence import Presence
from domain.prices.graduated import Graduated
from domain.prices.tier_slices import Move, Stay, dated_moves, presence_moves, slices_amount
from domain.prices.tiers import Tier
from domain.proration import Proportion

pytestmark = pytest.mark.fast

SEPTEMBER = Stay(Days(date(2023, 9, 1), date(2023, 10, 1)))
LADDER = Graduated(
    (Tier(Decimal(5), Decimal(10), Decimal(100)), Tier(None, Decimal(5), Decimal(50))), "first_tier_flat"
)
UNIQUE = Graduated(
    (Tier(Decimal(1), Decimal(10), Decimal(100)), Tier(None, Decimal(5), Decimal(50))), "first_tier_flat"
)
WHOLE = Decimal(1)


def move(units: str, part: str) -> Move:
    return Move(Decimal(units), Decimal(part), Decimal(units))


def on(day: int) -> date:
    return date(2023, 9, day)


@pytest.mark.parametrize(
    ("moves", "amount"),
    [
        # Lago, prorated graduated charge
        ([move("5", "3.5"), move("5", "2.66667"), move("10", "2"), move("-6", "-2.2")], "197.33"),
        ([move("5", "3.5"), move("2", "1"), move("-4", "-1.6"), move("10", "2")], "190"),
        ([move("1", "0.7")], "107"),
        ([], "100"),
        ([move("4", "1.6"), move("-100", "-33.33")], "0"),
        # a total that was below zero on its way costs the first tier's rate there
        ([move("-2", "-2"), move("3", "3")], "110"),
        # more is given back than asked for: the flat amounts stay
        ([move("5", "1"), move("-5", "-4")], "100"),
        # what was there for nothing never came, and taking it away gives nothing back
        ([Move(Decimal(9), Decimal(0), WHOLE), Move(Decimal(-9), Decimal(0), WHOLE)], "100"),
        ([Move(Decimal(9), Decimal(0), WHOLE), move("1", "0.7"), Move(Decimal(-9), Decimal(0), WHOLE)], "107"),
    ],
)
def test_each_move_is_charged_the_slice_it_goes_through(moves, amount):
    priced = slices_amount(LADDER, moves)

    assert rounded_to(priced.amount, 2) == Decimal(amount)
    assert sum(step.amount for step in priced.steps) == priced.amount


def quantities() -> st.SearchStrategy[list[Decimal]]:
    return st.lists(decimals(lowest="0.01", highest="10000", places=2), min_size=1, max_size=6)


@given(graduated_prices(), quantities())
def test_units_that_are_there_all_the_time_cost_what_their_total_costs(ladder, units):
    moves = [Move(each, WHOLE, WHOLE) for each in units]

    assert slices_amount(ladder, moves).amount == ladder.amount_for(sum(units)).amount


@given(graduated_prices(), decimals(lowest="0.02", highest="10000", places=2), st.integers(0, 8), st.data())
def test_a_move_split_in_two_costs_the_same(ladder, units, part, data):
    first = data.draw(decimals(lowest="0.01", highest=str(units), places=2))
    share = Proportion(part, 8)

    whole = slices_amount(ladder, [Move.shared(units, share)])
    split = slices_amount(ladder, [Move.shared(each, share) for each in (first, units - first) if each])

    assert whole.amount == split.amount


def test_changes_on_a_day_count_to_the_end_of_the_period():
    moves = dated_moves(SEPTEMBER, Decimal(3), [(on(16), Decimal(5)), (on(10), Decimal(2)), (on(16), Decimal(-6))])

    assert moves == (
        Move.shared(Decimal(3), Proportion(30, 30)),
        Move.shared(Decimal(2), Proportion(21, 30)),
        Move.shared(Decimal(5), Proportion(15, 30)),
        Move.shared(Decimal(-6), Proportion(15, 30)),
    )
    assert dated_moves(SEPTEMBER, Decimal(0), []) == ()


def test_a_part_of_a_period_is_charged_as_days_of_the_whole():
    # Lago: ended on 7 December, with six units held and one that came that day
    stay = Stay(Days(date(2023, 12, 1), date(2023, 12, 8)), full_days=31)
    ladder = Graduated((Tier(Decimal(5), Decimal(0)), Tier(None, Decimal(10))), "none")
    moves = dated_moves(stay, Decimal(6), [(date(2023, 12, 7), Decimal(1))])
    members = [Presence(date(2023, 10, 5), "a", "add"), Presence(date(2023, 12, 7), "b", "add")]
    fees = Graduated((Tier(Decimal(1), Decimal(5), Decimal(10)), Tier(None, Decimal(15), Decimal(30))), "none")

    assert rounded_to(slices_amount(ladder, moves).amount, 2) == Decimal("2.58")
    assert rounded_to(slices_amount(fees, presence_moves(stay, members)).amount, 2) == Decimal("41.61")


def test_a_member_is_charged_for_the_day_it_goes():
    changes = [Presence(on(10), "a", "add"), Presence(on(12), "a", "remove"), Presence(on(14), "a", "add")]

    assert rounded_to(slices_amount(UNIQUE, presence_moves(SEPTEMBER, changes)).amount, 2) == Decimal("106.67")


@pytest.mark.parametrize(
    ("changes", "amount"),
    [
        # who came before is there from the first day
        ([Presence(date(2023, 8, 3), "a", "add")], "110"),
        ([Presence(date(2023, 8, 3), "a", "add"), Presence(on(3), "a", "remove")], "101"),
        # who came and went before, or comes after, was never there
        ([Presence(date(2023, 8, 3), "a", "add"), Presence(date(2023, 8, 9), "a", "remove")], "100"),
        ([Presence(date(2023, 10, 1), "a", "add")], "100"),
        # who went after the period was there to its end
        ([Presence(on(1), "a", "add"), Presence(date(2023, 10, 4), "a", "remove")], "110"),
        # once however often it came, and not twice for the day it went and came back
        ([Presence(on(1), "a", "add"), Presence(on(9), "a", "add")], "110"),
        ([Presence(on(1), "a", "add"), Presence(on(9), "a", "remove"), Presence(on(9), "a", "add")], "110"),
        ([Presence(on(1), "a", "remove")], "100"),
        # who goes makes room in its tier: 10 days at 10, then 20 days at 10 again
        ([Presence(on(1), "a", "add"), Presence(on(10), "a", "remove"), Presence(on(11), "b", "add")], "110"),
        # two at once reach the second tier
        ([Presence(on(1), "a", "add"), Presence(on(16), "b", "add")], "162.5"),
    ],
)
def test_members_are_charged_for_the_days_they_are_there(changes, amount):
    assert slices_amount(UNIQUE, presence_moves(SEPTEMBER, changes)).amount == Decimal(amount)


def presences() -> st.SearchStrategy[Presence]:
    days = st.dates(date(2023, 8, 1), date(2023, 11, 1))
    return st.builds(Presence, days, st.sampled_from("abc"), st.sampled_from(["add", "remove"]))


@given(st.lists(presences(), max_size=12))
def test_a_member_is_never_charged_for_more_days_than_the_period_has(changes):
    for member in "abc":
        moves = presence_moves(SEPTEMBER, [change for change in changes if change.member == member])

        assert 0 <= sum(move.part for move in moves) <= SEPTEMBER.days.count
