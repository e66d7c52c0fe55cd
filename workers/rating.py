"""How `rate` joins windows with prices: each window under its contract version, and prices without usage."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from domain.contracts import PriceNotFound
from domain.money import ZERO, Currency
from domain.prices import Price
from domain.rating import RatedUsage, rate


@dataclass(frozen=True, slots=True)
class Run:
    """A subscription in a billing run: what is to be rated, and up to which lot."""

    work_id: int
    billing_run_id: int
    billing_period_id: int
    lot: int
    subscription_id: int
    contract_id: int
    currency: str


@dataclass(frozen=True, slots=True)
class Window:
    """The quantity of one metric under one contract version and set of dimensions, over all lots up to the run's."""

    contract_version_id: int
    metric_id: int
    metric: str
    dimensions: str
    quantity: Decimal
    is_touched: bool


@dataclass(frozen=True, slots=True)
class Terms:
    """A price of a contract version that is in force in the period."""

    price_id: int
    contract_version_id: int
    metric_id: int
    price: Price


@dataclass(frozen=True, slots=True)
class Rated:
    """A rated window, as it is saved."""

    run: Run
    price_id: int
    contract_version_id: int
    metric_id: int
    dimensions: str
    is_touched: bool
    usage: RatedUsage


def rated(
    runs: Sequence[Run], windows: Mapping[int, Sequence[Window]], priced: Mapping[int, Sequence[Terms]]
) -> list[Rated]:
    """Everything that the subscriptions of these runs owe before tax, unrounded; keys are ids of work rows.

    Raises `PriceNotFound` for usage that no price of its contract version covers.
    """
    return [each for run in runs for each in _rated(run, windows.get(run.work_id, ()), priced.get(run.work_id, ()))]


def _rated(run: Run, windows: Sequence[Window], priced: Sequence[Terms]) -> Iterator[Rated]:
    terms = {(each.contract_version_id, each.metric_id): each for each in priced}
    for window in windows:
        found = terms.get((window.contract_version_id, window.metric_id))
        if found is None:
            raise PriceNotFound(
                f"the contract has no price for {window.metric}",
                subscription=run.subscription_id,
                metric=window.metric,
                contract_version=window.contract_version_id,
            )
        yield _one(run, found, window.dimensions, window.quantity, is_touched=window.is_touched)
    used = {(window.contract_version_id, window.metric_id) for window in windows}
    for key, each in terms.items():
        if key not in used:
            idle = _one(run, each, "", ZERO, is_touched=False)
            if not idle.usage.amount.is_zero:  # a flat fee that is due without usage
                yield idle


def _one(run: Run, terms: Terms, dimensions: str, quantity: Decimal, *, is_touched: bool) -> Rated:
    usage = rate(quantity, terms.price, currency=Currency(run.currency))
    return Rated(
        run, terms.price_id, terms.contract_version_id, terms.metric_id, dimensions, is_touched=is_touched, usage=usage
    )
