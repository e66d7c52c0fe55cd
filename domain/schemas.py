"""The JSON Schema of what a meter's events must hold, for whoever makes them."""

from typing import Final

from domain.canonical import DIGITS_MAX, Json
from domain.periods import EVER
from domain.validation import Field, MeterVersion

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
#: A decimal written as a text, as `canonical.number_in` reads it.
DECIMAL_TEXT: Final = r"^-?[0-9]{1,30}(\.[0-9]{1,30})?$"


def json_schema(name: str, version: MeterVersion) -> dict[str, Json]:
    """The schema of the data of an event of a meter's version. Properties beyond it are allowed, and kept."""
    return {
        "$schema": DIALECT,
        "title": f"{name}, version {version.version}",
        "description": _description(version),
        "type": "object",
        "properties": {field.name: _schema(field) for field in version.fields},
        "required": [field.name for field in version.fields if field.is_required],
    }


def _description(version: MeterVersion) -> str:
    named = f"the dataschema {version.dataschema}" if version.dataschema else "no dataschema"
    return (
        f"The data of a CloudEvent with {named}, {since(version)} and at most {version.max_age_days} days old. "
        f"Numbers have at most {DIGITS_MAX} digits."
    )


def since(version: MeterVersion) -> str:
    """From when on a version is in force, in words."""
    return "at any time" if version.starts_at == EVER else f"from {version.starts_at.date().isoformat()} on"


def _schema(field: Field) -> dict[str, Json]:
    null: tuple[Json, ...] = ("null",) if field.is_nullable else ()
    match field.kind:
        case "string":
            return {"type": ["string", *null], "maxLength": field.length_max}
        case "decimal":
            parts: list[Json] = [{"type": "number"}, {"type": "string", "pattern": DECIMAL_TEXT}]
            return {"anyOf": [*parts, *({"type": each} for each in null)]}
        case kind:
            return {"type": [kind, *null]}
