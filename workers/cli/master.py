"""`tallyline master`: legal entities, contracts, prices, meters and mappings from one file."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

import typer

from domain.periods import EVER
from workers.cli import console, master_check, master_messages, reach
from workers.cli.acting import As, Reason, Wish, acting, have_done
from workers.cli.console import AsJson
from workers.cli.master_import import import_
from workers.cli.master_renewals import renewals
from workers.cli.working import work_here
from workers.deeds.previewing import preview_file
from workers.store import master, master_file, master_lacks
from workers.store.database import snapshot
from workers.store.master_parties import OPEN_END
from workers.store.master_stretches import Shown
from workers.store.master_touches import DAYS

_PRICED: Final = {True: "yes", False: "no", None: ""}

app = typer.Typer(help="Load legal entities, contracts, prices, meters and mappings.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Load legal entities, contracts, prices, meters and mappings."""


app.command("import")(import_)
app.command("messages")(master_messages.list_)
app.command("retry")(master_messages.retry)
app.command("renewals")(renewals)


@app.command("load")
@console.command
def load(
    file: Annotated[Path, typer.Argument(help="Master data as YAML or JSON; infra/demo/master.yaml is an example.")],
    check: Annotated[
        bool,
        typer.Option("--check", help="Only say what would be refused; without a database, as far as the file tells."),
    ] = False,
    reason: Reason = None,
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Load master data in one transaction, and decide again what was parked for want of it or moves because of it.

    The same file twice changes nothing. What is published is never edited: a contract changes by a version with the
    next number, a mapping by one that starts later; usage they cover moves to them. Only a price that a version lacks
    may be added to it: what died for want of it runs again. Prices that versions lack of what is used or subscribed
    under them are named. Errors name the file, line and
    field, and nothing is loaded. Prices, entitlements, mappings, meters, taxes and exclusion rules need a second
    person, unless the policies say otherwise: then nothing is loaded until somebody else calls `tallyline approve`.

    Example: tallyline master load infra/demo/master.yaml
    """
    if check:
        master_check.check(file, as_json=as_json)
        return
    with reach.database():
        carried = have_done(acting(as_), to_load(file, reason), as_json=as_json).carried
        if carried.hints:
            work_here(carried.hints)
        with snapshot() as conn:
            lacks = master_lacks.lacking(conn, master.read(file)[1])
    if as_json:
        console.print_json({**carried.facts, "lacks": [asdict(each) for each in lacks]})
        return
    _print_tally(f"Master data of {file}", [carried.facts[name] for name in ("new", "changed", "same")])
    if carried.facts["woken"]:
        console.out().print(f"usage under {carried.facts['woken']} keys was decided again")
    master_check.tell_lacks(lacks)


@app.command("preview")
@console.command
def preview(
    file: Annotated[Path, typer.Argument(help="Master data as YAML or JSON, as for `load`.")],
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Show what loading a file would add and change, and whose usage its metrics and meters touch; nothing is loaded.

    A new metric, or a new version of a meter, concerns whoever has used the meter in the last 31 days: each such
    subscription is named with its usages, and whether its contract has a price for the metric. Where it has none,
    usage would be counted and its period could not be billed. Of a subscription with phases that have prices it shows
    from when to when which prices would hold.

    Example: tallyline master preview infra/demo/master.yaml
    """
    with reach.database():
        found = preview_file(file, person=acting(as_).person)
    tally = found.tally
    if as_json:
        facts = {"new": tally.new, "changed": tally.changed, "same": tally.same}
        stretches = [asdict(each) for each in found.stretches]
        lacks = [asdict(each) for each in found.lacks]
        touches = [asdict(each) for each in found.touches]
        console.print_json({**facts, "touches": touches, "stretches": stretches, "lacks": lacks})
        return
    _print_tally(f"{file} would load", [tally.new, tally.changed, tally.same])
    if found.stretches:
        _print_stretches(found.stretches)
    master_check.tell_lacks(found.lacks)
    if found.touches:
        rows = [
            [each.change, each.account, each.subscription, each.usages, _PRICED[each.is_priced]]
            for each in found.touches
        ]
        heads = ["what is new", "account", "subscription", "usages#", "has a price"]
        console.out().print(console.table(f"Who has used the meter in the last {DAYS} days", heads, rows))
    else:
        console.out().print("nobody has used a meter of what is new lately")


def _print_tally(title: str, parts: Sequence[Mapping[str, int]]) -> None:
    names = sorted({name for part in parts for name in part})
    rows = [[name, *(part.get(name, 0) for part in parts)] for name in names]
    console.out().print(console.table(title, ["table", "new#", "changed#", "there already#"], rows))


def _print_stretches(stretches: Sequence[Shown]) -> None:
    rows = [
        [each.subscription, _instant(each.starts_at), _instant(each.ends_at), each.version, each.phase, each.prices]
        for each in stretches
    ]
    heads = ["subscription", "from", "to", "version#", "phase", "prices"]
    console.out().print(console.table("How subscriptions with phases would be priced", heads, rows))


def _instant(at: datetime) -> str:
    """The instant, or nothing where there is no bound."""
    return "" if at in {EVER, OPEN_END} else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def to_load(file: Path, reason: str | None = None) -> Wish:
    """What it takes to publish the file. Raises `MasterInvalid` if it cannot be read."""
    content = master_file.content_of(file)
    master.read(file, content)
    digest = sha256(content).hexdigest()
    return Wish("master.publish", {"file": file.name, "sha256": digest}, reason or f"published {file.name}", content)
