"""`tallyline policies`: which actions need a second person."""

from dataclasses import asdict
from decimal import Decimal
from typing import Annotated

import typer

from domain.approvals import Needs
from domain.authority import ACTIONS, Role
from domain.currencies import MINOR_UNITS
from workers.cli import console, reach
from workers.cli.acting import As, Reason, Wish, acting, have_done
from workers.cli.console import AsJson, Failure
from workers.store import policies as store
from workers.store.database import snapshot

#: Characters of an amount.
AMOUNT_MAX = 30

app = typer.Typer(help="Show and set which actions need a second person.", no_args_is_help=True)


@app.command("list")
@console.command
def list_(as_json: AsJson = False) -> None:
    """List the policies in force. An action that none speaks of does not happen.

    Example: tallyline policies list
    """
    with reach.database(), snapshot() as conn:
        rows = store.in_force(conn)
    if as_json:
        console.print_json([asdict(row) for row in rows])
        return
    shown = [
        [row.action, row.role, row.needs.replace("_", " "), f"{row.currency} {row.money_max:,}" if row.currency else "",
         row.decided_by, row.expires_h]
        for row in rows
    ]  # fmt: skip
    columns = ["action", "asked for as", "needs a second person", "limit#", "decided by", "hours#"]
    console.out().print(console.table("Policies", columns, shown))


@app.command("set")
@console.command
def set_(
    action: Annotated[str, typer.Argument(help="Such as replay.business; `tallyline people actions` lists them.")],
    role: Annotated[Role, typer.Argument(help="The role in which it is asked for.")],
    needs: Annotated[Needs, typer.Argument(help="When it needs a second person.")],
    limit: Annotated[
        tuple[str, str] | None, typer.Option(help="With above_limit: currency and amount, such as EUR 500.")
    ] = None,
    decided_by: Annotated[Role, typer.Option(help="The role of the second person.")] = "approver",
    expires_h: Annotated[int, typer.Option(min=1, max=8_760, help="Hours until a request expires.")] = 72,
    reason: Reason = None,
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Change when an action needs a second person; that itself needs one.

    Example: tallyline policies set replay.business finance above_limit --limit EUR 500 --reason "after the audit"
    """
    if action not in ACTIONS or role not in ACTIONS[action].roles:
        raise Failure(f"{action} is not asked for as {role}", fix="`tallyline people actions` lists what is")
    if decided_by == "viewer":
        raise Failure("a viewer decides nothing", fix="name another role with --decided-by")
    currency, money_max = _limit(needs, limit)
    payload = {
        "action": action, "role": role, "needs": needs, "decided_by": decided_by, "expires_h": expires_h,
        "currency": currency, "money_max": None if money_max is None else str(money_max),
    }  # fmt: skip
    with reach.database():
        done = have_done(acting(as_), Wish("policies.set", payload, reason or "policy set"), as_json=as_json)
    if as_json:
        console.print_json({"policy": payload, **done.carried.facts})
    else:
        console.out().print(console.plain(done.plan.summary))


def _limit(needs: Needs, limit: tuple[str, str] | None) -> tuple[str | None, Decimal | None]:
    if (needs == "above_limit") != (limit is not None):
        raise Failure("a limit goes with above_limit, and only with it", fix="add or leave out --limit CURRENCY AMOUNT")
    if limit is None:
        return None, None
    currency, amount = limit
    is_amount = len(amount) <= AMOUNT_MAX and amount.isascii() and amount.replace(".", "", 1).isdigit()
    if not is_amount or currency not in MINOR_UNITS:
        raise Failure(f"{currency} {amount} is no amount", fix="write it as EUR 500 or EUR 499.50")
    return currency, Decimal(amount)
