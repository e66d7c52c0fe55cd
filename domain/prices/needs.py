"""What a price needs of its metric beside the quantity, so that one that never fits is refused when it is published."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Final, Literal, assert_never

from domain.prices.adjusted import Adjusted
from domain.prices.bucketed import Bucketed
from domain.prices.capacity import Capacity
from domain.prices.converted import Converted
from domain.prices.dynamic import Dynamic
from domain.prices.matrix import Matrix
from domain.prices.measured import OfQuantity
from domain.prices.percentage import Percentage
from domain.prices.price import Price
from domain.prices.priced import PriceInvalid

#: A part of `Measured` that not every metric keeps.
Part = Literal["events", "amount", "peaks", "buckets"]

#: Which aggregation keeps it; buckets are an option of a metric.
PART_OF: Final[Mapping[str, Part]] = {"each": "events", "charged": "amount", "peaks": "peaks"}
_NAMED: Final[Mapping[Part, tuple[str, str]]] = {
    "events": ("what each event came to", "with the aggregation each"),
    "amount": ("the money that events came with", "with the aggregation charged"),
    "peaks": ("the greatest values by name", "with the aggregation peaks"),
    "buckets": ("time buckets", "with a bucket"),
}


@dataclass(frozen=True, slots=True)
class Kept:
    """Parts and dimensions that a metric keeps, or that a price needs."""

    parts: frozenset[Part] = frozenset()
    dimensions: frozenset[str] = frozenset()

    @classmethod
    def by(cls, aggregation: str, *, has_buckets: bool, dimensions: tuple[str, ...]) -> "Kept":
        """What a metric keeps that is defined so."""
        own = {PART_OF[aggregation]} if aggregation in PART_OF else set[Part]()
        return cls(frozenset(own | {"buckets"} if has_buckets else own), frozenset(dimensions))

    def __or__(self, other: "Kept") -> "Kept":
        return Kept(self.parts | other.parts, self.dimensions | other.dimensions)


def needs(price: Price) -> Kept:
    """What the price cannot do without, however its usage turns out."""
    parts: set[Part] = set()
    match price:
        case Adjusted(of=inner) | Converted(in_units=inner):
            return needs(inner)
        case Matrix():
            inside = (*price.cells.values(), *(() if price.default is None else (price.default,)))
            return reduce(or_, map(needs, inside), Kept(dimensions=frozenset(price.dimensions)))
        case Bucketed():
            parts = {"buckets"}
        case Percentage():
            parts = set() if price.is_of_sum else {"events"}
        case Dynamic():
            parts = {"amount"}
        case Capacity():
            parts = {"peaks"} if len(price.names) > 1 else set()
        case OfQuantity():
            pass
        case _ as unknown:
            assert_never(unknown)
    return Kept(frozenset(parts))


def misfit(price: Price, kept: Kept) -> PriceInvalid | None:
    """Why the price can never be applied to a metric that keeps no more than that; None if it can."""
    needed = needs(price)
    for part in sorted(needed.parts - kept.parts):
        what, how = _NAMED[part]
        return PriceInvalid(f"{price.model} needs {what}", field="model", fix=f"price a metric {how}")
    if isinstance(price, Adjusted) and price.adjustments.windowed is not None and "buckets" not in kept.parts:
        sentence = "commits each time bucket, and the metric has none, so the commitment is without a period"
        fix = "price a metric with a bucket, or commit the billing period with `minimum`"
        return PriceInvalid(sentence, field="adjustments.windowed", fix=fix)
    lacking = sorted(needed.dimensions - kept.dimensions)
    if lacking:
        names = ", ".join(lacking)
        fix = f"name dimensions of the metric: {', '.join(sorted(kept.dimensions)) or 'it has none'}"
        return PriceInvalid(f"the metric is not kept apart by {names}", field="dimensions", fix=fix)
    return None


def commits_buckets(price: Price) -> bool:
    """Whether the price tops up each time bucket to a commitment, also those in which nothing was used."""
    return (
        isinstance(price, Adjusted)
        and price.adjustments.windowed is not None
        and price.adjustments.windowed.is_trued_up
    )
