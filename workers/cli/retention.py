"""`tallyline retention`: erases the bodies of receipts whose time is over, and keeps their hashes."""

from typing import Annotated

import typer

from queues.settings import settings
from workers.cli import console, reach
from workers.cli.acting import As, Reason, Wish, acting, have_done
from workers.cli.console import AsJson, count
from workers.store import retention as store
from workers.store.database import snapshot
from workers.store.retention import Erased


@console.command
def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what the next portion would erase.")] = False,
    days: Annotated[
        int | None, typer.Option(min=1, max=36_525, help="Age in days; TALLYLINE_RECEIPT_DAYS unless given.")
    ] = None,
    portions: Annotated[int, typer.Option(min=1, max=10_000, help="Portions of at most 500 receipts.")] = 1_000,
    reason: Reason = None,
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Erase bodies exactly as upstream systems sent them, once nothing can need them any more.

    A body goes when it is old enough, nothing about it is open, and every period of every event in it is closed. Its
    SHA-256 stays, and so do the usage events: they are the ledger. The scheduler does the same every day.
    Example: tallyline retention --dry-run
    """
    age = days or settings().receipt_days
    with reach.database():
        if dry_run:
            with snapshot() as conn:
                _show(store.erasable(conn, days=age), age, as_json=as_json, is_done=False)
            return
        who, total = acting(as_), Erased(0, 0)
        wish = Wish("retention.erase", {"days": age}, reason or f"older than {age} days")
        for _ in range(portions):
            done = have_done(who, wish, as_json=as_json).carried.facts
            total = Erased(total.receipts + int(done["receipts"]), total.bytes + int(done["bytes"]))
            if not done["receipts"]:
                break
    _show(total, age, as_json=as_json, is_done=True)


def _show(found: Erased, days: int, *, as_json: bool, is_done: bool) -> None:
    if as_json:
        console.print_json({"days": days, "receipts": found.receipts, "bytes": found.bytes, "erased": is_done})
        return
    told = "erased" if is_done else "would be erased next"
    console.out().print(
        f"{count(found.receipts)} receipts with {count(found.bytes)} bytes, older than {days} days, {told}"
    )
