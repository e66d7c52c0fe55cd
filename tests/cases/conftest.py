"""The published cases are fast, and what became of them is told by model."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No published case needs a server."""
    for item in items:
        if item.path.parent == _HERE:
            item.add_marker("fast")


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Per model: how many records passed, failed, and were not adopted with the reason."""
    counts, reasons = defaultdict[str, Counter[str]](Counter), dict[str, str]()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            told = dict(getattr(report, "user_properties", ()))
            if "model" not in told or getattr(report, "when", "call") != "call":
                continue
            model = str(told["model"])
            if "not_adopted" in told:
                reasons[model] = str(told["not_adopted"])
            counts[model]["not adopted" if "not_adopted" in told else outcome] += 1
    if not counts:
        return
    terminalreporter.section("published cases")
    for model, of in (*sorted(counts.items()), ("all", sum(counts.values(), Counter[str]()))):
        reason = f"  ({reasons[model]})" if model in reasons else ""
        shown = "".join(f"{of[state]:>5} {state}" for state in ("passed", "failed", "not adopted"))
        terminalreporter.write_line(f"{model:<34}{shown}{reason}")
