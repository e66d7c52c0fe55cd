"""What a record sets to null it does not say: its figures are those of the record without it."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from case_figures import differences
from test_published import CALCULATIONS

_LINES = Path(__file__).with_name("published.jsonl").read_text(encoding="utf-8").splitlines()
RECORDS = {record["id"]: record for record in map(json.loads, _LINES)}
#: Options that some records of a model set and this one does not.
UNSET = [
    ("lago-standard-008", "params", "group_unit_amounts"),
    ("lago-graduated-005", "params", "tax_rate_percent"),
    ("lago-percentage-003", "params", "tax_rate_percent"),
    ("lago-wsum-006", "params", "unit_amount"),
    ("lago-wsum-010", "params", "initial_value"),
    ("lago-max-003", "params", "unit_amount"),
    ("om-unit-004", "input", "credits"),
]


@pytest.mark.parametrize(("name", "part", "option"), UNSET)
def test_an_option_that_is_null_is_not_set(name, part, option):
    record = RECORDS[name]
    assert record[part].get(option) is None

    found = CALCULATIONS[record["model"]]({**record, part: {**record[part], option: None}})

    assert not differences(found, record["expect"])


@pytest.mark.parametrize("model", ["graduated", "volume"])
def test_a_tier_without_an_amount_by_the_unit_has_its_flat_amount_alone(model):
    tiers = [{"up_to": "10", "unit_amount": None, "flat_amount": "3"}, {"unit_amount": "2", "flat_amount": None}]
    record = {"model": model, "params": {"tiers": tiers, "zero_usage": "none"}, "input": {"quantity": "7"}}

    assert CALCULATIONS[model](record)["amount"] == 3


def test_with_bounds_the_free_events_never_end_what_the_free_amount_covers():
    params = {
        "rate_percent": "10",
        "free_units_per_events": "1",
        "free_units_per_total_aggregation": "100",
        "per_transaction_min": "2",
    }
    record = {"model": "percentage", "params": params, "input": {"events": ["30", "30", "90", "5"]}}

    # 30 and 30 are covered, 50 of the 90 are not: 5.00; of the last event 0.50, raised to 2.00.
    assert CALCULATIONS["percentage"](record)["amount"] == Decimal("7.0")
