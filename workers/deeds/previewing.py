"""What granting a request would do now, for whoever decides it: found out by doing it and undoing it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from domain.approvals import RequestUnknown
from workers.deeds.deed import Order, Plan
from workers.deeds.registry import deed_named
from workers.store import acting as names
from workers.store import approvals, audit, master, master_lacks, master_stretches, master_touches
from workers.store.acting import Named
from workers.store.approvals import Asked
from workers.store.audit import Recorded
from workers.store.database import engine
from workers.store.master_file import Document
from workers.store.master_lacks import Lack
from workers.store.master_models import MasterData
from workers.store.master_rows import Tally
from workers.store.master_stretches import Shown
from workers.store.master_touches import Touch

#: Changes that are listed one by one.
CHANGES_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Preview:
    """The request, what it would come to now, and the rows of master data that it would change."""

    asked: Asked
    plan: Plan
    changes: Sequence[Recorded]


def preview(request_id: int) -> Preview:
    """Plan the deed of the request as of now. Raises `RequestUnknown` if there is none, and what the deed raises."""
    with engine().connect() as conn:
        asked = approvals.one(conn, request_id)
        if asked is None:
            raise RequestUnknown(f"there is no request {request_id}", request=request_id)
        names.name(conn, Named(asked.requested_by, asked.reason, asked.id))
        audit.hold(conn)
        last = audit.head(conn)
        order = Order(asked.requested_by, asked.reason, asked.payload, asked.attachment, approval_id=asked.id)
        plan = deed_named(asked.deed).plan(conn, order)
        changes = audit.since(conn, 0 if last is None else last.no, rows=CHANGES_MAX)
        conn.rollback()
    return Preview(asked, plan, changes)


@dataclass(frozen=True, slots=True)
class Looked:
    """What publishing a file would do: rows, whose usage it touches, how phases would price, what prices would lack."""

    tally: Tally
    touches: Sequence[Touch]
    stretches: Sequence[Shown]
    lacks: Sequence[Lack]


def preview_file(file: Path, *, person: str) -> Looked:
    """What publishing a file of master data would do now, and whose usage it would touch. Raises `MasterInvalid`."""
    document, data = master.read(file)
    with engine().connect() as conn:
        used = master_touches.touched(conn, data)
        names.name(conn, Named(person, f"preview of {file.name}"))
        tally, _ = master.publish(conn, document, data, person=person)
        touches = master_touches.priced(conn, used)
        stretches = master_stretches.shown(conn, list(data.subscriptions))
        lacks = master_lacks.lacking(conn, data)
        conn.rollback()
    return Looked(tally, touches, stretches, lacks)


def check_file(document: Document, data: MasterData) -> list[Lack]:
    """The prices that would be missing, should the file be loaded now. Raises `MasterInvalid` where it could not be."""
    with engine().connect() as conn:
        names.name(conn, Named("tallyline", f"checks {document.file.name}"))
        master.publish(conn, document, data, person="tallyline", is_look=True)
        lacks = master_lacks.lacking(conn, data)
        conn.rollback()
    return lacks
