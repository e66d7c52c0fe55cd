"""Explanations: every rule has a sentence, and the figures that a customer reads add up."""

import ast
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from domain_strategies import currencies, decimals, usage_of, usages
from hypothesis import given
from hypothesis import strategies as st
from price_book_strategies import terms

from domain.explanations import SENTENCES, Told, explained, money_text, number_text
from domain.metrics.subscribed import Share, Shares
from domain.money import Currency, Money
from domain.prices import Measured, Price, TraceStep, parse_price
from domain.rating import correction, rate, rate_subscribed

pytestmark = pytest.mark.fast

DOMAIN = Path(__file__).resolve().parents[2] / "domain"
USD = Currency("USD")
LADDER = [
    {"up_to": "1000000", "unit_amount": "0.0004"},
    {"up_to": "5000000", "unit_amount": "0.0003"},
    {"up_to": None, "unit_amount": "0.0002"},
]


def rules() -> set[str]:
    """The names that any rule of `domain` gives to a step."""
    found: set[str] = set()
    for path in DOMAIN.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"TraceStep", "TraceStep.of"}:
                found |= {each.value for each in node.args[:1] if isinstance(each, ast.Constant)}
    return found


def line(price: Price, usage: Decimal | Measured, currency: Currency = USD, billed: Decimal = Decimal(0)) -> Told:
    """The line that bills what was not yet billed of a quantity under a price."""
    rated = rate(usage, price, currency=currency)
    return Told(
        metric="requests",
        unit="request",
        dimensions={},
        starts_on=date(2026, 6, 1),
        ends_on=date(2026, 7, 1),
        period_quantity=rated.quantity,
        quantity=rated.quantity,
        amount=rated.amount,
        net=correction(rated.amount, billed=Money(billed, currency)),
        steps=rated.steps,
    )


def printed(line: Told) -> list[Decimal]:
    """The amounts at the ends of the sentences about steps, read back from their text."""
    texts = [each.text for each in explained(line) if each.amount is not None]
    return [Decimal(re.fullmatch(r".*: [A-Z]{3} (-?[0-9,.]+)\.", text)[1].replace(",", "")) for text in texts]


def test_every_rule_has_a_sentence():
    assert rules() - set(SENTENCES) == set()
    assert {"tier", "per_unit"} <= rules()


@given(terms(), usages(), currencies())
def test_each_step_has_the_facts_of_one_of_its_sentences(price, usage, currency):
    for step in rate(usage, price, currency=currency).steps:
        told = dict(step.facts).keys() | {"stretch"}
        assert any(set(re.findall(r"{(\w+)", each)) <= told for each in SENTENCES[step.rule])


@given(terms(), usages(), currencies(), st.integers(-(10**6), 10**6))
def test_the_amounts_that_are_printed_sum_to_the_net(price, usage, currency, billed):
    told = line(price, usage, currency, Money(Decimal(billed), currency).rounded().amount)

    assert sum(printed(told), Decimal(0)) == told.net.amount
    assert [each.amount for each in explained(told) if each.amount is not None] == printed(told)
    assert explained(told)[-1].text.endswith(f"{money_text(told.net)}.")


@given(decimals(lowest="-1000", highest="1000", places=30), currencies())
def test_what_is_too_fine_to_read_is_told_as_rounding(amount, currency):
    told = replace(
        line(parse_price({"model": "per_unit", "unit_amount": "1"}), Decimal(1), currency),
        steps=(TraceStep.of("per_unit", amount, quantity=Decimal(1), unit_amount=amount),),
        amount=Money(amount, currency),
        net=Money(amount, currency).rounded(),
    )

    assert sum(printed(told), Decimal(0)) == told.net.amount
    assert all(len(str(each).partition(".")[2]) <= 8 for each in printed(told))


def test_six_and_a_half_million_requests_are_explained_to_the_cent():
    told = line(parse_price({"model": "graduated", "tiers": LADDER}), Decimal(6_480_000))

    assert [each.text for each in explained(told)] == [
        "This line is for requests, from 2026-06-01 to 2026-06-30.",
        "The quantity of the whole period is 6,480,000, counted by the unit request.",
        "Tier 1, up to 1,000,000: 1,000,000 units at USD 0.0004 each: USD 400.00.",
        "Tier 2, above 1,000,000 up to 5,000,000: 4,000,000 units at USD 0.0003 each: USD 1,200.00.",
        "Tier 3, above 5,000,000: 1,480,000 units at USD 0.0002 each: USD 296.00.",
        "The sum before tax is USD 400.00 + USD 1,200.00 + USD 296.00 = USD 1,896.00.",
    ]


def test_a_correction_says_what_was_billed_before_and_what_is_new():
    told = line(parse_price({"model": "per_unit", "unit_amount": "0.125"}), Decimal(9), billed=Decimal("1.00"))

    texts = [each.text for each in explained(replace(told, quantity=Decimal(1), earlier=("INV-7", "INV-9")))]

    assert texts[2:] == [
        "Earlier documents hold a part of the period; this line adds 1.",
        "9 units at USD 0.125 each: USD 1.125.",
        "Rounding to 2 decimals: USD 0.005.",
        "Already billed on INV-7, INV-9: USD -1.00.",
        "The sum before tax is USD 1.125 + USD 0.005 - USD 1.00 = USD 0.13.",
    ]
    assert "takes back 2." in explained(replace(told, quantity=Decimal(-2)))[2].text


def test_packages_are_told_whole_after_the_units_that_are_free():
    terms = {"model": "package", "package_size": "10", "package_amount": "3", "free_units": "1"}

    texts = [each.text for each in explained(line(parse_price(terms), Decimal(96)))]

    assert texts[2:4] == [
        "1 unit free of charge: USD 0.00.",
        "Packages of 10 units for 95 units: 10 at USD 3.00 each: USD 30.00.",
    ]


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"model": "flat", "amount": "5", "due": "always"}, ["A flat amount: USD 5.00."]),
        (
            {"model": "per_unit", "unit_amount": "2", "per": "1000", "cap_amount": "0.01"},
            ["12 units at USD 2.00 for each 1,000: USD 0.024.", "It costs USD 0.01 at most: USD -0.014."],
        ),
        (
            {"model": "graduated_percentage", "tiers": [{"up_to": None, "rate_percent": "2.5", "cap_amount": "0.2"}]},
            ["Tier 1, all of it: 2.5 % of 12: USD 0.30.", "Tier 1 costs USD 0.20 at most: USD -0.10."],
        ),
        (
            {
                "model": "percentage", "rate_percent": "10", "fixed_amount": "0.1", "free_events": 1,
                "event_minimum": "1",
            },
            [
                "Free of charge are 1 event, and 4 of what events come to: USD 0.00.",
                "10 % of 8, the sum of 1 event: USD 0.80.",
                "A fixed amount of USD 0.10 for each of 1 event: USD 0.10.",
                "An event costs USD 1.00 at least, which 1 event did not reach: USD 0.10.",
            ],
        ),
        (
            {"model": "converted", "pricing_unit": "credits", "conversion_rate": "0.01",
             "price": {"model": "per_unit", "unit_amount": "3"}},
            ["12 units at credits 3 each, which is 36 credits at USD 0.01 each: USD 0.36."],
        ),
        (
            {
                "model": "per_unit", "unit_amount": "2",
                "adjustments": {"free_units": "1", "percentage": "10", "amount_off": "1", "maximum": "5"},
            },
            [
                "1 unit free of charge: USD 0.00.",
                "11 units at USD 2.00 each: USD 22.00.",
                "A discount of 10 % of USD 22.00: USD -2.20.",
                "A discount of USD 1.00: USD -1.00.",
                "Of USD 18.80, USD 5.00 is asked for at most: USD -13.80.",
            ],
        ),
        (
            {"model": "per_unit", "unit_amount": "2", "adjustments": {"minimum": {"amount": "100"}}},
            [
                "12 units at USD 2.00 each: USD 24.00.",
                "USD 100.00 is asked for at least, and USD 24.00 was reached: USD 76.00.",
            ],
        ),
        (
            {"model": "bucketed", "price": {"model": "per_unit", "unit_amount": "3"}},
            ["12 units at USD 3.00 each, in 2 time buckets: USD 36.00."],
        ),
        (
            {"model": "matrix", "dimensions": ["region"], "cells": [{"values": ["eu"], "unit_amount": "3"}]},
            ["The price is that for region eu: USD 0.00.", "12 units at USD 3.00 each: USD 36.00."],
        ),
    ],
    ids=lambda each: each["model"] if isinstance(each, dict) else "",
)  # fmt: skip
def test_a_price_of_any_model_is_told_in_its_own_words(terms, says):
    usage = usage_of((Decimal(4), Decimal(8)), "eu")

    assert [each.text for each in explained(line(parse_price(terms), usage)) if each.amount is not None] == says


def test_a_minimum_of_what_stood_for_a_part_of_the_period_is_of_the_whole():
    price = parse_price({"model": "per_unit", "unit_amount": "1", "adjustments": {"minimum": {"amount": "30"}}})
    rated = rate_subscribed(Shares(30, (Share(Decimal(10), 15),)), price, currency=USD)
    told = replace(line(price, Decimal(1)), steps=rated.steps, amount=rated.amount, net=rated.amount.rounded())

    texts = [each.text for each in explained(told)]

    assert texts[3] == "USD 30.00 is asked for at least, and USD 5.00 was reached: USD 25.00."


def test_what_stood_for_a_part_of_the_period_is_told_with_its_days():
    price = parse_price({"model": "per_unit", "unit_amount": "60"})
    rated = rate_subscribed(Shares(30, (Share(Decimal(25), 15), Share(Decimal(30), 15))), price, currency=USD)
    told = replace(line(price, Decimal(1)), steps=rated.steps, amount=rated.amount, net=rated.amount.rounded())

    texts = [each.text for each in explained(told)]

    assert texts[2:] == [
        "25 units at USD 60.00 each, for 15 of 30 days: USD 750.00.",
        "30 units at USD 60.00 each, for 15 of 30 days: USD 900.00.",
        "The sum before tax is USD 750.00 + USD 900.00 = USD 1,650.00.",
    ]


def test_usage_that_is_kept_apart_is_named_by_what_it_is_kept_apart_by():
    told = replace(line(parse_price({"model": "per_unit", "unit_amount": "1"}), Decimal(1)), dimensions={"zone": "eu"})

    assert explained(told)[0].text == "This line is for requests of zone eu, from 2026-06-01 to 2026-06-30."


def test_a_single_amount_and_very_many_are_told_as_their_sum_alone():
    one = line(parse_price({"model": "per_unit", "unit_amount": "2"}), Decimal(3))
    tiers = [{"up_to": str(n), "unit_amount": "1"} for n in range(1, 20)]
    many = line(parse_price({"model": "graduated", "tiers": [*tiers, LADDER[-1]]}), Decimal(19))

    assert explained(one)[-1].text == "The sum before tax is USD 6.00."
    assert explained(many)[-1].text == "The sum before tax is USD 19.00."


def test_very_many_steps_are_told_together_by_their_rule():
    terms = {"model": "per_unit", "unit_amount": "2", "adjustments": {"windowed": {"amount": "5", "true_up": True}}}
    told = line(parse_price(terms), usage_of([Decimal(1)] * 744, "eu"), billed=Decimal("20.00"))

    assert [each.text for each in explained(told)][2:] == [
        "744 times per unit, together: USD 1,488.00.",
        "744 times window true up, together: USD 2,232.00.",
        "Already billed: USD -20.00.",
        "The sum before tax is USD 1,488.00 + USD 2,232.00 - USD 20.00 = USD 3,700.00.",
    ]


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (TraceStep.of("tier", Decimal(4), tier="1"), "Tier with tier 1: USD 4.00."),
        (TraceStep.of("of_old", Decimal(4), part_paid="2", why="so"), "Of old with part paid 2, why so: USD 4.00."),
        (TraceStep.of("of_old", Decimal(4)), "Of old: USD 4.00."),
    ],
)
def test_a_step_that_was_kept_under_other_rules_is_told_as_it_is_kept(step, says):
    told = replace(line(parse_price({"model": "per_unit", "unit_amount": "2"}), Decimal(2)), steps=(step,))

    assert explained(told)[2].text == says


def test_a_volume_tier_says_where_it_ends():
    by_volume = [
        explained(line(parse_price({"model": "volume", "tiers": LADDER}), Decimal(units)))[2].text
        for units in (10, 6_000_000)
    ]

    assert by_volume == [
        "The whole quantity falls in tier 1, up to 1,000,000: 10 units at USD 0.0004 each: USD 0.004.",
        "The whole quantity falls in tier 3, without an upper end: 6,000,000 units at USD 0.0002 each: USD 1,200.00.",
    ]


@pytest.mark.parametrize(
    ("number", "text"), [("1480000", "1,480,000"), ("1E+3", "1,000"), ("-0.50", "-0.5"), ("100", "100"), ("0", "0")]
)
def test_a_number_is_written_with_all_its_digits_and_no_exponent(number, text):
    assert number_text(Decimal(number)) == text


def test_a_price_that_includes_its_tax_tells_what_of_it_is_tax():
    told = line(parse_price({"model": "per_unit", "unit_amount": "1.19"}), Decimal(20), billed=Decimal("11.90"))
    told = replace(told, asked=told.net, net=Money.of("10.00", USD))

    assert [each.amount for each in explained(told) if each.amount is not None] == printed(told)
    assert printed(told) == [Decimal("23.80"), Decimal("-11.90"), Decimal("-1.90")]
    assert "Of this is tax, which is shown apart: USD -1.90." in [each.text for each in explained(told)]
