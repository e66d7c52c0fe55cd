from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.renewals import Due, Renewal, RenewalInvalid, contract_end, month_after, next_due
from domain.schedules import Spell

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    ("renewal", "on", "due"),
    [
        (Renewal(date(2026, 1, 1), 12, auto_renew=True, notice_days=30), date(2026, 6, 1),
         Due(date(2027, 1, 1), date(2026, 12, 1), "renews")),
        (Renewal(date(2026, 1, 1), 12, auto_renew=True, notice_days=0), date(2026, 12, 31),
         Due(date(2027, 1, 1), date(2026, 12, 31), "renews")),
        (Renewal(date(2026, 1, 1), 12, auto_renew=True, notice_days=0), date(2027, 1, 1),
         Due(date(2028, 1, 1), date(2027, 12, 31), "renews")),
        (Renewal(date(2026, 1, 1), 12, auto_renew=False, notice_days=0), date(2030, 1, 1),
         Due(date(2027, 1, 1), date(2026, 12, 31), "ends")),
        (Renewal(date(2026, 8, 1), 12, auto_renew=True, notice_days=0), date(2026, 1, 1),
         Due(date(2027, 8, 1), date(2027, 7, 31), "renews")),
        # from the 31st: the end of February, then the 31st again
        (Renewal(date(2026, 1, 31), 1, auto_renew=True, notice_days=0), date(2026, 2, 1),
         Due(date(2026, 2, 28), date(2026, 2, 27), "renews")),
        (Renewal(date(2026, 1, 31), 1, auto_renew=True, notice_days=0), date(2026, 3, 1),
         Due(date(2026, 3, 31), date(2026, 3, 30), "renews")),
    ],
)  # fmt: skip
def test_a_term_ends_when_its_months_are_over(renewal, on, due):
    assert next_due(renewal, on=on) == due


@given(st.dates(date(2000, 1, 1), date(2030, 12, 31)), st.integers(1, 60), st.integers(0, 4000), st.integers(0, 90))
def test_the_next_end_is_the_first_after_the_day(first_on, months, days, notice):
    on = first_on + timedelta(days)

    due = next_due(Renewal(first_on, months, auto_renew=True, notice_days=notice), on=on)

    assert due.ends_on > on
    ends = [month_after(first_on, n * months) for n in range(1, 4200 // (28 * months) + 3)]
    assert due.ends_on == next(end for end in ends if end > on)
    assert (due.ends_on - due.notice_until).days == notice + 1


OPEN = date(9999, 12, 31)


def spell(starts, ends=OPEN, *, months=12, renews=False):
    return Spell(starts, ends, Renewal(starts, months, auto_renew=renews, notice_days=0))


@pytest.mark.parametrize(
    ("spells", "ends"),
    [
        ([], None),
        ([spell(date(2026, 1, 1))], date(2027, 1, 1)),
        ([spell(date(2026, 1, 1), renews=True)], None),
        ([spell(date(2026, 1, 31), months=1)], date(2026, 2, 28)),
        # other terms begin on the day of the end, or before it
        ([spell(date(2026, 1, 1), date(2027, 1, 1)), spell(date(2027, 1, 1), renews=True)], None),
        ([spell(date(2026, 1, 1), date(2026, 7, 1)), spell(date(2026, 7, 1))], date(2027, 7, 1)),
        ([spell(date(2026, 1, 1), date(2027, 1, 1), renews=True), spell(date(2027, 1, 1))], date(2028, 1, 1)),
        # said for a part of the term alone, so nobody says what is at its end
        ([spell(date(2026, 1, 1), date(2026, 7, 1))], None),
        ([spell(date(2026, 1, 1), date(2027, 1, 1))], date(2027, 1, 1)),
    ],
)
def test_a_contract_ends_with_the_last_term_that_does_not_renew(spells, ends):
    assert contract_end(spells) == ends


def test_a_contract_that_has_ended_does_not_begin_anew():
    with pytest.raises(RenewalInvalid, match="has terms from 2027-03-01, after it has ended on 2027-01-01"):
        contract_end([spell(date(2026, 1, 1), date(2027, 3, 1)), spell(date(2027, 3, 1))])
