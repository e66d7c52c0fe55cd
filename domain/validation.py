"""Which usage events are taken: their time against the meter's bounds, their data against the meter's fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final, Literal, TypeAlias, cast

from domain.canonical import Json, is_number
from domain.definitions import Definition, DefinitionInvalid
from domain.metrics import Metric
from domain.refused import Refused

#: Clocks of upstream systems may run ahead by this much; what lies further ahead was not measured.
SKEW_MAX: Final = timedelta(hours=1)
#: Characters of a text field unless the meter says otherwise.
TEXT_LENGTH_MAX: Final = 1_000

Kind: TypeAlias = Literal["string", "integer", "decimal", "boolean"]
_KINDS: Final[tuple[Kind, ...]] = ("string", "integer", "decimal", "boolean")


class MeterInvalid(DefinitionInvalid):
    """A meter's fields contradict themselves, or those that a metric needs."""

    code = "meter_invalid"


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


def fields_of(entries: Sequence[Mapping[str, Json]]) -> tuple[Field, ...]:
    """The fields as a meter version keeps them: objects with `name`, `kind` and what differs from the default.

    Raises `MeterInvalid`, which names the field and the fix.
    """
    definition = Definition({"fields": entries}, MeterInvalid)
    fields = tuple(_parsed(entry) for entry in definition.objects("fields"))
    if len({field.name for field in fields}) != len(fields):
        raise definition.refuse("fields", "name one field twice", fix="keep one of the two")
    return fields


def check_metric(metric: Metric, version: MeterVersion) -> None:
    """Refuses a metric that the events of a meter version cannot feed: what it adds up must be a number there.

    Then no accepted event can fail to be added. Raises `MeterInvalid`.
    """
    kinds = {field.name: field.kind for field in version.fields}
    for name in metric.read:
        if name not in kinds:
            fix = f"declare {name}, with is_required false if it may be absent"
            raise MeterInvalid(f"has no {name}, which {metric.name} reads", field="fields", fix=fix)
    for name in metric.aggregation.numbers:
        if kinds[name] not in {"integer", "decimal"}:
            sentence = f"say that {name} is a {kinds[name]}, which {metric.name} cannot add up"
            raise MeterInvalid(sentence, field="fields", fix="declare it as decimal or integer")


def version_for(versions: Sequence[MeterVersion], *, dataschema: str, happened_at: datetime) -> MeterVersion | None:
    """The version in force at the time of the event for its schema: the one that started last, the newest of those."""
    found: MeterVersion | None = None
    for each in versions:
        if each.dataschema != dataschema or each.starts_at > happened_at:
            continue
        if found is None or (each.starts_at, each.version) > (found.starts_at, found.version):
            found = each
    return found


def objection(
    version: MeterVersion, data: Mapping[str, Json], *, happened_at: datetime, now: datetime
) -> Refused | None:
    """The first thing that is wrong with an event, or None if it is taken."""
    if happened_at > now + SKEW_MAX:
        return Refused("time_in_future", "time", f"{happened_at.isoformat()} is more than {SKEW_MAX} ahead of us")
    if happened_at < now - _days(version.max_age_days):
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


@cache
def _days(days: int) -> timedelta:
    """So many days; made once a number, since making one takes as long as the rest of the look at an event."""
    return timedelta(days=days)


def _without(field: Field, *, is_there: bool) -> Refused | None:
    if is_there and not field.is_nullable:
        return Refused("field_invalid", f"data.{field.name}", f"data.{field.name} must not be null")
    if not is_there and field.is_required:
        return Refused("field_missing", f"data.{field.name}", f"data.{field.name} is missing: send a {field.kind}")
    return None


def _fits(field: Field, value: Json) -> bool:
    match field.kind:
        case "string":
            return isinstance(value, str) and len(value) <= field.length_max
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "decimal":
            return is_number(value)


def _misfit(field: Field) -> Refused:
    wanted = f"a string of at most {field.length_max} characters" if field.kind == "string" else f"a {field.kind}"
    return Refused("field_invalid", f"data.{field.name}", f"data.{field.name} must be {wanted}")


def _parsed(field: Definition) -> Field:
    field.only("name", "kind", "is_required", "is_nullable", "length_max")
    kind = cast("Kind", field.choice("kind", _KINDS))
    length_max = field.integer("length_max")
    if length_max is not None and (kind != "string" or length_max <= 0):
        raise field.refuse("length_max", f"is {length_max} for a {kind}", fix="give 1 or more, for strings only")
    return Field(
        name=field.text("name"),
        kind=kind,
        is_required=field.boolean("is_required", default=True),
        is_nullable=field.boolean("is_nullable", default=False),
        length_max=TEXT_LENGTH_MAX if length_max is None else length_max,
    )
