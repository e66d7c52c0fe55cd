"""Puts the events of a file together in batches, without those whose envelope the line would refuse."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from domain.refused import Refused
from queues.contracts import BATCH, Delivery, Refusal, read
from workers.files.events import Event, Items
from workers.files.lines import RefusedRow

#: Bytes at which a batch is full, whatever its number of events: half of what a body may have.
BATCH_BYTES = 2 * 2**20

Tell = Callable[[RefusedRow], object]


@dataclass(frozen=True, slots=True)
class Batch:
    """A body of the content type `BATCH`, and the events in it, in order."""

    content: bytes
    items: tuple[Event, ...]

    @property
    def events(self) -> int:
        """How many there are."""
        return len(self.items)


def batches(items: Items, *, size: int, tell: Tell) -> Iterator[Batch]:
    """The events in batches of at most `size`; `tell` is told each row that is none, or that the line cannot read."""
    for chunk in _chunks(items, size=size, tell=tell):
        kept = list(_kept(chunk, tell))
        if kept:
            yield _batch(kept)


def _chunks(items: Items, *, size: int, tell: Tell) -> Iterator[list[Event]]:
    held: list[Event] = []
    held_bytes = 0
    for item in items:
        if isinstance(item, RefusedRow):
            tell(item)
            continue
        if held and (len(held) == size or held_bytes + len(item.text) > BATCH_BYTES):
            yield held
            held, held_bytes = [], 0
        held.append(item)
        held_bytes += len(item.text)
    if held:
        yield held


def _kept(events: Sequence[Event], tell: Tell) -> Iterable[Event]:
    """Those that the reader of the line takes; it is the same one, so that it cannot decide otherwise later."""
    reading = read(Delivery(_batch(events).content, {"content_type": BATCH}))
    if isinstance(reading, Refusal):
        if len(events) > 1:
            for event in events:
                yield from _kept([event], tell)
            return
        tell(RefusedRow(events[0].line, Refused(reading.code, reading.field, reading.sentence)))
        return
    for event, checked in zip(events, reading.checked, strict=True):
        if isinstance(checked, Refusal):
            tell(RefusedRow(event.line, Refused(checked.code, checked.field, checked.sentence)))
        else:
            yield event


def _batch(events: Sequence[Event]) -> Batch:
    return Batch(("[" + ",".join(event.text for event in events) + "]").encode(), tuple(events))
