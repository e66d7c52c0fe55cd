from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.contracts import (
    EVER,
    OPEN_END,
    ContractNotInForce,
    ContractVersion,
    PriceNotFound,
    PriceTerms,
    required_version,
    stretches,
    version_in_force,
)
from domain.periods import Window
from domain.prices.per_unit import PerUnit

pytestmark = pytest.mark.fast

START = datetime(2026, 1, 1, tzinfo=UTC)
CALLS = PriceTerms("calls", PerUnit(Decimal("0.5")), "standard", "4000")


def day(number: int) -> datetime:
    return START + timedelta(days=number)


@dataclass(frozen=True)
class Version:
    version: int
    starts_at: datetime
    ends_at: datetime
    recorded_at: datetime


@st.composite
def histories(draw: st.DrawFn) -> list[Version]:
    days = st.integers(0, 30)
    history = []
    for number in range(draw(st.integers(0, 5))):
        starts = draw(days)
        length = draw(st.integers(1, 30))
        history.append(Version(number + 1, day(starts), day(starts + length), day(draw(days))))
    return history


def test_an_amendment_overrides_what_it_covers_and_nothing_else():
    original = ContractVersion("c", 1, EVER, OPEN_END, day(0), (CALLS,))
    amendment = ContractVersion("c", 2, day(10), day(20), day(25), (CALLS,))

    found = [version_in_force([original, amendment], at=day(n), known_at=day(30)) for n in (9, 10, 19, 20)]

    assert found == [original, amendment, amendment, original]


def test_what_was_recorded_later_is_not_known_yet():
    original = ContractVersion("c", 1, EVER, OPEN_END, day(0), (CALLS,))
    backdated = ContractVersion("c", 2, day(10), OPEN_END, day(25), (CALLS,))

    assert version_in_force([original, backdated], at=day(15), known_at=day(24)) is original
    assert version_in_force([original, backdated], at=day(15), known_at=day(25)) is backdated


def test_of_two_recorded_at_once_the_higher_number_counts():
    first, second = (ContractVersion("c", number, EVER, OPEN_END, day(0), ()) for number in (1, 2))

    assert version_in_force([second, first], at=day(1), known_at=day(1)) is second


def test_without_a_version_the_contract_is_not_in_force():
    version = ContractVersion("c", 1, day(5), OPEN_END, day(0), ())

    assert required_version([version], at=day(5), known_at=day(9)) is version
    with pytest.raises(ContractNotInForce):
        required_version([version], at=day(4), known_at=day(9))


def test_a_metric_without_a_price_is_named():
    version = ContractVersion("c", 3, EVER, OPEN_END, day(0), (CALLS,))

    assert version.terms_for("calls") is CALLS
    with pytest.raises(PriceNotFound) as refused:
        version.terms_for("seats")
    assert refused.value.facts == {"contract": "c", "version": 3, "metric": "seats"}


def test_one_version_has_one_price_for_a_metric():
    with pytest.raises(AssertionError):
        ContractVersion("c", 1, EVER, OPEN_END, day(0), (CALLS, CALLS))


@given(histories(), st.integers(0, 40), st.integers(1, 30), st.integers(0, 31))
def test_the_stretches_of_a_window_say_for_each_instant_what_is_in_force(history, first, length, known):
    window = Window(day(first), day(first + length))

    parts = list(stretches(history, window, known_at=day(known)))

    for number in range(first * 2, (first + length) * 2):
        at = START + timedelta(hours=12 * number)
        expected = version_in_force(history, at=at, known_at=day(known))
        assert [version for version, part in parts if part.contains(at)] == ([] if expected is None else [expected])
    assert all(window.holds(part) for _, part in parts)
    assert all(
        one[1].ends_at < two[1].starts_at or (one[0] is not two[0] and one[1].ends_at == two[1].starts_at)
        for one, two in pairwise(parts)
    )
