"""The step `validate`: from bodies as they came to usage events that count once."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from workers.admitting import admit, record, refuse
from workers.sift import sift
from workers.step import step
from workers.store import receipts
from workers.unit import Unit


@step("validate")
def validate(unit: Unit) -> None:
    """Accept what is new and well formed, count duplicates, refuse the rest with a reason each."""
    with collection_paused():
        batch = receipts.load(unit.conn, [ready.subject_id for ready in unit.ready])
        sifted = sift(unit.conn, batch)
        admit(unit.conn, sifted)
        refuse(unit, sifted)
        record(unit, sifted)


@contextmanager
def collection_paused() -> Iterator[None]:
    """Look for no garbage cycles meanwhile: events are trees, and searching them took a third of the step."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
