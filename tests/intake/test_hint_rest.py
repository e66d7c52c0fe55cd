"""Intake hints at once after a rest, and together what is stored during one."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from queues.settings import Settings
from queues.work import Hintable
from workers import intake
from workers.intake import INLETS, Intake

pytestmark = pytest.mark.fast


class Loop:
    """The clock of a connection: what is to be called, and when."""

    def __init__(self) -> None:
        self.planned: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay_s: float, act: Callable[[], None]) -> object:
        self.planned.append((delay_s, act))
        return self.planned[-1]

    def remove_timeout(self, plan: tuple[float, Callable[[], None]]) -> None:
        if plan in self.planned:
            self.planned.remove(plan)


@pytest.fixture
def sent(monkeypatch):
    found: list[list[int]] = []
    monkeypatch.setattr(intake, "publish", lambda rows: found.append([row.id for row in rows]) if rows else None)
    return found


@pytest.fixture
def made(sent):
    del sent
    made = Intake("amqp://nobody@127.0.0.1:1/", Settings(intake_hint_s=5, hint_weight_max=100), INLETS["intake"])
    made._connection = SimpleNamespace(ioloop=Loop(), is_open=False)
    return made


def row(number: int, *, weight: int = 1) -> Hintable:
    return Hintable(number, "validate", "validate", weight, f"receipt/{number}")


def test_the_first_receipt_after_a_rest_is_hinted_at_once(made, sent):
    made._hint([row(1)])

    assert sent == [[1]]
    assert made._connection.ioloop.planned == []


def test_receipts_stored_during_the_rest_share_one_hint_at_its_end(made, sent):
    for number in (1, 2, 3):
        made._hint([row(number)])

    ((delay_s, act),) = made._connection.ioloop.planned
    act()

    assert 4 < delay_s <= 5
    assert sent == [[1], [2, 3]]
    assert made._connection.ioloop.planned == []


def test_what_fills_a_transaction_of_its_own_does_not_wait(made, sent):
    made._hint([row(1)])
    made._hint([row(2)])
    made._hint([row(3, weight=100)])

    assert sent == [[1], [2, 3]]
    assert made._connection.ioloop.planned == []


def test_a_lost_connection_takes_no_hint_with_it(made, sent):
    made._hint([row(1)])
    made._hint([row(2)])

    made._forget()

    assert sent == [[1], [2]]
