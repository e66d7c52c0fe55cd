"""`tallyline entitlements`: what a subscription may use, how much is left of it, and whether more is allowed."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import typer

from domain.canonical import NumberOutOfBounds, decimal_of, decimal_text
from domain.entitlements import Decision
from workers.cli import console, reach
from workers.cli.console import FOUND, YEAR_MAX, YEAR_MIN, AsJson, Failure
from workers.store import entitlements as store
from workers.store.database import snapshot
from workers.store.entitlements import Listed
from workers.unit import database_now

app = typer.Typer(help="Show what a subscription may use, and check whether it may use more.", no_args_is_help=True)

Subscription = Annotated[str, typer.Argument(help="The subscription, as the master data name it.")]
At = Annotated[
    str | None, typer.Option("--at", help="As of this instant, such as 2026-03-31T12:00:00Z; by default now.")
]
#: What is said of each reason.
_SENTENCES = {
    "not_entitled": "no entitlement is in force",
    "switched_on": "it is switched on",
    "switched_off": "it is switched off",
    "has_value": "it has a value",
    "within_limit": "it is within the limit",
    "limit_reached": "the limit is reached",
    "over_soft_limit": "it is over a soft limit",
}


@app.command("check")
@console.command
def check(
    subscription: Subscription,
    feature: Annotated[str, typer.Argument(help="The feature, as the master data name it.")],
    amount: Annotated[str | None, typer.Option(help="So much more of a metered feature; by default any.")] = None,
    at: At = None,
    as_json: AsJson = False,
) -> None:
    """Tell whether a subscription may use a feature; exits 1 if not.

    A metered feature is answered from the usage that has been aggregated: the limit of the billing period, what was
    left over from earlier ones, and grants. Beyond a hard limit nothing is allowed, beyond a soft one it is, and is
    told. Example: tallyline entitlements check acme-main api-calls --amount 500
    """
    more = None if amount is None else _quantity(amount)
    with reach.database(), snapshot() as conn:
        instant = database_now(conn) if at is None else _instant(at)
        decision = store.check(conn, subscription, feature, instant, amount=more)
    if as_json:
        console.print_json({"subscription": subscription, "feature": feature, "at": instant, **_shown(decision)})
    else:
        verdict = "allowed" if decision.allowed else "not allowed"
        told = ", ".join(f"{name} {value}" for name, value in _figures(decision).items() if value)
        sentence = f"{feature}: {verdict}, since {_since(decision)}{f' ({told})' if told else ''}"
        console.out().print(console.plain(sentence), soft_wrap=True)
    if not decision.allowed:
        raise typer.Exit(FOUND)


@app.command("list")
@console.command
def list_(subscription: Subscription, at: At = None, as_json: AsJson = False) -> None:
    """List the features of a subscription, with limits, usage and what remains.

    Example: tallyline entitlements list acme-main --at 2026-03-31T12:00:00Z
    """
    with reach.database(), snapshot() as conn:
        found = store.listed(conn, subscription, database_now(conn) if at is None else _instant(at))
        if not found and not store.is_subscription(conn, subscription):
            fix = "name it as the master data do; `tallyline trace SOURCE ID` shows whose an event is"
            raise Failure(f"there is no subscription {subscription!r}", fix=fix)
    if as_json:
        console.print_json([{**asdict(each), "decision": _shown(each.decision)} for each in found])
    elif found:
        _print(subscription, found)
    else:
        console.out().print(console.plain(f"{subscription} has no entitlements."))


def _print(subscription: str, found: Sequence[Listed]) -> None:
    rows = [
        [each.feature, each.kind, *_figures(each.decision).values(), each.unit,
         "yes" if each.decision.allowed else "no", _since(each.decision)]
        for each in found
    ]  # fmt: skip
    columns = ["feature", "kind", "value", "limit#", "used#", "remaining#", "unit", "allowed", "since"]
    console.out().print(console.table(f"Entitlements of {subscription}", columns, rows))


def _since(decision: Decision) -> str:
    """Why, and as of when, where usage was too much to be measured for the answer."""
    known = "" if decision.measured_at is None else f", as measured at {decision.measured_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{_SENTENCES[decision.reason]}{known}"


def _figures(decision: Decision) -> dict[str, str]:
    """Value, limit, used and remaining as texts, empty where there is none."""
    return {
        name: decimal_text(value) if isinstance(value, Decimal) else value or ""
        for name in ("value", "limit", "used", "remaining")
        for value in (getattr(decision, name),)
    }


def _shown(decision: Decision) -> dict[str, object]:
    figures = {name: value or None for name, value in _figures(decision).items()}
    shown: dict[str, object] = {"allowed": decision.allowed, "reason": decision.reason, **figures}
    return shown if decision.measured_at is None else {**shown, "measured_at": decision.measured_at}


def _quantity(amount: str) -> Decimal:
    try:
        return decimal_of(amount)
    except NumberOutOfBounds as error:
        raise Failure(f"{error.sentence}", fix="give a number such as 500 or 0.25") from None


def _instant(at: str) -> datetime:
    try:
        instant = datetime.fromisoformat(at)
    except ValueError:
        instant = datetime.min  # noqa: DTZ901 -- it names no instant either
    if instant.tzinfo is None or not YEAR_MIN <= instant.year <= YEAR_MAX:
        raise Failure(f"{at!r} is no instant", fix="write it as 2026-03-31T12:00:00Z")
    return instant.astimezone(UTC)
