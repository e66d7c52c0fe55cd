"""Definitions of metrics, read strictly from JSON and printed again."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, cast

from domain.canonical import Json, plain_text
from domain.definitions import Definition
from domain.metrics.aggregation import Aggregation
from domain.metrics.average import Average
from domain.metrics.buckets import BUCKETS, Bucket
from domain.metrics.charged import Charged
from domain.metrics.count import Count
from domain.metrics.each import Each
from domain.metrics.latest import Latest
from domain.metrics.max import Max
from domain.metrics.metric import Metric, MetricInvalid
from domain.metrics.min import Min
from domain.metrics.observed import CarriesOn
from domain.metrics.peaks import Peaks
from domain.metrics.percentile import PERCENT_MAX, Percentile
from domain.metrics.prorated_sum import ProratedSum
from domain.metrics.prorated_unique_count import ProratedUniqueCount
from domain.metrics.register import Register
from domain.metrics.sum import Sum
from domain.metrics.unique_count import UniqueCount
from domain.metrics.weighted_sum import WeightedSum
from domain.registers import Rules
from domain.units import Conversion

#: What only some aggregations read.
OPTIONS_OF_AGGREGATIONS: Final = (
    "operation",
    "percent",
    "roll_over_at",
    "jump_max",
    "resets",
    "reset",
    "amount",
    "by",
    "prorate",
)
#: What any metric may say of its quantity.
OPTIONS: Final = (*OPTIONS_OF_AGGREGATIONS, "filter", "recurring", "bucket", "negative", "convert")
_FIELDS: Final = ("name", "meter", "aggregation", "property", "requires", "dimensions", "unit", *OPTIONS)
_PRORATED: Final = ("days",)
_NEGATIVE: Final = ("keep", "zero")
#: Of lower readings that are no roll-over; without it only those count that are marked.
_RESETS: Final = ("allowed",)


def _optional(definition: Definition, name: str) -> str | None:
    return None if definition.entries.get(name) is None else definition.text(name)


def _by_days(definition: Definition) -> bool:
    return _optional(definition, "prorate") is not None and bool(definition.choice("prorate", _PRORATED))


def _percentile(definition: Definition) -> Percentile:
    percent = definition.decimal("percent")
    if not 0 < percent <= PERCENT_MAX:
        raise definition.refuse("percent", f"is {percent}", fix='give more than 0, up to "100"')
    return Percentile(definition.text("property"), percent)


def _register(definition: Definition) -> Register:
    rules = Rules(
        capacity=_above_zero(definition, "roll_over_at", "the number at which it shows zero again"),
        jump_max=_above_zero(definition, "jump_max", "the most that may be used between two readings"),
        takes_lower=_optional(definition, "resets") is not None and definition.choice("resets", _RESETS) == "allowed",
    )
    return Register(definition.text("property"), rules, _optional(definition, "reset"))


def _above_zero(definition: Definition, name: str, what: str) -> Decimal | None:
    number = definition.optional_decimal(name)
    if number is not None and number <= 0:
        raise definition.refuse(name, f"is {number}", fix=f'give {what}, such as "100000"')
    return number


#: Each says itself what it keeps and reads; what it keeps is spelt in SQL as well (`workers/store/observed.py`).
AGGREGATIONS: Final[Mapping[str, Callable[[Definition], Aggregation]]] = {
    Count.name: lambda _: Count(),
    Sum.name: lambda definition: (ProratedSum if _by_days(definition) else Sum)(definition.text("property")),
    UniqueCount.name: lambda definition: (ProratedUniqueCount if _by_days(definition) else UniqueCount)(
        definition.text("property"), _optional(definition, "operation")
    ),
    Min.name: lambda definition: Min(definition.text("property")),
    Max.name: lambda definition: Max(definition.text("property")),
    Latest.name: lambda definition: Latest(definition.text("property")),
    Average.name: lambda definition: Average(definition.text("property")),
    WeightedSum.name: lambda definition: WeightedSum(definition.text("property")),
    Percentile.name: _percentile,
    Register.name: _register,
    Each.name: lambda definition: Each(definition.text("property")),
    Charged.name: lambda definition: Charged(definition.text("property"), definition.text("amount")),
    Peaks.name: lambda definition: Peaks(definition.text("property"), definition.text("by")),
}


def parse_metric(fields: Mapping[str, Json]) -> Metric:
    """The metric of a JSON definition. Raises `MetricInvalid`, which names the field and the fix."""
    definition = Definition(fields, MetricInvalid)
    definition.only(*_FIELDS)
    aggregation = AGGREGATIONS[definition.choice("aggregation", tuple(AGGREGATIONS))](definition)
    _refuse_idle(definition, aggregation)
    metric = Metric(
        name=definition.text("name"),
        meter=definition.text("meter"),
        aggregation=aggregation,
        unit=definition.text("unit"),
        requires=definition.texts("requires"),
        dimensions=definition.texts("dimensions"),
        filter=_filter(definition),
        recurring=_recurring(definition, aggregation),
        bucket=_bucket(definition, aggregation),
        negative="zero" if definition.choice("negative", _NEGATIVE, default="keep") == "zero" else "keep",
        conversion=_conversion(definition),
    )
    if metric.bucket is not None and metric.recurring and not isinstance(aggregation, CarriesOn):
        fix = "leave one of the two out"
        raise definition.refuse("recurring", f"carries over what is taken of each {metric.bucket}", fix=fix)
    return metric


def metric_json(metric: Metric) -> dict[str, Json]:
    """The definition that `parse_metric` reads back as an equal metric; what is as usual is left out of it."""
    return {
        "name": metric.name,
        "meter": metric.meter,
        "aggregation": metric.aggregation.name,
        "property": metric.aggregation.property_name,
        "requires": list(metric.requires),
        "dimensions": list(metric.dimensions),
        "unit": metric.unit,
        **options_json(metric),
    }


def options_json(metric: Metric) -> dict[str, Json]:
    """What a definition says beyond the aggregation and its property, normalised."""
    options: dict[str, Json] = {**metric.aggregation.options()}
    if metric.filter:
        options["filter"] = {name: list(allowed) for name, allowed in metric.filter.items()}
    if metric.recurring:
        options["recurring"] = True
    if metric.bucket is not None:
        options["bucket"] = metric.bucket
    if metric.negative != "keep":
        options["negative"] = metric.negative
    if metric.conversion is not None:
        options["convert"] = metric.conversion.to_json()
    return options


def _refuse_idle(definition: Definition, aggregation: Aggregation) -> None:
    if aggregation.property_name is None and definition.entries.get("property") is not None:
        fix = "leave property out, or name it in requires"
        raise definition.refuse("property", f"is not used by {aggregation.name}", fix=fix)
    for name in OPTIONS_OF_AGGREGATIONS:
        if definition.entries.get(name) is not None and name not in aggregation.options():
            raise definition.refuse(name, f"is not used by {aggregation.name}", fix="leave it out")


def _recurring(definition: Definition, aggregation: Aggregation) -> bool:
    recurring = definition.boolean("recurring", default=False)
    if recurring and aggregation.carries == "never":
        fix = "leave it out, or take another aggregation"
        raise definition.refuse("recurring", f"is not known to {aggregation.name}", fix=fix)
    return recurring and aggregation.carries == "asked"


def _bucket(definition: Definition, aggregation: Aggregation) -> Bucket | None:
    if definition.entries.get("bucket") is None:
        return None
    bucket = cast("Bucket", definition.choice("bucket", BUCKETS))
    if not aggregation.fills_buckets:
        why, fix = _NO_BUCKETS[type(aggregation)]
        raise definition.refuse("bucket", f"makes no sense for {aggregation.name}: {why}", fix=fix)
    return bucket


#: Why an aggregation is not taken by the bucket, and what to do instead.
_NO_BUCKETS: Final[Mapping[type[Aggregation], tuple[str, str]]] = {
    Peaks: (
        "a price reads one greatest value a name of the whole period",
        "leave it out, or take max with a bucket and the name as a dimension",
    ),
    ProratedSum: ("it is shared out by the days of the whole period", "leave it out, or leave prorate out"),
    ProratedUniqueCount: ("it is shared out by the days of the whole period", "leave it out, or leave prorate out"),
}


def _filter(definition: Definition) -> dict[str, tuple[str, ...]]:
    if definition.entries.get("filter") is None:
        return {}
    fields = definition.object("filter")
    allowed = {name: fields.scalars(name) for name in fields.entries}
    if not allowed or "" in allowed:
        raise definition.refuse("filter", "names no property", fix='give one such as {"region": ["europe"]}')
    for name, values in allowed.items():
        if None in values:
            fix = "list values only: what has no value is never taken"
            raise fields.refuse(name, "allows null", fix=fix)
    return {name: tuple(plain_text(value) for value in values) for name, values in allowed.items()}


def _conversion(definition: Definition) -> Conversion | None:
    return None if definition.entries.get("convert") is None else Conversion.parse(definition.object("convert"))
