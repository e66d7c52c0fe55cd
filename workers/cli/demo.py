"""`tallyline demo`: bills a real month, from events to posted documents, on this machine and with nothing installed."""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any

import typer
from sqlalchemy import Connection, text

from domain.authority import Acting, Role
from workers.cli import billing, console, demo_check, reach
from workers.cli.acting import have_done_by_two
from workers.cli.billing import Dates
from workers.cli.bodies import bodies, texts
from workers.cli.console import FOUND, AsJson, Failure, count
from workers.cli.demo_check import Figure
from workers.cli.demo_watch import Watch
from workers.cli.exceptions import groups_table
from workers.cli.flights import DEMO, FLIGHTS
from workers.cli.master import to_load
from workers.cli.producing import EVENTS_PER_BODY, LOCAL_USER, by_receipts, found_in, receipts_so_far
from workers.embedded import run
from workers.store import acting as names
from workers.store import exception_groups, identity, people
from workers.store.acting import Named
from workers.store.database import engine, snapshot

MASTER = DEMO / "master.yaml"
ENTITIES = ("pony", "newark")
MONTH = "2013-01"
#: Who does what in the demo: nobody grants what they asked for.
PEOPLE: dict[str, tuple[Role, ...]] = {"demo-finance": ("operator", "finance"), "demo-approver": ("approver",)}
#: What the demo knows to be in the way, and why it may be let pass.
OVERRIDES = {"quantity_missing": "diverted flights: no distance of a route was flown"}
MONEY = ("net", "tax", "gross")
#: Longest that any part of it takes on a slow machine.
PART_S_MAX = 600.0


@console.command
def demo(as_json: AsJson = False) -> None:
    """Bill January 2013 of New York's airports: 27,004 departures, 16 airlines, two legal entities.

    Starts a PostgreSQL of its own in the folder `.tallyline` (TALLYLINE_HOME), sends the month, closes it with the open
    exceptions shown and let pass by name, and posts the documents to plain-text ledgers below that folder. Then it
    compares every figure with control totals that plain Python made from the CSV; a difference ends it with 1. Run it
    again: all events are duplicates and no cent changes.

    Example: tallyline demo
    """
    if reach.is_fleet():
        raise Failure("the demo runs without a fleet", fix="unset TALLYLINE_MODE; `make up` runs the fleet")
    started = monotonic()
    watch = Watch(is_shown=not as_json)
    watch.say(f"starting PostgreSQL in {reach.home()}")
    with reach.embedded():
        both = _people()
        have_done_by_two(*both, to_load(MASTER))
        before = receipts_so_far()
        with run.running():
            _send(watch)
            _close(watch, both)
        watch.say("comparing with control totals of plain Python")
        with snapshot() as conn:
            figures = list(demo_check.figures(conn, demo_check.control_totals()))
            facts = _facts(conn)
        facts |= {"sent": found_in(before), "seconds": round(monotonic() - started, 1)}
    _tell(facts, figures, as_json=as_json)
    if not all(figure.is_equal for figure in figures) or facts["differences"]:
        raise typer.Exit(FOUND)


def _send(watch: Watch) -> None:
    """Send the month and wait until each event is in its windows."""
    watch.say(f"sending {FLIGHTS.name}")
    with watch.live() as live:
        parts = bodies(texts(FLIGHTS), size=EVENTS_PER_BODY)
        by_receipts(parts, lambda _events: None, user=LOCAL_USER)
        run.settle(within_s=PART_S_MAX, look=lambda _owed: watch.refresh(live))


def _people() -> tuple[Acting, Acting]:
    """The two people of the demo: who asks, and who grants what takes a second pair of eyes."""
    with engine().begin() as conn:
        names.name(conn, Named("tallyline", "the people of the demo"))
        for person, roles in PEOPLE.items():
            people.register(conn, person, name=person, roles=roles, by="tallyline")
        asker, decider = (people.acting_as(conn, person) for person in PEOPLE)
    return asker, decider


def _close(watch: Watch, both: tuple[Acting, Acting]) -> None:
    """Bill the month of each legal entity; what is in the way is shown and let pass by name."""
    periods = [billing.find_period(entity, MONTH, None) for entity in ENTITIES]
    wanted = [period for period in periods if not billing.is_done(period)]
    if not wanted:
        watch.say(f"{' and '.join(ENTITIES)} {MONTH} are closed already: nothing to bill")
        return
    asker, decider = both
    pressed = [have_done_by_two(asker, decider, billing.to_press(period, Dates())) for period in wanted]
    runs = [int(each.carried.facts["run_id"]) for each in pressed]
    standings = [billing.at_rest(each) for each in runs]
    reach.appraise()
    with snapshot() as conn:
        watch.show(groups_table(exception_groups.groups(conn)))
    for now in standings:
        for blocker in now.blockers_before_approval:  # a run before this one may have come as far as the approval
            if blocker.code not in OVERRIDES:
                fix = "`tallyline close ENTITY 2013-01` shows what is in the way"
                raise Failure(f"{blocker.code} is in the way of run {now.run_id}", fix=fix, code=FOUND)
            reason = OVERRIDES[blocker.code]
            done = have_done_by_two(asker, decider, billing.to_override(now.run_id, blocker, reason))
            passed = done.carried.facts["count"]
            watch.say(f"run {now.run_id}: {passed} {blocker.code} let pass by {asker.person}: {reason}")
    with watch.live() as live:
        for stage in ("drafts made", "drafts approved"):
            for each in runs:
                billing.at_rest(each, look=lambda _standing: watch.refresh(live))
            if stage == "drafts made":
                for each in runs:
                    have_done_by_two(decider, asker, billing.to_approve(each))
        run.settle(within_s=PART_S_MAX, look=lambda _owed: watch.refresh(live))


def _facts(conn: Connection) -> dict[str, Any]:
    documents = conn.execute(
        text("""select e.id, e.name, count(*) as documents, e.currency, sum(i.net) as net, sum(i.tax) as tax,
               sum(i.gross) as gross
             from invoices i join legal_entities e on e.id = i.legal_entity_id where i.state = 'posted'
             group by e.id order by e.id desc""")
    )
    return {
        "events": asdict(identity.event_totals(conn)),
        "usage": [asdict(each) for each in identity.usage_totals(conn)],
        "legal_entities": [row._asdict() for row in documents],
        "differences": [asdict(each) for each in identity.differences(conn)],
    }


def _tell(facts: dict[str, Any], figures: Sequence[Figure], *, as_json: bool) -> None:
    wrong = [figure for figure in figures if not figure.is_equal]
    if as_json:
        compared = {"figures": len(figures), "wrong": [asdict(figure) for figure in wrong]}
        console.print_json({**facts, "control_totals": compared, "ledgers": str(reach.home() / "ledgers")})
        return
    out = console.out()
    _print_tables(facts)
    if wrong or facts["differences"]:
        rows = [[figure.name, figure.expected, figure.found] for figure in wrong]
        rows += [[each["check"], each["expected"], each["found"]] for each in facts["differences"]]
        out.print(console.table("What differs", ["figure", "control total", "Tallyline"], rows))
        return
    out.print(f"[green]All {len(figures)} control totals agree to the cent[/], and every usage has one fate.")
    out.print(f"{facts['seconds']} s. The ledgers are in {reach.home() / 'ledgers'}. Next:")
    for words in next_commands():
        out.print(f"  [bold]{words}[/]", soft_wrap=True)


def _print_tables(facts: dict[str, Any]) -> None:
    out, sent = console.out(), facts["sent"]
    now = f"{count(sent['accepted'])} new, {count(sent['duplicate'])} duplicates, {count(sent['refused'])} refused"
    out.print(f"\nEvents: [bold]{count(facts['events']['accepted'])}[/] accepted in all; this time {now}.")
    rows = [
        [each["metric"], *(count(each[fate]) for fate in ("attributed", "billed", "excluded", "excepted"))]
        for each in facts["usage"]
    ]
    columns = ["usage of", "attributed#", "billed#", "excluded#", "in exception#"]
    out.print(console.table("", columns, rows))
    rows = [
        [each["name"], count(each["documents"]), each["currency"], *(f"{each[kind]:,.2f}" for kind in MONEY)]
        for each in facts["legal_entities"]
    ]
    out.print(console.table("", ["legal entity", "documents#", "currency", "net#", "tax#", "gross#"], rows))


def next_commands() -> Sequence[str]:
    """Three commands that work as they stand where the demo ran: what adds up, one event's story, what is open."""
    with_home = f"TALLYLINE_HOME={reach.home()} " if "TALLYLINE_HOME" in os.environ else ""
    tallyline = with_home + program()
    return (
        f"{tallyline} status --identity",
        f"{tallyline} trace /ops/ewr 2013-01-01/UA/1545/EWR/0515",
        f"{tallyline} exceptions",
    )


def program() -> str:
    """How a person here calls this program: by name, by its path below this folder, or through Python."""
    if shutil.which("tallyline"):
        return "tallyline"
    beside = Path(sys.executable).parent / "tallyline"
    called = str(beside) if beside.exists() else f"{sys.executable} -m workers"
    return called.removeprefix(f"{Path.cwd()}/")
