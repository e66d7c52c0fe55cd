"""Price books: what contradicts itself, what is in force when, and what differs."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from price_book_strategies import price_books

from domain.money import Currency
from domain.price_books import PriceBookInvalid, book_in_force, book_json, differences, faults, parse_book
from domain.prices import PriceInvalid

pytestmark = pytest.mark.fast

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BY_UNIT = {"model": "per_unit", "unit_amount": "2"}


def charge(metric: str, **terms: object) -> dict[str, object]:
    return {"metric": metric, "terms": terms or BY_UNIT, "tax_category": "standard", "revenue_account": "revenue"}


def book(*charges: dict[str, object], **changes: object) -> dict[str, object]:
    plans = {"team": {"title": "Team", "charges": list(charges)}}
    return {"name": "cloud", "currency": "EUR", "valid_from": "2026-01-01", "plans": plans, **changes}


@dataclass(frozen=True)
class Version:
    valid_from: date
    recorded_at: datetime


def version(day: int, hour: int) -> Version:
    return Version(date(2026, 1, day), NOON + timedelta(hours=hour))


@given(price_books())
def test_what_is_printed_is_read_as_the_same_book(drawn):
    assert parse_book(json.loads(json.dumps(book_json(drawn)))) == drawn


@given(price_books(), price_books())
def test_two_books_differ_in_nothing_if_and_only_if_they_are_the_same(one, other):
    assert differences(one, one) == ()
    assert (differences(one, other) == ()) == (one == other)


@given(price_books())
def test_beside_no_book_everything_is_new(drawn):
    found = differences(None, drawn)

    assert all(each.before is None and each.after is not None for each in found)
    assert {"name", "currency", "valid_from"} <= {each.field for each in found}


def test_a_difference_names_the_field_and_both_texts():
    old = parse_book(book(charge("calls"), charge("storage")))
    new = parse_book(book(charge("calls", model="per_unit", unit_amount="2.50"), charge("seats")))

    found = [(each.field, each.before, each.after) for each in differences(old, new)]

    assert ("plans.team.charges[calls].terms.unit_amount", "2", "2.5") in found
    assert ("plans.team.charges[seats].tax_category", None, "standard") in found
    assert ("plans.team.charges[storage].terms.model", "per_unit", None) in found
    assert not [each for each in found if "title" in each[0]]


def test_the_order_of_the_charges_says_nothing():
    assert parse_book(book(charge("a"), charge("b"))) == parse_book(book(charge("b"), charge("a")))


@pytest.mark.parametrize(
    ("day", "hour", "found"),
    [
        (1, 9, None),  # before the first day
        (10, 9, version(5, 0)),
        (20, 9, version(20, 1)),  # announced, and not taken back by the correction recorded after it
        (10, 3, version(5, 3)),
        (19, 9, version(15, 2)),
        (20, 0, version(5, 0)),  # as known before the announcement
        (10, -1, None),  # as known before anything was
    ],
)
def test_the_latest_version_that_is_valid_by_then_is_in_force_as_far_as_it_was_known(day, hour, found):
    versions = [version(5, 0), version(20, 1), version(15, 2)]
    if hour == 3:
        versions.append(version(5, 3))

    on, known_at = date(2026, 1, day), NOON + timedelta(hours=hour)

    assert book_in_force(versions, on=on, known_at=known_at) == found


@given(st.lists(st.builds(version, st.integers(1, 28), st.integers(0, 99)), max_size=8), st.integers(1, 28))
def test_whatever_is_recorded_later_changes_nothing_of_what_was_known(versions, day):
    known_at = NOON + timedelta(hours=50)
    known = [each for each in versions if each.recorded_at <= known_at]

    on = date(2026, 1, day)
    assert book_in_force(versions, on=on, known_at=known_at) == book_in_force(
        known, on=on, known_at=NOON.max.replace(tzinfo=UTC)
    )


def test_everything_that_contradicts_itself_is_found_at_once():
    bounded = {"model": "graduated", "tiers": [{"up_to": "5", "unit_amount": "1"}]}
    found = list(
        faults(book(charge("a"), charge("a"), charge("b", **bounded), charge("c", model="by_moon"), currency="XAU"))
    )

    assert [(type(each), each.field) for each in found] == [
        (PriceBookInvalid, "currency"),
        (PriceBookInvalid, "plans.team.charges[1].metric"),
        (PriceInvalid, "plans.team.charges[2].terms.tiers[0].up_to"),
        (PriceInvalid, "plans.team.charges[3].terms.model"),
    ]
    assert all(each.fix for each in found)


@pytest.mark.parametrize(
    "entries",
    [
        {},
        book(currency=7, plans=[]),
        book(plans={"team": []}),
        book(plans={"team": {"charges": "none"}}),
        book(plans={"team": {"charges": [7, {"metric": 7, "terms": 7}]}}),
    ],
)
def test_what_has_not_the_form_of_a_book_is_no_matter_of_meaning(entries):
    assert list(faults(entries)) == []


def test_a_book_with_a_fault_is_no_book():
    with pytest.raises(PriceBookInvalid) as refused:
        parse_book(book(charge("a"), currency="ABC"))

    assert refused.value.code == "price_book_invalid"


def test_a_book_keeps_amounts_to_the_last_digit():
    read = parse_book(book(charge("a", model="per_unit", unit_amount=Decimal("0.00000000000000000001"))))

    assert read == replace(read, currency=Currency("EUR"))
    assert "0.00000000000000000001" in json.dumps(book_json(read))
