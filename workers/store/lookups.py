"""What the line decides by, read for events that are only tried: metrics, rules, subscriptions and known keys."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import Connection, text

from domain.enrichment import ExclusionRule, Match, parse_exclusion_rule
from domain.metrics import Metric, parse_metric
from workers.store.events import Candidate


def metrics_of(conn: Connection, meters: Collection[str]) -> dict[str, tuple[Metric, ...]]:
    """The metrics that read these meters, by meter."""
    found = conn.execute(
        text("""select m.name, r.name as meter, m.aggregation, m.property, m.requires, m.dimensions, m.unit,
               m.options
             from metrics m join meters r on r.id = m.meter_id
             where r.name = any(cast(:meters as text[])) order by m.name"""),
        {"meters": sorted(meters)},
    )
    metrics: dict[str, tuple[Metric, ...]] = {}
    for row in found.mappings():
        fields = {name: value for name, value in row.items() if name != "options"}
        metrics[row["meter"]] = (*metrics.get(row["meter"], ()), parse_metric({**fields, **row["options"]}))
    return metrics


def rules_of(conn: Connection, meters: Collection[str]) -> list[ExclusionRule]:
    """The exclusion rules of these meters, in the order in which they are asked."""
    found = conn.execute(
        text("""select x.name, r.name as meter, m.name as metric, x.reason, x.conditions, x.starts_at, x.ends_at
             from exclusion_rules x join meters r on r.id = x.meter_id left join metrics m on m.id = x.metric_id
             where r.name = any(cast(:meters as text[])) order by x.id"""),
        {"meters": sorted(meters)},
    )
    return [
        replace(
            parse_exclusion_rule(
                {name: row[name] for name in ("name", "meter", "metric", "reason", "conditions")},
            ),
            starts_at=row["starts_at"],
            ends_at=row["ends_at"],
        )
        for row in found.mappings()
    ]


def matches(conn: Connection, candidates: Sequence[Candidate]) -> list[Match | None]:
    """Where each event's source and subject lead to at its time, or None; one statement for all."""
    found = conn.execute(
        text("""select e.n, s.ref, c.ref as contract, v.version
             from unnest(cast(:sources as integer[]), cast(:subjects as text[]), cast(:times as timestamptz[]))
               with ordinality as e (source_id, subject, happened_at, n)
             join mappings g on g.source_id = e.source_id and g.subject = e.subject
               and g.superseded_at = '9999-12-31 00:00:00+00'
               and e.happened_at >= g.starts_at and e.happened_at < g.ends_at
             join subscriptions s on s.id = g.subscription_id
               and e.happened_at >= s.starts_at and e.happened_at < s.ends_at
             join contracts c on c.id = s.contract_id
             left join contract_versions v on v.contract_id = c.id
               and v.own_of = case when e.happened_at < s.terms_from then 0 else s.id end
               and v.superseded_at = '9999-12-31 00:00:00+00'
               and e.happened_at >= v.starts_at and e.happened_at < v.ends_at"""),
        {
            "sources": [each.source_id for each in candidates],
            "subjects": [each.subject for each in candidates],
            "times": [each.happened_at for each in candidates],
        },
    )
    led: dict[int, Match] = {row.n: Match(row.ref, row.contract, row.version) for row in found}
    return [led.get(n) for n in range(1, len(candidates) + 1)]


def known_keys(conn: Connection, candidates: Sequence[Candidate]) -> Mapping[bytes, bytes]:
    """The payload hashes of those events whose source and id were accepted before, by key."""
    found = conn.execute(
        text("select key16, payload_hash from event_keys where key16 = any(cast(:keys as uuid[]))"),
        {"keys": [UUID(bytes=each.key16) for each in candidates]},
    )
    return {row.key16.bytes: bytes(row.payload_hash) for row in found}
