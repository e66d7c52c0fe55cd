"""Subscribed: what is there without usage, a fee's one or a subscription's seats, for the days of a period."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from domain.canonical import Json
from domain.definitions import Definition
from domain.metrics.metric import MetricInvalid

NAME: Final = "subscribed"
_FIELDS: Final = ("name", "aggregation", "property", "unit")


@dataclass(frozen=True, slots=True)
class Share:
    """A quantity that stood for some whole days of a period."""

    quantity: Decimal
    days: int

    def __post_init__(self) -> None:
        assert self.quantity >= 0, self.quantity
        assert self.days > 0, self.days


@dataclass(frozen=True, slots=True)
class Shares:
    """What stood in a period of so many whole days, in the order of its days; nothing stood where no share is."""

    period_days: int
    shares: tuple[Share, ...] = ()

    def __post_init__(self) -> None:
        assert sum(share.days for share in self.shares) <= self.period_days, self


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A metric that no meter feeds.

    `item` names the quantity of a subscription that it reads, such as its seats; without one it is one for as long as
    the subscription and its contract version stand.
    """

    name: str
    unit: str
    item: str | None = None


def parse_subscribed(fields: Mapping[str, Json]) -> Subscribed:
    """The metric of a JSON definition with the aggregation `subscribed`. Raises `MetricInvalid`."""
    definition = Definition(fields, MetricInvalid)
    for name in ("meter", "requires", "dimensions"):
        if fields.get(name):
            raise definition.refuse(name, "is given, but no event feeds this metric", fix=f"leave {name} out")
    definition.only(*_FIELDS, "meter", "requires", "dimensions")
    item = definition.text("property") if fields.get("property") is not None else None
    return Subscribed(definition.text("name"), definition.text("unit"), item)


def shares_of(period_days: int, parts: Sequence[tuple[str, int]]) -> Shares:
    """The shares of (decimal text, days) in the order of their days."""
    return Shares(period_days, tuple(Share(Decimal(quantity), days) for quantity, days in parts))
