"""The step `close`: one stage further with a billing run, or a record of what is in its way."""

from domain.errors import Snooze
from workers.closing import advance
from workers.step import step
from workers.unit import Unit


@step("close")
def close(unit: Unit) -> None:
    """Advance one run in a transaction of its own: freezing holds up the whole line until the commit."""
    if len(unit.ready) > 1:
        raise Snooze("one run at a time", delay_s=0.0)  # `@step` takes the rows apart
    advance(unit, unit.ready[0])
