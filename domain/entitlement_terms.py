"""The terms of an entitlement: a switch, a value or a limit; parsed strictly, with errors that name the field."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, TypeAlias, assert_never

from domain.canonical import Json
from domain.definitions import Definition, DefinitionInvalid
from domain.money import ZERO

#: Boolean is on or off, static has a value, metered has a limit on the quantity of a metric.
Kind = Literal["boolean", "static", "metered"]
#: Beyond a hard limit nothing more is allowed; beyond a soft one it is, and is told.
Enforcement = Literal["hard", "soft"]

#: Percent of the limit at which an alert is owed, unless the entitlement names others.
THRESHOLDS: Final = (80, 100)
THRESHOLDS_MAX: Final = 10
#: Ten times the limit; beyond that an alert says nothing new.
PERCENT_MAX: Final = 1_000


class EntitlementInvalid(DefinitionInvalid):
    """The terms of an entitlement do not fit its feature, or leave something open."""

    code = "entitlement_invalid"


@dataclass(frozen=True, slots=True)
class Switch:
    """A boolean feature is on or off."""

    is_on: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """A static feature has a value, a text or a number."""

    value: str | Decimal


@dataclass(frozen=True, slots=True)
class Limit:
    """So much of a metric in each billing period; of what is left, up to `rollover_max` moves into the next."""

    quantity: Decimal
    enforcement: Enforcement
    rollover_max: Decimal = ZERO
    thresholds: tuple[int, ...] = THRESHOLDS


Terms: TypeAlias = Switch | Setting | Limit


def parse_terms(kind: Kind, fields: Mapping[str, Json]) -> Terms:
    """The terms of a feature of that kind, such as `{"limit": "1000", "enforcement": "hard"}`.

    Raises `EntitlementInvalid`, which names the field and the fix.
    """
    definition = Definition(fields, EntitlementInvalid)
    match kind:
        case "boolean":
            definition.only("is_on")
            return Switch(definition.boolean("is_on", default=True))
        case "static":
            definition.only("value")
            return Setting(_value(definition))
        case "metered":
            definition.only("limit", "enforcement", "rollover_max", "thresholds")
            return _limit(definition)
        case _ as unknown:
            assert_never(unknown)


def _value(definition: Definition) -> str | Decimal:
    if isinstance(definition.entries.get("value"), str):
        return definition.text("value")
    return definition.decimal("value")


def _limit(definition: Definition) -> Limit:
    enforcement: Enforcement = "hard" if definition.choice("enforcement", ("hard", "soft")) == "hard" else "soft"
    rollover_max = definition.optional_decimal("rollover_max") or ZERO
    limit = Limit(definition.decimal("limit"), enforcement, rollover_max, _thresholds(definition))
    for name, quantity in (("limit", limit.quantity), ("rollover_max", limit.rollover_max)):
        if quantity < 0:
            raise definition.refuse(name, "is negative", fix="give zero or more")
    return limit


def _thresholds(definition: Definition) -> tuple[int, ...]:
    if definition.entries.get("thresholds") is None:
        return THRESHOLDS
    given = definition.scalars("thresholds")
    percents = sorted(each for each in given if type(each) is int and 0 < each <= PERCENT_MAX)
    if len(set(percents)) != len(given) or len(given) > THRESHOLDS_MAX:
        fix = f"give up to {THRESHOLDS_MAX} whole numbers of 1 to {PERCENT_MAX} percent, such as [80, 100]"
        raise definition.refuse("thresholds", "is not a list of different percentages", fix=fix)
    return tuple(percents)
