"""`tallyline people on-call`: the RabbitMQ user of whoever looks after dead letters at night."""

import secrets
from typing import Annotated

import typer

from queues.topology import OnCall, QueueUnknown
from workers.cli import console, reach
from workers.cli.acting import As, alone
from workers.cli.console import AsJson, Failure
from workers.cli.sources import PASSWORD_BYTES, rabbit_api
from workers.store import acting as names
from workers.store import audit
from workers.store.acting import Named
from workers.store.database import engine


@console.command
def on_call(
    user: Annotated[str, typer.Argument(help="Its name in RabbitMQ: small letters, digits and dashes.")],
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Make a RabbitMQ user that may do in the console whatever loses no usage, with a password that is shown once.

    It looks into work queues and `.XQ`, takes, purges, moves and publishes there: hints and copies, never money. It can
    neither read nor purge `intake`, where usage lies that nobody has stored yet. A user that is there gets
    another password.

    Example: tallyline people on-call night-shift
    """
    try:
        wanted = OnCall(user)
    except QueueUnknown as error:
        raise Failure(str(error), fix="use small letters, digits and dashes, such as night-shift") from None
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    with reach.database():
        who = alone("people.change", as_)
        with engine().begin() as conn:
            names.name(conn, Named(who.person, "made in RabbitMQ", token_id=who.token_id))
            audit.record(conn, "on_call.put", f"rabbitmq_user/{user}", after={"tags": wanted.tags})
            rabbit_api().put_on_call(wanted, password=password)  # last: no user is made that is not recorded
    if as_json:
        console.print_json({"user": user, "password": password})
        return
    console.out().print(f"user [bold]{user}[/], password, shown this once: [bold]{password}[/]", soft_wrap=True)
