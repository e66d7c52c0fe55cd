"""`tallyline invoices`: issued documents as electronic invoices of EN 16931, one or all of a period."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from domain import einvoice_rules, ubl
from domain.einvoices import drawn_up
from domain.errors import Rejection
from workers.cli import console, reach
from workers.cli.billing import find_period
from workers.cli.console import FOUND, AsJson, Failure
from workers.store import documents, einvoices
from workers.store.database import snapshot
from workers.store.einvoices import Issued

#: Refusals of a period that are told one by one; all are counted.
TOLD_MAX = 50

app = typer.Typer(no_args_is_help=True, help="Issued documents as electronic invoices (EN 16931, UBL 2.1).")


class EInvoiceUnknown(Rejection):
    """There is no issued document with the number, or it is void."""

    code = "einvoice_unknown"
    is_unknown = True


@app.command()
@console.command
def xml(
    number: Annotated[str, typer.Argument(help="The number of an issued invoice or credit note.")],
    entity: Annotated[str | None, typer.Option(help="The legal entity, where several have the number.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of standard output.")] = None,
) -> None:
    """Write an issued invoice or credit note as UBL 2.1 XML that follows EN 16931.

    The same document gives the same bytes as long as nothing is loaded of its parties. What master data do not hold is
    named, with what to load. Example: tallyline invoices xml PONY-000012 --out PONY-000012.xml
    """
    with reach.database(), snapshot() as conn:
        ids = documents.numbered(conn, number, entity=entity)
        if len(ids) > 1:
            raise Failure(f"several companies have a document {number}", fix="name one with --entity")
        found = einvoices.issued(conn, ids)
    if not found:
        raise EInvoiceUnknown(f"there is no issued document {number!r}", document=number)
    content = _content(*found.values())
    if out is None:
        typer.echo(content, nl=False)
    else:
        _write(out, content)


@app.command()
@console.command
def export(
    entity: Annotated[str, typer.Argument(help="The legal entity.")],
    period: Annotated[str, typer.Argument(help="The billing period: a month such as 2013-01, or its first day.")],
    out: Annotated[Path, typer.Option(help="The folder; it is made if it is not there.")],
    cycle: Annotated[str | None, typer.Option(help="The billing cycle, where the legal entity has several.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write every issued document of a billing period as XML, a file for each, named by its number.

    One that cannot be written is told with its reason and keeps no other back; the exit code is then 1. Doing it again
    writes the same files. Example: tallyline invoices export pony 2013-01 --out january
    """
    refused: list[tuple[str, Rejection]] = []
    written = 0
    with reach.database():
        found = find_period(entity, period, cycle)
        _make(out)
        with snapshot() as conn:
            total = einvoices.count_of_period(conn, found.id)
        with console.progress("documents", total=total, is_shown=not as_json) as advance:
            for each in _of_period(found.id):
                try:
                    _write(out / f"{each.facts.number}.xml", _content(each))
                    written += 1
                except Rejection as error:
                    refused.append((each.facts.number, error))
                advance(1)
    _tell(out, written, refused, as_json=as_json)


def _of_period(period_id: int) -> Iterator[Issued]:
    """The documents of the period, portion by portion."""
    after = 0
    while True:
        with snapshot() as conn:
            ids = einvoices.ids_of_period(conn, period_id, after=after)
            found = einvoices.issued(conn, ids)
        if not ids:
            return
        yield from found.values()
        after = ids[-1]


def _content(issued: Issued) -> bytes:
    invoice = drawn_up(issued.document, issued.facts)
    einvoice_rules.check(invoice)
    return ubl.written(invoice)


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: whoever reads the folder meanwhile sees no half of a file."""
    try:
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}", fix="name a file in a folder of yours") from None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"{folder} cannot be made: {error.strerror}", fix="name a folder of yours") from None


def _tell(out: Path, written: int, refused: list[tuple[str, Rejection]], *, as_json: bool) -> None:
    if as_json:
        told = [{"document": number, "code": error.code, "reason": error.sentence} for number, error in refused]
        console.print_json({"folder": str(out), "written": written, "refused": told})
    else:
        console.out().print(console.plain(f"{console.count(written)} documents are in {out}"))
        rows = [(number, error.code, error.sentence) for number, error in refused[:TOLD_MAX]]
        if rows:
            console.out().print(console.table("not written", ("document", "code", "reason"), rows))
            codes = Counter(error.code for _, error in refused)
            console.out().print(", ".join(f"{console.count(n)} {code}" for code, n in sorted(codes.items())))
    if refused:
        raise typer.Exit(FOUND)
