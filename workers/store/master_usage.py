"""What enrich decides by: metrics, exclusion rules, subscriptions and mappings. The caller holds the fence."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from domain.definitions import DefinitionInvalid
from domain.enrichment import ExclusionRuleInvalid, parse_exclusion_rule
from domain.metrics import Metric, metric_json, parse_metric
from domain.metrics.parsing import options_json
from domain.periods import EVER
from domain.validation import MeterInvalid, check_metric
from workers.store import lookups, master_owners, parked, register
from workers.store import master_kinds as kinds
from workers.store.master_accounts import products_of_metrics
from workers.store.master_file import Place
from workers.store.master_models import Mapping as MappingEntry
from workers.store.master_parties import OPEN_END, instant_of, instant_text
from workers.store.master_rows import Loading, Row, ids, put
from workers.store.master_subscribed import put_subscribed
from workers.store.master_terms import ends_of
from workers.store.master_timelines import (
    Kept,
    Wanted,
    carry_out,
    in_turn,
    plan,
)


def put_metrics(loading: Loading) -> None:
    """Put metrics, read by `domain`, and the exclusion rules. Raises `MasterInvalid`."""
    metrics = put_subscribed(loading)
    named = [(("metrics", name, "meter"), each.meter or "") for name, each in metrics.items()]
    meters = ids(loading, kinds.METERS, named, name="name", what="meter")
    kept_owners = master_owners.by_name(loading, "metrics", metrics)
    owners = master_owners.by_name(loading, "meters", meters)
    products = products_of_metrics(loading)
    rows: dict[Place, Row] = {}
    for name, each in metrics.items():
        try:
            metric = parse_metric(each.definition(name))
            _check_fed(loading, metric, ("metrics", name))
        except DefinitionInvalid as error:
            loading.refuse_definition(("metrics", name), error)
            continue
        owner = each.owner or kept_owners.get(name, owners[each.meter or ""])
        rows["metrics", name] = {
            **metric_json(metric), "options": options_json(metric), "meter_id": meters[metric.meter], "owner": owner,
            "product_id": products.get(name),
        }  # fmt: skip
    # A new version of a meter must feed the metrics that are there already.
    for meter, read in lookups.metrics_of(loading.conn, loading.master.meters).items():
        for kept in read:
            if kept.name not in metrics:
                _check_fed(loading, kept, ("meters", meter))
    loading.check()
    put(loading, kinds.METRICS, {place: {c: row[c] for c in kinds.METRICS.columns} for place, row in rows.items()})
    _put_exclusion_rules(loading)


def _check_fed(loading: Loading, metric: Metric, place: Place) -> None:
    """Refuse, at a place of the file, that a version of its meter cannot feed a metric."""
    for version in register.load(loading.conn, sources=(), meters={metric.meter}).meters.get(metric.meter, ()):
        try:
            check_metric(metric, version)
        except MeterInvalid as error:
            sentence = error.sentence.removeprefix("fields: ")
            loading.refuse(place, f"version {version.version} of its meter's fields {sentence}", fix=error.fix)


def _put_exclusion_rules(loading: Loading) -> None:
    rules = loading.master.exclusion_rules
    meters = ids(
        loading, kinds.METERS, [(("exclusion_rules", name, "meter"), each.meter) for name, each in rules.items()],
        name="name", what="meter",
    )  # fmt: skip
    metrics = ids(
        loading, kinds.METRICS,
        [(("exclusion_rules", name, "metric"), each.metric) for name, each in rules.items() if each.metric],
        name="name", what="metric",
    )  # fmt: skip
    for name, each in rules.items():
        try:
            parse_exclusion_rule({"name": name, **each.model_dump(exclude={"starts", "ends"})})
        except ExclusionRuleInvalid as error:
            loading.refuse_definition(("exclusion_rules", name), error)
    loading.check()
    put(loading, kinds.EXCLUSION_RULES, {
        ("exclusion_rules", name): {
            "name": name, "meter_id": meters[each.meter], "metric_id": metrics[each.metric] if each.metric else None,
            "conditions": each.conditions,
            "reason": each.reason,
            "starts_at": instant_text(each.starts, "UTC", missing=EVER),
            "ends_at": instant_text(each.ends, "UTC", missing=OPEN_END),
        } for name, each in rules.items()
    })  # fmt: skip


def put_subscriptions(loading: Loading) -> None:
    """Put subscriptions; one may end earlier as long as no later usage is attributed to it. Raises `MasterInvalid`."""
    subscriptions = loading.master.subscriptions
    named = [(("subscriptions", ref, "contract"), each.contract or "") for ref, each in subscriptions.items()]
    contracts = ids(loading, kinds.CONTRACTS, named, name="ref", what="contract")
    cycles = _cycles(loading)
    zones: dict[int, str] = {row.id: row.zone for row in loading.conn.execute(
        text("""select c.id, e.zone from contracts c join legal_entities e on e.id = c.legal_entity_id
             where c.id = any(cast(:ids as integer[]))"""), {"ids": sorted(contracts.values())},
    )}  # fmt: skip
    contract_ends = ends_of(loading, sorted(contracts.values()))
    rows: dict[Place, Row] = {}
    for ref, each in subscriptions.items():
        contract_id = contracts[each.contract or ""]
        zone = zones[contract_id]
        starts_at = instant_of(each.starts, zone, missing=EVER)
        own_ends_at, ends_at = instant_of(each.ends, zone, missing=OPEN_END), contract_ends[contract_id]
        if starts_at >= ends_at:
            sentence = f"begins when its contract is over, at {ends_at.isoformat()}"
            loading.refuse(("subscriptions", ref, "from"), sentence, fix="agree on another term of the contract first")
        rows["subscriptions", ref] = {
            "ref": ref, "contract_id": contract_id, "cycle_id": cycles[each.cycle or ""],
            "starts_at": starts_at.isoformat(), "ends_at": min(own_ends_at, ends_at).isoformat(),
            "own_ends_at": own_ends_at.isoformat() if own_ends_at > ends_at else None,
            "activated_on": each.activated and each.activated.isoformat(),
        }  # fmt: skip
    loading.check()
    _refuse_lost_usage(loading, rows)
    put(loading, kinds.SUBSCRIPTIONS, rows)


def _cycles(loading: Loading) -> Mapping[str, int]:
    named = {("subscriptions", ref, "cycle"): each.cycle or "" for ref, each in loading.master.subscriptions.items()}
    found = loading.conn.execute(
        text("""select id, legal_entity_id || '/' || name as name from billing_cycles
             where legal_entity_id || '/' || name = any(cast(:names as text[]))"""),
        {"names": sorted(set(named.values()))},
    )
    cycles: dict[str, int] = {row.name: row.id for row in found}
    for place, name in named.items():
        if name not in cycles:
            loading.refuse_missing(place, "cycle", name)
    loading.check()
    return cycles


def _refuse_lost_usage(loading: Loading, rows: Mapping[Place, Row]) -> None:
    """Raise `MasterInvalid` where a subscription would end before usage that is attributed to it, by the hour."""
    places = {str(row["ref"]): place for place, row in rows.items()}
    shorter = loading.conn.execute(
        text("""select s.id, s.ref, cast(n.ends_at as timestamptz) as ends_at
             from (select id, ref, starts_at, ends_at from subscriptions) s
             join unnest(cast(:refs as text[]), cast(:ends as text[])) as n (ref, ends_at) using (ref)
             where cast(n.ends_at as timestamptz) < s.ends_at"""),
        {"refs": list(places), "ends": [str(rows[place]["ends_at"]) for place in places.values()]},
    )
    ended = {row.id: row for row in shorter}
    used = loading.conn.execute(
        text("""select id from unnest(cast(:ids as integer[]), cast(:ends as timestamptz[])) as n (id, ends_at)
             where exists (select from attributions a
               where a.subscription_id = n.id and a.hour >= date_trunc('hour', n.ends_at)) order by 1"""),
        {"ids": list(ended), "ends": [row.ends_at for row in ended.values()]},
    )
    for subscription_id in used.scalars():
        row = ended[subscription_id]
        sentence = f"ends the subscription at {row.ends_at.isoformat()}, before usage that is attributed to it"
        loading.refuse((*places[row.ref], "to"), sentence, fix="let it end later, or map that usage to another first")
    loading.check()


def put_mappings(loading: Loading) -> None:
    """Publish mappings, each over what it covers of those of its source and subject. Raises `MasterInvalid`."""
    entries = loading.master.mappings
    named = [(("mappings", n, "source"), each.source) for n, each in enumerate(entries)]
    sources = ids(loading, kinds.SOURCES, named, name="name", what="source")
    named = [(("mappings", n, "subscription"), each.subscription) for n, each in enumerate(entries)]
    targets = ids(loading, kinds.SUBSCRIPTIONS, named, name="ref", what="subscription")
    zones = _zones(loading, sorted(set(targets.values())))
    wanted = [
        _wanted(n, each, source_id=sources[each.source], zone=zones[targets[each.subscription]])
        for n, each in enumerate(entries)
    ]
    _refuse_doubles(loading, wanted)
    kept, known = _kept_mappings(loading, wanted)
    turns = in_turn(wanted)
    order = sorted(range(len(wanted)), key=lambda n: wanted[n].starts_at)
    fresh: list[int] = []
    owners: dict[int, str] = {}
    for n in order:
        same = known.get((wanted[n].key, wanted[n].starts_at, targets[entries[n].subscription]))
        if same is None:
            fresh.append(n)
            continue
        check_end(loading, same, wanted[n], kept)
        owners |= {same.id: owner} if (owner := entries[n].owner) else {}
    loading.check()
    planned = plan(loading, kept, [turns[n] for n in fresh])
    loading.check()
    carry_out(loading, "mappings", planned)
    loading.moved |= {("mapping", parked.mapping_key(source, subject)) for source, subject in planned.keys}
    rows = [(turns[n], targets[entries[n].subscription], planned.ends.get(-i)) for i, n in enumerate(fresh, start=1)]
    _insert_mappings(loading, rows, [entries[n] for n in fresh])
    master_owners.change(loading, "mappings", owners)
    loading.tally.add("mappings", new=len(fresh), same=len(wanted) - len(fresh))


def check_end(loading: Loading, same: Kept, wanted: Wanted, kept: list[Kept]) -> None:
    """Note a problem if a known row would have to last longer, or shorter, than it was published for.

    That it ends where a later row starts is what publishing did, and no difference.
    """
    if wanted.ends_at == same.ends_at:
        return
    if any(row.key == same.key and row.starts_at == same.ends_at for row in kept) and same.ends_at < wanted.ends_at:
        return
    loading.refuse(
        (*wanted.place, "to"), f"is kept as ending at {same.ends_at.isoformat()}",
        fix="publish what follows as an entry of its own, from the instant on at which it changes",
    )  # fmt: skip


def _zones(loading: Loading, subscriptions: list[int]) -> Mapping[int, str]:
    found = loading.conn.execute(
        text("""select s.id, e.zone from subscriptions s join contracts c on c.id = s.contract_id
             join legal_entities e on e.id = c.legal_entity_id where s.id = any(cast(:ids as integer[]))"""),
        {"ids": subscriptions},
    )
    return {row.id: row.zone for row in found}


def _wanted(n: int, entry: MappingEntry, *, source_id: int, zone: str) -> Wanted:
    starts_at = instant_of(entry.starts, zone, missing=EVER)
    return Wanted(
        ("mappings", n), (source_id, entry.subject), starts_at, instant_of(entry.ends, zone, missing=OPEN_END)
    )


def _refuse_doubles(loading: Loading, wanted: list[Wanted]) -> None:
    seen: dict[tuple[object, datetime], Place] = {}
    for each in wanted:
        if each.ends_at <= each.starts_at:
            loading.refuse((*each.place, "to"), "is not after `from`", fix="the end is the first instant without it")
        if seen.setdefault((each.key, each.starts_at), each.place) != each.place:
            loading.refuse(each.place, "maps a source and subject a second time from the same instant", fix="keep one")
    loading.check()


def _kept_mappings(loading: Loading, wanted: list[Wanted]) -> tuple[list[Kept], dict[object, Kept]]:
    """The mappings in force for the sources and subjects, and the same by what makes an entry known."""
    keys = sorted({each.key for each in wanted})  # type: ignore[type-var]
    found = loading.conn.execute(
        text("""select id, source_id, subject, subscription_id, starts_at, ends_at from mappings
             where superseded_at > now() and (source_id, subject) in (
               select * from unnest(cast(:sources as integer[]), cast(:subjects as text[]))) order by id"""),
        {"sources": [key[0] for key in keys], "subjects": [key[1] for key in keys]},  # type: ignore[index]
    ).all()
    kept = [Kept(row.id, (row.source_id, row.subject), row.starts_at, row.ends_at) for row in found]
    known: dict[object, Kept] = {
        (each.key, each.starts_at, row.subscription_id): each for each, row in zip(kept, found, strict=True)
    }
    return kept, known


def _insert_mappings(
    loading: Loading, rows: list[tuple[Wanted, int, datetime | None]], entries: list[MappingEntry]
) -> None:
    of_sources = master_owners.by_name(loading, "sources", {each.source for each in entries})
    loading.conn.execute(
        text("""insert into mappings (source_id, subject, subscription_id, starts_at, ends_at, owner, recorded_by)
             select *, :person from unnest(cast(:sources as integer[]), cast(:subjects as text[]),
               cast(:subscriptions as integer[]), cast(:starts as timestamptz[]), cast(:ends as timestamptz[]),
               cast(:owners as text[])) order by 1, 2, 4"""),
        {
            "person": loading.person,
            "sources": [each.key[0] for each, _, _ in rows],  # type: ignore[index]
            "subjects": [each.key[1] for each, _, _ in rows],  # type: ignore[index]
            "subscriptions": [subscription for _, subscription, _ in rows],
            "starts": [each.starts_at for each, _, _ in rows],
            "ends": [ends_at or each.ends_at for each, _, ends_at in rows],
            "owners": [each.owner or of_sources[each.source] for each in entries],
        },
    )
