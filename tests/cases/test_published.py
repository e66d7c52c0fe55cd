"""Figures that other billing systems publish, worked out by our rules; each record names its source."""

import json
import os
from pathlib import Path

import aggregate_cases
import discount_cases
import document_cases
import line_cases
import period_cases
import price_cases
import pytest
import recurrence_cases
import rounding_cases
import tax_cases
from case_figures import Calculations, NotAdopted, differences, of_stated

_FILE = Path(os.environ.get("TALLYLINE_CASES") or Path(__file__).with_name("published.jsonl"))
RECORDS = [json.loads(line) for line in _FILE.read_text(encoding="utf-8").splitlines() if line.strip()]
CALCULATIONS: Calculations = of_stated(
    {
        **price_cases.CALCULATIONS,
        **line_cases.CALCULATIONS,
        **aggregate_cases.CALCULATIONS,
        **period_cases.CALCULATIONS,
        **recurrence_cases.CALCULATIONS,
        **rounding_cases.CALCULATIONS,
        **tax_cases.CALCULATIONS,
        **discount_cases.CALCULATIONS,
        **document_cases.CALCULATIONS,
    }
)
#: Models whose rule is not ours, and which rule of ours it contradicts.
NOT_ADOPTED: dict[str, str] = {}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["id"])
def test_a_published_figure_comes_out(record, record_property):
    model = record["model"]
    record_property("model", model)
    if model not in CALCULATIONS:
        record_property("not_adopted", NOT_ADOPTED.get(model, "no rule of that name yet"))
        return

    try:
        found = CALCULATIONS[model](record)
    except NotAdopted as reason:
        record_property("not_adopted", str(reason))
        return
    assert not differences(found, record["expect"]), record["source"]
