"""Losses: what events that never came would have been worth, as events of their source are on average."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from domain.errors import Rejection
from domain.money import EXACT, QUOTIENT, ZERO, Currency, Money
from domain.prices import Price, moved_by


@dataclass(frozen=True, slots=True)
class Window:
    """Usage of one metric, subscription and period so far, which a source feeds: who pays, and at which price.

    `events` is how many events made the `quantity`; without a price nothing is known of its money.
    """

    metric_id: int
    account_id: str
    legal_entity_id: str
    currency: Currency
    price: Price | None
    quantity: Decimal
    events: int


@dataclass(frozen=True, slots=True)
class Reported:
    """What a source has reported in the period: accepted events, and billable usages of them by metric."""

    accepted: int
    usages: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Loss:
    """The estimate by currency, rounded to minor units, empty if unknown; account and legal entity if it is one."""

    money: Mapping[str, Decimal]
    account_id: str | None = None
    legal_entity_id: str | None = None


def estimated_loss(missing: int, reported: Reported, windows: Sequence[Window]) -> Loss:
    """What `missing` more events like those reported would move what the windows cost.

    Of each metric an event feeds the windows in proportion to the events they hold; each is priced at the margin, as
    units that come last. A window without a price, or whose price refuses the quantity, adds nothing; if that is so of
    all, the loss is unknown.
    """
    events: Counter[int] = Counter()
    for window in windows:
        events[window.metric_id] += window.events
    sums: dict[Currency, Decimal] = {}
    priced: list[Window] = []
    for window in windows:
        amount = _marginal(window, missing, reported, events[window.metric_id])
        if amount is not None:
            sums[window.currency] = EXACT.add(sums.get(window.currency, ZERO), amount)
            priced.append(window)
    accounts, entities = {each.account_id for each in priced}, {each.legal_entity_id for each in priced}
    return Loss(
        {currency.code: Money(amount, currency).rounded().amount for currency, amount in sums.items()},
        accounts.pop() if len(accounts) == 1 else None,
        entities.pop() if len(entities) == 1 else None,
    )


def _marginal(window: Window, missing: int, reported: Reported, events: int) -> Decimal | None:
    usages = reported.usages.get(window.metric_id, 0)
    if window.price is None or usages <= 0 or reported.accepted <= 0 or events <= 0:
        return None
    of_all = EXACT.multiply(Decimal(missing * usages), window.quantity)
    more = QUOTIENT.divide(of_all, Decimal(reported.accepted * events))
    try:
        return moved_by(window.price, more, held=window.quantity)
    except Rejection:
        return None
