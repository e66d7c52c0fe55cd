"""The body of a hint: a Dramatiq message whose one argument is a list of work row ids, read without trust."""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pika
from dramatiq import DecodeError, Message

from queues import topology

#: Work rows in one hint; more are several hints.
HINT_ROWS_MAX = 200
#: PostgreSQL's bigint.
WORK_ID_MAX = 2**63 - 1
#: AMQP's short strings.
SHORT_TEXT_BYTES_MAX = 255
#: Beyond this a count of attempts is nonsense from outside.
ATTEMPTS_MAX = 2**31 - 1
#: The console shows headers of any length; people read the first lines.
HEADER_CHARACTERS_MAX = 2_000
#: What another process may put into the options of a hint. Dramatiq would obey many more (`time_limit`, `pipe_target`).
OPTIONS_HONOURED = frozenset({"attempt", "correlation_id", "suspect", "_sentry_headers"})

CLOUDEVENTS_JSON = "application/cloudevents+json"

HintMessage = Message[Any]
HeaderValue = str | int
Headers = dict[str, HeaderValue]


class HintUnreadable(ValueError):
    """A body in a work queue that is not a hint; says in one sentence what is wrong with it."""

    code = "hint_unreadable"


def worker_name() -> str:
    """How on-call finds this process: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


def hint(
    step: str, ids: Sequence[int], *, queue: str, correlation_id: str | None = None, suspect: bool = False
) -> HintMessage:
    """A hint for at most `HINT_ROWS_MAX` work rows of a step."""
    assert 0 < len(ids) <= HINT_ROWS_MAX, len(ids)
    options: dict[str, object] = {}
    if correlation_id:
        options["correlation_id"] = correlation_id
    if suspect:
        options["suspect"] = True
    return Message(queue_name=queue, actor_name=step, args=(list(ids),), kwargs={}, options=options)


def require_hint(message: HintMessage) -> None:
    """Raises `HintUnreadable` for a message its consumer would refuse: better here than on the other side."""
    for reason in _objections(message):
        raise HintUnreadable(reason)


def read_hint(body: bytes, *, queue: str) -> HintMessage:
    """The hint in `body`, as if it had been sent to the queue it arrived on.

    Raises `HintUnreadable`. Whatever reaches Dramatiq unchecked can close the consumer or kill a worker thread, so
    every field is checked here: its type, its bounds, and of the options only the known ones stay.
    """
    try:
        message: HintMessage = Message.decode(body)
    except DecodeError as error:
        missing = f"the field {error.error} is missing" if isinstance(error.error, KeyError) else error.error or error
        raise HintUnreadable(f"not a Dramatiq message: {missing}") from None
    require_hint(message)
    options = {name: value for name, value in message.options.items() if name in OPTIONS_HONOURED}
    return Message(
        queue_name=queue,
        actor_name=message.actor_name,
        args=message.args,
        kwargs={},
        options=options,
        message_id=message.message_id,
        message_timestamp=message.message_timestamp,
    )


def _objections(message: HintMessage) -> list[str]:
    """What is wrong with a decoded message, worst first."""
    options: object = message.options
    checks = (
        (_is_short_text(message.actor_name), "actor_name is no short text"),
        (_is_short_text(message.message_id), "message_id is no short text"),
        (isinstance(message.message_timestamp, int), "message_timestamp is no number"),
        (isinstance(options, dict), "options is no object"),
        (message.kwargs == {}, "a hint has no keyword arguments"),
        (
            len(message.args) == 1 and _are_ids(message.args[0]),
            f"the argument is not a list of 1 to {HINT_ROWS_MAX} ids",
        ),
    )
    found = [reason for holds, reason in checks if not holds]
    if isinstance(options, dict):
        attempt, correlation_id = options.get("attempt", 0), options.get("correlation_id", "")
        if not (type(attempt) is int and 0 <= attempt <= ATTEMPTS_MAX and _is_short_text(correlation_id)):
            found.append("attempt or correlation_id is of the wrong type")
    return found


def _is_short_text(value: object) -> bool:
    """Whether AMQP can carry `value` as a short string: valid UTF-8 of at most 255 bytes."""
    if not isinstance(value, str):
        return False
    try:
        return len(value.encode()) <= SHORT_TEXT_BYTES_MAX
    except UnicodeEncodeError:
        return False


def _are_ids(value: object) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= HINT_ROWS_MAX
        and all(type(each) is int and 0 < each <= WORK_ID_MAX for each in value)
    )


def attempt_of(message: HintMessage) -> int:
    """How often this hint came back because its step could not record an outcome."""
    attempt: int = message.options.get("attempt", 0)
    return attempt


def next_attempt(hint: HintMessage) -> tuple[HintMessage, int]:
    """The same hint for its next attempt, and the seconds it waits before: one rung more each time, then the last."""
    attempt = attempt_of(hint) + 1
    delay_s = topology.DELAYS_S[min(attempt, len(topology.DELAYS_S)) - 1]
    return hint.copy(options={"attempt": attempt}), delay_s


def properties(hint: HintMessage, story: Mapping[str, HeaderValue | None]) -> pika.BasicProperties:
    """AMQP properties that let the console say what a hint is about; `story` adds headers."""
    headers = {"actor": hint.actor_name, "attempt": attempt_of(hint), "rows": len(hint.args[0]), **story}
    return pika.BasicProperties(
        content_type="application/json",
        delivery_mode=pika.DeliveryMode.Persistent.value,
        message_id=hint.message_id,
        correlation_id=hint.options.get("correlation_id"),
        type=hint.actor_name,
        app_id=worker_name(),
        timestamp=int(time.time()),
        headers=_readable(headers),
    )


def event_properties(headers: Mapping[str, HeaderValue | None]) -> pika.BasicProperties:
    """AMQP properties of a structured CloudEvent."""
    return pika.BasicProperties(
        content_type=CLOUDEVENTS_JSON,
        delivery_mode=pika.DeliveryMode.Persistent.value,
        app_id=worker_name(),
        timestamp=int(time.time()),
        headers=_readable(headers),
    )


def buried(original: pika.BasicProperties, *, queue: str, code: str, error: str) -> pika.BasicProperties:
    """The properties of a body that was no hint, with the reason added.

    `x-death` and its like are left out: RabbitMQ drops messages that seem to travel in a circle by themselves.
    """
    kept = {name: value for name, value in (original.headers or {}).items() if not name.startswith("x-")}
    reason = {"code": code, "error": error, "queue": queue, "worker": worker_name(), "runbook": runbook(code)}
    return pika.BasicProperties(
        content_type=original.content_type,
        content_encoding=original.content_encoding,
        delivery_mode=pika.DeliveryMode.Persistent.value,
        message_id=original.message_id,
        correlation_id=original.correlation_id,
        type=original.type,
        app_id=original.app_id,
        timestamp=int(time.time()),
        headers={**kept, **_readable(reason)},
    )


def runbook(code: str) -> str:
    """Where the runbook of an error code lies in the repository."""
    return f"infra/runbooks/{code}.md"


def _readable(headers: Mapping[str, HeaderValue | None]) -> Headers:
    """Headers without empty ones, texts cut to `HEADER_CHARACTERS_MAX` and without what AMQP cannot encode."""
    return {
        name: _cut(value) if isinstance(value, str) else value for name, value in headers.items() if value is not None
    }


def _cut(text: str) -> str:
    return text[:HEADER_CHARACTERS_MAX].encode(errors="replace").decode()
