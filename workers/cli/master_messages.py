"""`tallyline master messages` and `retry`: what other systems sent of master data, and what was refused once more."""

from enum import StrEnum
from typing import Annotated

import typer

from workers import messages
from workers.cli import console, reach
from workers.cli.acting import As, permitted
from workers.cli.console import FOUND, USAGE, AsJson, Failure
from workers.store import acting as names
from workers.store import master_messages
from workers.store.acting import Named
from workers.store.database import engine, snapshot


class State(StrEnum):
    """What may become of a message."""

    received = "received"
    applied = "applied"
    unchanged = "unchanged"
    ignored = "ignored"
    refused = "refused"
    waiting = "waiting"


@console.command
def list_(
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=master_messages.ROWS_MAX, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what other systems sent of master data, newest first, and what became of it.

    A message that is refused is kept and has an exception; one that names what is not there yet is tried again when
    master data change. Example: tallyline master messages --state refused
    """
    with reach.database(), snapshot() as conn:
        found = master_messages.listed(conn, state=state, rows=limit)
    if as_json:
        console.print_json(found)
        return
    shown = [
        [each["id"], each["state"], each["system"], f"{each['kind'] or ''} {each['object'] or ''}".strip(),
         each["version"], each["code"], each["sentence"]] for each in found
    ]  # fmt: skip
    columns = ["message#", "state", "system", "object", "version#", "code", "why"]
    console.out().print(console.table("Messages of master data", columns, shown))


@console.command
def retry(
    number: Annotated[int | None, typer.Argument(help="The message's number; all refused ones without it.")] = None,
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Look at refused messages again, once what kept them from being applied is put right.

    Example: tallyline master retry 12
    """
    with reach.database():
        who = permitted("parties.publish", as_)
        with engine().begin() as conn:
            names.name(conn, Named(who.person, "looks at refused messages again", token_id=who.token_id))
            taken = master_messages.again(conn, number)
            if not taken:
                raise _not_refused(number, is_known=number is None or master_messages.is_known(conn, number))
        if not reach.is_fleet():  # there the scheduler does it
            messages.tick()
    if as_json:
        console.print_json({"messages": taken})
        return
    console.out().print(f"[bold]{console.count(len(taken))}[/] messages are looked at again")


def _not_refused(number: int | None, *, is_known: bool) -> Failure:
    fix = "`tallyline master messages --state refused` lists them"
    if not is_known:
        return Failure(f"there is no message {number}", fix=fix, code=USAGE)
    return Failure("no such message is refused", fix=fix, code=FOUND)
