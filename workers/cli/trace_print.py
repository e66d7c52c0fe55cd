"""Tells a trace as a tree, the way an auditor reads it: what, where from, where to."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.markup import escape
from rich.tree import Tree

from workers.cli import console

#: Hashes of erased bodies that are told; --json has all of them.
HASHES_SHOWN = 5
Row = Mapping[str, Any]
#: Steps of a price that are told.
STEPS_SHOWN = 30


def print_event(story: Row) -> None:
    """Print what became of an event."""
    if story["event"] is None:
        _print_refused(story)
        return
    event, receipt = story["event"], story["receipt"]
    tree = Tree(f"[bold]event {event['event_no']}[/]  {escape(event['source'])}  {escape(event['event_id'])}")
    if receipt is not None:
        place = f"position {receipt['position']} of {receipt['events']} events in {receipt['bodies']} bodies"
        user = f" from broker user [bold]{escape(str(receipt['user']))}[/]" if receipt["user"] else ""
        node = tree.add(
            f"receipt {receipt['id']}, {place}{user}, received {receipt['received_at']:%Y-%m-%d %H:%M:%S} UTC"
        )
        if receipt["erased_at"] is not None:
            node.add(erased(receipt["erased_at"], receipt["sha256"]))
    fact = tree.add(f"{escape(event['meter'])} v{event['meter_version']} of {escape(event['subject'])} "
                    f"at {event['happened_at']:%Y-%m-%d %H:%M:%S} UTC")  # fmt: skip
    fact.add(escape(json.dumps(event["data"], ensure_ascii=False)))
    for usage in story["usages"]:
        _add_usage(tree, usage)
    for excluded in story["exclusions"]:
        rule = f"excluded by [bold]{escape(excluded['rule'])}[/]: {escape(excluded['reason'])}"
        tree.add(f"[bold]{escape(excluded['metric'] or 'no metric')}[/] {rule}")
    for each in story["exceptions"]:
        about = f"exception {each['id']} [bold]{each['code']}[/] ({each['state']})"
        tree.add(f"[bold]{escape(each['metric'] or 'no metric')}[/] {about}: {escape(each['sentence'])}")
    for each in story["amendments"]:
        why = f"edited by {escape(each['person'])}: {escape(each['reason'])}"
        node = tree.add(f"[bold]{escape(each['metric'])}[/] sees other data, {why}")
        node.add(escape(json.dumps(each["data"], ensure_ascii=False)))
    console.out().print(tree)


def erased(at: datetime, hashes: Sequence[str]) -> str:
    """That the bodies of a receipt are gone, and what is left of them."""
    named = ", ".join(hashes[:HASHES_SHOWN]) + (" .." if len(hashes) > HASHES_SHOWN else "")
    return f"bodies erased on {at:%Y-%m-%d}, sha256 {named}"


def _print_refused(story: Row) -> None:
    tree = Tree(f"[bold]not accepted[/]  {escape(story['source'])}  {escape(story['event_id'])}")
    for each in story["refusals"]:
        about = f"exception {each['id']} [bold]{each['code']}[/] ({each['state']}), seen {each['seen']} times"
        tree.add(f"receipt {each['receipt_id']} position {each['position']}: {about}: {escape(each['sentence'])}")
    console.out().print(tree)


def _add_usage(tree: Tree, usage: Row) -> None:
    taken_back = "taken back: " if usage["sign"] < 0 else ""
    counted = escape(usage["value"]) if usage["value"] is not None else plain(usage["quantity"])
    node = tree.add(f"[bold]{escape(usage['metric'])}[/] {taken_back}{counted}")
    owner = f"{escape(usage['account'])}, contract {escape(usage['contract'])} v{usage['contract_version']}"
    owner += f" in its phase {escape(usage['phase'])}" if usage["phase"] is not None else ""
    node.add(f"subscription {escape(usage['subscription'])} of {owner}, sold by {escape(usage['legal_entity'])}")
    node.add(f"period {usage['starts_on']} to {usage['ends_on']}, batch {usage['batch_no']}, {_window(usage)}")
    if usage["line"] is None:
        node.add("not rated yet: in flight")
        return
    add_rated(node, usage["line"])


def _window(usage: Row) -> str:
    if usage["aggregated_no"] is None:
        return "not aggregated yet"
    window = usage["window"]
    lot = f"lot {usage['lot']}" if usage["lot"] is not None else "the open lot"
    return f"window of {plain(window['events'])} events in {lot}"


def add_rated(node: Tree, line: Row) -> None:
    """Add the rated usage with the steps of its price, its line, document and ERP posting."""
    amount = f"{line['currency']} {plain(line['amount'])}"
    quantity = f"{plain(line['quantity'])} for {amount} unrounded (lot {line['lot']})"
    rated = node.add(f"rated usage {line['rated_usage_id']}: {quantity}")
    _add_steps(rated, line["trace"])
    if line["line"] is None:
        node.add("no line yet: in flight")
        return
    rate = f"{line['tax_category']} {plain(line['tax_rate'])} %"
    node.add(
        f"line {line['line']}: {escape(line['description'])}, net {line['currency']} {money(line['net'])}, tax {rate}"
    )
    number = line["number"] or f"draft {line['invoice_id']}"
    of = f"{line['kind'].replace('_', ' ')} [bold]{escape(number)}[/] of {line['invoice_on']}, {line['state']}"
    node.add(f"{of}, to {escape(line['billed_to'])}, gross {line['currency']} {money(line['gross'])}{_credits(line)}")
    if line["erp_state"] is not None:
        node.add(_erp(line))


def _credits(line: Row) -> str:
    """How much of the document its account had paid ahead."""
    return f", {line['currency']} {money(line['credits'])} of it by credits" if line["credits"] else ""


def _erp(line: Row) -> str:
    document = f" as {escape(line['erp_number'])}" if line["erp_number"] else ""
    return f"ERP {escape(line['connection_id'])}: {line['erp_state']}{document}, key {line['external_key']}"


def _add_steps(node: Tree, steps: object) -> None:
    told: Sequence[Row] = steps if isinstance(steps, list) else []
    for step in told[:STEPS_SHOWN]:
        facts = ", ".join(f"{name} {value}" for name, value in step.items() if name not in {"rule", "amount"})
        node.add(f"{escape(str(step.get('rule')))}: {escape(facts)} -> {escape(str(step.get('amount')))}")


def print_line(story: Row) -> None:
    """Print a line and what is behind it."""
    line, behind = story["line"], story["behind"]
    document = f"{line['kind'].replace('_', ' ')} {escape(line['number'] or 'draft ' + str(line['invoice_id']))}"
    title = f"[bold]line {line['line']}[/] of {document} for {escape(line['account'])}"
    tree = Tree(f"{title}: {escape(line['description'])}, net {line['currency']} {money(line['net'])}")
    if line["erp_state"] is not None:
        tree.add(f"{_erp(line)}{_credits(line)}")
    rated = tree.add(f"rated usage {line['rated_usage_id']}: {plain(line['rated_quantity'])} {escape(line['unit'])}")
    _add_steps(rated, line["trace"])
    proof = "[green]is what was billed[/]" if behind["is_proven"] else "[bold red]differs from what was billed[/]"
    node = tree.add(
        f"{plain(behind['usages'])} usages of {escape(line['metric'])}, recounted: {plain(behind['quantity'])} {proof}"
    )
    for each in behind["first_events"]:
        counted = escape(each["value"]) if each["value"] is not None else plain(each["quantity"])
        sign = "-" if each["sign"] < 0 else ""
        node.add(f"event {each['event_no']}  {escape(each['source'])}  {escape(each['event_id'])}  {sign}{counted}")
    rest = int(behind["usages"]) - len(behind["first_events"])
    if rest > 0:
        node.add(f".. and {plain(rest)} more; --events shows them")
    console.out().print(tree)


def print_beside(row: Row) -> None:
    """Print what a document gives or asks beside its lines."""
    document = f"{row['kind'].replace('_', ' ')} {escape(row['number'] or 'draft ' + str(row['invoice_id']))}"
    title = f"[bold]{row['giver']} {row['position']}[/] beside the lines of {document} for {escape(row['account'])}"
    tree = Tree(f"{title}: {escape(row['description'])}, net {row['currency']} {money(row['net'])}")
    _add_steps(tree, row["trace"])
    console.out().print(tree)


def money(amount: Decimal) -> str:
    """An amount of a document as people read it, with all its minor units: 50,798.10."""
    return f"{amount:,}"


def plain(number: Decimal | int | None) -> str:
    """A number in digits as people read it, without trailing zeros."""
    return "" if number is None else f"{Decimal(number).normalize():,f}"
