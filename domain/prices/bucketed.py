"""Bucketed: each time bucket of the period is priced alone, so tiers and packages begin anew in each."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final, Literal, cast

from domain.canonical import Json
from domain.definitions import Definition
from domain.money import EXACT, ZERO
from domain.prices.measured import Measured, NotMeasured
from domain.prices.nested import OF_ONE_QUANTITY, OfOneQuantity, inner_json, parse_inner
from domain.prices.priced import Priced, TraceStep

#: Facts of a step that add up over buckets; the others say which steps are the same.
_ADDED: Final = ("quantity", "packages", "blocks")


@dataclass(frozen=True, slots=True)
class Bucketed:
    """The sum of what each bucket costs under the nested price, which needs a quantity and nothing else."""

    model: ClassVar[Literal["bucketed"]] = "bucketed"
    of_bucket: OfOneQuantity

    @classmethod
    def parse(cls, terms: Definition) -> "Bucketed":
        """The price of those terms. Raises `PriceInvalid`."""
        terms.only("model", "price")
        return cls(cast("OfOneQuantity", parse_inner(terms, tuple(OF_ONE_QUANTITY))))

    def to_json(self) -> dict[str, Json]:
        """The terms, without the model."""
        return {"price": inner_json(self.of_bucket)}

    def price(self, measured: Measured) -> Priced:
        """The exact amount. Raises `NotMeasured`, and what the price of a bucket raises."""
        if measured.buckets is None:
            raise NotMeasured("the metric keeps no time buckets", model=self.model)
        if not measured.buckets:
            return Priced.of(TraceStep.of("no_usage", ZERO, quantity=ZERO))
        steps = (step for units in measured.buckets for step in self.of_bucket.amount_for(units).steps)
        return Priced.of(*_put_together(steps))


def _put_together(steps: Iterable[TraceStep]) -> list[TraceStep]:
    """One step for those of all buckets that differ in their quantity alone: a month has 744 hours."""
    alike: dict[object, list[TraceStep]] = {}
    for step in steps:
        told = tuple(fact for fact in step.facts if fact[0] not in _ADDED)
        alike.setdefault((step.rule, told), []).append(step)
    return [_sum(each) for each in alike.values()]


def _sum(steps: list[TraceStep]) -> TraceStep:
    amount, added = ZERO, dict.fromkeys((name for name, _ in steps[0].facts if name in _ADDED), ZERO)
    for step in steps:
        amount = EXACT.add(amount, step.amount)
        for name in added:
            added[name] = EXACT.add(added[name], Decimal(step.fact(name) or 0))
    facts: dict[str, Decimal | str] = {**dict(steps[0].facts), **added}
    return TraceStep.of(steps[0].rule, amount, **facts, buckets=Decimal(len(steps)))
