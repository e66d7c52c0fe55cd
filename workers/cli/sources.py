"""`tallyline sources`: which upstream systems may send usage, and as which broker user."""

import secrets
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer
from sqlalchemy import text

from queues.definitions import definitions
from queues.rabbit_api import RabbitApi
from queues.settings import settings
from queues.topology import USAGE_EXCHANGE, QueueUnknown, Upstream
from workers.cli import console, gaps, reach
from workers.cli.acting import As, Wish, have_done, permitted
from workers.cli.console import AWAY, AsJson, Failure
from workers.store.database import snapshot

#: Bytes of a generated password: 256 bits.
PASSWORD_BYTES = 32

app = typer.Typer(
    help="Show and add upstream systems, the broker users that may claim them, and what of theirs never came.",
    no_args_is_help=True,
)
app.command("gaps")(gaps.gaps)


@app.command("list")
@console.command
def list_(as_json: AsJson = False) -> None:
    """List the sources with their owners, broker users and quotas.

    Example: tallyline sources list
    """
    with reach.database(), snapshot() as conn:
        rows = conn.execute(
            text("""select s.name, s.owner, s.quota_per_hour, coalesce(array_agg(u.user_name order by u.user_name)
                   filter (where u.user_name is not null), '{}') as users
                 from sources s left join source_users u on u.source_id = s.id group by s.id order by s.name""")
        ).all()
    if as_json:
        console.print_json([row._asdict() for row in rows])
        return
    shown = [[row.name, row.owner, ", ".join(row.users), row.quota_per_hour] for row in rows]
    console.out().print(console.table("Sources", ["source", "owner", "broker users", "events an hour#"], shown))


@app.command("add")
@console.command
def add(
    name: Annotated[str, typer.Argument(help="What its events carry as `source`, such as /ops/jfk.")],
    user: Annotated[str, typer.Option(help="The RabbitMQ user that may claim it.")],
    owner: Annotated[str | None, typer.Option(help="Who answers for it; `operations` if it is new.")] = None,
    quota: Annotated[
        int | None, typer.Option(min=1, help="Events an hour; more are refused. No limit if it is new.")
    ] = None,
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Add a source, and in a fleet its RabbitMQ user with a password that is shown once.

    The user may write to the exchange `usage` and read its own refusals, nothing else. If a policy wants a second
    person, ask again once it is granted: then it is made. A user that is there keeps its password, a source that is
    there keeps the owner and quota that are not given; one user may have several sources.

    Example: tallyline sources add /ops/jfk --user jfk --owner "airport operations" --quota 50000
    """
    upstream = upstream_of(user)
    with reach.database():
        who = permitted("sources.publish", as_)
        api = rabbit_api() if reach.is_fleet() else None
        payload = {"name": name, "user": user, "owner": owner, "quota": quota}
        wish = Wish("sources.put", payload, f"{user} sends as {name}")
        is_new = have_done(who, wish, as_json=as_json).carried.facts["is_new"]
        password = put_user(api, upstream) if api else None  # nobody gets in before the source may be claimed
    facts = {"source": name, "user": user, "is_new": is_new, "password": password, "refusals": upstream.refusals_queue}
    if as_json:
        console.print_json(facts)
        return
    out = console.out()
    out.print(f"{'added' if is_new else 'changed'} source [bold]{name}[/], claimed by broker user [bold]{user}[/]")
    if password is not None:
        out.print(f"password, shown this once: [bold]{password}[/]", soft_wrap=True)
        out.print(f"its refusals come to the queue [bold]{upstream.refusals_queue}[/]")
    elif reach.is_fleet():
        out.print("the user was there and keeps its password")
    else:
        out.print("no fleet: its RabbitMQ user is made when this is run with TALLYLINE_MODE=fleet")


def upstream_of(user: str, *, exchange: str = USAGE_EXCHANGE) -> Upstream:
    """The upstream with that broker user. Raises `Failure` for a name that it cannot have."""
    try:
        return Upstream(user, exchange)
    except QueueUnknown as error:
        raise Failure(str(error), fix="use small letters, digits and dashes, such as ops-jfk") from None


def put_user(api: RabbitApi, upstream: Upstream) -> str | None:
    """Create the user with its rights and its queue of refusals; the new password, or None if it was there."""
    password = None if upstream.user in api.users() else secrets.token_urlsafe(PASSWORD_BYTES)
    if password is not None:
        api.put_upstream(upstream, password=password)
    api.import_definitions(definitions((), (upstream,), vhost=api.vhost))
    return password


def rabbit_api() -> RabbitApi:
    """The management interface for the virtual host of TALLYLINE_AMQP_URL. Raises `Failure` if one is not named."""
    chosen = settings()
    if chosen.rabbit_api_url is None or chosen.amqp_url is None:
        fix = "set TALLYLINE_RABBIT_API_URL=http://user:password@host:15672 and TALLYLINE_AMQP_URL"
        raise Failure("the console of RabbitMQ is not named", fix=fix, code=AWAY)
    return RabbitApi(chosen.rabbit_api_url.get_secret_value(), vhost=vhost_of(chosen.amqp_url.get_secret_value()))


def vhost_of(amqp_url: str) -> str:
    """The virtual host of an AMQP URL: what follows the slash, `/` itself if nothing does."""
    return unquote(urlsplit(amqp_url).path[1:]) or "/"
