"""How `rate` joins windows with prices: each window under its contract version, and prices without usage."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from domain.contracts import PriceNotFound
from domain.metrics.subscribed import Shares
from domain.money import Currency
from domain.prices import Measured, Price
from domain.rating import RatedUsage, rate, rate_nothing, rate_subscribed


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
    """What one metric measures under one contract version and set of dimensions, over all lots up to the run's.

    `is_carried`: the period holds no usage of it, and what came before goes on.
    """

    contract_version_id: int
    metric_id: int
    metric: str
    dimensions: str
    measured: Measured
    is_touched: bool
    is_carried: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """A price of a contract version that is in force in the period, or that something was rated under without usage.

    `service_days` are those of the period that both the version and the subscription stand, and all of its days;
    `committed` are the starts of the time buckets in them, where the price commits each.
    `stood` is what a metric without a meter reads: what the subscription had under the version, by days.
    """

    price_id: int
    contract_version_id: int
    metric_id: int
    price: Price
    is_in_force: bool = True
    was_rated: bool = False
    service_days: tuple[int, int] | None = None
    stood: Shares | None = None
    committed: frozenset[datetime] = frozenset()


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
        if found.is_in_force or window.measured.quantity:
            charge = _one(run, found, window.dimensions, window.measured, is_touched=window.is_touched)
            if not (window.is_carried and charge.usage.amount.is_zero):
                yield charge
        else:
            yield _nothing(run, found, window.dimensions, is_touched=window.is_touched)
    used = {(window.contract_version_id, window.metric_id, window.dimensions) for window in windows}
    metrics = {key[:2] for key in used}
    for key, each in terms.items():
        if (*key, "") in used:
            continue
        idle = _nothing(run, each, "") if key in metrics else _idle(run, each)
        if each.was_rated or not idle.usage.amount.is_zero:
            yield idle


def _idle(run: Run, terms: Terms) -> Rated:
    """What is due without usage: fees and seats by their days, a flat amount if the version is in force.

    What was rated under a version that is not in force any more comes to nothing, so that a document gives it back; so
    does what was rated without usage of a metric that has some now, apart by its dimensions.
    """
    if not terms.is_in_force:
        return _nothing(run, terms, "")
    if terms.stood is not None:
        currency = Currency(run.currency)
        usage = rate_subscribed(terms.stood, terms.price, currency=currency, service_days=terms.service_days)
        return _made(run, terms, "", usage, is_touched=False)
    return _one(run, terms, "", Measured.none(), is_touched=False)


def _nothing(run: Run, terms: Terms, dimensions: str, *, is_touched: bool = False) -> Rated:
    """No amount, not even a flat one: its version is not in force any more, and what it held has moved."""
    usage = rate_nothing(currency=Currency(run.currency))
    return _made(run, terms, dimensions, usage, is_touched=is_touched)


def _one(run: Run, terms: Terms, dimensions: str, measured: Measured, *, is_touched: bool) -> Rated:
    idle = len(terms.committed.difference(measured.bucket_starts))
    measured = replace(measured, service_days=terms.service_days, idle_buckets=idle)
    usage = rate(measured, terms.price, currency=Currency(run.currency))
    return _made(run, terms, dimensions, usage, is_touched=is_touched)


def _made(run: Run, terms: Terms, dimensions: str, usage: RatedUsage, *, is_touched: bool) -> Rated:
    return Rated(
        run, terms.price_id, terms.contract_version_id, terms.metric_id, dimensions, is_touched=is_touched, usage=usage
    )
