"""Enrichment: what becomes of an event under each metric. First exclusion, then missing quantity, then mapping."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias, cast

from domain.canonical import Json, number_in, plain_text
from domain.codes import code_named
from domain.definitions import Definition, DefinitionInvalid
from domain.errors import Rejection
from domain.events import UsageEvent
from domain.metrics import Contribution, Metric
from domain.periods import EVER, OPEN_END

#: The tests a condition can make; each has its counterpart in SQL, so that the store can decide in bulk.
Operator = Literal["is_null", "is_not_null", "equals", "not_equals", "in", "less", "at_most", "greater", "at_least"]
_OPERATORS: Final = ("is_null", "is_not_null", "equals", "not_equals", "in", "less", "at_most", "greater", "at_least")
_NULL_TESTS: Final = ("is_null", "is_not_null")
_COMPARISONS: Final = ("less", "at_most", "greater", "at_least")

#: What parked usage may wait for: a metric of its meter, a mapping of its subject, a version of its contract.
Awaited = Literal["metric", "mapping", "contract"]


#: What usage is excluded by that no metric of its meter takes, as if by a rule of that name.
FILTERED: Final = "filter"
FILTERED_BECAUSE: Final = "no metric of the meter takes an event with these values"


class ExclusionRuleInvalid(DefinitionInvalid):
    """An exclusion rule contradicts itself or leaves something open."""

    code = "exclusion_rule_invalid"


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of one property. An absent property is null, and null passes no test but `is_null`.

    Values are compared by their plain text; `less` to `at_least` compare numbers, and what is no number passes none of
    them. `values` has one entry, several for `in`, none for the null tests.
    """

    property_name: str
    operator: Operator
    values: tuple[str, ...] = ()

    def holds(self, properties: Mapping[str, Json]) -> bool:
        """Whether the event's data pass the test."""
        value = properties.get(self.property_name)
        if value is None or self.operator in _NULL_TESTS:
            return (value is None) == (self.operator == "is_null")
        if self.operator in _COMPARISONS:
            return self._compares(value)
        return (plain_text(value) in self.values) == (self.operator != "not_equals")

    def _compares(self, value: Json) -> bool:
        number, bound = number_in(value), number_in(self.values[0])
        if number is None or bound is None:
            return False
        match self.operator:
            case "less":
                return number < bound
            case "at_most":
                return number <= bound
            case "greater":
                return number > bound
            case _:
                return number >= bound


@dataclass(frozen=True, slots=True)
class ExclusionRule:
    """Usage that is not billed, by name and for a reason: every condition holds, and the time is the rule's.

    `metric` None: under every metric of the meter.
    """

    name: str
    meter: str
    reason: str
    conditions: tuple[Condition, ...]
    metric: str | None = None
    starts_at: datetime = EVER
    ends_at: datetime = OPEN_END

    def excludes(self, event: UsageEvent, metric: str | None) -> bool:
        """Whether the event is excluded under the metric (None: its meter has no metric)."""
        return (
            event.type == self.meter
            and (self.metric is None or self.metric == metric)
            and self.starts_at <= event.happened_at < self.ends_at
            and all(condition.holds(event.data) for condition in self.conditions)
        )


@dataclass(frozen=True, slots=True)
class Excluded:
    """The usage is not billed, by this rule."""

    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Excepted:
    """The usage waits for a person, or heals by itself when what it waits for is published."""

    code: str
    sentence: str
    waits_for: Awaited | None = None

    @property
    def fix(self) -> str:
        """What a person can do."""
        return code_named(self.code).fix


@dataclass(frozen=True, slots=True)
class Match:
    """The subscription that the event's source and subject lead to, and its contract's version at the event's time."""

    subscription_id: str
    contract_id: str
    contract_version: int | None


Fate: TypeAlias = Excluded | Excepted | Contribution


@dataclass(frozen=True, slots=True)
class Usage:
    """One event under one metric; an event whose meter has no metric is one usage all the same, its metric None."""

    metric: str | None
    fate: Fate


def usages(
    event: UsageEvent, *, metrics: Sequence[Metric], rules: Sequence[ExclusionRule], match: Match | None
) -> tuple[Usage, ...]:
    """All usage that the event is, each with its fate. `metrics` are those of the event's meter.

    An event that a metric does not take is no usage of it. One that no metric takes is one usage, excluded by name.
    """
    taken = [metric for metric in metrics if metric.takes(event.data)]
    if taken:
        return tuple(Usage(metric.name, fate(event, metric, rules=rules, match=match)) for metric in taken)
    unread: Fate = Excepted("metric_not_found", f"no metric reads {event.type}", "metric")
    if metrics:
        unread = Excluded(FILTERED, FILTERED_BECAUSE)
    return (Usage(None, _excluded(event, None, rules) or unread),)


def fate(event: UsageEvent, metric: Metric, *, rules: Sequence[ExclusionRule], match: Match | None) -> Fate:
    """What becomes of the event under one metric.

    What was usage of the metric and is decided again with other data may not be taken by it any more: then it is
    excluded. Exclusion comes first: what is not billed needs no quantity. A missing quantity comes before a missing
    mapping or contract version: it is the producer's to mend, and no master data would heal it.
    """
    excluded = _excluded(event, metric.name, rules)
    if excluded is not None:
        return excluded
    if not metric.takes(event.data):
        return Excluded(FILTERED, FILTERED_BECAUSE)
    try:
        contribution = metric.contribution(event.data, happened_at=event.happened_at)
    except Rejection as rejection:
        return Excepted(rejection.code, rejection.sentence)
    at = event.happened_at.isoformat()
    if match is None:
        sentence = f"{event.source} {event.subject} leads to no subscription in force at {at}"
        return Excepted("subscription_not_found", sentence, "mapping")
    if match.contract_version is None:
        return Excepted("contract_not_in_force", f"contract {match.contract_id} has no version at {at}", "contract")
    return contribution


def parse_exclusion_rule(fields: Mapping[str, Json]) -> ExclusionRule:
    """The rule of a JSON definition. Raises `ExclusionRuleInvalid`, which names the field and the fix."""
    definition = Definition(fields, ExclusionRuleInvalid)
    definition.only("name", "meter", "metric", "reason", "conditions")
    conditions = tuple(_parse_condition(condition) for condition in definition.objects("conditions"))
    if not conditions:
        raise definition.refuse("conditions", "are none, so all usage would be excluded", fix="give at least one")
    return ExclusionRule(
        name=definition.text("name"),
        meter=definition.text("meter"),
        reason=definition.text("reason"),
        conditions=conditions,
        metric=definition.text("metric") if fields.get("metric") is not None else None,
    )


def _parse_condition(condition: Definition) -> Condition:
    condition.only("property", "op", "value")
    operator = cast("Operator", condition.choice("op", _OPERATORS))
    if operator in _NULL_TESTS:
        if condition.entries.get("value") is not None:
            raise condition.refuse("value", f"is not used by {operator}", fix="leave it out")
        values: tuple[str, ...] = ()
    elif operator == "in":
        values = condition.texts("value")
    else:
        values = (condition.text("value"),)
    if operator == "in" and not values:
        raise condition.refuse("value", "lists nothing", fix='give a list such as ["JFK", "LGA"]')
    if operator in _COMPARISONS and number_in(values[0]) is None:
        raise condition.refuse("value", f"is {values[0]!r}, not a number", fix='give a decimal text such as "0.25"')
    return Condition(condition.text("property"), operator, values)


def _excluded(event: UsageEvent, metric: str | None, rules: Sequence[ExclusionRule]) -> Excluded | None:
    """By the first rule that excludes it: rules have an order, so that totals by rule do not depend on chance."""
    for rule in rules:
        if rule.excludes(event, metric):
            return Excluded(rule.name, rule.reason)
    return None
