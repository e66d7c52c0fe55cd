"""`tallyline credits`: what accounts paid ahead or were given, and what became of it."""

from datetime import date
from typing import Annotated

import typer

from domain.credits import CreditInvalid
from domain.currencies import MINOR_UNITS
from workers.cli import console, reach
from workers.cli.acting import As, Wish, have_done, permitted
from workers.cli.console import YEAR_MAX, YEAR_MIN, AsJson, Failure
from workers.store import prepaid
from workers.store.database import snapshot

#: Characters of an amount.
AMOUNT_MAX = 30

app = typer.Typer(help="Grant prepaid credits and show what became of them.", no_args_is_help=True)


@app.command("grant")
@console.command
def grant(
    account: Annotated[str, typer.Argument(help="Who may use it.")],
    amount: Annotated[str, typer.Argument(help="How much, such as 250.00.")],
    entity: Annotated[str, typer.Option(help="The legal entity whose invoices it pays.")],
    currency: Annotated[str, typer.Option(help="The currency of those invoices, such as USD.")],
    starts: Annotated[str, typer.Option("--from", help="The first day of it, in the legal entity's zone.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the grant.")],
    ends: Annotated[str | None, typer.Option("--to", help="The first day without it; never, unless given.")] = None,
    priority: Annotated[int, typer.Option(min=-1_000, max=1_000, help="Lower numbers are drawn first.")] = 0,
    paid: Annotated[bool, typer.Option("--paid/--given", help="Paid ahead, and revenue if it expires.")] = False,
    rollover_days: Annotated[int | None, typer.Option(help="Days that its rest is carried on for.")] = None,
    rollover_percent: Annotated[str, typer.Option(help="At most so much of what is left.")] = "100",
    rollover_amount: Annotated[str | None, typer.Option(help="At most this amount.")] = None,
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Grant an account credit, which its invoices draw as they are issued; that may take a second person.

    An invoice draws what is valid on the last day of its service: by priority, then what ends first, then the oldest.
    It asks for the same amount as without; the credit pays part of it.

    Example: tallyline credits grant UA 250.00 --entity us --currency USD --from 2026-01-01 --to 2027-01-01 --paid
    --reason "paid ahead, receipt 4711"
    """
    payload = {
        "account": account, "legal_entity": entity, "amount": _number(amount), "currency": _currency(currency),
        "starts_on": _day(starts), "ends_on": None if ends is None else _day(ends), "priority": priority,
        "is_paid": paid, "rollover_days": rollover_days, "rollover_percent": _number(rollover_percent),
        "rollover_amount": None if rollover_amount is None else _number(rollover_amount),
    }  # fmt: skip
    with reach.database():
        who = permitted("credits.grant", as_)
        try:
            done = have_done(who, Wish("credits.grant", payload, reason), as_json=as_json)
        except CreditInvalid as refused:
            raise Failure(refused.sentence, fix=refused.fix) from None
    if as_json:
        console.print_json({**payload, **done.carried.facts})
    else:
        console.out().print(console.plain(f"grant {done.carried.facts['grant_id']}: {done.plan.summary}"))


@app.command("list")
@console.command
def list_(
    account: Annotated[str | None, typer.Argument(help="Only of this account.")] = None,
    as_json: AsJson = False,
) -> None:
    """List grants with what is left of each and what became of the rest, the latest first.

    Example: tallyline credits list UA
    """
    with reach.database(), snapshot() as conn:
        if account is not None and not prepaid.is_account(conn, account):
            raise Failure(f"there is no account {account}", fix="correct the name, or leave it out")
        rows = prepaid.listed(conn, account)
    if as_json:
        console.print_json([row._asdict() for row in rows])
        return
    columns = ["grant#", "account", "legal entity", "from", "to", "currency", "granted#", "drawn#", "expired#",
               "carried on#", "left#"]  # fmt: skip
    shown = [[row.grant, row.account, row.legal_entity, row.starts_on, row.ends_on or "", row.currency, *row[6:11]]
             for row in rows]  # fmt: skip
    console.out().print(console.table("Credits", columns, shown))


@app.command("show")
@console.command
def show(number: Annotated[int, typer.Argument(help="Of the grant.")], as_json: AsJson = False) -> None:
    """Show every entry of a grant, with the document that drew it; they sum to what is left.

    Example: tallyline credits show 3
    """
    with reach.database(), snapshot() as conn:
        rows = prepaid.history(conn, number)
    if not rows:
        raise Failure(f"there is no grant {number}", fix="`tallyline credits list` has their numbers")
    if as_json:
        console.print_json([row._asdict() for row in rows])
        return
    columns = ["at", "what", "amount#", "left#", "document", "carried to#"]
    shown = [[f"{row.at:%Y-%m-%d %H:%M} UTC", row.kind, row.amount, row.left, row.document or "", row.carried_to or ""]
             for row in rows]  # fmt: skip
    console.out().print(console.table(f"Grant {number}", columns, shown))


def _currency(given: str) -> str:
    """A currency with minor units. Raises `Failure`."""
    if given not in MINOR_UNITS:
        raise Failure(f"{given} is no currency that a document can be in", fix="use a code such as EUR")
    return given


def _number(given: str) -> str:
    """A plain decimal. Raises `Failure`."""
    if len(given) > AMOUNT_MAX or not given.isascii() or not given.replace(".", "", 1).isdigit():
        raise Failure(f"{given} is no amount", fix="write it as 500 or 499.50")
    return given


def _day(given: str) -> str:
    """A date in ISO form. Raises `Failure`."""
    try:
        day = date.fromisoformat(given)
    except ValueError:
        day = date.min
    if not YEAR_MIN <= day.year <= YEAR_MAX:
        raise Failure(f"{given} is no day", fix="write it as 2026-01-31")
    return day.isoformat()
