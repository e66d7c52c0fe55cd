"""What may go wrong outside of us ends in a sentence, a way out and an exit code; a bug stays a bug."""

import pytest
from pika.exceptions import AMQPConnectionError
from sqlalchemy.exc import IntegrityError

from queues.publishing import NotPublished
from queues.rabbit_api import RabbitApiFailed
from workers.cli import console, status
from workers.cli.console import AWAY, FOUND
from workers.embedded.binaries import PostgresNotFound
from workers.embedded.postgres import DataOfAnotherVersion, HomeInUse
from workers.embedded.supervised import NotStarted
from workers.store import figures
from workers.store.figures import PreviewTooLarge


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HomeInUse("in use"), AWAY),
        (DataOfAnotherVersion("of 15"), AWAY),
        (PostgresNotFound("no programs"), AWAY),
        (NotStarted("its log says"), AWAY),
        (NotPublished("no confirm"), AWAY),
        (AMQPConnectionError(), AWAY),
        (RabbitApiFailed("GET /x: 500"), AWAY),
        (PreviewTooLarge("too many windows"), FOUND),
    ],
)
def test_an_error_outside_of_us_has_an_exit_code(error, code):
    failure = console.failure_of(error)

    assert failure.code == code
    assert failure.sentence


def test_an_error_that_nobody_expected_is_no_failure():
    assert console.failure_of(RuntimeError("a bug")) is None
    assert console.failure_of(IntegrityError("insert", {}, Exception("duplicate"))) is None


def test_a_bug_is_shown_as_it_is(operator, monkeypatch):
    def broken(_conn: object) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(status.backlog, "states", broken)

    with pytest.raises(RuntimeError, match="a bug of ours"):
        operator("status")


def test_ctrl_c_ends_with_130(operator, monkeypatch):
    def interrupted(_conn: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status.backlog, "states", interrupted)

    ran = operator("status")

    assert ran.code == 130
    assert "goes on with the next command" in " ".join(ran.err.split())


def test_more_windows_than_a_look_can_price_are_said_so(airports, lines, monkeypatch):
    from operator_bench import departure

    airports("send", lines(departure(1)))
    monkeypatch.setattr(figures, "PREVIEWED_MAX", 0)

    assert airports("status").code == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.44, "0.4 s"), (59, "59 s"), (600, "10 min"), (7200, "2 h"), (200_000, "2 d")]
)
def test_an_age_is_told_in_the_largest_unit_that_fits(seconds, text):
    assert console.age(seconds) == text
