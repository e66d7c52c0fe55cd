"""How `tallyline meters check` tells what it found: reasons with lines and fixes, then what would be counted."""

from collections.abc import Iterable
from typing import Any

from domain.canonical import decimal_text
from domain.metrics import Metric
from workers.cli import console
from workers.cli.console import count
from workers.trial import EVENTS_MAX, Counted, Findings, Reason


def told(found: Findings) -> dict[str, Any]:
    """What was found, for JSON."""
    return {
        "events": found.events,
        "accepted": found.accepted,
        "duplicates": found.duplicates,
        "refused": [_told_reason(each) for each in _by_count(found.refused.values())],
        "waiting": [_told_reason(each) for each in _by_count(found.waiting.values())],
        "excluded": [{"rule": rule, "reason": why, "usages": n} for (rule, why), n in sorted(found.excluded.items())],
        "metrics": [_told_metric(each) for _, each in sorted(found.metrics.items())],
        "is_cut": found.is_cut,
    }


def _told_reason(reason: Reason) -> dict[str, object]:
    return {
        "code": reason.code, "field": reason.place, "count": reason.count, "lines": reason.lines,
        "sentence": reason.sentence, "fix": reason.fix,
    }  # fmt: skip


def _told_metric(counted: Counted) -> dict[str, object]:
    metric = counted.metric
    return {"metric": metric.name, "usages": counted.usages, "unit": metric.unit, **_quantity(counted)}


def _quantity(counted: Counted) -> dict[str, object]:
    """What is added up, or how many different values there are; what else that comes to, the period decides."""
    if _adds_up(counted.metric):
        return {"quantity": decimal_text(counted.quantity)}
    return {"different_values": len(counted.values)} if counted.values else {}


def _adds_up(metric: Metric) -> bool:
    """Whether the quantity of the file is the sum of its events': not where each window is turned into something."""
    is_plain = metric.conversion is None and metric.bucket is None and metric.negative == "keep"
    return metric.aggregation.keeps == "increments" and is_plain


def _by_count(reasons: Iterable[Reason]) -> list[Reason]:
    return sorted(reasons, key=lambda each: (-each.count, each.code, each.place))


def show_findings(found: Findings, *, title: str, judges_usage: bool, is_file: bool) -> None:
    """Print what was found: what is wrong first."""
    out = console.out()
    _show_reasons(f"What would be refused of {title}", "field", found.refused.values())
    _show_reasons("Whose usage would wait as an exception", "metric", found.waiting.values())
    if found.excluded:
        rows = [[rule, why, count(n)] for (rule, why), n in sorted(found.excluded.items())]
        out.print(console.table("What would be excluded", ["rule", "reason", "usages#"], rows))
    if found.metrics:
        rows = [
            [name, count(each.usages), _shown_quantity(each), each.metric.unit]
            for name, each in sorted(found.metrics.items())
        ]
        out.print(console.table("What would be counted", ["metric", "usages#", "quantity#", "unit"], rows))
    refused = sum(each.count for each in found.refused.values())
    out.print(
        f"[bold]{count(found.accepted)}[/] of {count(found.events)} events would be accepted, "
        f"[bold]{count(refused)}[/] refused, {count(found.duplicates)} are duplicates"
    )
    if found.is_cut:
        out.print(f"only the first {count(EVENTS_MAX)} events were tried: split the file")
    if not judges_usage:
        out.print("the file has no metrics: what would become of the events after that was not tried")
    elif is_file:
        out.print("whether subjects are known and ids were used before, only the database can tell: leave out --meters")


def _shown_quantity(counted: Counted) -> str:
    if _adds_up(counted.metric):
        return f"{counted.quantity:,f}"
    return f"{count(len(counted.values))} different" if counted.values else ""


def _show_reasons(title: str, place: str, reasons: Iterable[Reason]) -> None:
    rows = [
        [
            each.code,
            each.place,
            count(each.count),
            ", ".join(map(str, each.lines)) + (" .." if each.count > len(each.lines) else ""),
            f"{each.sentence}\n-> {each.fix}",
        ]
        for each in _by_count(reasons)
    ]
    if rows:
        columns = ["code", place, "events#", "lines", "the first one, and what to do"]
        console.out().print(console.table(title, columns, rows))
