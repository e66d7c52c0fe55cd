"""Usage that counts but is wrong is taken back, and corrected or left out; whatever was billed of it is given back."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from metered_bench import Books, event

JUNE = datetime(2026, 6, 1, tzinfo=UTC)
METRICS = {"used": "aggregation: register, property: n", "units": "aggregation: sum, property: n"}


@pytest.fixture
def books(operator, tmp_path):
    made = Books(operator, tmp_path)
    made.publish(METRICS)
    return made


def send(books, lines, *readings: tuple[int, int]) -> None:
    ran = books.operator("send", lines(*(event(f"r{on}", JUNE + timedelta(days=on - 1), n=n) for on, n in readings)))
    assert ran.code == 0, ran.err


def withdraw(books, name: str, metric: str, reason: str = "misread") -> int:
    told = books.operator.json("usage", "withdraw", "/m", name, "--metric", metric, "--reason", reason)
    return told["exception"]


def decide(books, *words: object) -> None:
    ran = books.operator("replay", *words, "--yes")
    assert ran.code == 0, ran.err


def test_a_wrong_high_reading_is_withdrawn_and_those_that_it_put_in_doubt_heal(books, lines):
    send(books, lines, (1, 1_000), (5, 9_000), (10, 1_040), (28, 1_100))
    assert "register_reading_ambiguous" in books.blocked("2026-06")

    number = withdraw(books, "r5", "used")
    assert "usage_withdrawn" in books.blocked("2026-06")
    ((sentence,),) = books.operator.rows("select sentence from exceptions where state = 'open'")
    assert sentence.endswith(": misread")
    decide(books, "dismiss", number, "--reason", "misread")
    books.bill("2026-06")

    assert books.billed("used") == {"2026-06-01": Decimal("100.00")}
    books.all_is_well()


def test_billed_usage_that_is_withdrawn_and_corrected_is_billed_by_its_difference(books, lines):
    send(books, lines, (1, 70), (2, 5))
    books.bill("2026-06", "--override", "register_reading_ambiguous", "--reason", "of another test")
    assert books.billed("units") == {"2026-06-01": Decimal("75.00")}

    decide(books, "edit", withdraw(books, "r1", "units"), "--set", "data.n=7", "--reason", "a digit too many")
    override = ("--override", "register_reading_ambiguous", "--reason", "of another test")
    books.bill("2026-06", "--invoice-on", "2026-08-01", *override)

    assert books.billed("units") == {"2026-06-01": Decimal("12.00")}
    ((action,),) = books.operator.rows("select action from audit_log where action like 'usage.%'")
    assert action == "usage.withdraw"
    assert books.operator.json("status", "--identity")["differences"] == []


def test_what_is_withdrawn_counts_again_when_it_is_replayed_as_it_is(books, lines):
    send(books, lines, (1, 7))
    decide(books, withdraw(books, "r1", "units"), "--reason", "it was right")
    assert withdraw(books, "r1", "units", "it is wrong after all") == 1
    decide(books, 1, "--reason", "it was right")
    books.bill("2026-06")

    assert books.billed("units") == {"2026-06-01": Decimal("7.00")}
    books.all_is_well()


@pytest.mark.parametrize("words", [("/m", "r2", "units"), ("/n", "r1", "units"), ("/m", "r1", "other")])
def test_what_does_not_count_cannot_be_withdrawn(books, lines, words):
    send(books, lines, (1, 7))

    ran = books.operator("usage", "withdraw", *words[:2], "--metric", words[2], "--reason", "x")

    assert (ran.code, "counts under" in ran.err) == (2, True)


def test_what_is_withdrawn_already_does_not_count(books, lines):
    send(books, lines, (1, 7))
    told = books.operator("usage", "withdraw", "/m", "r1", "--metric", "units", "--reason", "x")
    assert "waits as exception 1" in told.out

    ran = books.operator("usage", "withdraw", "/m", "r1", "--metric", "units", "--reason", "x")

    assert ran.code == 2
