"""Sends hints: messages that tell a step which of its work rows are ready. They may be lost; the rows may not."""

from collections.abc import Callable, Iterator, Sequence

from dramatiq.errors import BrokerError

from queues import envelope, topology
from queues.broker import broker
from queues.envelope import HintMessage
from queues.telemetry import correlation_id as current_correlation_id


class HintNotSent(Exception):
    """The broker has not confirmed a hint; its rows are ready all the same, and the sweeper will hint them."""


def send(
    step: str, ids: Sequence[int], *, queue: str | None = None, correlation_id: str | None = None, delay_s: float = 0
) -> None:
    """Tell `step` that its work rows `ids` are ready, in messages of at most 200 rows, in order.

    `queue` is the step's live queue unless named; `correlation_id` that of the current hint. A delay is rounded up to a
    rung of the ladder. Raises `HintNotSent` (some may have been sent), `QueueUnknown`, and `DelayTooLong` for a wait
    beyond the last rung, which is the sweeper's.
    """
    for chunk in _chunks(ids):
        hint = envelope.hint(
            step,
            chunk,
            queue=queue or topology.queue_name(step),
            correlation_id=correlation_id or current_correlation_id.get(),
        )
        _send(hint, delay_s=delay_s)


def send_suspects(step: str, ids: Sequence[int], *, queue: str) -> None:
    """Tell `step` of rows that may have killed a worker: each runs alone and its start is counted.

    For the first sweep after a crash of the embedded run, whose queues know of no redelivery. Raises as `send`.
    """
    for chunk in _chunks(ids):
        _send(envelope.hint(step, chunk, queue=queue, suspect=True), delay_s=0)


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), envelope.HINT_ROWS_MAX):
        yield ids[start : start + envelope.HINT_ROWS_MAX]


def _by_broker(hint: HintMessage, delay_s: float) -> None:
    broker().send(hint, delay_s=delay_s)


#: How a hint leaves this process. Tests of what happens without hints put something lossy in its place.
deliver: Callable[[HintMessage, float], None] = _by_broker


def _send(hint: HintMessage, *, delay_s: float) -> None:
    try:
        deliver(hint, delay_s)
    except BrokerError as error:
        raise HintNotSent(f"{hint.queue_name}: {error}") from error
