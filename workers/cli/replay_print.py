"""How `tallyline replay` shows what it would come to, and how far it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from workers.cli import console
from workers.cli.console import count
from workers.store.replays import Item, Replay

#: Exceptions that are told one by one; of more the outcomes are counted.
SHOWN_MAX = 20
#: Documents of one table.
DOCUMENTS_MAX = 50


def says(item: Item) -> str:
    """In words what becomes of an exception."""
    if item.state == "skipped":
        why = item.outcome or ""
        return why if ":" in why else f"{why}: there is nothing to send again"
    if item.sort == "work":
        return f"the step {item.step} runs again; it died of: {item.sentence}"
    if item.sort == "event" and item.state == "refused":
        return f"it would be refused again: {item.outcome}"
    if item.outcome == "unchanged":
        return f"it stays open: {item.sentence}"
    return f"it would be {item.outcome}"


def would_be(item: Item) -> str:
    """The outcome in one word."""
    return "nothing" if item.state == "skipped" else item.outcome or "runs again"


def kind(item: Item) -> str | None:
    """What would be sent again: work, an event, usage; None if nothing is."""
    return None if item.state == "skipped" else item.sort


def print_forecast(items: Sequence[Item], forecast: Mapping[str, Any]) -> None:
    """What a replay would come to: what becomes of each exception, and the money by account and document."""
    out = console.out()
    if len(items) > SHOWN_MAX:
        rows = [[each["code"], _of(each), count(each["exceptions"])] for each in forecast["outcomes"]]
        out.print(console.table("A replay would come to", ["code", "would be", "exceptions#"], rows))
    else:
        shown = [[each.exception, each.code, kind(each), would_be(each), says(each)] for each in items]
        columns = ["exception#", "code", "what", "would be", "because"]
        out.print(console.table("A replay would come to", columns, shown))
    print_money(forecast)


def _of(each: Mapping[str, Any]) -> str:
    return "nothing" if each["state"] == "skipped" else each["outcome"] or "runs again"


def print_money(forecast: Mapping[str, Any]) -> None:
    """The money that a forecast names, before and after, in tables."""
    out = console.out()
    if "at_risk" in forecast:
        _print_at_risk(forecast)
        return
    if forecast["too_large"]:
        out.print(console.plain(forecast["too_large"]))
        return
    documents = forecast["documents"]
    if documents:
        columns = ["account", "currency", "net difference#"]
        rows = [[each["account"], each["currency"], each["difference"]] for each in forecast["accounts"]]
        out.print(console.table("Money by account, before tax", columns, rows[:DOCUMENTS_MAX]))
        names = ("account", "contract", "legal_entity", "period", "document", "before", "after", "difference")
        columns = ["account", "contract", "legal entity", "period", "document", "before#", "after#", "difference#"]
        shown = [[each[name] for name in names] for each in documents[:DOCUMENTS_MAX]]
        out.print(console.table("Money by invoice", columns, shown))
    elif not forecast["unpriced"]:
        out.print("No document would bill more or less.")
    if len(documents) > DOCUMENTS_MAX:
        out.print(f"and {count(len(documents) - DOCUMENTS_MAX)} more documents: --json names all")
    for each in forecast["unpriced"]:
        out.print(console.plain(f"{each['account']}, {each['period']}: no price yet ({each['sentence']})"))
    for each in forecast["released"]:
        number = each["number"] or f"draft {each['invoice']}"
        out.print(console.plain(f"goes on to {each['connection']}: {number}, {each['gross']} {each['currency']}"))


def _print_at_risk(forecast: Mapping[str, Any]) -> None:
    money = ", ".join(f"{amount} {currency}" for currency, amount in forecast["at_risk"].items()) or "nothing known"
    unknown = forecast["unknown"]
    more = f"; of {count(unknown)} exceptions nobody knows it" if unknown else ""
    console.out().print(console.plain(f"money at risk: {money}{more}"))


def row_of(replay: Replay) -> list[object]:
    """A replay as a row of a list."""
    return [
        replay.id, replay.kind, replay.state, count(replay.total), count(replay.finished), count(replay.refused),
        replay.requested_by, f"{replay.requested_at:%Y-%m-%d %H:%M}", replay.reason,
    ]  # fmt: skip


COLUMNS = ("replay#", "kind", "state", "exceptions#", "through#", "refused#", "by", "asked (UTC)", "reason")


def print_replay(replay: Replay, items: Sequence[Item]) -> None:
    """One replay: how far it is, what it would come to when that was looked at, and its first items."""
    out = console.out()
    out.print(console.table(f"Replay {replay.id}", COLUMNS, [row_of(replay)]))
    states = {name: getattr(replay, name) for name in ("waiting", "sent", "done", "refused", "skipped")}
    out.print(", ".join(f"{count(number)} {name}" for name, number in states.items()))
    if items:
        shown = [[each.exception, each.code, each.sort, each.state, each.outcome] for each in items]
        columns = ["exception#", "code", "what", "state", "outcome"]
        out.print(console.table("Exceptions", columns, shown))
    if replay.forecast is not None:
        out.print(f"as of {replay.forecast['as_of']}:")
        print_money(replay.forecast)
