"""`tallyline replay list` and what follows a replay under way: show, pause, resume, cancel."""

import threading
from dataclasses import asdict
from typing import Annotated, Literal

import typer

from domain.replays import Control
from workers.cli import console, reach
from workers.cli.acting import As, Wish, have_done, permitted
from workers.cli.console import AsJson
from workers.cli.replay_print import COLUMNS, SHOWN_MAX, print_replay, row_of
from workers.cli.working import work_here
from workers.store import replays
from workers.store.database import engine, snapshot
from workers.store.replays import Replay

#: How often a watched replay is looked at.
LOOK_S = 0.5

Number = Annotated[int, typer.Argument(help="The replay's number.", metavar="REPLAY")]


def add_to(app: typer.Typer) -> None:
    """Give the group its commands about replays that exist."""
    app.command("list")(list_)
    app.command("show")(show)
    app.command("pause")(pause)
    app.command("resume")(resume)
    app.command("cancel")(cancel)


@console.command
def list_(
    state: Annotated[
        Literal["planned", "running", "paused", "done", "cancelled"] | None, typer.Option(help="Only in this state.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=replays.ROWS_MAX, help="Replays to show, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List replays, the newest first, with how far each is.

    Example: tallyline replay list
    """
    with reach.database(), snapshot() as conn:
        found = replays.newest(conn, state=state, rows=limit)
    if as_json:
        console.print_json([asdict(each) for each in found])
    elif found:
        console.out().print(console.table("Replays", COLUMNS, [row_of(each) for each in found]))
    else:
        console.out().print("There is no such replay.")


@console.command
def show(
    replay: Number,
    watch: Annotated[bool, typer.Option("--watch", help="Stay until it is through, with a progress bar.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one replay: how far it is, what it would come to, and its exceptions.

    Example: tallyline replay show 7 --watch
    """
    with reach.database():
        if watch:
            _watch(replay, is_shown=not as_json)
        with snapshot() as conn:
            found, items = replays.show(conn, replay), replays.items(conn, replay, rows=SHOWN_MAX)
    if as_json:
        console.print_json({**asdict(found), "items": [asdict(each) for each in items]})
    else:
        print_replay(found, items)


def _watch(replay_id: int, *, is_shown: bool) -> None:
    """Return when nothing more of it will happen by itself. Without a fleet this process does it meanwhile."""
    work_here(())
    pause = threading.Event()
    found = _look(replay_id)
    with console.progress(f"replay {replay_id}", total=found.total, is_shown=is_shown) as advance:
        shown = 0
        while True:
            advance(found.finished - shown)
            shown = found.finished
            if found.state != "running":
                return
            pause.wait(LOOK_S)
            found = _look(replay_id)


def _look(replay_id: int) -> Replay:
    with engine().connect() as conn:
        return replays.show(conn, replay_id)


@console.command
def pause(replay: Number, reason: Annotated[str, typer.Option(help="Why.")] = "paused by hand", as_: As = None) -> None:
    """Release no further portion; what is on its way goes on.

    Example: tallyline replay pause 7 --reason "the ERP is slow today"
    """
    _control(replay, "pause", reason, as_)


@console.command
def resume(replay: Number, reason: Annotated[str, typer.Option(help="Why.")] = "goes on", as_: As = None) -> None:
    """Go on with a paused replay.

    Example: tallyline replay resume 7
    """
    _control(replay, "resume", reason, as_)


@console.command
def cancel(replay: Number, reason: Annotated[str, typer.Option(help="Why.")] = "cancelled", as_: As = None) -> None:
    """Never send what still waits; what is on its way goes on, and the exceptions that wait stay open.

    Example: tallyline replay cancel 7 --reason "the mapping is wrong as well"
    """
    _control(replay, "cancel", reason, as_)


def _control(replay_id: int, act: Control, reason: str, as_: str | None) -> None:
    with reach.database():
        who = permitted("replay.control", as_)
        wish = Wish("replay.control", {"replay": replay_id, "act": act}, reason)
        state = have_done(who, wish, as_json=False).carried.facts["state"]
        if act == "resume":
            work_here(())
    console.out().print(f"replay {replay_id} is {state}")
