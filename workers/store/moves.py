"""Moves: usage attributed under terms that have changed since, written as -1 for the old and +1 for the new.

A -1 carries the generation of the attribution that it takes back; the +1 is of the next. Nothing is edited, so a sealed
lot keeps what it held, and the difference lands in the open lot of the period.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text

from workers.store.attributions import AMENDED, EXCEPTED, MAPPING_KEY, USAGE, Gap
from workers.store.rules import sql_of_rules
from workers.store.totals import signed_hash

#: Usages moved in one transaction; the rest follows as the next revision of the same work.
MOVED_MAX = 50_000

#: An attribution `a` that is not taken back, and the event `e` of one.
LIVE = """a.sign = 1 and not exists (select from attributions n where n.event_no = a.event_no
  and n.metric_id = a.metric_id and n.subscription_id = a.subscription_id and n.generation = a.generation
  and n.sign = -1)"""
AT = "e.event_no = a.event_no and e.happened_at >= a.hour and e.happened_at < a.hour + interval '1 hour'"
_IN_FORCE = "superseded_at = '9999-12-31 00:00:00+00' and e.happened_at >= starts_at and e.happened_at < ends_at"
#: Usage whose contract version, or whose mapping, is no longer the one in force at its time.
_TOUCHED: Mapping[str, str] = {
    "contract": f"""select distinct e.event_no, e.happened_at from subscriptions s
      join attributions a on a.subscription_id = s.id and {LIVE} join usage_events e on {AT}
      where s.contract_id = cast(:key as integer) and not exists (select from contract_versions v
        where v.id = a.contract_version_id and e.happened_at < s.ends_at and {_IN_FORCE}
        and v.own_of = case when e.happened_at < s.terms_from then 0 else s.id end) order by 1 limit :limit""",
    "mapping": f"""select distinct e.event_no, e.happened_at from usage_events p
      join usage_events e on e.event_no = p.event_no and e.happened_at = p.happened_at
      join attributions a on a.event_no = e.event_no and {LIVE}
      where {MAPPING_KEY} = :key and p.source_id = cast(split_part(:key, '/', 1) as integer)
        and not exists (select from mappings g where g.id = a.mapping_id and {_IN_FORCE}) order by 1 limit :limit""",
}

#: Each event under each metric that it is attributed under, since one of them may have data of its own.
_PICKED = f"""
  select {AMENDED.format(metric="l.metric_id")}, cast(:batch as bigint) as batch_no, l.metric_id as only_metric,
    cast(null as bigint) as exception_id
  from unnest(cast(:events as bigint[]), cast(:instants as timestamptz[])) as c (event_no, happened_at)
  join usage_events e on e.event_no = c.event_no and e.happened_at = c.happened_at
  join (select distinct event_no, metric_id from attributions where event_no = any(cast(:events as bigint[]))) l
    on l.event_no = e.event_no
"""
_TERMS = "subscription_id, contract_version_id, billing_period_id, quantity, value, dimensions, grain_start"
COLUMNS = f"event_no, metric_id, source_id, hour, generation, sign, mapping_id, batch_no, {_TERMS}"


def of(alias: str, columns: str = _TERMS) -> str:
    """The columns of that alias."""
    return ", ".join(f"{alias}.{name.strip()}" for name in columns.split(","))


_MOVE = f"""
, live as materialized (
  select a.* from attributions a where a.event_no = any(cast(:events as bigint[])) and {LIVE}),
changed as materialized (
  select u.*, l.generation as old_generation from live l join usage u using (event_no, metric_id)
  where not u.is_period_missing and (u.outcome <> 'billable' or ({of("u")}) is distinct from ({of("l")}))),
written as (
  insert into attributions ({COLUMNS})
  select * from (
    select l.event_no, l.metric_id, l.source_id, l.hour, l.generation, cast(-1 as smallint) as sign, l.mapping_id,
      cast(:batch as bigint), {of("l")}
    from live l join changed c using (event_no, metric_id)
    union all
    select event_no, metric_id, source_id, hour, old_generation + 1, 1, mapping_id, batch_no, {_TERMS}
    from changed where outcome = 'billable') t
  order by event_no, metric_id, subscription_id, generation, sign),
excluded as (
  insert into exclusions (event_no, metric_id, rule_id, source_id, batch_no, hour, quantity)
  select event_no, metric_id, rule_id, source_id, batch_no, hour, coalesce(quantity, 0)
  from changed where outcome = 'excluded' order by 1, 2),
excepted as ({EXCEPTED.format(rows="changed", sentence="'the terms of the usage are no longer in force'")}),
totals as (
  insert into control_totals (hop, source_id, metric_id, hour, events, quantity, hash)
  select hop, source_id, metric_id, hour, sum(sign), sum(sign * coalesce(quantity, 0)),
    {signed_hash("sign", "event_no")}
  from (
    select h.hop, l.source_id, l.metric_id, l.hour, -1 as sign, l.quantity, l.event_no
    from live l join changed c using (event_no, metric_id) cross join (values ('attributed'), ('billable')) h (hop)
    union all
    select h.hop, source_id, metric_id, hour, 1, quantity, event_no from changed cross join lateral (values
      ('attributed'), (case when outcome in ('billable', 'excluded') then outcome else 'excepted' end)) h (hop)
  ) t group by 1, 2, 3, 4)
select (select count(*) from changed) as moved, count(*) filter (where is_period_missing) as periods_missing from usage
"""
_PERIODS = """ select cycle_id, min(happened_at) as first_at, max(happened_at) as last_at from usage
where is_period_missing group by cycle_id order by cycle_id"""


def touched(conn: Connection, kind: str, key: str) -> Sequence[tuple[int, object]]:
    """(event number, instant) of usage that a change of this contract or mapping moves, at most `MOVED_MAX`."""
    found = conn.execute(text(_TOUCHED[kind]), {"key": key, "limit": MOVED_MAX})
    return [(row.event_no, row.happened_at) for row in found]


def move(conn: Connection, events: Sequence[tuple[int, object]], *, batch_no: int) -> int | list[Gap]:
    """Attribute these events again under the terms now in force; how many usages moved, or the gaps to fill first."""
    rules, values = sql_of_rules(conn)
    values |= {"events": [number for number, _ in events], "instants": [at for _, at in events], "batch": batch_no}
    usage = USAGE.format(picked=_PICKED, rules=rules, mapping_key=MAPPING_KEY)
    attempt = conn.begin_nested()
    outcome = conn.execute(text(usage + _MOVE), values).one()
    if outcome.periods_missing:
        attempt.rollback()
        return [Gap(*row) for row in conn.execute(text(usage + _PERIODS), values)]
    attempt.commit()
    return int(outcome.moved)
