"""`tallyline approve`: what waits for a second person, and the decision."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

import typer

from domain.approvals import Effect
from domain.authority import Acting
from domain.errors import Rejection
from domain.price_books import PriceBookInvalid
from workers.cli import console, reach
from workers.cli.acting import As, acting
from workers.cli.audit_story import story
from workers.cli.console import FOUND, AsJson, Failure
from workers.cli.status import money_text
from workers.cli.working import work_here
from workers.deeds import doing
from workers.deeds.doing import Done
from workers.deeds.previewing import CHANGES_MAX, preview
from workers.store import approvals
from workers.store.approvals import Asked
from workers.store.audit import Recorded
from workers.store.database import snapshot
from workers.store.master_file import MasterInvalid


@console.command
def approve(
    request: Annotated[int | None, typer.Argument(help="The request's number; without one, list them.")] = None,
    refuse: Annotated[bool, typer.Option("--refuse", help="Decide against it.")] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take back what you asked for yourself.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Only show it, with everything it would do.")] = False,
    state: Annotated[
        Literal["open", "granted", "refused", "withdrawn", "expired", "stale", "all"],
        typer.Option(help="Which requests to list."),
    ] = "open",
    note: Annotated[str, typer.Option(help="Kept with the decision; a refusal needs one.")] = "",
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """List what waits for a second person, or decide it: granting does it at once, as of now.

    Nobody decides what they asked for themselves. What would move more money by now than was asked for is stale and has
    to be asked for again. Example: tallyline approve 3 --note "as agreed on Monday"
    """
    if request is None:
        _list(None if state == "all" else state, as_json=as_json)
        return
    if (refuse and not note.strip()) or len(note) > console.REASON_MAX:
        sentence = f"a note has at most {console.REASON_MAX} characters, and a refusal needs a reason"
        raise Failure(sentence, fix='add --note "why"')
    with reach.database():
        if show:
            _show(request, as_json=as_json)
            return
        if withdraw:
            facts = {"request": doing.withdraw(acting(as_), request).id, "state": "withdrawn"}
        elif refuse:
            facts = {"request": doing.refuse(acting(as_), request, note=note).id, "state": "refused"}
        else:
            done = _granted(acting(as_), request, note)
            work_here(done.carried.hints)
            facts = {"request": request, "state": "granted", "did": done.plan.summary, **done.carried.facts}
    _tell(facts, as_json=as_json)


def _granted(who: Acting, request: int, note: str) -> Done:
    """Grant it. Raises `Failure` where its file does not fit any more, which is no fault of whoever decides."""
    try:
        return doing.grant(who, request, note=note)
    except (MasterInvalid, PriceBookInvalid) as error:
        with snapshot() as conn:
            asked = approvals.one(conn, request)
        by = "somebody else" if asked is None else asked.requested_by
        sentence = f"request {request} of {by} cannot be carried out any more, since others changed what it is about"
        fix = (
            f"have {by} correct the file and ask anew; `tallyline approve {request} --refuse --note WHY` ends this one"
        )
        raise Failure(f"{sentence}: {error}", fix=fix, code=FOUND) from None


def _list(state: str | None, *, as_json: bool) -> None:
    with reach.database(), snapshot() as conn:
        rows = approvals.requests(conn, state=state)
    if as_json:
        console.print_json([_plain(row) for row in rows])
        return
    if not rows:
        console.out().print("Nothing waits for approval." if state == "open" else "There is no such request.")
        return
    shown = [
        [row.id, row.summary, row.reason, effect_text(row.effect), row.requested_by, row.decided_by,
         f"{row.expires_at:%Y-%m-%d %H:%M}", row.state]
        for row in rows
    ]  # fmt: skip
    columns = ["request#", "what", "why", "money#", "asked by", "decided by", "expires (UTC)", "state"]
    console.out().print(console.table("Requests", columns, shown))
    if state == "open":
        console.out().print("next: [bold]tallyline approve N[/], or with --show, or --refuse --note WHY")


def effect_text(effect: Effect) -> str:
    """The money an act moves, for people."""
    return "unknown" if effect is None else money_text(effect)


def _plain(asked: Asked) -> dict[str, Any]:
    facts = asdict(asked)
    attachment = facts.pop("attachment")
    return facts | {"attachment_bytes": 0 if attachment is None else len(attachment)}


def _show(request: int, *, as_json: bool) -> None:
    """Tell everything that granting would do now: the rows it would change, before and after, and the money."""
    with snapshot() as conn:
        asked = approvals.one(conn, request)
    if asked is None:
        raise Failure(f"there is no request {request}", fix="`tallyline approve` lists those that are open")
    changes: Sequence[Recorded] = ()
    facts = _plain(asked)
    if asked.state == "open":
        try:
            found = preview(request)
        except (Rejection, MasterInvalid) as error:
            facts["is_impossible_now"] = str(error)
        else:
            changes, facts["would_do"] = found.changes, found.plan.facts
    facts["changes"] = [
        {"action": each.action, "subject": each.subject, "before": each.before, "after": each.after} for each in changes
    ]
    if as_json:
        console.print_json(facts)
        return
    _tell({name: value for name, value in facts.items() if name != "changes"}, as_json=False)
    if changes:
        rows = [[story(each)] for each in changes]
        console.out().print(console.table("What it would change", ["once it is granted"], rows))
        if len(changes) == CHANGES_MAX:
            console.out().print(f"There may be more than these {CHANGES_MAX} changes.")


def _tell(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        console.print_json(facts)
    elif "did" in facts:
        console.out().print(console.plain(f"request {facts['request']} is granted and done: {facts['did']}"))
    else:
        rows = [[name, value] for name, value in facts.items() if value not in (None, {}, "")]
        console.out().print(console.table("", ["field", "value"], rows))
