"""Exceptions as people see them: owner, deadline, and the sentence of a cause."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from domain.codes import CODES, Code, code_named
from domain.exceptions import Cause, deadline_of, money_of, owner_of, sentence_of

OPENED_AT = datetime(2026, 3, 14, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("code", "producer", "owner"),
    [
        ("body_unreadable", "phones team", "phones team"),
        ("body_unreadable", None, "operations"),
        ("poison", None, "operations"),
        ("subscription_not_found", "phones team", "finance"),
        ("posting_rejected", None, "finance"),
    ],
)
def test_a_producer_owns_its_mistakes_operations_the_machinery_and_finance_the_business(code, producer, owner):
    assert owner_of(code_named(code), assigned_to=None, producer=producer) == owner
    assert owner_of(code_named(code), assigned_to="mara", producer=producer) == "mara"


@pytest.mark.parametrize(
    ("code", "deadline"),
    [
        ("time_is_leap_second", datetime(2026, 3, 19, 12, tzinfo=UTC)),
        ("subscription_not_found", datetime(2026, 3, 16, 12, tzinfo=UTC)),
        ("posting_rejected", datetime(2026, 3, 14, 20, tzinfo=UTC)),
    ],
)
def test_the_more_severe_the_sooner_unless_a_person_says_otherwise(code, deadline):
    said = datetime(2026, 4, 1, tzinfo=UTC)

    assert deadline_of(code_named(code), opened_at=OPENED_AT, set_at=None) == deadline
    assert deadline_of(code_named(code), opened_at=OPENED_AT, set_at=said) == said


def test_a_cause_is_said_in_one_sentence_with_its_money():
    cause = Cause(
        "subscription_not_found", 111, events=37, accounts=4, money={"EUR": Decimal(12410)},
        names={"source": "/phones", "subject": "k7"},
    )  # fmt: skip

    assert sentence_of(cause) == "37 events, 4 accounts, EUR 12,410.00: no subscription for /phones k7"


def test_money_of_each_currency_and_what_has_no_price_are_said_apart():
    cause = Cause(
        "posting_rejected", 3, documents=3, accounts=1, unpriced=1, names={"connection": "netsuite-us"},
        money={"USD": Decimal("0.005"), "JPY": Decimal("1234.5")},
    )  # fmt: skip

    assert sentence_of(cause) == (
        "3 documents, 1 account, JPY 1,235, USD 0.01, 1 of unknown worth: refused by netsuite-us"
    )


def test_a_cause_without_a_name_for_it_is_said_in_the_words_of_its_code():
    said = sentence_of(Cause("attempts_exhausted", 1, unpriced=1, names={"step": "aggregate"}))

    assert said == "1 exception, of unknown worth: a step failed as often as it may (aggregate)"
    assert sentence_of(Cause("subscription_not_found", 2, events=2)) == (
        "2 events: no subscription is mapped to the event's source and subject at its time"
    )
    assert sentence_of(Cause("no_such_code", 1)) == "1 exception: no_such_code"


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.name)
def test_every_code_has_a_sentence_an_owner_and_a_deadline(code: Code):
    names = dict.fromkeys(("source", "subject", "metric", "meter", "contract", "connection", "field", "waits_for"), "X")

    assert "{" not in sentence_of(Cause(code.name, 1, names=names))
    assert owner_of(code, assigned_to=None, producer="p") in {"p", "finance"}
    assert deadline_of(code, opened_at=OPENED_AT, set_at=None) > OPENED_AT


def test_what_never_came_is_a_loss_and_no_money_that_waits():
    gap = Cause("sequence_gap", 2, accounts=1, money={"USD": Decimal(75)}, names={"source": "/phones"})

    assert sentence_of(gap) == "2 gaps, 1 account, USD 75.00 (estimated loss): numbers of /phones that never came"


def test_a_currency_that_is_not_known_has_two_decimals():
    assert money_of(Decimal("-1.5"), "ZZZ") == "ZZZ -1.50"
