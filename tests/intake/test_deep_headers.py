"""A header that no stack can hold stops nobody: its event counts, and so do those that come after it."""

import json
import sys

import pytest
from line import event
from upstreams import Message

from queues.contracts import STRUCTURED

pytestmark = pytest.mark.fleet

LEVELS = 500


@pytest.fixture
def room_to_write():
    """Let pika write, in this process, what other clients write without recursion."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10 * limit)
    yield
    sys.setrecursionlimit(limit)


def test_tables_in_tables_stop_nobody(line, room_to_write):
    header: dict[str, object] = {}
    for _ in range(LEVELS):
        header = {"deeper": header}

    line.phones.send(Message(json.dumps(event("deep")).encode(), STRUCTURED, header), Message(b"", STRUCTURED))
    line.send(["after"])

    line.wait_until_parsed(2)
    assert line.accepted() == {"deep", "after"}
    assert not line.logged("connection lost")
