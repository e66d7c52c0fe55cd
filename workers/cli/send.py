"""`tallyline send`: usage events of a file onto RabbitMQ, or straight into receipts when no server is there."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Annotated
from urllib.parse import unquote, urlsplit

import pika
import typer
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker, NackError, UnroutableError

from queues.contracts import BATCH, Delivery
from queues.settings import settings
from queues.topology import INTAKE_QUEUE, USAGE_EXCHANGE
from workers.cli import console, reach
from workers.cli.bodies import Body, bodies, counted, texts
from workers.cli.console import AWAY, FOUND, AsJson, Failure, count
from workers.cli.working import work_here

#: Who sends in the embedded run, where no broker verifies it.
LOCAL_USER = "demo"
EVENTS_PER_BODY = 500
#: Events of one receipt in the embedded run: some 4 bodies, as intake would put together.
EVENTS_PER_RECEIPT = 2_000
#: An upstream may choose any key: everything on the exchange reaches intake.
ROUTING_KEY = "tallyline.send"


@console.command
def send(
    file: Annotated[
        Path, typer.Argument(help="JSON Lines, a CloudEvents batch (.json), or a table of flights (.csv.gz).")
    ],
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Events in one message.")] = EVENTS_PER_BODY,
    user: Annotated[str, typer.Option(help="Who sends, where no broker says so (embedded run).")] = LOCAL_USER,
    as_json: AsJson = False,
) -> None:
    """Send usage events as an upstream system would, and wait until each is safe.

    In a fleet (TALLYLINE_MODE=fleet) each message goes to the exchange `usage` and RabbitMQ confirms it. Without one
    the events are stored as receipts and worked on here. Sending a file twice bills nothing twice: the second time
    every event is counted as a duplicate. Example: tallyline send infra/demo/flights-2013-01.csv.gz
    """
    total = counted(file)
    if reach.is_fleet():
        sent = _by_rabbitmq(bodies(texts(file), size=batch), total, is_shown=not as_json)
        _report({"events": total, "messages": sent, "confirmed_by": "RabbitMQ"}, as_json=as_json)
        return
    with reach.database():
        before = receipts_so_far()
        by_receipts(bodies(texts(file), size=batch), total, user=user, is_shown=not as_json)
        work_here([])
        _report({"events": total, **found_in(before)}, as_json=as_json)


def _report(facts: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        console.print_json(facts)
    else:
        counts = [f"[bold]{count(n)}[/] {name}" for name, n in facts.items() if isinstance(n, int)]
        console.out().print(", ".join(counts))
        if "confirmed_by" in facts:
            console.out().print(f"{facts['confirmed_by']} has them safe; [bold]tallyline status[/] follows them on")
        if facts.get("refused"):
            console.out().print("see why with [bold]tallyline exceptions[/]")


def _by_rabbitmq(parts: Iterable[Body], total: int, *, is_shown: bool) -> int:
    """Publish the bodies, each confirmed by RabbitMQ before the next; returns how many."""
    sent = 0
    started = monotonic()
    with _channel() as (channel, user), console.progress("sending", total=total, is_shown=is_shown) as advance:
        properties = pika.BasicProperties(content_type=BATCH, delivery_mode=2, user_id=user)
        for body in parts:
            try:
                channel.basic_publish(USAGE_EXCHANGE, ROUTING_KEY, body.content, properties, mandatory=True)
            except (UnroutableError, NackError):
                fix = "let `tallyline doctor` look at the exchange `usage` and the queue `intake`"
                raise Failure(f"RabbitMQ took {sent} messages and not the next", fix=fix, code=FOUND) from None
            except ChannelClosedByBroker as error:
                fix = "the user needs the right to write to `usage` (`tallyline sources add`)"
                raise Failure(f"RabbitMQ refused: {error.reply_text}", fix=fix, code=FOUND) from None
            sent += 1
            advance(body.events)
    if is_shown:
        console.err().print(f"{total / max(monotonic() - started, 0.001):,.0f} events/s")
    return sent


@contextmanager
def _channel() -> Iterator[tuple[pika.adapters.blocking_connection.BlockingChannel, str]]:
    """A channel on which RabbitMQ confirms, and the user it knows us as."""
    url = settings().amqp_url
    if url is None:
        raise Failure(
            "no RabbitMQ is named", fix="set TALLYLINE_AMQP_URL=amqp://user:password@host:port/vhost", code=AWAY
        )
    try:
        connection = pika.BlockingConnection(pika.URLParameters(url.get_secret_value()))
    except (AMQPConnectionError, OSError, ValueError) as error:  # a host that has no address is an OSError
        reason = console.first_line(error.args[0] if error.args else type(error).__name__)
        fix = "check TALLYLINE_AMQP_URL with `tallyline doctor`"
        raise Failure(f"RabbitMQ does not answer: {reason}", fix=fix, code=AWAY) from None
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel, unquote(urlsplit(url.get_secret_value()).username or "guest")
    finally:
        if connection.is_open:
            connection.close()


def by_receipts(parts: Iterable[Body], total: int, *, user: str, is_shown: bool) -> None:
    """Store the bodies as intake does, a few in one receipt, with the work to validate them."""
    from workers.step import publish
    from workers.store import receipts
    from workers.store.database import engine

    held: list[Body] = []
    with console.progress("storing", total=total, is_shown=is_shown) as advance:

        def flush() -> None:
            deliveries = [Delivery(body.content, {"content_type": BATCH, "user_id": user}) for body in held]
            with engine().begin() as conn:
                hints = receipts.store(conn, INTAKE_QUEUE, deliveries)
            publish(hints)
            advance(sum(body.events for body in held))
            held.clear()

        for body in parts:
            held.append(body)
            if sum(each.events for each in held) >= EVENTS_PER_RECEIPT:
                flush()
        if held:
            flush()


def receipts_so_far() -> int:
    """The number of the last receipt."""
    from sqlalchemy import text

    from workers.store.database import engine

    with engine().connect() as conn:
        return int(conn.execute(text("select coalesce(max(id), 0) from receipts")).scalar_one())


def found_in(after: int) -> dict[str, object]:
    """What validate found in the receipts after that one."""
    from sqlalchemy import text

    from workers.store.database import engine

    with engine().connect() as conn:
        row = conn.execute(
            text("""select coalesce(sum(accepted), 0) as accepted, coalesce(sum(duplicate), 0) as duplicate,
                 coalesce(sum(refused), 0) as refused, coalesce(sum(unreadable), 0) as unreadable
                 from receipt_counts where receipt_id > :after"""),
            {"after": after},
        ).one()
    return {name: int(value) for name, value in row._asdict().items()}
