from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.renewals import Due, Renewal, month_after, next_due

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
