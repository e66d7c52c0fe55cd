"""What the store decides in bulk is what the domain decides for one: the same conditions, the same texts."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text

from domain.canonical import KEY_TEXT_BYTES_MAX, Json, canonical_json, jsonb_text, key_text, plain_text
from domain.enrichment import parse_exclusion_rule
from workers.store.observed import KEY_TEXT
from workers.store.rules import OPERATORS, _tests

VALUES: tuple[Json, ...] = (
    *(None, True, False, "", "x", "X", "NaN", "Infinity", "1e3", " 1", "1", "1.0", "-0012.50", 'a"b\\\u00e9\u2028'),
    *(0, 1, -1, 10**30, Decimal("0.5"), Decimal("1E-7"), Decimal("12345678901234567890.123456789"), [], [1, "a"]),
)
COMPARED = ("0", "1", "0.5", "-12.5", "0.0000001")


@pytest.fixture(scope="module")
def conn(database_url: str) -> Iterator[Connection]:
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def conditions() -> Iterator[dict[str, Json]]:
    for op in OPERATORS:
        if op.startswith("is_"):
            yield {"property": "p", "op": op}
        elif op == "in":
            yield {"property": "p", "op": op, "value": ["x", "1", "true"]}
        else:
            numeric = op not in {"equals", "not_equals"}
            yield from (
                {"property": "p", "op": op, "value": value}
                for value in (COMPARED if numeric else (*COMPARED, "x", "true"))
            )


@pytest.mark.parametrize(
    "condition", list(conditions()), ids=lambda condition: f"{condition['op']}-{condition.get('value')}"
)
def test_a_condition_holds_in_the_store_where_it_holds_in_the_domain(conn, condition):
    rule = parse_exclusion_rule({"name": "n", "meter": "m", "reason": "r", "conditions": [condition]})
    values: dict[str, Any] = {}
    (test,) = _tests("r", [condition], values)
    events: list[Mapping[str, Json]] = [{}, *({"p": value} for value in VALUES)]

    found = conn.execute(
        text(f"select {test} from unnest(cast(:events as jsonb[])) with ordinality as p (data, n) order by n"),
        {**values, "events": [canonical_json(event) for event in events]},
    )

    assert [bool(holds) for holds in found.scalars()] == [rule.conditions[0].holds(event) for event in events]


def test_a_property_has_one_plain_text(conn):
    values = [value for value in VALUES if not isinstance(value, list)]

    found = conn.execute(
        text("select d ->> 'p' from unnest(cast(:events as jsonb[])) with ordinality as e (d, n) order by n"),
        {"events": [canonical_json({"p": value}) for value in values]},
    )

    assert list(found.scalars()) == [None if value is None else plain_text(value) for value in values]


def test_dimensions_have_one_text(conn):
    events = [{"p": value, "origin": "JFK", "q": value, "é": 1} for value in VALUES if not isinstance(value, list)]

    found = conn.execute(
        text("select d::text from unnest(cast(:events as jsonb[])) with ordinality as e (d, n) order by n"),
        {"events": [canonical_json(event) for event in events]},
    )

    assert list(found.scalars()) == [jsonb_text(event) for event in events]


def test_a_part_of_a_key_has_one_text(conn):
    longest = KEY_TEXT_BYTES_MAX // 2 * "é"
    words = ["", "x", longest, f"{longest}x", 1_000 * "\U0001f6eb"]

    found = conn.execute(
        text(
            f"select {KEY_TEXT.format('w')} from unnest(cast(:words as text[])) with ordinality as e (w, n) order by n"
        ),
        {"words": words},
    )

    assert list(found.scalars()) == [key_text(each) for each in words]
