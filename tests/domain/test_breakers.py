"""Breakers: what parks a draft until somebody has looked at it."""

from decimal import Decimal

import pytest

from domain.breakers import Draft, Limits, is_released, tripped
from domain.money import ZERO, Money

WATCHED = Limits(lines_max=3, jump_percent=Decimal(50), jump_from=Decimal(100), usage_missing=True)


def usd(amount):
    return Money.of(amount, "USD")


def draft(total="1000", **other):
    usual = {"earlier": usd("1000"), "lines": 1, "currencies": frozenset({"USD"}), "used": Decimal(5)}
    return Draft(**{"total": usd(total), "used_earlier": Decimal(5), **usual, **other})


def names(of, limits=WATCHED):
    return [each.breaker for each in tripped(of, limits)]


def test_what_is_like_the_period_before_goes_out():
    assert names(draft()) == []


@pytest.mark.parametrize(("lines", "expected"), [(3, []), (4, ["lines_too_many"])])
def test_more_lines_in_a_day_than_allowed_are_held(lines, expected):
    assert names(draft(lines=lines)) == expected


@pytest.mark.parametrize(
    ("total", "earlier", "expected"),
    [
        ("1500", "1000", []),
        ("1500.01", "1000", ["total_jumps"]),
        ("500", "1000", []),
        ("499.99", "1000", ["total_jumps"]),
        ("250", "150", []),  # by more than half, and by no more than 100
        ("250.01", "150", ["total_jumps"]),
        ("5000", "0", []),
        ("5000", None, []),
    ],
)
def test_a_total_jumps_by_more_than_the_share_and_by_more_than_the_amount(total, earlier, expected):
    assert names(draft(total, earlier=None if earlier is None else usd(earlier))) == expected


def test_a_jump_is_looked_for_only_where_a_share_is_said():
    assert names(draft("99999"), Limits()) == []


def test_a_period_that_comes_to_less_than_nothing_is_held():
    assert names(draft("-0.01"), Limits()) == ["total_negative"]
    assert names(draft("-0.01"), Limits(total_negative=False)) == []


def test_a_first_document_in_another_currency_is_held():
    assert names(draft(currencies=frozenset({"EUR", "CHF"})), Limits()) == ["currency_changed"]
    assert names(draft(currencies=frozenset({"EUR", "USD"})), Limits()) == []
    assert names(draft(currencies=frozenset()), Limits()) == []
    assert names(draft(currencies=frozenset({"EUR"})), Limits(currency_changed=False)) == []


def test_usage_that_is_missing_is_held_where_that_is_watched():
    assert names(draft(used=ZERO)) == ["usage_missing"]
    assert names(draft(used=ZERO), Limits()) == []
    assert names(draft(used=ZERO, used_earlier=ZERO)) == []


def test_each_says_why_in_words_and_facts():
    (jump,) = tripped(draft("2000"), WATCHED)

    assert jump.sentence == "2000.00 USD after 1000.00 USD in the period before"
    assert jump.facts == {"total": "2000.00", "earlier": "1000.00"}


@pytest.mark.parametrize(
    ("total", "seen", "expected"),
    [("2000", "2000", True), ("1900", "2000", True), ("2000.01", "2000", False), ("-1", "2000", False),
     ("-10", "-10", True), ("-10.01", "-10", False)],
)  # fmt: skip
def test_a_release_holds_for_no_more_money_than_was_seen(total, seen, expected):
    (jump, *_) = tripped(draft("2000"), WATCHED)

    assert is_released(jump, usd(total), seen=usd(seen)) is expected


def test_a_currency_that_was_let_pass_once_is_let_pass():
    (changed,) = tripped(draft(currencies=frozenset({"EUR"})), Limits())

    assert is_released(changed, usd("99999"), seen=usd("1"))
