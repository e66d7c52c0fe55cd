"""A metric's definition: which meter, which aggregation, which properties it cannot do without."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from domain.canonical import Json, jsonb_text, key_text
from domain.definitions import Definition, DefinitionInvalid
from domain.errors import Rejection
from domain.metrics.aggregation import Aggregation, Contribution
from domain.metrics.count import Count
from domain.metrics.sum import Sum
from domain.metrics.unique_count import UniqueCount

#: A new aggregation is added here; only one that keeps something new needs a change of the store.
AGGREGATIONS: Final[Mapping[str, Callable[[Definition], Aggregation]]] = {
    Count.name: lambda _: Count(),
    Sum.name: lambda definition: Sum(definition.text("property")),
    UniqueCount.name: lambda definition: UniqueCount(definition.text("property")),
}
_FIELDS: Final = ("name", "meter", "aggregation", "property", "requires", "dimensions", "unit")


class MetricInvalid(DefinitionInvalid):
    """A metric's definition contradicts itself or leaves something open."""

    code = "metric_invalid"


class QuantityMissing(Rejection):
    """The event lacks a property without which the metric has no quantity."""

    code = "quantity_missing"


@dataclass(frozen=True, slots=True)
class Metric:
    """A billable metric: a rule that turns the events of a meter in a window into one quantity.

    An event that lacks a property in `requires` has no quantity under it, which is an exception, not zero. Usage is
    kept apart by the values of `dimensions`.
    """

    name: str
    meter: str
    aggregation: Aggregation
    unit: str
    requires: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """All properties that must be there and not null: those required, and the one that is aggregated."""
        own = self.aggregation.property_name
        return self.requires if own is None or own in self.requires else (*self.requires, own)

    def missing(self, properties: Mapping[str, Json]) -> str | None:
        """The first needed property that is absent or null, or None."""
        return next((name for name in self.needed if properties.get(name) is None), None)

    def contribution(self, properties: Mapping[str, Json], *, happened_at: datetime) -> Contribution:
        """What an event adds. Raises `QuantityMissing` or `QuantityInvalid`."""
        missing = self.missing(properties)
        if missing is not None:
            raise QuantityMissing(
                f"the event has no {missing}, which {self.name} needs", field=missing, metric=self.name
            )
        return self.aggregation.contribution(properties, happened_at=happened_at)

    def dimension_text(self, properties: Mapping[str, Json]) -> str:
        """The event's dimensions as PostgreSQL prints them: `{"origin": "JFK"}`; empty for a metric without.

        Dimensions that are too long to be kept apart by stand there as their SHA-256.
        """
        if not self.dimensions:
            return ""
        return key_text(jsonb_text({name: properties.get(name) for name in self.dimensions}))

    def to_json(self) -> dict[str, Json]:
        """The definition that `parse_metric` reads back as an equal metric."""
        return {
            "name": self.name,
            "meter": self.meter,
            "aggregation": self.aggregation.name,
            "property": self.aggregation.property_name,
            "requires": list(self.requires),
            "dimensions": list(self.dimensions),
            "unit": self.unit,
        }


def parse_metric(fields: Mapping[str, Json]) -> Metric:
    """The metric of a JSON definition. Raises `MetricInvalid`, which names the field and the fix."""
    definition = Definition(fields, MetricInvalid)
    definition.only(*_FIELDS)
    aggregation = AGGREGATIONS[definition.choice("aggregation", tuple(AGGREGATIONS))](definition)
    if aggregation.property_name is None and fields.get("property") is not None:
        fix = "leave property out, or name it in requires"
        raise definition.refuse("property", f"is not used by {aggregation.name}", fix=fix)
    return Metric(
        name=definition.text("name"),
        meter=definition.text("meter"),
        aggregation=aggregation,
        unit=definition.text("unit"),
        requires=definition.texts("requires"),
        dimensions=definition.texts("dimensions"),
    )
