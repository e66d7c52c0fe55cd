"""A process of the embedded run that works on every billing run, approves its drafts, and ends when all are closed."""

import sys
import threading
from time import monotonic

from sqlalchemy import text

from workers.embedded.run import running
from workers.step import publish
from workers.store import billing_runs
from workers.store.acting import Named, name
from workers.store.database import engine

WITHIN_S = 120.0


def approve_what_is_drafted() -> bool:
    """Approve as a person would; whether every run is closed."""
    with engine().begin() as conn:
        runs = conn.execute(text("select id, stage, approved_by from billing_runs order by id")).all()
        hints = []
        for run in runs:
            if run.stage == "drafted" and run.approved_by is None:
                name(conn, Named("bob", "agreed with finance"))
                billing_runs.approve(conn, run.id, person="bob")
                hints += billing_runs.press(conn, run.id)
    publish(hints)
    return all(run.stage == "closed" for run in runs)


def main() -> int:
    deadline, pause = monotonic() + WITHIN_S, threading.Event()
    with running():
        while not approve_what_is_drafted():
            if monotonic() > deadline:
                return 1
            pause.wait(0.05)
    return 0


if __name__ == "__main__":
    sys.exit(main())
