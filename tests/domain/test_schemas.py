"""The JSON Schema that producers are given takes exactly what a meter's version takes."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.periods import EVER
from domain.schemas import json_schema
from domain.validation import Field, MeterVersion, objection

NOW = datetime(2026, 1, 31, tzinfo=UTC)
TYPES = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | Decimal) and not isinstance(value, bool),
    "null": lambda value: value is None,
}


def fits(schema: dict[str, Any], value: Any) -> bool:
    """What JSON Schema 2020-12 says of the keywords that are used; an unknown one is a mistake of the test."""
    assert schema.keys() <= {"type", "maxLength", "pattern", "anyOf"}
    types = schema.get("type", [])
    if types and not any(TYPES[name](value) for name in ([types] if isinstance(types, str) else types)):
        return False
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        return False
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    return "anyOf" not in schema or any(fits(part, value) for part in schema["anyOf"])


def takes(schema: dict[str, Any], data: dict[str, Any]) -> bool:
    return all(name in data for name in schema["required"]) and all(
        fits(part, data[name]) for name, part in schema["properties"].items() if name in data
    )


def version(*fields: Field, **more: Any) -> MeterVersion:
    return MeterVersion(1, 1, more.get("number", 3), more.get("dataschema", ""), fields, 400, NOW)


fields = st.builds(
    Field, st.just("x"), st.sampled_from(["string", "integer", "decimal", "boolean"]), st.booleans(), st.booleans(),
    st.just(3),
)  # fmt: skip
data = st.one_of(
    st.just({}),
    st.fixed_dictionaries({
        "x": st.one_of(
            st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.just(Decimal("1.5")),
            st.sampled_from(["", "abc", "abcd", "-0.5", "12", "1e3", "1.", "+1", "\u0661"]), st.just([1]),
        )
    }),
)  # fmt: skip


@given(fields, data)
def test_the_schema_takes_what_the_meter_takes(field, data):
    made = version(field)

    assert takes(json_schema("m", made), data) == (objection(made, data, happened_at=NOW, now=NOW) is None)


@pytest.mark.parametrize(("dataschema", "says"), [("", "no dataschema"), ("v2", "the dataschema v2")])
def test_the_schema_says_which_version_it_is_of(dataschema, says):
    made = json_schema("calls", version(Field("n", "integer"), number=7, dataschema=dataschema))

    assert made["title"] == "calls, version 7"
    assert says in made["description"]
    assert "from 2026-01-31 on and at most 400 days old" in made["description"]
    assert made["required"] == ["n"]


def test_a_version_that_was_always_in_force_says_so():
    ever = MeterVersion(1, 1, 1, "", (), 400, EVER)

    assert "at any time" in json_schema("calls", ever)["description"]
