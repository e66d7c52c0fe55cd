"""`tallyline systems`: which other systems keep master data, what they may write, and as which broker user."""

from hashlib import sha256
from typing import Annotated, Any

import typer

from domain.canonical import canonical_json
from queues.topology import MASTER_EXCHANGE
from workers.cli import console, reach
from workers.cli.acting import As, Wish, have_done, permitted
from workers.cli.console import AsJson, Failure
from workers.cli.sources import put_user, rabbit_api, upstream_of
from workers.store import master_systems
from workers.store.database import snapshot

app = typer.Typer(
    help="Show and add other systems that keep master data, what they own, and their broker users.",
    no_args_is_help=True,
)


@app.command("list")
@console.command
def list_(as_json: AsJson = False) -> None:
    """List the systems with their broker users and the fields that each of them writes.

    Example: tallyline systems list
    """
    with reach.database(), snapshot() as conn:
        found = master_systems.kept(conn)
    if as_json:
        console.print_json([{"system": name, **each} for name, each in found.items()])
        return
    rows = [
        [name, each["owner"], ", ".join(each["users"]), each["person"], _owned(each["fields"])]
        for name, each in found.items()
    ]
    console.out().print(console.table("Systems", ["system", "owner", "broker users", "asks as", "writes"], rows))


def _owned(fields: dict[str, list[str]]) -> str:
    return ", ".join(f"{kind}.{field}" for kind, of_kind in fields.items() for field in of_kind)


@app.command("add")
@console.command
def add(
    name: Annotated[str, typer.Argument(help="What its messages carry as `source`, such as crm.")],
    user: Annotated[str, typer.Option(help="The RabbitMQ user that may speak for it.")],
    owner: Annotated[str | None, typer.Option(help="Who answers for it; `operations` if it is new.")] = None,
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Add a system, and in a fleet its RabbitMQ user with a password that is shown once.

    The user may write to the exchange `master` under routing keys that begin with its own name, and read its own
    refusals, nothing else. Which fields the system writes is said in the master data under `systems`; what it has
    stays. If a policy wants a second person, ask again once it is granted: then the user is made. A user that is there
    keeps its password; one that sends usage cannot speak for a system.

    Example: tallyline systems add crm --user crm-sync --owner sales
    """
    upstream = upstream_of(user, exchange=MASTER_EXCHANGE)
    with reach.database():
        who = permitted("policies.change", as_)
        api = rabbit_api() if reach.is_fleet() else None
        with snapshot() as conn:
            if master_systems.sends_usage(conn, user):
                raise Failure(f"{user} sends usage", fix="give the system a user of its own, such as crm-sync")
            known = master_systems.kept(conn).get(name)
        facts = have_done(who, _wish(name, known, user=user, owner=owner), as_json=as_json).carried.facts
        password = put_user(api, upstream) if api else None  # nobody gets in before the system is known
    told = {
        "system": name, "user": user, "is_new": known is None, "password": password,
        "refusals": upstream.refusals_queue, "routing_key": user, "is_changed": bool(facts["new"] or facts["changed"]),
    }  # fmt: skip
    if as_json:
        console.print_json(told)
        return
    _tell(told)


def _wish(name: str, known: dict[str, Any] | None, *, user: str, owner: str | None) -> Wish:
    """The system as a file of master data would say it, with its new user."""
    entry = known or {"owner": "operations", "users": [], "person": None, "fields": {}}
    entry = {**entry, "owner": owner or entry["owner"], "users": sorted({*entry["users"], user})}
    content = canonical_json({"systems": {name: entry}}).encode()
    payload = {"file": f"systems add {name}", "sha256": sha256(content).hexdigest()}
    return Wish("master.publish", payload, f"{user} speaks for {name}", content)


def _tell(told: dict[str, Any]) -> None:
    out = console.out()
    done = "added" if told["is_new"] else "changed" if told["is_changed"] else "kept"
    out.print(f"{done} system [bold]{told['system']}[/], spoken for by broker user [bold]{told['user']}[/]")
    if told["password"] is not None:
        out.print(f"password, shown this once: [bold]{told['password']}[/]", soft_wrap=True)
        out.print(f"it sends to the exchange `master` with the routing key [bold]{told['routing_key']}[/]")
        out.print(f"its refusals come to the queue [bold]{told['refusals']}[/]")
    elif reach.is_fleet():
        out.print("the user was there and keeps its password")
    else:
        out.print("no fleet: its RabbitMQ user is made when this is run with TALLYLINE_MODE=fleet")
