"""Withdrawals: usage that was attributed is taken back and waits as an exception, whose fate a person decides."""

from collections.abc import Mapping

from sqlalchemy import Connection, text

from domain.errors import Rejection
from queues.exceptions import REOPEN
from workers.store import attributions, trace
from workers.store.events import POSITION_BITS
from workers.store.moves import AT, COLUMNS, LIVE
from workers.store.totals import HASH

#: The code of what a person withdrew.
WITHDRAWN = "usage_withdrawn"


class UsageNotAttributed(Rejection):
    """No event of that source and id counts under a metric of that name."""

    code = "usage_not_attributed"
    is_unknown = True


#: `live` are attributions with the code and the sentence of their exception.
_TAKE_OUT = f"""
with live as materialized ({{picked}} and {LIVE}),
written as (
  insert into attributions ({COLUMNS})
  select event_no, metric_id, source_id, hour, generation, -1, mapping_id, :batch, subscription_id,
    contract_version_id, billing_period_id, quantity, value, dimensions, grain_start
  from live order by event_no, metric_id, subscription_id),
excepted as (
  insert into exceptions (step, code, key16, hash, metric_id, receipt_id, position, event_no, source_id, event_id,
    subject, happened_at, billing_period_id, quantity, value, dimensions, meter_id, subscription_id, contract_id,
    account_id, legal_entity_id, sentence, correlation_id)
  select 'enrich', a.code, e.key16, cast('' as bytea), a.metric_id, e.event_no >> {POSITION_BITS},
    e.event_no & {(1 << POSITION_BITS) - 1}, e.event_no, e.source_id, e.event_id, e.subject, e.happened_at,
    a.billing_period_id, a.quantity, a.value, a.dimensions, e.meter_id, a.subscription_id, c.id, c.account_id,
    c.legal_entity_id, a.sentence, 'receipt/' || (e.event_no >> {POSITION_BITS})
  from live a join usage_events e on {AT}
  join subscriptions s on s.id = a.subscription_id join contracts c on c.id = s.contract_id order by 1, 2, 3, 4, 5
  on conflict (step, code, key16, hash, metric_id) do update set {REOPEN}, sentence = excluded.sentence,
    quantity = excluded.quantity, value = excluded.value, dimensions = excluded.dimensions,
    subscription_id = excluded.subscription_id, contract_id = excluded.contract_id,
    account_id = excluded.account_id, legal_entity_id = excluded.legal_entity_id,
    billing_period_id = excluded.billing_period_id
  returning id),
totals as (
  insert into control_totals (hop, source_id, metric_id, hour, events, quantity, hash)
  select h.hop, source_id, metric_id, hour, sum(h.sign), sum(h.sign * quantity),
    sum(h.sign * {HASH.format("event_no")}::numeric)
  from live cross join (values ('billable', -1), ('excepted', 1)) h (hop, sign) group by 1, 2, 3, 4)
select id from excepted order by id
"""
_OF_EVENT = """
  select a.*, cast(:code as text) as code, cast(:sentence as text) as sentence
  from attributions a join metrics m on m.id = a.metric_id and m.name = :metric where a.event_no = :event"""


def take_out(conn: Connection, picked: str, values: Mapping[str, object]) -> list[int]:
    """Take back what `picked` selects of attributions `a`, in the batch of `values`; the exceptions that wait for it.

    The fence is shared by the caller.
    """
    return list(conn.execute(text(_TAKE_OUT.format(picked=picked)), dict(values)).scalars())


def number_of(conn: Connection, source: str, event_id: str, metric: str) -> int:
    """The number of the event, which counts under the metric. Raises `UsageNotAttributed`."""
    event_no = trace.number_of(conn, source, event_id)
    found = (
        event_no is not None
        and conn.execute(
            text(f"select exists ({_OF_EVENT} and {LIVE})"), {**_asked(event_no, metric, ""), "code": ""}
        ).scalar_one()
    )
    if event_no is None or not found:
        raise UsageNotAttributed(
            f"no event {event_id} of {source} counts under {metric}", source=source, event=event_id
        )
    return event_no


def withdraw(conn: Connection, event_no: int, metric: str, *, sentence: str) -> tuple[int, int]:
    """Take the usage of an event under a metric back; its exception, and the batch that is to be aggregated."""
    (batch,) = attributions.new_batches(conn, "moved", [None])
    values = {**_asked(event_no, metric, sentence), "code": WITHDRAWN, "batch": batch}
    (exception,) = take_out(conn, _OF_EVENT, values)
    return exception, batch


def _asked(event_no: int, metric: str, sentence: str) -> dict[str, object]:
    return {"event": event_no, "metric": metric, "sentence": sentence}
