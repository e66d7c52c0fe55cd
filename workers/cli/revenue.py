"""`tallyline revenue`: recognises and closes accounting periods, and shows what is deferred and when it is earned."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any

import typer
from sqlalchemy import Row

from domain.revenue import accounting_period
from workers.cli import console, reach
from workers.cli.acting import As, Reason, Wish, have_done, permitted
from workers.cli.console import YEAR_MAX, YEAR_MIN, AsJson, Failure
from workers.store import revenue_runs
from workers.store.database import snapshot
from workers.store.revenue_runs import AccountingPeriod

app = typer.Typer(help="Recognise revenue by accounting period, and show what is deferred.", no_args_is_help=True)

Entity = Annotated[str, typer.Argument(help="The legal entity, such as pony.")]
Period = Annotated[str, typer.Argument(help="An accounting period such as 2026-06.")]
_POSITION_MAX = 2**31 - 1


@app.command("run")
@console.command
def run(entity: Entity, period: Period, reason: Reason = None, as_: As = None, as_json: AsJson = False) -> None:
    """Recognise what is due up to the end of an accounting period, in journal entries of its own.

    What was recognised before is not recognised again: twice changes nothing. The scheduler does the same once a day.

    Example: tallyline revenue run pony 2026-06
    """
    with reach.database():
        who = permitted("revenue.run", as_)
        meant = _meant(entity, period)
        payload = {"legal_entity": entity, "period": str(meant.period)}
        wish = Wish("revenue.run", payload, reason or f"what is due in {meant.period:%Y-%m}")
        facts = have_done(who, wish, as_json=as_json).carried.facts
    if as_json:
        console.print_json({**payload, **facts})
        return
    if not facts["recognised"]:
        console.out().print(f"Nothing is due in {entity} up to {meant.period:%Y-%m} that is not recognised.")
        return
    columns = ["period", "currency", "revenue account", "recognised#"]
    rows = [[each["period"], each["currency"], each["revenue_account"], each["amount"]] for each in facts["recognised"]]
    console.out().print(console.table(f"Recognised, up to {meant}", columns, rows))


@app.command("close")
@console.command
def close(
    entity: Entity,
    period: Period,
    reason: Annotated[str, typer.Option(help="Why it is final now; kept with it.")],
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Close an accounting period for revenue, which is final and may take a second person.

    What is due is recognised. What is earned and on no document of the period yet is accrued on its last day, as the
    next billing runs would bill it, and reversed on the day after. Later changes are caught up with in open periods.

    Example: tallyline revenue close pony 2026-06 --reason "June is reviewed"
    """
    with reach.database():
        who = permitted("revenue.close", as_)
        meant = _meant(entity, period)
        payload = {"legal_entity": entity, "period": str(meant.period)}
        facts = have_done(who, Wish("revenue.close", payload, reason), as_json=as_json).carried.facts
    if as_json:
        console.print_json({**payload, **facts})
        return
    out = console.out()
    accrued = ", ".join(f"{currency} {amount}" for currency, amount in facts["accrued"].items()) or "nothing"
    out.print(console.plain(f"{meant} is closed for revenue; earned and not billed: {accrued}"))
    if facts["unpriced"]:
        out.print(f"without a price, so not accrued: the usage of {facts['unpriced']} subscriptions")


@app.command("show")
@console.command
def show(entity: Entity, period: Period, as_json: AsJson = False) -> None:
    """Show what was deferred when an accounting period began, what came and went, and when the rest is due.

    Beside it what was earned before it was billed: added when a period is closed, reversed on the day after.

    Example: tallyline revenue show pony 2026-06
    """
    with reach.database():
        meant = _meant(entity, period)
        with snapshot() as conn:
            balances = revenue_runs.waterfall(conn, meant)
            ahead, closed = revenue_runs.ahead(conn, meant), revenue_runs.closing_of(conn, meant)
    deferred, assets, prepaid = (
        [row for row in balances if row.balance == name] for name in ("deferred", "contract_asset", "credits")
    )
    if as_json:
        console.print_json({
            "legal_entity": entity, "period": f"{meant.period:%Y-%m}", "is_closed": closed is not None,
            "closed": None if closed is None else closed._asdict(),
            "deferred": [_moves(row, "recognised") for row in deferred],
            "contract_assets": [_moves(row, "reversed") for row in assets],
            "credits": [{**_moves(row, "drawn"), "expired": row.expired} for row in prepaid],
            "ahead": [{**row._asdict(), "period": _label(row.period)} for row in ahead],
        })  # fmt: skip
        return
    out = console.out()
    out.print(f"{entity} {meant.period:%Y-%m} is {'open' if closed is None else f'closed by {closed.closed_by}'}")
    _print("Deferred revenue", "recognised", deferred)
    _print("Earned and not billed", "reversed", assets)
    _print("Prepaid credits", "drawn", prepaid)
    if ahead:
        shown = [[row.account, row.currency, _label(row.period), f"{row.amount:,}"] for row in ahead]
        out.print(console.table("Still to be earned", ["account", "currency", "in", "amount#"], shown))


def _moves(row: Row[Any], released: str) -> dict[str, object]:
    names = ("currency", "account", "opening", "added", "closing")
    return {**{name: getattr(row, name) for name in names}, released: row.released}


def _print(title: str, released: str, rows: Sequence[Row[Any]]) -> None:
    columns = ["account", "currency", "opening#", "added#", f"{released}#", "expired#", "closing#"]
    shown = [
        [row.account, row.currency,
         *(f"{each:,}" for each in (row.opening, row.added, row.released, row.expired, row.closing))]
        for row in rows
    ]  # fmt: skip
    if rows:
        console.out().print(console.table(title, columns, shown))


def _label(period: date | None) -> str:
    return "later" if period is None else f"{period:%Y-%m}"


@app.command("line")
@console.command
def line(
    document: Annotated[str, typer.Argument(help="The number of a document, such as PONY-000012.")],
    position: Annotated[int, typer.Argument(metavar="PLACE", min=1, max=_POSITION_MAX, help="Which line of it.")],
    as_json: AsJson = False,
) -> None:
    """Show the schedule of a line: what of it is earned when, where that is recognised, and whether it is yet.

    The parts sum to the line; those of a void document are taken back, and sum to nothing.

    Example: tallyline revenue line PONY-000012 1
    """
    with reach.database(), snapshot() as conn:
        rows = revenue_runs.line(conn, document, position)
    if not rows:
        fix = "`tallyline trace --invoice NUMBER` names the lines of a document"
        raise Failure(f"there is no line {position} of a document {document!r}", fix=fix)
    parts = [row for row in rows if row.period is not None]
    if as_json:
        console.print_json([_part(row) for row in parts])
        return
    out, first = console.out(), rows[0]
    out.print(console.plain(f"{document}, line {position}: {first.description}, {first.currency} {first.net:,}"))
    columns = ["earned in", "recognised in", "amount#", "how", "state", "revenue account"]
    shown = [
        [_label(row.earned_in), _label(row.period), f"{row.amount:,}", row.method.replace("_", " "), _state(row),
         row.revenue_account]
        for row in parts
    ]  # fmt: skip
    out.print(console.table("Schedule", columns, shown) if parts else "It earns nothing.")


def _state(row: Row[Any]) -> str:
    if not row.is_deferred:
        return "with the document"
    return "deferred" if row.entry is None else f"in entry {row.entry}"


def _part(row: Row[Any]) -> dict[str, object]:
    return {
        "earned_in": _label(row.earned_in), "period": _label(row.period), "amount": row.amount, "kind": row.kind,
        "currency": row.currency, "method": row.method, "is_deferred": row.is_deferred, "journal_entry": row.entry,
        "revenue_account": row.revenue_account, "deferred_account": row.deferred_account,
        "legal_entity": row.legal_entity_id,
    }  # fmt: skip


def _meant(entity: str, label: str) -> AccountingPeriod:
    """The accounting period that a person means. Raises `Failure`."""
    try:
        first_on = date.fromisoformat(f"{label}-01" if len(label) == len("2026-06") else label)
    except ValueError:
        first_on = date.min
    if not YEAR_MIN <= first_on.year <= YEAR_MAX or first_on != accounting_period(first_on):
        raise Failure(f"{label} is no accounting period", fix="write it as 2026-06")
    with snapshot() as conn:
        if revenue_runs.today(conn, entity) is None:
            raise Failure(f"there is no legal entity {entity!r}", fix="load it with `tallyline master load`")
    return AccountingPeriod(entity, first_on)
