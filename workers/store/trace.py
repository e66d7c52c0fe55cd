"""Walks an event to its documents, and a line of a document back to its events; reads only."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from domain.enrichment import FILTERED, FILTERED_BECAUSE
from domain.events import key16
from workers.store import documents, measures
from workers.store.events import place_of
from workers.store.measures import Asked

#: Events of a line that are shown unless more are asked for.
EVENTS_SHOWN = 5
Row = Mapping[str, Any]


def number_of(conn: Connection, source: str, event_id: str) -> int | None:
    """The number of the accepted event with that source and id, or None."""
    found = conn.execute(
        text("select event_no from event_keys where key16 = :key"), {"key": UUID(bytes=key16(source, event_id))}
    )
    return found.scalar_one_or_none()


def _rows(conn: Connection, statement: str, **values: object) -> list[Row]:
    return [row._asdict() for row in conn.execute(text(statement), values)]


def _row(conn: Connection, statement: str, **values: object) -> Row | None:
    found = _rows(conn, statement, **values)
    return found[0] if found else None


def event(conn: Connection, event_no: int) -> Row | None:
    """The accepted event of that number, or None."""
    return _row(
        conn,
        """select e.event_no, s.name as source, e.event_id, m.name as meter, v.version as meter_version, e.subject,
             e.happened_at, e.data
           from usage_events e join sources s on s.id = e.source_id join meters m on m.id = e.meter_id
           join meter_versions v on v.id = e.meter_version_id where e.event_no = :event_no""",
        event_no=event_no,
    )


def receipt(conn: Connection, event_no: int) -> Row | None:
    """The receipt an event came in: when, on which queue, from which broker user, with how many others."""
    receipt_id, position = place_of(event_no)
    return _row(
        conn,
        """select r.id, r.received_at, r.queue, cast(:position as integer) as position, r.bytes,
             coalesce(cardinality(r.body_hashes), cardinality(r.bodies)) as bodies, r.erased_at,
             (select array_agg(encode(h, 'hex') order by n) from unnest(r.body_hashes) with ordinality as u (h, n))
               as sha256,
             c.parsed as events, c.accepted, c.validated_at,
             r.properties -> 0 ->> 'user_id' as "user"
           from receipts r left join receipt_counts c on c.receipt_id = r.id where r.id = :receipt_id""",
        receipt_id=receipt_id,
        position=position,
    )


#: An attribution's lot is the first one that was sealed at or after its batch's aggregated number.
_ATTRIBUTIONS = """
select m.name as metric, m.aggregation, a.quantity, a.value, a.sign, a.generation, a.dimensions, u.ref as subscription,
  c.ref as contract, v.version as contract_version, h.phase, c.account_id as account, c.legal_entity_id as legal_entity,
  p.starts_on, p.ends_on, a.batch_no, b.aggregated_no, b.aggregated_at, a.mapping_id,
  a.subscription_id, a.metric_id, a.contract_version_id, a.billing_period_id,
  (select min(l.lot) from lots l
   where l.billing_period_id = a.billing_period_id and l.sealed_no >= b.aggregated_no) as lot
from attributions a join metrics m on m.id = a.metric_id join subscriptions u on u.id = a.subscription_id
join contract_versions v on v.id = a.contract_version_id join contracts c on c.id = v.contract_id
left join subscription_phases h on h.id = v.phase_id
join billing_periods p on p.id = a.billing_period_id join batches b on b.id = a.batch_no
where a.event_no = :event_no order by m.name, a.generation, a.sign
"""
_WINDOW = """
select sum(quantity) as quantity, sum(events) as events, max(revision) as revision from aggregates
where subscription_id = :subscription_id and billing_period_id = :billing_period_id and metric_id = :metric_id
  and contract_version_id = :contract_version_id and dimensions = :dimensions
"""
_LINE = """
select r.id as rated_usage_id, r.lot, r.quantity, r.amount, r.currency, r.trace, l.id as line, l.position,
  l.description, l.net, l.tax_category, l.tax_rate, i.id as invoice_id, i.number_text as number, i.kind, i.state,
  i.account_id as billed_to, i.invoice_on, i.gross, q.state as erp_state, q.connection_id, q.external_key,
  q.erp_number, q.confirmed_at, (select -sum(e.amount) from credit_entries e where e.invoice_id = i.id) as credits
from rated_usages r left join invoice_lines l on l.rated_usage_id = r.id left join invoices i on i.id = l.invoice_id
left join erp_postings q on q.invoice_id = i.id and q.state <> 'superseded'
where r.subscription_id = :subscription_id and r.billing_period_id = :billing_period_id and r.metric_id = :metric_id
  and r.contract_version_id = :contract_version_id and r.dimensions = :dimensions
  and r.lot >= coalesce(cast(:lot as integer), r.lot + 1)
order by (i.state is not distinct from 'void'), r.lot, r.revision desc limit 1
"""


def usages(conn: Connection, event_no: int) -> Sequence[Row]:
    """Each usage of an event with its window, rated usage, line, document and ERP posting, as far as it has come."""
    found = []
    for each in _rows(conn, _ATTRIBUTIONS, event_no=event_no):
        key = {name: each[name] for name in _KEY}
        window = _row(conn, _WINDOW, **key)
        found.append({**each, "window": window, "line": _row(conn, _LINE, lot=each["lot"], **key)})
    return found


_KEY = ("subscription_id", "billing_period_id", "metric_id", "contract_version_id", "dimensions")


def exclusions(conn: Connection, event_no: int) -> Sequence[Row]:
    """The usages of an event that a rule excludes, with the rule's name and reason."""
    return _rows(
        conn,
        """select m.name as metric, x.quantity, coalesce(r.name, :filtered) as rule,
             coalesce(r.reason, :because) as reason
           from exclusions x
           left join metrics m on m.id = x.metric_id left join exclusion_rules r on r.id = x.rule_id
           where x.event_no = :event_no order by m.name""",
        event_no=event_no,
        filtered=FILTERED,
        because=FILTERED_BECAUSE,
    )


def exceptions(conn: Connection, event_no: int) -> Sequence[Row]:
    """The exceptions of an accepted event, in any state."""
    return _rows(
        conn,
        """select x.id, x.step, x.code, m.name as metric, x.state, x.sentence, x.reason, x.closed_by from exceptions x
           left join metrics m on m.id = x.metric_id where x.event_no = :event_no order by x.id""",
        event_no=event_no,
    )


def refusals(conn: Connection, source: str, event_id: str) -> Sequence[Row]:
    """The refusals of events with that source and id, in any state."""
    return _rows(
        conn,
        """select id, step, code, state, sentence, receipt_id, position, opened_at, seen from exceptions
           where key16 = :key and step = 'validate' order by id""",
        key=UUID(bytes=key16(source, event_id)),
    )


_LINES = """
select l.id as line, l.position, l.description, l.quantity, l.unit, l.net, i.currency, i.id as invoice_id,
  i.number_text as number, i.kind, i.account_id as account, i.legal_entity_id as legal_entity, i.state,
  r.id as rated_usage_id, r.lot, r.quantity as rated_quantity, r.amount, r.trace, r.subscription_id,
  r.billing_period_id, r.metric_id, r.contract_version_id, r.dimensions, m.name as metric, m.aggregation,
  m.is_plain,
  q.state as erp_state, q.connection_id, q.external_key, q.erp_number,
  (select -sum(e.amount) from credit_entries e where e.invoice_id = i.id) as credits
from invoice_lines l join invoices i on i.id = l.invoice_id join rated_usages r on r.id = l.rated_usage_id
join metrics m on m.id = l.metric_id
left join erp_postings q on q.invoice_id = i.id and q.state <> 'superseded'
where {which} order by l.invoice_id, l.position
"""
_SOURCES_OF = """
from attributions a join batches b on b.id = a.batch_no
where a.subscription_id = :subscription_id and a.billing_period_id = :billing_period_id and a.metric_id = :metric_id
  and a.contract_version_id = :contract_version_id and a.dimensions = :dimensions
  and b.aggregated_no <= (select sealed_no from lots l where l.billing_period_id = :billing_period_id and l.lot = :lot)
"""


def lines_of_invoice(conn: Connection, number: str) -> Sequence[Row]:
    """The lines of the document with that number, or with that id."""
    which = "l.invoice_id = any(cast(:ids as bigint[]))"
    return _rows(conn, _LINES.format(which=which), ids=documents.called(conn, number, only_drafts=False))


def beside_lines_of_invoice(conn: Connection, number: str) -> Sequence[Row]:
    """What the document with that number, or with that id, gives or asks beside its lines, step by step."""
    return _rows(
        conn,
        """select b.position, b.kind as giver, b.description, b.net, b.tax_category, b.tax_rate, b.revenue_account,
             b.trace, i.id as invoice_id, i.number_text as number, i.kind, i.account_id as account, i.currency
           from invoice_adjustments b join invoices i on i.id = b.invoice_id
           where b.invoice_id = any(cast(:ids as bigint[])) order by b.invoice_id, b.position""",
        ids=documents.called(conn, number, only_drafts=False),
    )


def line(conn: Connection, line_id: int) -> Row | None:
    """The invoice line of that number, or None."""
    return _row(conn, _LINES.format(which="l.id = :line_id"), line_id=line_id)


def _recounted(conn: Connection, of_line: Row, totals: Row) -> Decimal:
    """The quantity of a line from its attributions alone, by the same rule that `rate` measures windows by."""
    if of_line["is_plain"]:
        return Decimal(totals["different"] if of_line["aggregation"] == "unique_count" else totals["quantity"])
    asked = Asked(*(of_line[name] for name in Asked.__match_args__))
    return measures.recounted(conn, asked).quantity


def behind(conn: Connection, of_line: Row, *, events: int) -> Row:
    """What a line rests on: how many usages and of which quantity, by a recount of the attributions up to its lot.

    `events` of them are named, oldest first. `is_proven` says whether the recount is what was rated.
    """
    key = {name: of_line[name] for name in (*_KEY, "lot")}
    totals = _row(
        conn,
        f"""select coalesce(sum(a.sign), 0) as usages, coalesce(sum(a.sign * a.quantity), 0) as quantity,
              (select count(*) from (select a.value {_SOURCES_OF} and a.value is not null
                group by a.value having sum(a.sign) > 0) d) as different {_SOURCES_OF}""",
        **key,
    )
    assert totals is not None
    quantity = _recounted(conn, of_line, totals)
    first = _rows(
        conn,
        f"""select a.event_no, e.event_id, s.name as source, e.happened_at, a.quantity, a.value, a.sign
            from (select a.* {_SOURCES_OF} order by a.event_no limit :events) a
            join usage_events e on e.event_no = a.event_no join sources s on s.id = e.source_id order by a.event_no""",
        events=events,
        **key,
    )
    is_proven = quantity == of_line["rated_quantity"]
    return {"usages": totals["usages"], "quantity": quantity, "is_proven": is_proven, "first_events": first}
