"""The start of the line as real processes: a region of RabbitMQ, a database, intake, validate and notify."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from procfile import Fleet, wait_until
from sqlalchemy import Engine, text
from upstreams import Message, Producer, Region, structured

from workers.store.database import make_engine

HERE = Path(__file__).parent
SOURCE = "/phones"

REGISTER = """
insert into sources (name, owner) values ('/phones', 'operations'), ('/others', 'others'), ('/nobody', 'nobody');
insert into sources (name, owner, quota_per_hour) values ('/meagre', 'operations', 3);
insert into meters (name, owner) values ('call.ended', 'operations');
insert into meter_versions (meter_id, version, fields, max_age_days) values (1, 1,
  '[{"name": "minutes", "kind": "decimal"}, {"name": "caller", "kind": "string", "is_required": false}]', 400);
"""


def event(name: str, **changes: object) -> dict[str, object]:
    """A usage event that is accepted as it is; a change to `...` leaves an attribute out."""
    attributes: dict[str, object] = {
        "specversion": "1.0",
        "id": name,
        "source": SOURCE,
        "type": "call.ended",
        "subject": "line 1",
        "time": "2026-11-05T12:00:00Z",
        "data": {"minutes": 1},
        **changes,
    }
    return {key: value for key, value in attributes.items() if value is not ...}


@dataclass(frozen=True)
class Line:
    """What tests see of it."""

    region: Region
    fleet: Fleet
    engine: Engine

    @property
    def phones(self) -> Producer:
        """The upstream that may claim `/phones` and `/meagre`."""
        return self.region.producers["phones"]

    @property
    def others(self) -> Producer:
        """The upstream that may claim `/others`."""
        return self.region.producers["others"]

    def rows(self, sql: str, **values: object) -> list[tuple[object, ...]]:
        """The rows a query finds."""
        with self.engine.connect() as conn:
            return [tuple(row) for row in conn.execute(text(sql), values)]

    def count(self, sql: str, **values: object) -> int:
        """The number a query finds."""
        ((number,),) = self.rows(sql, **values)
        assert isinstance(number, int)
        return number

    def wait_until_parsed(self, events: int) -> None:
        """Wait until that many events have been looked at."""
        wait_until(lambda: int(str(self.sums()[0])) >= events, what=f"{events} events are parsed, not {self.sums()}")

    def send(self, ids: Iterable[str]) -> None:
        """Send an event for each id, a body each."""
        self.phones.send(*(structured(event(each)) for each in ids))

    def logged(self, what: str) -> list[dict[str, object]]:
        """The lines of intake's log about one kind of event."""
        lines = self.fleet.processes["intake"].log().splitlines()
        return [each for each in (json.loads(text) for text in lines if text.startswith("{")) if each["event"] == what]

    def accepted(self) -> set[object]:
        """The ids of all accepted events."""
        return {row[0] for row in self.rows("select event_id from usage_events")}

    def sums(self) -> tuple[object, ...]:
        """Parsed, accepted, duplicate and refused events."""
        return self.rows("""select coalesce(sum(parsed), 0), coalesce(sum(accepted), 0), coalesce(sum(duplicate), 0),
                         coalesce(sum(refused), 0) from receipt_counts""")[0]


@contextmanager
def line(region: Region, database_url: str, folder: Path, **settings: str) -> Iterator[Line]:
    """Runs intake, validate and what follows against a fresh database with the register of this module."""
    engine = make_engine(database_url)
    with engine.begin() as conn:
        conn.exec_driver_sql("reset role")
        conn.exec_driver_sql(REGISTER)
        for source, user in ((1, "phones"), (4, "phones"), (2, "others")):
            name = region.producers[user].upstream.user
            conn.execute(text("insert into source_users values (:source, :user)"), {"source": source, "user": name})
    given = {f"TALLYLINE_{name.upper()}": value for name, value in settings.items()}
    fleet = Fleet({"TALLYLINE_DATABASE_URL": database_url, "TALLYLINE_AMQP_URL": region.url} | given, folder)
    try:
        fleet.start(("intake", "validate", "notify", "scheduler"))
        wait_until(lambda: region.look("intake")[1] == 1, what="intake consumes")
        yield Line(region, fleet, engine)
    finally:
        fleet.stop()
        engine.dispose()


def node_sends(producer: Producer, messages: Sequence[Message]) -> None:
    """Send the messages with Node's amqplib."""
    node = os.environ.get("TALLYLINE_NODE") or shutil.which("node") or "node"
    texts = [
        {
            "contentType": each.content_type,
            "headers": each.headers,
            "body": each.body.decode(),
            "routingKey": each.routing_key,
        }
        for each in messages
    ]
    command = [node, str(HERE / "send.js"), producer.url, producer.upstream.user]
    sent = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, timeout=60, check=False)
    assert sent.returncode == 0, sent.stderr
