"""A reading of a register that cannot be counted is an exception, harms nothing else, and heals."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from metered_bench import Books, event

from domain.metrics.register import ReadingDoubtful
from workers import doubts

JUNE = datetime(2026, 6, 1, tzinfo=UTC)
REGISTER = {"used": "aggregation: register, property: n, reset: reset, roll_over_at: 100000"}
READINGS = ((1, 1_000), (10, 1_040), (20, 12), (28, 1_100))


@pytest.fixture
def books(operator, tmp_path):
    made = Books(operator, tmp_path)
    made.publish(REGISTER)
    return made


def send(books, lines, *readings: tuple[float, int], **data: object) -> None:
    events = [event(f"r{on}/{value}", JUNE + timedelta(days=on - 1), n=value, **data) for on, value in readings]
    ran = books.operator("send", lines(*events))
    assert ran.code == 0, ran.err


def doubted(books) -> tuple[int, str, str]:
    """(number, code, sentence) of the one open exception."""
    ((found),) = books.operator.rows("select id, code, sentence from exceptions where state = 'open'")
    return found


def test_one_wrong_low_reading_blocks_the_close_by_name_and_bills_nothing_once_it_is_dismissed(books, lines):
    send(books, lines, *READINGS)

    assert "register_reading_ambiguous" in books.blocked("2026-06")
    number, code, sentence = doubted(books)
    assert code == "register_reading_ambiguous"
    assert "12 is lower than 1040 at 2026-06-10" in sentence
    ran = books.operator("replay", "dismiss", number, "--reason", "misread", "--yes")
    assert ran.code == 0, ran.err
    books.bill("2026-06")

    assert books.billed("used") == {"2026-06-01": Decimal("100.00")}
    books.all_is_well()


def test_a_reading_that_is_edited_to_be_a_reset_counts_from_zero(books, lines):
    send(books, lines, (1, 1_000), (10, 1_040), (20, 12), (28, 30))
    books.blocked("2026-06")
    codes = books.operator.rows("select code from exceptions where state = 'open' order by happened_at")
    assert codes == [("register_reading_ambiguous",)] * 2

    number = books.operator.one("select min(id) from exceptions where value like '% 12'")
    ran = books.operator("replay", "edit", number, "--set", "data.reset=true", "--reason", "new device", "--yes")
    assert ran.code == 0, ran.err
    books.bill("2026-06")

    assert books.billed("used") == {"2026-06-01": Decimal("70.00")}
    reasons = books.operator.rows("select reason from exceptions order by id")
    assert reasons == [("healed: billable",)] * 2
    books.all_is_well()


def test_a_reading_that_is_let_pass_is_left_out_and_billed_in_the_next_run_when_it_is_corrected(books, lines):
    send(books, lines, *READINGS)

    books.blocked("2026-06")
    books.bill("2026-06", "--override", "register_reading_ambiguous", "--reason", "to be read again")
    assert books.billed("used") == {"2026-06-01": Decimal("100.00")}
    number, _, _ = doubted(books)
    ran = books.operator("replay", "edit", number, "--set", "data.n=1050", "--reason", "read again", "--yes")
    assert ran.code == 0, ran.err
    send(books, lines, (30, 1_130))
    books.bill("2026-06", "--invoice-on", "2026-08-01")

    assert books.billed("used") == {"2026-06-01": Decimal("130.00")}
    books.all_is_well()


def test_a_reading_is_in_doubt_no_longer_when_the_one_comes_that_explains_it(books, lines):
    send(books, lines, (1, 60_000), (20, 15_000))
    books.blocked("2026-06")
    assert "a roll-over would be 55000" in doubted(books)[2]

    send(books, lines, (10, 90_000))
    books.bill("2026-06")

    assert books.billed("used") == {"2026-06-01": Decimal("55000.00")}
    assert books.operator.rows("select state, reason from exceptions") == [("resolved", "healed: billable")]
    books.all_is_well()


def test_a_reading_that_comes_late_puts_a_later_one_of_a_closed_period_in_doubt(books, lines):
    send(books, lines, (1, 1_000), (20, 1_040))
    books.bill("2026-06")
    assert books.billed("used") == {"2026-06-01": Decimal("40.00")}

    send(books, lines, (10, 1_070))
    assert "register_reading_ambiguous" in books.blocked("2026-06")
    ran = books.operator("replay", "dismiss", doubted(books)[0], "--reason", "it was 1,070 by then", "--yes")
    assert ran.code == 0, ran.err
    books.bill("2026-06", "--invoice-on", "2026-08-01")

    assert books.billed("used") == {"2026-06-01": Decimal("70.00")}
    books.all_is_well()


def test_a_doubt_that_only_rating_finds_ends_as_an_exception_that_names_the_reading_and_goes_through_later(
    books, lines, monkeypatch
):
    send(books, lines, *READINGS)
    look_now = doubts.look_now
    monkeypatch.setattr(doubts, "look_now", lambda _period: 0)  # as if it had come while the period was being frozen

    assert "drafts_blocked" in books.blocked("2026-06")
    ((code, facts),) = books.operator.rows("select code, facts from exceptions where state = 'open'")
    assert code == ReadingDoubtful.code
    assert doubted(books)[2].startswith("the reading 12 of 2026-06-20")
    assert facts == {"at": "2026-06-20T00:00:00+00:00", "reading": "12"}
    monkeypatch.setattr(doubts, "look_now", look_now)
    assert "usage_in_flight" in books.blocked("2026-06", "--override", "drafts_blocked", "--reason", "in the next run")
    assert books.billed("used") == {}

    books.blocked("2026-06")
    ran = books.operator("replay", "dismiss", doubted(books)[0], "--reason", "misread", "--yes")
    assert ran.code == 0, ran.err
    books.bill("2026-06")
    assert books.billed("used") == {"2026-06-01": Decimal("100.00")}
    books.all_is_well()
