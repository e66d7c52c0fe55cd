"""Tells which subscriptions of a period have no document, and why: a part of `tallyline close`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from domain.unbilled import MEANINGS, Reason
from workers.cli import console
from workers.cli.console import count
from workers.store import unbilled as store
from workers.store.billing_looks import Period
from workers.store.database import snapshot
from workers.store.unbilled import Unbilled


def of(period: Period) -> Sequence[Unbilled]:
    """The subscriptions of the period without a document."""
    with snapshot() as conn:
        return store.of_period(conn, period.id)


def counts(found: Sequence[Unbilled]) -> Mapping[Reason, int]:
    """How many there are of each reason, the most first."""
    return dict(Counter(each.reason for each in found).most_common())


def say(period: Period, found: Sequence[Unbilled]) -> None:
    """One line with the counts, and where the list is."""
    if found:
        told = ", ".join(f"{count(n)} {reason.replace('_', ' ')}" for reason, n in counts(found).items())
        console.out().print(
            f"without a document: {told}; [bold]tallyline close {period.legal_entity_id} "
            f"{period.name} --unbilled[/] lists them",
            soft_wrap=True,
        )


def show(period: Period, found: Sequence[Unbilled], *, as_json: bool) -> None:
    """The list, each with its reason."""
    if as_json:
        listed = [{**asdict(each), "meaning": MEANINGS[each.reason]} for each in found]
        head = {"legal_entity": period.legal_entity_id, "period": str(period.starts_on), "reasons": counts(found)}
        console.print_json({**head, "unbilled": listed})
        return
    if not found:
        console.out().print("Every active subscription of the period has a document.")
        return
    rows = [
        [each.subscription, each.account, each.contract, each.reason, _more(each), MEANINGS[each.reason]]
        for each in found
    ]
    columns = ["subscription", "account", "contract", "reason", "which", "that is"]
    console.out().print(console.table("Without a document", columns, rows))


def _more(each: Unbilled) -> str:
    """The codes or rules, with how often."""
    which = each.exceptions if each.reason == "in_exception" else each.excluded
    named = ", ".join(f"{name} {count(n)}" for name, n in sorted(which.items()))
    return named or (f"{count(each.usages)} usages" if each.usages else "")
