"""Puts bodies of usage events where intake would find or put them: on RabbitMQ, or into receipts without one."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Protocol
from urllib.parse import unquote, urlsplit

import pika
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker, NackError, UnroutableError

from queues.contracts import BATCH, Delivery
from queues.settings import settings
from queues.topology import INTAKE_QUEUE, USAGE_EXCHANGE
from workers.cli import console
from workers.cli.console import AWAY, FOUND, Failure

#: Who sends in the embedded run, where no broker verifies it.
LOCAL_USER = "demo"
EVENTS_PER_BODY = 500
#: Events of one receipt in the embedded run: some 4 bodies, as intake would put together.
EVENTS_PER_RECEIPT = 2_000
#: An upstream may choose any key: everything on the exchange reaches intake.
ROUTING_KEY = "tallyline.send"


class Sendable(Protocol):
    """A CloudEvents batch, and how many events are in it."""

    @property
    def content(self) -> bytes:
        """The body."""

    @property
    def events(self) -> int:
        """How many events."""


Advance = Callable[[int], object]


def by_rabbitmq(parts: Iterable[Sendable], advance: Advance) -> int:
    """Publish the bodies, each confirmed by RabbitMQ before the next; returns how many.

    `advance` is told the events of each. Raises `Failure` for the first body that is not taken; what went before is
    safe, and sending all of it again bills nothing twice.
    """
    sent = 0
    rest = iter(parts)
    first = next(rest, None)  # before the connection: to sort a file may take longer than a silent one is kept
    if first is None:
        return sent
    with _channel() as (channel, user):
        properties = pika.BasicProperties(content_type=BATCH, delivery_mode=2, user_id=user)
        for body in chain((first,), rest):
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


def by_receipts(parts: Iterable[Sendable], advance: Advance, *, user: str) -> int:
    """Store the bodies as intake does, a few in one receipt, with the work to validate them; returns how many."""
    from workers.step import publish
    from workers.store import receipts
    from workers.store.database import engine

    held: list[Sendable] = []
    stored = 0

    def flush() -> None:
        deliveries = [Delivery(body.content, {"content_type": BATCH, "user_id": user}) for body in held]
        with engine().begin() as conn:
            hints = receipts.store(conn, INTAKE_QUEUE, deliveries)
        publish(hints)
        advance(sum(body.events for body in held))
        held.clear()

    for body in parts:
        held.append(body)
        stored += 1
        if sum(each.events for each in held) >= EVENTS_PER_RECEIPT:
            flush()
    if held:
        flush()
    return stored


def receipts_so_far() -> int:
    """The number of the last receipt."""
    from sqlalchemy import text

    from workers.store.database import engine

    with engine().connect() as conn:
        return int(conn.execute(text("select coalesce(max(id), 0) from receipts")).scalar_one())


def found_in(after: int) -> dict[str, int]:
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
