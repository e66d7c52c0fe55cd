from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from domain.codes import CODES
from domain.metrics import parse_metric
from domain.periods import EVER
from domain.refused import Refused
from domain.validation import (
    SKEW_MAX,
    Field,
    MeterInvalid,
    MeterVersion,
    check_metric,
    fields_of,
    objection,
    version_for,
)

pytestmark = pytest.mark.fast

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
FIELDS = (
    Field("carrier", "string", length_max=2),
    Field("miles", "integer"),
    Field("fuel", "decimal", is_required=False),
    Field("air_time", "integer", is_nullable=True),
    Field("is_cargo", "boolean", is_required=False),
)
GOOD = {"carrier": "UA", "miles": 1400, "air_time": 227}


def version(number: int = 1, *, dataschema: str = "", starts_at: datetime = EVER) -> MeterVersion:
    return MeterVersion(number, 7, number, dataschema, FIELDS, 400, starts_at)


def refusal(data: dict[str, object], happened_at: datetime = NOON) -> tuple[str, str] | None:
    refused = objection(version(), data, happened_at=happened_at, now=NOON)
    if refused is None:
        return None
    assert refused.sentence
    assert refused.fix == CODES[refused.code].fix
    return refused.code, refused.field


@pytest.mark.parametrize(
    "more",
    [{}, {"air_time": None}, {"fuel": Decimal("0.5")}, {"fuel": 3}, {"fuel": "0.50"}, {"is_cargo": False}, {"x": []}],
)
def test_a_complete_event_in_time_is_taken(more):
    assert refusal({**GOOD, **more}) is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"carrier": None}, "data.carrier"),
        ({"carrier": 7}, "data.carrier"),
        ({"carrier": "UAL"}, "data.carrier"),
        ({"miles": "1400"}, "data.miles"),
        ({"miles": True}, "data.miles"),
        ({"miles": Decimal("0.5")}, "data.miles"),
        ({"fuel": "0,5"}, "data.fuel"),
        ({"fuel": "NaN"}, "data.fuel"),
        ({"fuel": None}, "data.fuel"),
        ({"is_cargo": 1}, "data.is_cargo"),
        ({"is_cargo": "yes"}, "data.is_cargo"),
    ],
)
def test_a_field_of_the_wrong_kind_is_refused_by_name(change, field):
    assert refusal({**GOOD, **change}) == ("field_invalid", field)


@pytest.mark.parametrize("field", ["carrier", "miles", "air_time"])
def test_a_missing_field_is_refused_by_name_even_where_null_is_allowed(field):
    data = {name: value for name, value in GOOD.items() if name != field}

    assert refusal(data) == ("field_missing", f"data.{field}")


@pytest.mark.parametrize(
    ("happened_at", "code"),
    [
        (NOON - timedelta(days=400), None),
        (NOON - timedelta(days=400, microseconds=1), ("time_too_old", "time")),
        (NOON + SKEW_MAX, None),
        (NOON + SKEW_MAX + timedelta(microseconds=1), ("time_in_future", "time")),
    ],
)
def test_time_is_bounded_on_both_sides(happened_at, code):
    assert refusal(GOOD, happened_at) == code


def test_the_newest_version_in_force_at_the_events_time_counts():
    first, second, third = version(1), version(2, starts_at=NOON), version(3, starts_at=NOON)
    other = version(4, dataschema="/flight/2")
    versions = [third, other, first, second]

    assert version_for(versions, dataschema="", happened_at=NOON - timedelta(seconds=1)) == first
    assert version_for(versions, dataschema="", happened_at=NOON) == third
    assert version_for(versions, dataschema="/flight/2", happened_at=NOON) == other
    assert version_for(versions, dataschema="/flight/3", happened_at=NOON) is None


def test_fields_are_read_from_what_a_meter_version_keeps():
    entries = [
        {"name": "carrier", "kind": "string", "length_max": 2},
        {"name": "miles", "kind": "integer"},
        {"name": "fuel", "kind": "decimal", "is_required": False},
        {"name": "air_time", "kind": "integer", "is_nullable": True},
        {"name": "is_cargo", "kind": "boolean", "is_required": False},
    ]

    assert fields_of(entries) == FIELDS


@pytest.mark.parametrize(
    ("entries", "field"),
    [
        ([{"name": "a", "kind": "float"}], "fields[0].kind"),
        ([{"kind": "string"}], "fields[0].name"),
        ([{"name": "a", "kind": "integer", "length_max": 3}], "fields[0].length_max"),
        ([{"name": "a", "kind": "string", "length_max": 0}], "fields[0].length_max"),
        ([{"name": "a", "kind": "string", "nullable": True}], "fields[0].nullable"),
        ([{"name": "a", "kind": "string"}, {"name": "a", "kind": "integer"}], "fields"),
    ],
)
def test_bad_fields_are_refused_with_the_field_and_the_fix(entries, field):
    with pytest.raises(MeterInvalid) as refused:
        fields_of(entries)

    assert (refused.value.code, refused.value.field) == ("meter_invalid", field)
    assert refused.value.fix


def metric(aggregation: str, **more: object) -> object:
    return parse_metric({"name": "m", "meter": "flight", "aggregation": aggregation, "unit": "u", **more})


@pytest.mark.parametrize(
    "good",
    [
        metric("count"),
        metric("sum", property="miles", requires=["air_time"]),
        metric("sum", property="fuel", dimensions=["carrier"]),
        metric("unique_count", property="carrier"),
    ],
)
def test_a_metric_fits_a_meter_that_declares_what_it_reads(good):
    check_metric(good, version())


@pytest.mark.parametrize(
    "bad",
    [
        metric("sum", property="carrier"),
        metric("sum", property="is_cargo"),
        metric("sum", property="weight"),
        metric("count", requires=["weight"]),
        metric("count", dimensions=["weight"]),
    ],
)
def test_a_metric_that_accepted_events_could_not_feed_is_refused(bad):
    with pytest.raises(MeterInvalid):
        check_metric(bad, version())


def test_a_refusal_has_the_fix_of_its_code():
    assert Refused("field_missing", "data.miles", "miles is missing").fix == "Send the field."
