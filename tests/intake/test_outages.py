"""With its database away intake waits, and no header of a client ends it."""

import pytest
from line import event, node_sends
from procfile import wait_until
from stack_control import away
from upstreams import Message, structured

pytestmark = pytest.mark.fleet


def names(prefix, count=20):
    return [f"{prefix} {number}" for number in range(count)]


def test_with_postgresql_away_intake_stops_consuming_and_stays_up(line):
    line.send(names("before"))
    wait_until(lambda: len(line.accepted()) == 20)

    with away("postgres"):
        line.send(names("while away", 30))
        wait_until(lambda: line.logged("database away: intake stops consuming"))
        line.send(names("later", 670))
        assert line.region.look("intake")[0] >= 670

    wait_until(lambda: len(line.accepted()) == 720, for_s=60, what="all are accepted")
    assert line.fleet.processes["intake"].starts == 1
    assert line.sums() == (720, 720, 0, 0)
    wait_until(lambda: line.region.look("intake") == (0, 1))
    assert line.region.look("intake.XQ", missing=0) == (0, 0)


def test_odd_headers_stop_nobody(line):
    before = line.sums()[0]
    odd = {
        "in milliseconds": {"!": "timestamp", "value": 1_793_880_000_000},
        "a float": 1.5,
        "big": 2**53,
        "nothing": None,
        "nested": {"a": [1, "b", {"c": True}]},
        "nul": "a\0b",
        "\0": "nul",
    }
    node_sends(line.phones, [Message(structured(event("odd")).body, structured(1).content_type, odd)])
    line.phones.send(structured(event("after odd")))

    line.wait_until_parsed(int(before) + 2)

    assert {"odd", "after odd"} <= line.accepted()
    assert line.fleet.processes["intake"].starts == 1
