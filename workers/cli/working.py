"""Gets work done that a command has made: by the fleet's workers, or in this process when there is no fleet."""

from collections.abc import Callable, Sequence

from queues.work import Hintable
from workers.cli import reach
from workers.cli.console import FOUND, Failure
from workers.embedded import run
from workers.embedded.run import NotSettled, Owed

#: Longest that a command works on what it made; the rest is done by the next command that works.
SETTLE_S = 3_600.0


def work_here(hints: Sequence[Hintable], *, look: Callable[[Owed], object] = lambda _owed: None) -> None:
    """Hint the fleet, or do all work that is ready in this process. Raises `Failure` if it does not come to an end."""
    if reach.is_fleet():
        from workers.step import publish

        publish(hints)
        return
    with run.running():
        try:
            run.settle(within_s=SETTLE_S, look=look)
        except NotSettled as error:
            fix = "the next command that works goes on; `tallyline work --state ready` lists what is left"
            raise Failure(str(error), fix=fix, code=FOUND) from None
