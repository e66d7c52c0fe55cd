"""The bench of the step tests: a bound database, a small register, and events that are accepted as they are."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Engine

from queues.contracts import BATCH, Delivery

USER = "upstream"
SOURCE = "/ops/jfk"
METER = "airport.departure"
HAPPENED_AT = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)


@dataclass
class Bound:
    """This process, bound to one migrated database: with the application's rights, and with the owner's."""

    url: str
    owner: Engine
    hints: list[tuple[str, tuple[int, ...], float]] = field(default_factory=list)

    def rows(self, sql: str, **values: object) -> list[Any]:
        """The rows of a query, with the owner's rights."""
        with self.owner.begin() as conn:
            return list(conn.execute(text(sql), values).all())

    def one(self, sql: str, **values: object) -> Any:
        """The one value of a query."""
        ((value,),) = self.rows(sql, **values)
        return value

    def run(self, sql: str, **values: object) -> None:
        """A statement with the owner's rights."""
        with self.owner.begin() as conn:
            conn.execute(text(sql), values)


REGISTER = """
insert into erp_connections (id, adapter) values ('books', 'ledger_file') on conflict do nothing;
insert into legal_entities values ('pony', 'Port of New York', 'USD', 'America/New_York', 'US-NY',
  'books') on conflict do nothing;
insert into billing_cycles (legal_entity_id, name, zone) values ('pony', 'monthly',
  'America/New_York') on conflict do nothing;
insert into accounts values ('ua', 'United') on conflict do nothing;
insert into contracts (ref, account_id, legal_entity_id, currency) values ('c-ua', 'ua', 'pony',
  'USD') on conflict do nothing;
insert into contract_versions (contract_id, version, starts_at, recorded_by)
  select id, 1, '2020-01-01', 'test' from contracts on conflict do nothing;
insert into subscriptions (ref, contract_id, cycle_id)
  select 's-ua', c.id, y.id from contracts c, billing_cycles y on conflict do nothing;
insert into sources (name, owner) values ('/ops/jfk', 'test') on conflict do nothing;
insert into source_users select id, 'upstream' from sources on conflict do nothing;
insert into meters (name, owner) values ('airport.departure', 'test') on conflict do nothing;
insert into meter_versions (meter_id, version, fields, max_age_days) select id, 1,
  '[{"name": "distance", "kind": "decimal"}, {"name": "tail", "kind": "string", "is_nullable": true},
    {"name": "is_cancelled", "kind": "boolean", "is_required": false}]', 3650 from meters on conflict do nothing;
insert into metrics (name, meter_id, aggregation, property, unit)
  select n, m.id, a, p, u from meters m, (values ('departures', 'count', null, 'departure'),
    ('distance', 'sum', 'distance', 'mile'), ('aircraft', 'unique_count', 'tail', 'aircraft')) v (n, a, p, u)
  on conflict do nothing;
insert into mappings (source_id, subject, subscription_id, recorded_by)
  select s.id, 'UA', u.id, 'test' from sources s, subscriptions u on conflict do nothing;
"""


def event(event_id: str, **changes: Any) -> dict[str, Any]:
    """A usage event that is accepted as it is; `changes` replace attributes, `data` members if they are given."""
    data = {"distance": 1400, "tail": "N14228", **changes.pop("data", {})}
    time = HAPPENED_AT.isoformat().replace("+00:00", "Z")
    return {
        "specversion": "1.0", "id": event_id, "source": SOURCE, "type": METER, "subject": "UA", "time": time,
          "data": data,
    } | changes  # fmt: skip


def batch(*events: object, user: str = USER) -> Delivery:
    """The events as one batch body, sent by `user`."""
    return Delivery(json.dumps(events).encode(), {"content_type": BATCH, "user_id": user})
