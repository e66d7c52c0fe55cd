"""Amendments: what stands in for an accepted event's data when usage that lacked its quantity is decided again.

The event stays as it is and keeps its number; each amendment names the exception, the person and the reason.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

from domain.canonical import Json
from domain.registers import CODES_OF_READINGS
from domain.replays import EditInvalid
from domain.validation import MeterVersion, fields_of, objection

if TYPE_CHECKING:
    from workers.store.replays import Replay

#: The codes of usage that an edit of the event's data can give a quantity, or a reading that can be right.
AMENDABLE = frozenset({"quantity_missing", "quantity_invalid", "usage_withdrawn", *CODES_OF_READINGS})


def add(conn: Connection, replay: "Replay", *, exception_id: int) -> None:
    """Let the edited data stand in for those of the event under the exception's metric."""
    conn.execute(
        text("""insert into amendments (event_no, metric_id, exception_id, replay_id, data, person, reason)
             select x.event_no, x.metric_id, x.id, r.id, r.edited -> 'data', r.requested_by, r.reason
             from exceptions x, replays r where x.id = :exception and r.id = :replay"""),
        {"exception": exception_id, "replay": replay.id},
    )


def require_valid(conn: Connection, event_no: int, data: Mapping[str, Json]) -> None:
    """Refuse data that the event's own meter version would not take. Raises `EditInvalid`."""
    row = conn.execute(
        text("""select v.id, v.meter_id, v.version, v.dataschema, v.fields, v.max_age_days, v.starts_at, e.happened_at
             from usage_events e join meter_versions v on v.id = e.meter_version_id where e.event_no = :event_no"""),
        {"event_no": event_no},
    ).one()
    version = MeterVersion(
        id=row.id, meter_id=row.meter_id, version=row.version, dataschema=row.dataschema, fields=fields_of(row.fields),
        max_age_days=row.max_age_days, starts_at=row.starts_at,
    )  # fmt: skip
    refused = objection(version, data, happened_at=row.happened_at, now=row.happened_at)
    if refused is not None:
        raise EditInvalid(refused.sentence, field=refused.field)


def of_event(conn: Connection, event_no: int) -> Sequence[Mapping[str, Any]]:
    """The amendments of an event, oldest first."""
    found = conn.execute(
        text("""select a.id, m.name as metric, a.exception_id as exception, a.replay_id as replay, a.data, a.person,
               a.reason, a.amended_at
             from amendments a join metrics m on m.id = a.metric_id where a.event_no = :event_no order by a.id"""),
        {"event_no": event_no},
    )
    return [row._asdict() for row in found]
