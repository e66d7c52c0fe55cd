"""What closing a billing period asks of the store, step by step: `close` and `demo` share it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from time import monotonic

from domain.closing import Blocker
from workers.cli import reach
from workers.cli.acting import Wish
from workers.cli.console import FOUND, Failure
from workers.store import billing_looks
from workers.store.billing_looks import Period, Standing
from workers.store.database import engine

#: What is in the way of a run that has left something to the next one: it closes when that one has billed it.
WAITS_FOR_NEXT_RUN = frozenset({"usage_in_flight", "accounts_parked"})
#: The first and the last year that a period may be of.
YEARS = (1900, 2999)
#: How often a run is looked at while it moves.
LOOK_S = 0.1
#: Longest that a command waits for a run to come to rest.
REST_S_MAX = 3_600.0


@dataclass(frozen=True, slots=True)
class Dates:
    """The date on the documents and the date they are booked on.

    Unless given it is the period's last day, or what the run under way has already.
    """

    invoice_on: date | None = None
    posting_on: date | None = None


def find_period(entity: str, label: str, cycle: str | None) -> Period:
    """The period a person means: `2013-01`, or the first day of another. Raises `Failure`."""
    with engine().begin() as conn:
        known = billing_looks.cycles(conn, entity)
        if not known:
            there = ", ".join(billing_looks.entities(conn))
            fix = f"name one of {there}" if there else "load legal entities and cycles with `tallyline master load`"
            raise Failure(f"there is no legal entity {entity!r} with a cycle", fix=fix)
        if cycle is None and len(known) > 1:
            raise Failure(f"{entity} has the cycles {', '.join(known)}", fix="name one with --cycle")
        chosen = cycle or next(iter(known))
        if chosen not in known:
            raise Failure(f"{entity} has no cycle {chosen!r}, only {', '.join(known)}", fix="name one of them")
        first_on = _first_on(label)
        found = billing_looks.period(conn, known[chosen], first_on)
    if found is None:
        raise Failure(f"no period of {entity}/{chosen} begins on {first_on}", fix="name a month such as 2013-01")
    return found


def _first_on(label: str) -> date:
    try:
        first_on = date.fromisoformat(f"{label}-01" if len(label) == len("2013-01") else label)
    except ValueError:
        first_on = date.min
    if not YEARS[0] <= first_on.year <= YEARS[1]:
        raise Failure(f"{label!r} is no period", fix="name a month such as 2013-01, or its first day")
    return first_on


def is_done(period: Period) -> bool:
    """Whether the period is billed and closed and no usage has come since: there is nothing to bill."""
    with engine().connect() as conn:
        run = billing_looks.last_run(conn, period.id)
        if run is None or billing_looks.standing(conn, run).stage != "closed":
            return False
        return not billing_looks.has_new_usage(conn, period)


def awaits_approval(period: Period) -> int | None:
    """The run of the period whose drafts wait for an approval and for nothing else; None if there is none."""
    with engine().connect() as conn:
        run = billing_looks.last_run(conn, period.id)
        if run is None:
            return None
        now = billing_looks.standing(conn, run)
    waits = now.stage == "drafted" and not now.approved_by and not now.is_moving and not now.blockers_before_approval
    return run if waits else None


def to_press(period: Period, dates: Dates) -> Wish:
    """What it takes to ask for the period to be billed, or to go on with the run that is under way.

    A run that has done all but what it left to the next one is not under way: what it waits for is that next run.
    """
    with engine().connect() as conn:
        run = billing_looks.last_run(conn, period.id)
        is_new = run is None or _is_through(billing_looks.standing(conn, run))
    payload = {
        "period_id": period.id,
        "last_day": (period.ends_on - timedelta(days=1)).isoformat(),
        "run_id": None if is_new else run,
        "invoice_on": dates.invoice_on and dates.invoice_on.isoformat(),
        "posting_on": dates.posting_on and dates.posting_on.isoformat(),
    }
    return Wish("runs.request", payload, f"bill {period.legal_entity_id} {period.starts_on}")


def _is_through(now: Standing) -> bool:
    return now.stage == "closed" or any(each.code in WAITS_FOR_NEXT_RUN for each in now.blockers)


def to_override(run_id: int, found: Blocker, reason: str) -> Wish:
    """What it takes to let a blocker of the run pass as often as it was seen."""
    return Wish("runs.override", {"run_id": run_id, "code": found.code, "count": found.count}, reason)


def to_approve(run_id: int) -> Wish:
    """What it takes to approve the drafts of a run and go on with it."""
    return Wish("runs.approve", {"run_id": run_id}, f"the drafts of run {run_id} are right")


def standing(run_id: int) -> Standing:
    """How far the run is now."""
    with engine().begin() as conn:
        return billing_looks.standing(conn, run_id)


def at_rest(run_id: int, *, look: Callable[[Standing], object] = lambda _standing: None) -> Standing:
    """Wait until the run is closed, blocked, or waits for a person; `look` is called meanwhile. Raises `Failure`."""
    deadline = monotonic() + REST_S_MAX
    pause = threading.Event()
    while True:
        now = standing(run_id)
        look(now)
        if not now.is_moving:
            return now
        if monotonic() > deadline:
            where = "`tallyline status` shows where it stands" if reach.is_fleet() else "call it again to go on"
            raise Failure(f"run {run_id} is still moving after {REST_S_MAX:.0f} s", fix=where, code=FOUND)
        pause.wait(LOOK_S)
