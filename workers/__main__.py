"""Runs the command `tallyline`."""

import signal
from types import FrameType

from workers.cli.app import app


def main() -> None:
    """Run the command line; a polite end by a signal is as Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    app(prog_name="tallyline")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
