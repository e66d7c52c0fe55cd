from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.cycles import CycleRule
from domain.periods import PeriodEmpty
from domain.recurrences import Interval

pytestmark = pytest.mark.fast

MONTHLY, QUARTERLY, YEARLY = Interval(months=1), Interval(months=3), Interval(months=12)


def advance(cycle_day: int, interval: Interval = MONTHLY) -> CycleRule:
    return CycleRule(cycle_day, interval, in_advance=True)


def arrears(cycle_day: int, interval: Interval = MONTHLY) -> CycleRule:
    return CycleRule(cycle_day, interval, in_advance=False)


@pytest.mark.parametrize(
    ("rule", "start_on", "target_on", "end_on", "cycles"),
    [
        # Kill Bill, invoice/proRations: before the first cycle day only the leading part is owed
        (advance(13), date(2011, 2, 1), date(2011, 2, 5), None, "0.387096774"),
        (advance(13), date(2011, 2, 1), date(2011, 2, 13), None, "1.387096774"),
        (advance(13, YEARLY), date(2011, 2, 1), date(2011, 2, 13), None, "1.032876712"),
        (advance(15, QUARTERLY), date(2011, 1, 1), date(2011, 1, 1), date(2011, 4, 27), "0.152173913"),
        (advance(15), date(2011, 1, 1), date(2011, 2, 26), date(2011, 2, 27), "1.880184332"),
        (advance(17), date(2010, 6, 17), date(2010, 8, 1), date(2010, 7, 25), "1.258064516"),
        # the end lies before the first cycle day
        (advance(15), date(2011, 1, 1), date(2011, 1, 3), date(2011, 1, 8), "0.225806452"),
        # what passed is owed in arrears, and nothing before the first cycle day
        (arrears(15), date(2011, 1, 1), date(2011, 1, 14), None, "0"),
        (arrears(15), date(2011, 1, 1), date(2011, 1, 15), None, "0.451612903"),
        (arrears(15), date(2011, 1, 1), date(2011, 2, 20), None, "1.451612903"),
        (arrears(15), date(2011, 1, 15), date(2011, 1, 15), None, "0"),
        (arrears(15), date(2011, 1, 1), date(2011, 2, 20), date(2011, 2, 20), "1.630184332"),
        (arrears(15), date(2011, 1, 1), date(2011, 2, 20), date(2011, 3, 1), "1.451612903"),
        # the cycle day clamps to short months and returns
        (advance(31), date(2011, 1, 31), date(2011, 3, 1), None, "2"),
        (advance(31), date(2011, 2, 14), date(2011, 3, 1), None, "1.451612903"),
        (advance(31), date(2011, 1, 31), date(2011, 3, 20), date(2011, 3, 14), "1.5"),
        (advance(15, YEARLY), date(2011, 1, 31), date(2011, 2, 24), None, "0.956164384"),
        # nothing before it starts, nor where it ends at once
        (advance(1), date(2011, 2, 1), date(2011, 1, 31), None, "0"),
        (advance(1), date(2011, 2, 1), date(2011, 3, 1), date(2011, 2, 1), "0"),
        # cycles of days begin with the service
        (advance(1, Interval(days=30)), date(2011, 2, 5), date(2011, 3, 7), None, "2"),
        # every month counts thirty days
        (
            CycleRule(15, MONTHLY, in_advance=True, month_days=30),
            date(2011, 2, 23),
            date(2011, 2, 23),
            None,
            "0.733333333",
        ),
    ],
)
def test_cycles_are_owed_up_to_a_day(rule, start_on, target_on, end_on, cycles):
    assert rule.due(start_on, target_on=target_on, end_on=end_on) == Decimal(cycles)


@given(
    st.integers(1, 28),
    st.dates(date(2000, 1, 1), date(2030, 1, 1)),
    st.integers(0, 500),
    st.integers(0, 500),
)
def test_a_service_split_at_any_day_of_a_month_owes_the_same(cycle_day, start_on, before, after):
    rule = CycleRule(cycle_day, MONTHLY, in_advance=True)
    split_on, end_on = start_on + timedelta(days=before), start_on + timedelta(days=before + after)

    whole = rule.due(start_on, target_on=end_on, end_on=end_on)
    parts = rule.due(start_on, target_on=end_on, end_on=split_on) + rule.due(split_on, target_on=end_on, end_on=end_on)

    assert abs(whole - parts) <= Decimal("2E-9")  # the part in which it is split is rounded twice


@given(st.integers(1, 31), st.dates(date(2000, 1, 1), date(2030, 1, 1)), st.integers(0, 800))
def test_in_advance_owes_at_most_a_cycle_more_than_in_arrears(cycle_day, start_on, days):
    target_on = start_on + timedelta(days=days)

    due = [CycleRule(cycle_day, MONTHLY, in_advance=each).due(start_on, target_on=target_on) for each in (True, False)]

    assert 0 <= due[0] - due[1] <= 1


def test_a_service_that_ends_before_it_starts_is_refused():
    with pytest.raises(PeriodEmpty):
        advance(1).due(date(2011, 2, 1), target_on=date(2011, 3, 1), end_on=date(2011, 1, 31))
