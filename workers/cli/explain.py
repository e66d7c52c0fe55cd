"""`tallyline explain`: what a line of a document is made of, in sentences that its customer could be sent."""

from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from domain.canonical import decimal_text
from domain.explanations import explained
from workers.cli import console, reach
from workers.cli.console import AsJson, Failure
from workers.store import explaining
from workers.store.database import snapshot
from workers.store.explaining import LINES_MAX, Explained

_INT_MAX = 2**63 - 1
_POSITION_MAX = 2**31 - 1


@console.command
def explain(
    line: Annotated[str, typer.Argument(metavar="LINE | DOCUMENT", help="The number of a line, or of its document.")],
    position: Annotated[
        int | None,
        typer.Argument(
            metavar="PLACE", min=1, max=_POSITION_MAX, help="Which line of the document; all if it is left out."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain how the net of a line comes about, step by step, to whoever has to pay it.

    Period, quantity, tiers, free units, rounding and what was billed before, each with the amount it adds: the amounts
    sum to the net. A line is named by its own number, which `tallyline trace` shows, or by its document (a draft by its
    id) and its place on it. Example: tallyline explain PONY-000012 1
    """
    with reach.database(), snapshot() as conn:
        lines = found(conn, line, position)
    if as_json:
        console.print_json([_fields(each) for each in lines])
        return
    console.out().print(console.plain("\n\n".join(_text(each) for each in lines)), soft_wrap=True)


def found(conn: Connection, line: str, position: int | None) -> list[Explained]:
    """The lines that are meant. Raises `Failure` if there is none, or if documents of several companies are meant."""
    is_number = line.isascii() and line.isdecimal() and int(line) <= _INT_MAX
    lines = explaining.line(conn, int(line)) if is_number and position is None else []
    lines = lines or explaining.lines_of(conn, line, position=position)
    if not lines:
        where = f"line {position} of document {line!r}" if position else f"line or document {line!r} with a line"
        fix = "`tallyline trace --invoice NUMBER` names the lines of a document, `tallyline close` the documents"
        raise Failure(f"there is no {where}", fix=fix)
    if len({each.invoice_id for each in lines}) > 1:
        named = ", ".join(f"{each.line} ({each.legal_entity})" for each in lines[:10])
        raise Failure(f"several companies have a document {line}", fix=f"name one line by its number: {named}")
    if len(lines) == LINES_MAX and position is None:
        console.err().print(f"only the first {LINES_MAX} lines are told; name the others by their place")
    return lines


def _title(each: Explained) -> str:
    document = (
        f"{each.kind.replace('_', ' ').capitalize()} {each.number}" if each.number else f"Draft {each.invoice_id}"
    )
    state = {"void": ", which is void", "issued": "", "posted": ""}.get(each.state, ", which is not issued yet")
    return f"{document}{state}, line {each.position}, for {each.account}"


def _text(each: Explained) -> str:
    return "\n".join([_title(each), *(sentence.text for sentence in explained(each.told))])


def _fields(each: Explained) -> dict[str, Any]:
    told = each.told
    return {
        "line": each.line,
        "document": each.number or str(each.invoice_id),
        "position": each.position,
        "state": each.state,
        "account": each.account,
        "metric": told.metric,
        "unit": told.unit,
        "dimensions": told.dimensions,
        "starts_on": told.starts_on,
        "ends_on": told.ends_on,
        "period_quantity": decimal_text(told.period_quantity),
        "quantity": decimal_text(told.quantity),
        "currency": told.net.currency.code,
        "net": told.net.to_text(),
        "tax_category": each.tax_category,
        "sentences": [
            {"rule": each.rule, "text": each.text, "amount": None if each.amount is None else decimal_text(each.amount)}
            for each in explained(told)
        ],
    }
