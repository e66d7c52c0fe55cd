"""`tallyline repair`: what each system holds of a document, and what may be done about it, forward or back."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from domain.repairs import MEANINGS, Kind, Option, Plan, options
from workers.cli import console, reach
from workers.cli.acting import As, Wish, acting, have_done
from workers.cli.console import FOUND, AsJson, Failure
from workers.cli.working import work_here
from workers.store import repairs
from workers.store.database import snapshot
from workers.store.repairs import Case

#: How a person asks for each kind of repair.
_FLAGS: Final[Mapping[Kind, str]] = {"resend": "--resend", "void": "--void", "reverse_journal": "--reverse-journal"}


@console.command
def repair(
    number: Annotated[str, typer.Argument(help="The document's number, such as PONY-000017.")],
    void: Annotated[bool, typer.Option("--void", help="Undo it: void, entry reversed, usage released.")] = False,
    resend: Annotated[bool, typer.Option("--resend", help="Post it again: looked up first, never twice.")] = False,
    reverse_journal: Annotated[
        bool, typer.Option("--reverse-journal", help="Only undo the entry of a document that is void.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why; kept with the repair.")] = None,
    as_: As = None,
    entity: Annotated[str | None, typer.Option(help="Which legal entity, if several use the number.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what each system holds of a document and how it can be put right; with --resend or --void do it.

    Tax engine, ERP and our books may hold different things after a failure: tax committed and posting refused, invoice
    in and journal out. Forward, the same document is sent again under its number and key once master data are right.
    Back, it becomes void: tax released, journal entry reversed, and its usage is billed by the next run of the period.
    What the ERP has confirmed is never undone. Example: tallyline repair PONY-000017 --void --reason "wrong customer"
    """
    asked: Mapping[Kind, bool] = {"resend": resend, "void": void, "reverse_journal": reverse_journal}
    chosen = [kind for kind, is_asked in asked.items() if is_asked]
    if len(chosen) > 1:
        raise Failure("a document is repaired in one way at a time", fix=f"choose one of {', '.join(_FLAGS.values())}")
    if chosen and not (reason or "").strip():
        raise Failure("a repair needs a reason", fix='add --reason "why it is right to do so"')
    with reach.database():
        if chosen:
            payload = {"number": number, "kind": chosen[0], "entity": entity}
            done = have_done(acting(as_), Wish("documents.repair", payload, reason or ""), as_json=as_json)
            work_here(done.carried.hints)
        with snapshot() as conn:
            found = repairs.case(conn, number, entity=entity)
            told = repairs.history(conn, found.invoice_id)
    _show(found, told, as_json=as_json)
    if chosen and told and told[-1]["state"] == "failed":
        raise typer.Exit(FOUND)


def _show(found: Case, told: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    offered = options(found.holdings)
    if as_json:
        console.print_json({**asdict(found), "options": [asdict(each) for each in offered], "repairs": told})
        return
    held, out = found.holdings, console.out()
    entry = "none" if not held.has_entry else "entry and its reversal" if held.is_reversed else "entry"
    rows = [
        ["our books", f"{held.books.replace('_', ' ')}, {found.currency} {found.gross:,}"],
        ["our journal", entry],
        ["tax engine", held.tax.replace("_", " ")],
        [f"ERP {found.connection_id or ''}", held.erp.replace("_", " ")],
    ]
    out.print(console.table(f"{held.number} of {found.account_id}", ["system", "holds"], rows))
    for each in offered:
        _print_option(held.number, each)
    if told:
        columns = ["repair#", "kind", "state", "asked by", "why", "what was done"]
        out.print(console.table("Repairs", columns, [_told(each) for each in told]))


def _print_option(number: str, option: Option) -> None:
    out = console.out()
    if isinstance(option, Plan):
        out.print(f"[bold]tallyline repair {number} {_FLAGS[option.kind]} --reason ..[/]", soft_wrap=True)
        for place, act in enumerate(option.acts, start=1):
            out.print(f"  {place}. {MEANINGS[act]}")
    else:
        out.print(f"not {_FLAGS[option.kind]}: {option.sentence}", markup=False, soft_wrap=True)


def _told(row: Mapping[str, Any]) -> Sequence[object]:
    tries = [
        f"{each['act']} {each['outcome']}" + (f": {each['answer']['sentence']}" if "sentence" in each["answer"] else "")
        for each in row["tries"]
    ]
    return [row["id"], row["kind"], row["state"], row["requested_by"], row["reason"], "; ".join(tries)]
