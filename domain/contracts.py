"""Contracts: who sells what to whom under which prices, and which version of that was in force when, as known when."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from domain.errors import Rejection
from domain.money import Currency
from domain.periods import EVER, OPEN_END, Window
from domain.prices import Price


class ContractNotInForce(Rejection):
    """No version of the contract covers the instant."""

    code = "contract_not_in_force"


class PriceNotFound(Rejection):
    """The contract version has no price for the metric."""

    code = "price_not_found"


class Versioned(Protocol):
    """Something in force over `[starts_at, ends_at)` that was recorded at an instant, in a numbered order."""

    @property
    def version(self) -> int:
        """Its number; of two recorded at the same instant the higher counts."""

    @property
    def starts_at(self) -> datetime:
        """The first instant at which it is in force."""

    @property
    def ends_at(self) -> datetime:
        """The first instant at which it no longer is."""

    @property
    def recorded_at(self) -> datetime:
        """When it was recorded; it may be in force from earlier, which is backdating."""


V = TypeVar("V", bound=Versioned)


@dataclass(frozen=True, slots=True)
class LegalEntity:
    """Our company that sells and books; its zone is its calendar."""

    id: str
    name: str
    currency: Currency
    zone: str
    jurisdiction: str
    connection: str


@dataclass(frozen=True, slots=True)
class Account:
    """Who pays."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Contract:
    """What was agreed between one account and one legal entity, in one currency."""

    id: str
    account_id: str
    legal_entity_id: str
    currency: Currency


@dataclass(frozen=True, slots=True)
class PriceTerms:
    """The price of one metric, with how it is taxed and where its revenue is booked."""

    metric: str
    price: Price
    tax_category: str
    revenue_account: str


@dataclass(frozen=True, slots=True)
class ContractVersion:
    """The terms of a contract over a stretch of time, as recorded at an instant; never changed, only overridden."""

    contract_id: str
    version: int
    starts_at: datetime
    ends_at: datetime
    recorded_at: datetime
    terms: tuple[PriceTerms, ...]

    def __post_init__(self) -> None:
        assert self.starts_at < self.ends_at, self
        metrics = [terms.metric for terms in self.terms]
        assert len(set(metrics)) == len(metrics), metrics

    def terms_for(self, metric: str) -> PriceTerms:
        """The price terms of a metric. Raises `PriceNotFound`."""
        for terms in self.terms:
            if terms.metric == metric:
                return terms
        sentence = f"contract {self.contract_id} version {self.version} has no price for {metric}"
        raise PriceNotFound(sentence, contract=self.contract_id, version=self.version, metric=metric)


@dataclass(frozen=True, slots=True)
class Subscription:
    """One thing sold under a contract, over `[starts_at, ends_at)`; `zone` overrides the legal entity's calendar."""

    id: str
    contract_id: str
    starts_at: datetime = EVER
    ends_at: datetime = OPEN_END
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class MappingKey:
    """What of an event says whose usage it is: the upstream system and the subject it names."""

    source: str
    subject: str


@dataclass(frozen=True, slots=True)
class Mapping:
    """That a key's usage belongs to a subscription, over a stretch of time, as recorded at an instant."""

    key: MappingKey
    subscription_id: str
    version: int
    starts_at: datetime
    ends_at: datetime
    recorded_at: datetime


def version_in_force(versions: Iterable[V], *, at: datetime, known_at: datetime) -> V | None:
    """The version that covers `at` according to what was recorded by `known_at`, or None.

    Where several do, the one recorded last counts: an amendment overrides what it covers and nothing else.
    """
    in_force = (v for v in versions if v.recorded_at <= known_at and v.starts_at <= at < v.ends_at)
    return max(in_force, key=_recorded, default=None)


def required_version(versions: Sequence[ContractVersion], *, at: datetime, known_at: datetime) -> ContractVersion:
    """As `version_in_force`. Raises `ContractNotInForce` where there is none."""
    version = version_in_force(versions, at=at, known_at=known_at)
    if version is None:
        raise ContractNotInForce(f"no version of the contract covers {at.isoformat()}", at=at.isoformat())
    return version


def stretches(versions: Sequence[V], window: Window, *, known_at: datetime) -> Iterator[tuple[V, Window]]:
    """The parts of a window with the version in force in each, in order of time; parts without one are left out.

    Neighbouring parts have different versions.
    """
    bounds = {
        bound for v in versions for bound in (v.starts_at, v.ends_at) if window.starts_at < bound < window.ends_at
    }
    edges = sorted({window.starts_at, window.ends_at} | bounds)
    current: V | None = None
    since = window.starts_at
    for edge in edges:
        found = version_in_force(versions, at=edge, known_at=known_at) if edge < window.ends_at else None
        if found is current:
            continue
        if current is not None:
            yield current, Window(since, edge)
        current, since = found, edge


def _recorded(version: Versioned) -> tuple[datetime, int]:
    return version.recorded_at, version.version
