"""`tallyline exceptions`: what was refused or waits for a person, by cause and money, one by one, and whose it is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

import typer
from rich.text import Text

from domain.codes import CODES, Kind
from domain.exceptions import money_of
from workers.cli import console, reach
from workers.cli.acting import As, alone
from workers.cli.console import AsJson, Failure, checked_reason, count
from workers.cli.tables import FittingTable
from workers.cli.trace_print import erased
from workers.store import backlog, exception_edits, exception_groups, exception_lists, places, receipts, replays
from workers.store.acting import Named
from workers.store.database import engine, snapshot
from workers.store.exception_groups import Group
from workers.store.exception_lists import Act, Listed, Wanted

#: Characters of a body that are shown.
BODY_SHOWN_MAX = 20_000
#: Groups that are shown; `--json` tells all.
GROUPS_SHOWN = 30
DECEMBER = 12

State = Literal["open", "replayed", "dismissed", "written_off", "resolved", "any"]

app = typer.Typer(invoke_without_command=True)
Numbers = Annotated[list[int], typer.Argument(help="Numbers of open exceptions.", metavar="EXCEPTION..")]
Reason = Annotated[str, typer.Option(help="Why; kept in the history of each exception.")]


@app.callback()
@console.command
def groups(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the open exceptions by cause, the most money first: one line for all that one act puts right.

    The money is an estimate: what the usage would add to its bill at the prices in force, or at the usual price of its
    metric while nobody knows whose it is; a document is worth its gross. Overdue is red.

    Example: `tallyline exceptions`, then `tallyline exceptions list --code subscription_not_found`.
    """
    if context.invoked_subcommand is not None:
        return
    with reach.database():
        reach.appraise()
        with snapshot() as conn:
            found = exception_groups.groups(conn)
    if as_json:
        console.print_json([asdict(group) for group in found])
        return
    if not found:
        console.out().print("No exception is open.")
        return
    console.out().print(groups_table(found))


def groups_table(found: Sequence[Group]) -> FittingTable:
    """The open exceptions by cause, as a table."""
    rows = [
        [each.code, each.sentence, ", ".join(each.owners), _due(each.deadline_at, is_overdue=each.is_overdue), each.fix]
        for each in found[:GROUPS_SHOWN]
    ]
    more = f" (the first {GROUPS_SHOWN} of {count(len(found))} causes)" if len(found) > GROUPS_SHOWN else ""
    return console.table(f"Open exceptions{more}", ["code", "what and why", "owner", "due (UTC)", "what to do"], rows)


def _due(at: datetime, *, is_overdue: bool) -> Text:
    words = f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"
    return Text(f"{words} overdue", style="bold red") if is_overdue else console.plain(words)


@app.command("list")
@console.command
def list_(
    code: Annotated[str | None, typer.Option(help="Only this code.")] = None,
    cause: Annotated[str | None, typer.Option(help="Only this cause, as `--json` names it.")] = None,
    step: Annotated[str | None, typer.Option(help="Only what this step refused.")] = None,
    kind: Annotated[Kind | None, typer.Option(help="Only technical or only business causes.")] = None,
    account: Annotated[str | None, typer.Option(help="Only what is known to be this account's.")] = None,
    source: Annotated[str | None, typer.Option(help="Only what this source sent.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only what this person or desk owns.")] = None,
    is_overdue: Annotated[bool, typer.Option("--overdue", help="Only what is past its deadline.")] = False,
    period: Annotated[str | None, typer.Option(help="Only usage of this month, such as 2026-03.")] = None,
    state: Annotated[State, typer.Option(help="Only those in this state.")] = "open",
    limit: Annotated[int, typer.Option(min=1, max=backlog.ROWS_MAX, help="Rows to show, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List exceptions one by one, the newest first.

    Example: `tallyline exceptions list --owner finance --overdue --period 2026-03`.
    """
    if code is not None and code not in CODES:
        raise Failure(
            f"there is no code {code!r}", fix="`tallyline exceptions` lists the causes, the runbook all codes"
        )
    starts_on, ends_on = _month(period)
    wanted = Wanted(None, code, cause, step, kind, account, source, owner, is_overdue, starts_on, ends_on)
    wanted = wanted if state == "any" else replace(wanted, state=state)
    with reach.database():
        reach.appraise()
        with snapshot() as conn:
            rows = exception_lists.listed(conn, wanted, rows=limit)
    if as_json:
        console.print_json([asdict(row) for row in rows])
        return
    if not rows:
        console.out().print(f"No {'' if state == 'any' else state + ' '}exception fits.")
        return
    console.out().print(_list_table(rows, state))
    if len(rows) == limit:
        console.out().print(f"There may be more than these {limit}: --limit shows them.")


def _list_table(rows: Sequence[Listed], state: str) -> FittingTable:
    shown = [
        [
            row.id, row.code, row.seen, row.metric, row.source, row.event_id or row.subject, _worth(row), row.owner,
            _due(row.deadline_at, is_overdue=row.is_overdue), row.sentence,
        ]
        for row in rows
    ]  # fmt: skip
    columns = ["no#", "code", "seen#", "metric", "source", "event or subject", "money#", "owner", "due (UTC)", "says"]
    return console.table(f"Exceptions ({state})", columns, shown)


def _worth(row: Listed) -> str:
    if row.money_at_risk is None or row.currency is None:
        return "unknown"
    return money_of(row.money_at_risk, row.currency)


def _month(period: str | None) -> tuple[date, date] | tuple[None, None]:
    """The first day of the month and of the next one."""
    if period is None:
        return None, None
    try:
        first = datetime.strptime(period, "%Y-%m").replace(tzinfo=UTC).date()
        year, month = (first.year + 1, 1) if first.month == DECEMBER else (first.year, first.month + 1)
        return first, date(year, month, 1)
    except ValueError:
        raise Failure(f"{period!r} is no month", fix="write it as 2026-03") from None


@app.command("show")
@console.command
def show(exception: Annotated[int, typer.Argument(help="The exception's number.")], as_json: AsJson = False) -> None:
    """Show one exception: what it is about, its money and how that is estimated, its history, and the event or body.

    Example: `tallyline exceptions show 17`.
    """
    with reach.database():
        reach.appraise()
        with snapshot() as conn:
            found = exception_lists.one(conn, exception)
            if found is None:
                raise Failure(f"there is no exception {exception}", fix="list them with `tallyline exceptions list`")
            history = exception_lists.history(conn, exception)
            edits = replays.edits_of(conn, exception)
            receipt_id = found["receipt_id"]
            place = places.place_of(conn, receipt_id, found["position"] or 0) if receipt_id else None
            gone = receipts.erasure(conn, receipt_id) if receipt_id else None
    body = _body(place) if gone is None else erased(gone.erased_at, gone.sha256)
    if as_json:
        console.print_json({**found, "history": [asdict(act) for act in history], "body": body, "edits": edits})
        return
    _print(found, history, body)
    for each in edits:
        about = f"edited by {each['person']} in replay {each['replay']} ({each['state']}): {each['reason']}"
        console.out().print(console.plain(f"{about}\n{json.dumps(each['edited'], indent=2)}"))


def _body(place: places.Place | None) -> object:
    """The event as JSON, or the text of a body that cannot be read; None if there is none."""
    if place is None:
        return None
    if place.event is not None:
        return place.event
    return place.delivery.body[:BODY_SHOWN_MAX].decode("utf-8", errors="backslashreplace")


def _print(found: Mapping[str, Any], history: Sequence[Act], body: object) -> None:
    out = console.out()
    facts = [(name.replace("_", " "), value) for name, value in found.items() if value not in (None, {}, "")]
    out.print(console.table(f"Exception {found['id']}: {found['code']}", ["field", "value"], facts))
    if found["code"] in CODES:
        out.print(f"[bold]meaning[/] {CODES[found['code']].meaning}", markup=True)
        out.print(f"[bold]fix[/]     {CODES[found['code']].fix}", markup=True)
    acts = [[f"{act.at:%Y-%m-%d %H:%M:%S}", act.act, act.person, act.reason, _told(act.facts)] for act in history]
    out.print(console.table("History", ["when (UTC)", "what", "who", "why", "facts"], acts))
    if body is not None:
        out.print("[bold]body[/]")
        out.print(console.plain(body if isinstance(body, str) else json.dumps(body, indent=2, default=str)))
    if found["state"] == "open":
        out.print(f"next: [bold]tallyline replay {found['id']}[/] tells what sending it again would come to")


def _told(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


@app.command("assign")
@console.command
def assign(
    exceptions: Numbers,
    person: Annotated[str, typer.Argument(help="Who acts on them; `-` gives them back to whom they fall by rule.")],
    reason: Reason,
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Assign open exceptions to a registered person.

    Example: `tallyline exceptions assign 17 18 mara --reason "knows the phones"`.
    """
    to, words = None if person == "-" else person, checked_reason(reason)
    with reach.database():
        by = _named(as_, words)
        with engine().begin() as conn:
            _require_all(exceptions, exception_edits.assign(conn, exceptions, to, by=by))
    _tell(exceptions, "assigned to", to or "whom they fall by rule", as_json=as_json)


@app.command("deadline")
@console.command
def deadline(
    exceptions: Numbers,
    day: Annotated[str, typer.Argument(metavar="DATE", help="The last day, as 2026-03-31; `-`: by severity again.")],
    reason: Reason,
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Set the last day (UTC) on which open exceptions are in time.

    Example: `tallyline exceptions deadline 17 2026-03-31 --reason "the customer answers next week"`.
    """
    try:
        last = None if day == "-" else date.fromisoformat(day)
        at = None if last is None else datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise Failure(f"{day!r} is no date", fix="write it as 2026-03-31") from None
    words = checked_reason(reason)
    with reach.database():
        by = _named(as_, words)
        with engine().begin() as conn:
            _require_all(exceptions, exception_edits.set_deadline(conn, exceptions, at, by=by))
    _tell(exceptions, "due by the end of", "what their severity says" if last is None else str(last), as_json=as_json)


def _named(person: str | None, reason: str) -> Named:
    """Who sets it, if that person may. Raises `NotPermitted` and what names nobody."""
    who = alone("exceptions.assign", person)
    return Named(who.person, reason, token_id=who.token_id)


def _require_all(asked: Sequence[int], done: Sequence[int]) -> None:
    """All or none: the transaction ends here if one of them is not open."""
    missing = sorted(set(asked) - set(done))
    if missing:
        raise Failure(
            f"exception {missing[0]} is not open; nothing was changed", fix="`tallyline exceptions list` shows them"
        )


def _tell(done: Sequence[int], what: str, value: str, *, as_json: bool) -> None:
    if as_json:
        console.print_json({"exceptions": done, what.replace(" ", "_"): value})
        return
    plural = "exception is" if len(done) == 1 else "exceptions are"
    console.out().print(f"{count(len(done))} {plural} {what} {value}.", markup=False)
