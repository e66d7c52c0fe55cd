"""The naive rival: what one writes first. Stock Dramatiq, one message per event and step, one transaction each.

It does less than the line: no receipts, no refusals, no control totals, no work ledger; and it loses money when a
worker or the broker dies at the wrong moment.
"""

import json
import os
from decimal import Decimal

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from sqlalchemy import create_engine, text

dramatiq.set_broker(RabbitmqBroker(url=os.environ["TALLYLINE_AMQP_URL"]))
engine = create_engine(
    os.environ["TALLYLINE_DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1), pool_size=16
)


@dramatiq.actor(queue_name="naive_validate")
def naive_validate(body: str) -> None:
    """Keep the event if it is new, and send it on."""
    event = json.loads(body, parse_float=Decimal)
    with engine.begin() as conn:
        conn.execute(
            text(
                """insert into naive_events values (:id, :subject, cast(:time as timestamptz), cast(:data as jsonb))
                   on conflict do nothing"""
            ),
            {
                "id": event["id"],
                "subject": event["subject"],
                "time": event["time"],
                "data": json.dumps(event["data"], default=str),
            },
        )
    naive_enrich.send(event["id"])


@dramatiq.actor(queue_name="naive_enrich")
def naive_enrich(event_id: str) -> None:
    """Find whose event it is, and send it on."""
    with engine.begin() as conn:
        conn.execute(
            text(
                """insert into naive_attributions
                   select e.id, m.subscription_id, (e.data ->> 'distance')::numeric
                   from naive_events e join mappings m on m.subject = e.subject where e.id = :id
                   on conflict do nothing"""
            ),
            {"id": event_id},
        )
    naive_aggregate.send(event_id)


@dramatiq.actor(queue_name="naive_aggregate")
def naive_aggregate(event_id: str) -> None:
    """Add it to its window."""
    with engine.begin() as conn:
        conn.execute(
            text(
                """insert into naive_windows
                   select subscription_id, quantity, 1 from naive_attributions where event_id = :id
                   on conflict (subscription_id) do update
                   set quantity = naive_windows.quantity + excluded.quantity, events = naive_windows.events + 1"""
            ),
            {"id": event_id},
        )
