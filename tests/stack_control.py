"""Kills and starts the servers of the stack around the tests, where they are ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infra.stack.control import Control, ControlFailed


@contextmanager
def away(name: str) -> Iterator[None]:
    """Kill -9 a server; when the block ends it serves again on its port and data.

    Skips the test where the server was named by its address, since nobody may kill that.
    """
    try:
        control = Control.from_environment()
        control.kill(name)
    except ControlFailed as failure:
        pytest.skip(str(failure))
    try:
        yield
    finally:
        control.start(name)
