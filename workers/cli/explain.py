"""`tallyline explain`: what a line of a document is made of, in sentences that its customer could be sent."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from domain.canonical import decimal_text
from domain.explanations import Sentence, explained, explained_beside
from workers.cli import console, reach
from workers.cli.console import AsJson, Failure
from workers.store import explaining
from workers.store.database import snapshot
from workers.store.explaining import LINES_MAX, Explained, ExplainedBeside

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
    id) and its place on it. After all lines of a document comes what it gives or asks beside them, such as what each
    coupon gave and on what. Example: tallyline explain PONY-000012 1
    """
    with reach.database(), snapshot() as conn:
        parts = found(conn, line, position)
    if as_json:
        console.print_json([_fields(each) if isinstance(each, Explained) else _beside(each) for each in parts])
        return
    console.out().print(console.plain("\n\n".join(_text(each) for each in parts)), soft_wrap=True)


def found(conn: Connection, line: str, position: int | None) -> list[Explained | ExplainedBeside]:
    """What is meant: lines, and of a whole document what stands beside them.

    Raises `Failure` if there is none, or if documents of several companies are meant.
    """
    is_number = line.isascii() and line.isdecimal() and int(line) <= _INT_MAX
    lines = explaining.line(conn, int(line)) if is_number and position is None else []
    if lines:
        return [*lines]
    lines = explaining.lines_of(conn, line, position=position)
    beside = explaining.beside_lines_of(conn, line) if position is None else []
    if not lines and not beside:
        where = f"line {position} of document {line!r}" if position else f"line or document {line!r} with a line"
        fix = "`tallyline trace --invoice NUMBER` names the lines of a document, `tallyline close` the documents"
        raise Failure(f"there is no {where}", fix=fix)
    if len({each.invoice_id for each in lines} | {each.invoice_id for each in beside}) > 1:
        named = ", ".join(f"{each.line} ({each.legal_entity})" for each in lines[:10])
        raise Failure(f"several companies have a document {line}", fix=f"name one line by its number: {named}")
    if len(lines) == LINES_MAX and position is None:
        console.err().print(f"only the first {LINES_MAX} lines are told; name the others by their place")
    return [*lines, *beside]


def _title(each: Explained | ExplainedBeside) -> str:
    document = (
        f"{each.kind.replace('_', ' ').capitalize()} {each.number}" if each.number else f"Draft {each.invoice_id}"
    )
    state = {"void": ", which is void", "issued": "", "posted": ""}.get(each.state, ", which is not issued yet")
    place = f"line {each.position}" if isinstance(each, Explained) else f"{each.giver} {each.position} beside the lines"
    return f"{document}{state}, {place}, for {each.account}"


def _text(each: Explained | ExplainedBeside) -> str:
    return "\n".join([_title(each), *(sentence.text for sentence in _sentences(each))])


def _sentences(each: Explained | ExplainedBeside) -> Sequence[Sentence]:
    return explained(each.told) if isinstance(each, Explained) else explained_beside(each.told)


def _fields(each: Explained) -> dict[str, Any]:
    told = each.told
    return {
        "line": each.line,
        **_of_document(each),
        "metric": told.metric,
        "unit": told.unit,
        "dimensions": told.dimensions,
        "period_quantity": decimal_text(told.period_quantity),
        "quantity": decimal_text(told.quantity),
    }


def _beside(each: ExplainedBeside) -> dict[str, Any]:
    return {"beside": each.giver, **_of_document(each), "title": each.told.title}


def _of_document(each: Explained | ExplainedBeside) -> dict[str, Any]:
    """What is said of a line and of what stands beside the lines."""
    told = each.told
    return {
        "document": each.number or str(each.invoice_id),
        "position": each.position,
        "state": each.state,
        "account": each.account,
        "starts_on": told.starts_on,
        "ends_on": told.ends_on,
        "currency": told.net.currency.code,
        "net": told.net.to_text(),
        "tax_category": each.tax_category,
        "sentences": [
            {"rule": each.rule, "text": each.text, "amount": None if each.amount is None else decimal_text(each.amount)}
            for each in _sentences(each)
        ],
    }
