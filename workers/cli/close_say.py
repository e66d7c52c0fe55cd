"""What `tallyline close` says of what is in the way: which codes may be named, and what nobody has to wait for."""

from collections.abc import Sequence
from decimal import Decimal
from difflib import get_close_matches

from domain.codes import CODES
from workers.cli import console
from workers.cli.console import Failure, count
from workers.cli.status import money_text
from workers.cli.tables import FittingTable
from workers.store.billing_looks import Period, Standing
from workers.store.unbilled import Unbilled


def require_override(named: Sequence[str], reason: str | None) -> None:
    """Raise `Failure` for one without a reason, or that is no code at all: what is misspelled lets nothing pass."""
    if named and not reason:
        raise Failure("an override needs a reason", fix='add --reason "why it is right to bill without them"')
    for code in named:
        if code not in CODES:
            near = get_close_matches(code, CODES, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            fix = f"{meant}`tallyline close` without --override shows the codes that are in the way"
            raise Failure(f"nothing that could be in the way is called {code!r}", fix=fix)


def idle(codes: Sequence[str]) -> None:
    """Say which overrides let nothing pass, because what they name is not in the way."""
    for code in codes:
        console.out().print(f"{code} is not in the way, so nothing was let pass under that name")


def left_over(period: Period, now: Standing, without: Sequence[Unbilled]) -> None:
    """Say what the run has left out by name: nobody is told of it again, and only the period's next run bills it."""
    left = sum(1 for each in without if each.reason == "left_to_next_run")
    if left and not now.is_moving and now.approved_by:
        again = f"tallyline close {period.legal_entity_id} {period.name}"
        console.out().print(
            f"{count(left)} of its subscriptions were left out and are billed by no document: put right what kept them "
            f"out, then call [bold]{again}[/] again, which bills them in the next run of the period",
            soft_wrap=True,
        )


def blockers_table(now: Standing) -> FittingTable:
    """What is in the way of the run's next stage, as a table."""
    rows = [
        [
            each.code,
            count(each.count),
            _money(each.money_at_risk),
            "by name" if each.is_overridable else "no",
            each.fix,
        ]
        for each in now.blockers
    ]
    return console.table("In the way", ["code", "count#", "money at risk#", "can be let pass", "what to do"], rows)


def _money(at_risk: str | None) -> str:
    """The money of a blocker as everywhere else: `EUR 12.50`; nothing where none is known."""
    if at_risk is None:
        return ""
    amounts = [each.split() for each in at_risk.split(", ")]
    return money_text({currency: Decimal(amount) for amount, currency in amounts})
