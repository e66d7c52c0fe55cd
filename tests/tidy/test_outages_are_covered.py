"""What the table of outages says is tested row by row, alerted row by row, and speaks of the steps there are."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from domain.degradation import BY_DEPENDENCY, DEPENDENCIES, PARTS, ROWS, TIERS, tier_of
from queues.topology import INTAKE_QUEUE, LANES_OF, STEPS
from workers.figures import GAUGES

ROOT = Path(__file__).resolve().parents[2]
TESTED = ROOT / "tests" / "fleet" / "test_degradation.py"
GROUPS = yaml.safe_load((ROOT / "infra" / "prometheus" / "rules.yaml").read_text(encoding="utf-8"))["groups"]
ALERTS = [alert for group in GROUPS for alert in group["rules"]]


def test_every_dependency_has_one_row():
    assert [row.dependency for row in ROWS] == list(BY_DEPENDENCY) == list(DEPENDENCIES)


def test_every_row_has_a_test_that_takes_the_dependency_away():
    tree = ast.parse(TESTED.read_text(encoding="utf-8"))
    tested = {
        each.args[0].value
        for function in tree.body
        if isinstance(function, ast.FunctionDef) and function.name.startswith("test_")
        for each in ast.walk(function)
        if isinstance(each, ast.Call) and getattr(each.func, "id", "") == "row_of"
    }

    assert tested == set(DEPENDENCIES)


def test_the_parts_are_intake_and_the_steps_and_each_has_a_tier_in_every_lane():
    assert set(PARTS) == {INTAKE_QUEUE, *STEPS}
    assert sorted(part for tier in TIERS for part in tier.parts) == sorted(PARTS)
    for step, lanes in LANES_OF.items():
        for lane in lanes:
            assert (tier_of(step, lane).name == "replay") == (lane == "replay")


def test_tiers_are_numbered_from_intake_to_replay():
    assert [(tier.number, tier.name) for tier in TIERS] == [
        (1, "intake"), (2, "live line"), (3, "close and post"), (4, "notify"), (5, "replay"),
    ]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.dependency)
def test_a_row_drains_what_waits_and_nothing_else(row):
    waiting = {tier_of(part, "live") for part in row.waits}

    assert {tier for tier in row.tiers if tier.name != "replay"} == waiting


def test_every_metric_that_an_alert_asks_for_is_served():
    served = {gauge.name for gauge in GAUGES}
    asked = {name for alert in ALERTS for name in re.findall(r"\btallyline_\w+", alert["expr"])}

    assert asked - served == set()


def test_an_alert_asks_only_for_labels_that_the_metric_has():
    labels = {gauge.name: set(gauge.labels) for gauge in GAUGES}
    for alert in ALERTS:
        for name, inside in re.findall(r"\b(tallyline_\w+)\{([^}]*)\}", alert["expr"]):
            assert set(re.findall(r"(\w+)=", inside)) <= labels[name], alert["alert"]


def test_every_dependency_every_tier_and_all_that_needs_a_person_has_an_alert():
    asked = " ".join(alert["expr"] for alert in ALERTS)

    assert set(re.findall(r'dependency="(\w+)"', asked)) == set(DEPENDENCIES)
    assert set(re.findall(r'tier="(\d)"', asked)) == {str(tier.number) for tier in TIERS}
    for name in ("dead_work", "exceptions_overdue", "identity_differences"):
        assert f"tallyline_{name}" in asked


def test_an_alert_says_how_bad_it_is_and_what_to_do():
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS)
    for alert in ALERTS:
        assert set(alert) - {"for"} == {"alert", "expr", "labels", "annotations"}, alert["alert"]
        assert re.fullmatch(r"\d+[smh]", alert.get("for", "1m"))
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(alert["annotations"]) == {"summary", "runbook"}
