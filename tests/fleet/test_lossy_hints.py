"""The tool that loses and doubles hints does so as often as it is told."""

import pytest
from lossy_hints import Lossy, lossy_from

from queues import hints


@pytest.fixture
def arrived(monkeypatch):
    found = []
    monkeypatch.setattr(hints, "deliver", lambda hint, _delay_s: found.append(hint.args[0][0]))
    return found


def test_a_third_is_lost_and_a_third_doubled(arrived, monkeypatch):
    lossy = Lossy(drop=0.3, double=0.3, seed=1)
    monkeypatch.setattr(hints, "deliver", lossy)

    for work_id in range(1, 1_001):
        hints.send("rate", [work_id])

    assert lossy.dropped == 1_000 - len(set(arrived))
    assert lossy.doubled == len(arrived) - len(set(arrived))
    assert 250 < lossy.dropped < 350
    assert 250 < lossy.doubled < 350


def test_without_chance_every_hint_arrives_once(arrived, monkeypatch):
    monkeypatch.setattr(hints, "deliver", Lossy())

    hints.send("rate", list(range(1, 401)))

    assert arrived == [1, 201]


def test_it_is_told_by_a_line_of_words():
    lossy = lossy_from("drop=0.25,double=0.5,seed=7")

    assert (lossy.drop, lossy.double) == (0.25, 0.5)
