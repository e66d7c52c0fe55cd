"""What a check of `tallyline doctor` answers, and how long clocks may differ."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from domain.degradation import BY_DEPENDENCY, Dependency

State = Literal["ok", "warning", "wrong"]

#: Due times and leases are told by the database's clock alone; people compare logs of all machines.
SKEW_WARNING = timedelta(seconds=1)
SKEW_WRONG = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: how it is, and what to do if it is not well."""

    name: str
    state: State
    says: str
    fix: str = ""


def clock(name: str, ask: Callable[[], datetime], *, resolution: timedelta = timedelta(0)) -> Check:
    """Compare a server's clock with this machine's; the time the question took, and `resolution`, are allowed for."""
    before = datetime.now(UTC)
    theirs = ask()
    after = datetime.now(UTC)
    skew = max(before - theirs - resolution, theirs - after, timedelta(0))
    says = f"differs from this machine by {skew.total_seconds():.1f} s" if skew else "agrees with this machine"
    if skew <= SKEW_WARNING:
        return Check(name, "ok", says)
    fix = "let both machines take their time from the same server (NTP)"
    return Check(name, "warning" if skew <= SKEW_WRONG else "wrong", says, fix)


def meanwhile(dependency: Dependency, fix: str) -> str:
    """What to do about something that is away, and what waits for it."""
    return f"{fix}. Meanwhile: {BY_DEPENDENCY[dependency].waits_where}"


def names(found: list[str], *, shown: int = 5) -> str:
    """The first few of a list of names, and how many more there are."""
    more = f" and {len(found) - shown} more" if len(found) > shown else ""
    return ", ".join(found[:shown]) + more


@contextmanager
def noted(checks: list[Check], name: str, errors: tuple[type[Exception], ...], *, fix: str) -> Iterator[None]:
    """Turn an expected error within the block into a check that is wrong; what follows in the block is left out."""
    try:
        yield
    except errors as error:
        says = (str(error).strip() or type(error).__name__).splitlines()[0]
        checks.append(Check(name, "wrong", says, fix))
