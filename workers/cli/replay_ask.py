"""How a replay is asked for at the command line: what it is to hold, what it would come to, and whether to go on."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import typer
from sqlalchemy import Connection

from domain.authority import Acting, NotPermitted, roles_for
from domain.canonical import Json
from domain.errors import Rejection
from domain.replays import EditInvalid, ReplayKind
from workers import replaying
from workers.cli import console, reach, replay_print
from workers.cli.acting import Wish, acting, have_done
from workers.cli.console import FOUND, Failure, count
from workers.cli.working import work_here
from workers.deeds.replays import require_help
from workers.store import acting as names
from workers.store import replay_selection, replays
from workers.store.acting import Named
from workers.store.database import engine
from workers.store.replay_selection import Selection
from workers.store.replays import DECISIONS, Item, Wanted

_AGE = re.compile(r"([1-9][0-9]{0,4})([hd])")
_HOUR_S = 3_600
#: Who asks what a replay would come to without doing it.
NOBODY = "nobody"
_ACTIONS = {
    "replay": ("replay.business", "replay.technical"), "edit": ("replay.edit",), "dismiss": ("exceptions.dismiss",),
    "write_off": ("exceptions.write_off",),
}  # fmt: skip
_VERBS = {"replay": "send", "edit": "send", "dismiss": "dismiss", "write_off": "write off"}
_DONE = {"replay": "sent again", "edit": "sent again", "dismiss": "dismissed", "write_off": "written off"}
#: Makes the edited event once the database is reached.
Edit: TypeAlias = Callable[[], Mapping[str, Json]]

Exceptions = Annotated[list[int] | None, typer.Argument(help="Numbers of exceptions.", metavar="EXCEPTION..")]
Code = Annotated[str | None, typer.Option(help="All open exceptions of this code.")]
Cause = Annotated[str | None, typer.Option(help="Only this cause within the code, such as mapping/1/UA.")]
Account = Annotated[str | None, typer.Option(help="Only this account, as far as it is known now.")]
Source = Annotated[str | None, typer.Option(help="Only events of this source.")]
StepName = Annotated[str | None, typer.Option("--step", help="Only what this step refused.")]
Kind = Annotated[Literal["technical", "business"] | None, typer.Option(help="Only codes of this kind.")]
Period = Annotated[str | None, typer.Option(help="Only this month, such as 2026-03.")]
OlderThan = Annotated[str | None, typer.Option(help="Only what has been open for longer, such as 12h or 7d.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would happen.")]


@dataclass(frozen=True, slots=True)
class Told:
    """What was told before anything is done; `replay_id` is None where nothing was kept."""

    forecast: Mapping[str, Any]
    replay_id: int | None

    @property
    def items(self) -> list[Item]:
        """What becomes of each exception, of the first ones where there are many."""
        return [Item(**each) for each in self.forecast["items"]]

    def to_json(self, sent: Mapping[str, int]) -> dict[str, Any]:
        """For scripts."""
        listed = [
            {
                "exception": each.exception, "kind": replay_print.kind(each), "would_be": replay_print.would_be(each),
                "says": replay_print.says(each),
            }
            for each in self.items
        ]  # fmt: skip
        money = {name: value for name, value in self.forecast.items() if name != "items"}
        return {"forecast": listed, "money": money, "replay": self.replay_id, "sent": sent}


def selected(exceptions: list[int] | None, older_than: str | None, **given: str | None) -> Selection:
    """The selection that the options name. Raises `Failure` for none, or for numbers beside a filter."""
    named = {name: value for name, value in given.items() if value is not None}
    if bool(exceptions) == bool(named or older_than):
        raise Failure(
            "name exceptions by number, or a cause with --code", fix="`tallyline exceptions` lists the causes"
        )
    return Selection(
        ids=tuple(sorted(set(exceptions))) if exceptions else None, older_than_s=_seconds(older_than), **named
    )


def _seconds(older_than: str | None) -> int | None:
    if older_than is None:
        return None
    found = _AGE.fullmatch(older_than)
    if found is None:
        raise Failure(f"{older_than!r} is no age", fix="write hours or days, such as 12h or 7d")
    return int(found[1]) * _HOUR_S * (24 if found[2] == "d" else 1)


@dataclass(frozen=True, slots=True)
class Ask:
    """How far a command goes: only tell, do it without asking, for whom, and in which words."""

    dry_run: bool
    yes: bool
    as_: str | None
    as_json: bool


def ask_and_do(kind: ReplayKind, selection: Selection, reason: str, ask: Ask, *, edit: Edit | None = None) -> None:
    """Tell what it would come to, then ask, then do it; ends the command if it waits for somebody else."""
    reason = console.checked_reason(reason)
    with reach.database():
        reach.appraise()
        may_act = not ask.dry_run and (ask.yes or (is_terminal() and not ask.as_json))
        asks = _who(kind, ask.as_) if may_act or reach.is_fleet() else None
        who = asks if may_act else None
        wanted = Wanted(kind, selection, who.person if who else NOBODY, reason, edit() if edit else None)
        told = planned(wanted, is_kept=ask.yes and not ask.dry_run)
        if not ask.as_json:
            replay_print.print_forecast(told.items, told.forecast)
        if who is not None and kind == "edit":
            _require_help(who, told)
        if who is not None and told.replay_id is None and typer.confirm(f"{_VERBS[kind].capitalize()} them?"):
            told = planned(wanted, is_kept=True)
        sent = started(who, told, reason, as_json=ask.as_json) if who and told.replay_id else None
    if ask.as_json:
        console.print_json(told.to_json(sent or {}))
    elif ask.dry_run:
        console.out().print("nothing was sent: this only tells")
    elif sent is None:
        console.out().print("nothing was sent; add [bold]--yes[/] to do it")
    else:
        done = ", ".join(f"{count(number)} {name}" for name, number in sent.items()) or "nothing"
        console.out().print(f"{_DONE[kind]}: {done} (replay {told.replay_id})")
        if reach.is_fleet() and kind not in DECISIONS:
            console.out().print(f"the fleet does it: [bold]tallyline replay show {told.replay_id} --watch[/]")
    if not ask.dry_run and not may_act:  # nobody could be asked: a script must not take it for done
        raise typer.Exit(FOUND)


def _who(kind: ReplayKind, as_: str | None) -> Acting:
    """Whoever asks, who may do some of that kind: to look holds for seconds what live work may want.

    Raises `NotPermitted`.
    """
    who = acting(as_)
    *others, last = _ACTIONS[kind]
    for action in others:
        with suppress(NotPermitted):
            roles_for(who, action)
            return who
    roles_for(who, last)
    return who


def planned(wanted: Wanted, *, is_kept: bool) -> Told:
    """Plan the replay and find out what it would come to. Unless it is kept, nothing is left of it."""
    with engine().connect() as conn:
        names.name(conn, Named(wanted.person, wanted.reason))
        told = _planned(conn, wanted)
        if not is_kept:
            conn.rollback()
            return Told(told.forecast, None)
        replays.keep_forecast(conn, told.replay_id or 0, told.forecast)
        conn.commit()
    return told


def require_known(conn: Connection, exceptions: Sequence[int]) -> None:
    """Raise `Failure` for the first number that no exception has."""
    missing = replay_selection.missing(conn, exceptions) if exceptions else []
    if missing:
        raise Failure(f"there is no exception {missing[0]}", fix="list them with `tallyline exceptions list`")


def _planned(conn: Connection, wanted: Wanted) -> Told:
    require_known(conn, wanted.selection.ids or ())
    replay_id = replays.plan(conn, wanted)
    if not replays.show(conn, replay_id).total:
        what = f"the code {wanted.selection.code!r}" if wanted.selection.code else "what was selected"
        raise Failure(f"no exception is open with {what}", fix="`tallyline exceptions` lists the causes")
    return Told(replaying.forecast(conn, replay_id), replay_id)


def started(who: Acting, told: Told, reason: str, *, as_json: bool) -> dict[str, int]:
    """Have the planned replay started and, without a fleet, done; what of it is sent, by sort."""
    assert told.replay_id is not None, "only what is kept is started"
    try:
        have_done(who, Wish("replay.start", {"replay": told.replay_id}, reason), as_json=as_json)
    except Rejection:
        _cancel(who, told)
        raise
    work_here([])
    sent: dict[str, int] = {}
    with engine().connect() as conn:
        for each in replays.outcomes(conn, told.replay_id):
            if each["state"] != "skipped":
                sent[each["sort"]] = sent.get(each["sort"], 0) + each["exceptions"]
    return sent


def _require_help(who: Acting, told: Told) -> None:
    """End an edit that would be refused again before anybody is asked; nothing is kept of it. Raises `EditInvalid`."""
    try:
        require_help(told.forecast)
    except EditInvalid:
        _cancel(who, told)
        raise


def _cancel(who: Acting, told: Told) -> None:
    if told.replay_id is not None:
        with engine().begin() as conn:
            names.name(conn, Named(who.person, "it was refused"))
            replays.control(conn, told.replay_id, "cancel")


def is_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty()
