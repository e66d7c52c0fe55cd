"""`tallyline replay`: sends again what was refused, or edits, dismisses or writes it off; tells first what for."""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from domain.canonical import Json
from workers.cli import console, reach, replay_watch
from workers.cli.acting import As, Wish, have_done, permitted
from workers.cli.console import AsJson, Failure, count
from workers.cli.replay_ask import (
    Account,
    Ask,
    Cause,
    Code,
    DryRun,
    Exceptions,
    Kind,
    OlderThan,
    Period,
    Source,
    StepName,
    Yes,
    ask_and_do,
    require_known,
    selected,
)  # fmt: skip
from workers.cli.working import work_here
from workers.editing import edited_event
from workers.store.database import engine, snapshot
from workers.store.replay_selection import Selection

#: Bytes of a file with an event; one on a queue is never larger.
FILE_BYTES_MAX = 4 * 2**20
Why = Annotated[str, typer.Option("--reason", help="Why; kept with each exception.")]


class NumbersFirst(TyperGroup):
    """`tallyline replay 12` is `tallyline replay new 12`: the command that is used most has the shortest form."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 -- Typer brings its own Click along
        """Put `new` where no command is named."""
        if not args or (args[0] not in self.commands and args[0] not in {"-h", "--help"}):
            args = ["new", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=NumbersFirst,
    help=(
        "Send again what was refused, after telling what that comes to; or edit, dismiss or write it off.\n\n"
        "`tallyline replay 12` and `tallyline replay --code CODE` tell first, to the cent and by invoice, and ask. "
        "A replay bills nothing twice: what came meanwhile is a duplicate, what is closed is skipped."
    ),
)


@app.command("new")
@console.command
def new(
    exceptions: Exceptions = None,
    code: Code = None,
    cause: Cause = None,
    account: Account = None,
    source: Source = None,
    step: StepName = None,
    kind: Kind = None,
    period: Period = None,
    older_than: OlderThan = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Why = "replayed by hand",
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Tell what sending it again would come to, then ask, then do it.

    A dead work row becomes ready again in the lane `replay`. A refused event is received anew and checked against the
    master data of now. Parked usage is decided again. It goes in portions that never keep live work waiting.
    Example: tallyline replay --code subscription_not_found --account acme --dry-run
    """
    selection = selected(
        exceptions, older_than, code=code, cause=cause, account=account, source=source, step=step, kind=kind,
        period=period,
    )  # fmt: skip
    ask_and_do("replay", selection, reason, Ask(dry_run, yes, as_, as_json))


@app.command("dry-run")
@console.command
def dry_run(
    exceptions: Exceptions = None,
    code: Code = None,
    cause: Cause = None,
    account: Account = None,
    source: Source = None,
    step: StepName = None,
    kind: Kind = None,
    period: Period = None,
    older_than: OlderThan = None,
    as_json: AsJson = False,
) -> None:
    """Only tell what a replay would come to: the fate of each exception, and the money by account and invoice.

    It is found out by doing all of it in a transaction that is undone. Example: tallyline replay dry-run 12 13
    """
    selection = selected(
        exceptions, older_than, code=code, cause=cause, account=account, source=source, step=step, kind=kind,
        period=period,
    )  # fmt: skip
    ask_and_do("replay", selection, "dry run", Ask(dry_run=True, yes=False, as_=None, as_json=as_json))


@app.command("edit")
@console.command
def edit(
    exception: Annotated[int, typer.Argument(help="The exception whose event is edited.")],
    reason: Why,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="A member and its new value: data.distance=1400. May be repeated.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="The whole event as a JSON file instead.", dir_okay=False)] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Send the event again with its content changed; what was sent stays, and both can be seen.

    A refused event is checked as usual; its source and id stay. An accepted event is never changed: where its usage
    lacks a quantity, the new data stand in for that usage alone.
    Example: tallyline replay edit 12 --set data.distance=1400 --reason "the gate's system was down"
    """
    if not changes and file is None:
        raise Failure("nothing is to be changed", fix="name a change with --set data.distance=1400, or a --file")
    parsed = _changes(changes or [])
    whole = None if file is None else _event(file)

    def make() -> Mapping[str, Json]:
        with engine().connect() as conn:
            return edited_event(conn, exception, parsed, whole=whole)

    selection = Selection(ids=(exception,))
    ask_and_do("edit", selection, reason, Ask(dry_run, yes, as_, as_json), edit=make)


def _changes(texts: list[str]) -> dict[str, Json]:
    parsed = {}
    for each in texts:
        path, sign, value = each.partition("=")
        if not sign or not all(path.split(".")):
            raise Failure(f"{each!r} names no member and value", fix="write --set data.distance=1400")
        parsed[path] = _value(value)
    return parsed


def _value(text: str) -> Json:
    """A JSON value; what is none is a text."""
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_no_number)  # type: ignore[no-any-return]
    except (ValueError, RecursionError):
        return text


def _no_number(name: str) -> Json:
    """NaN and Infinity, which Python's reader takes, are no JSON, and would be kept as nothing."""
    raise ValueError(f"{name} is no number")


def _event(file: Path) -> Mapping[str, Json]:
    try:
        with file.open("rb") as opened:
            event = json.loads(opened.read(FILE_BYTES_MAX), parse_float=Decimal, parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as error:
        raise Failure(f"{file} cannot be read as an event: {error}", fix="give one JSON object in UTF-8") from None
    if not isinstance(event, dict):
        raise Failure(f"{file} holds no JSON object", fix="give the whole event, with source and id as they were")
    return event


@app.command("dismiss")
@console.command
def dismiss(
    reason: Why,
    exceptions: Exceptions = None,
    code: Code = None,
    cause: Cause = None,
    account: Account = None,
    source: Source = None,
    period: Period = None,
    older_than: OlderThan = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Decide that it is no billable usage: test data, or said twice. It counts as excluded from then on.

    Example: tallyline replay dismiss --source /ops/test --reason "the vendor's test events"
    """
    selection = selected(exceptions, older_than, code=code, cause=cause, account=account, source=source, period=period)
    ask_and_do("dismiss", selection, reason, Ask(dry_run, yes, as_, as_json))


@app.command("write-off")
@console.command
def write_off(
    reason: Why,
    exceptions: Exceptions = None,
    code: Code = None,
    cause: Cause = None,
    account: Account = None,
    source: Source = None,
    period: Period = None,
    older_than: OlderThan = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Decide that billable usage is not billed and the loss is ours; its money at risk is kept as the loss.

    Example: tallyline replay write-off --code quantity_missing --period 2026-03 --reason "agreed with finance"
    """
    selection = selected(exceptions, older_than, code=code, cause=cause, account=account, source=source, period=period)
    ask_and_do("write_off", selection, reason, Ask(dry_run, yes, as_, as_json))


@app.command("reopen")
@console.command
def reopen(
    exceptions: Annotated[list[int], typer.Argument(help="Dismissed exceptions.", metavar="EXCEPTION..")],
    reason: Why,
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Take a dismissal or write-off back: the exceptions are open again, and what they wait for is looked at.

    Example: tallyline replay reopen 12 --reason "it was no test after all"
    """
    with reach.database():
        who = permitted("exceptions.dismiss", as_)
        ids = sorted(set(exceptions))
        with snapshot() as conn:
            require_known(conn, ids)
        done = have_done(who, Wish("exceptions.reopen", {"exceptions": ids}, reason), as_json=as_json)
        work_here(())
    if as_json:
        console.print_json({"exceptions": ids, **done.carried.facts})
    else:
        console.out().print(f"open again: {count(len(ids))} exceptions")


replay_watch.add_to(app)
