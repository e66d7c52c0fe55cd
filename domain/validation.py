"""Which usage events are taken: their time against the meter's bounds, their data against the meter's fields."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Literal, TypeAlias

#: Clocks of upstream systems may run ahead by this much; what lies further ahead was not measured.
SKEW_MAX: Final = timedelta(hours=1)
#: Characters of a text field unless the meter says otherwise.
TEXT_LENGTH_MAX: Final = 1_000
#: A decimal written as text, so that no JSON library on the way can round it.
_DECIMAL_TEXT: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", re.ASCII)

Kind: TypeAlias = Literal["string", "integer", "decimal", "boolean"]


@dataclass(frozen=True, slots=True)
class Field:
    """One property of a meter's data."""

    name: str
    kind: Kind
    is_required: bool = True
    is_nullable: bool = False
    length_max: int = TEXT_LENGTH_MAX


@dataclass(frozen=True, slots=True)
class MeterVersion:
    """What a meter's events must look like from `starts_at` on, for one `dataschema` (empty: none is named)."""

    id: int
    meter_id: int
    version: int
    dataschema: str
    fields: tuple[Field, ...]
    max_age_days: int
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an event is not taken: a code of the table, the field, what is wrong and what to send instead."""

    code: str
    field: str
    sentence: str


def fields_of(entries: Sequence[Mapping[str, object]]) -> tuple[Field, ...]:
    """The fields as a meter version keeps them: objects with `name`, `kind` and what differs from the default."""
    return tuple(Field(**entry) for entry in entries)  # type: ignore[arg-type]


def version_for(versions: Sequence[MeterVersion], *, dataschema: str, happened_at: datetime) -> MeterVersion | None:
    """The version in force at the time of the event for its schema: the one that started last, the newest of those."""
    fitting = [each for each in versions if each.dataschema == dataschema and each.starts_at <= happened_at]
    return max(fitting, key=lambda each: (each.starts_at, each.version), default=None)


def objection(
    version: MeterVersion, data: Mapping[str, object], *, happened_at: datetime, now: datetime
) -> Refused | None:
    """The first thing that is wrong with an event, or None if it is taken."""
    if happened_at > now + SKEW_MAX:
        return Refused("time_in_future", "time", f"{happened_at.isoformat()} is more than {SKEW_MAX} ahead of us")
    if happened_at < now - timedelta(days=version.max_age_days):
        return Refused(
            "time_too_old", "time", f"{happened_at.isoformat()} is more than {version.max_age_days} days ago"
        )
    for field in version.fields:
        value = data.get(field.name)
        if value is None:
            refused = _without(field, is_there=field.name in data)
        else:
            refused = None if _fits(field, value) else _misfit(field)
        if refused is not None:
            return refused
    return None


def _without(field: Field, *, is_there: bool) -> Refused | None:
    if is_there and not field.is_nullable:
        return Refused("field_invalid", f"data.{field.name}", f"data.{field.name} must not be null")
    if not is_there and field.is_required:
        return Refused("field_missing", f"data.{field.name}", f"data.{field.name} is missing: send a {field.kind}")
    return None


def _fits(field: Field, value: object) -> bool:
    match field.kind:
        case "string":
            return isinstance(value, str) and len(value) <= field.length_max
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "decimal":
            if isinstance(value, str):
                return _DECIMAL_TEXT.fullmatch(value) is not None
            return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def _misfit(field: Field) -> Refused:
    wanted = f"a string of at most {field.length_max} characters" if field.kind == "string" else f"a {field.kind}"
    return Refused("field_invalid", f"data.{field.name}", f"data.{field.name} must be {wanted}")
