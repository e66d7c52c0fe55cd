"""What subscriptions may use: features, the terms of contract versions, and those that subscriptions have of their own.

The caller holds the fence and has put metrics, subscriptions and contract versions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from sqlalchemy import text

from domain.canonical import Json, canonical_json, decimal_text
from domain.entitlement_terms import EntitlementInvalid, Kind, Limit, Setting, Switch, Terms, parse_terms
from domain.periods import EVER
from workers.store import master_kinds as kinds
from workers.store.master_file import Place
from workers.store.master_grants import put_grants, zones_of
from workers.store.master_parties import OPEN_END, instant_of
from workers.store.master_rows import Loading, Row, ids, put
from workers.store.master_timelines import Kept, Wanted, carry_out, in_turn, plan
from workers.store.master_usage import check_end


@dataclass(frozen=True, slots=True)
class _Feature:
    id: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class _Own:
    """An entry of the file about one subscription, ready to be published."""

    wanted: Wanted
    subscription_id: int
    columns: Mapping[str, Json]


#: The columns that the terms of an entitlement stand in.
_TERMS = tuple(name for name in kinds.ENTITLEMENTS.fixed if name != "kind")
_COLUMNS = {"subscription_id": "integer", "feature_id": "integer", **kinds.ENTITLEMENTS.fixed,
  "starts_at": "timestamptz", "ends_at": "timestamptz"}  # fmt: skip
_INSERT = text(f"""
insert into entitlements ({", ".join(_COLUMNS)})
select * from jsonb_to_recordset(cast(:rows as jsonb)) as t ({", ".join(f"{n} {kind}" for n, kind in _COLUMNS.items())})
order by subscription_id, feature_id, starts_at
""")


def put_entitlements(loading: Loading) -> None:
    """Put features, entitlements of contract versions and of subscriptions, and grants. Raises `MasterInvalid`."""
    _put_features(loading)
    _put_of_versions(loading)
    _put_own(loading)
    put_grants(loading)


def _put_features(loading: Loading) -> None:
    features = loading.master.features
    named = [(("features", name, "metric"), each.metric) for name, each in features.items() if each.metric]
    metrics = ids(loading, kinds.METRICS, named, name="name", what="metric")
    for name, each in features.items():
        if (each.kind == "metered") != (each.metric is not None):
            sentence = "is missing" if each.metric is None else f"is not used by a {each.kind} feature"
            fix = "name the metric whose quantity is limited" if each.metric is None else "leave metric out"
            loading.refuse(("features", name, "metric"), sentence, fix=fix)
    loading.check()
    put(loading, kinds.FEATURES, {
        ("features", name): {
            "name": name, "kind": each.kind, "metric_id": metrics[each.metric] if each.metric else None,
            "owner": each.owner, "meaning": each.meaning,
        } for name, each in features.items()
    })  # fmt: skip


def _features(loading: Loading, named: Iterable[tuple[Place, str]]) -> Mapping[str, _Feature]:
    """The features by name. Raises `MasterInvalid` with the place of each that is not there."""
    wanted = list(named)
    known = ids(loading, kinds.FEATURES, wanted, name="name", what="feature")
    found = loading.conn.execute(
        text("select id, name, kind from features where id = any(cast(:ids as integer[]))"),
        {"ids": sorted(known.values())},
    )
    return {row.name: _Feature(row.id, row.kind) for row in found}


def _columns(terms: Terms) -> Mapping[str, Json]:
    """The terms as the table keeps them."""
    value = terms.value if isinstance(terms, Setting) else None
    limit = terms if isinstance(terms, Limit) else None
    return {
        "is_on": terms.is_on if isinstance(terms, Switch) else None,
        "text_value": value if isinstance(value, str) else None,
        "number_value": decimal_text(value) if isinstance(value, Decimal) else None,
        "limit_quantity": decimal_text(limit.quantity) if limit else None,
        "enforcement": limit.enforcement if limit else None,
        "rollover_max": decimal_text(limit.rollover_max) if limit else None,
        "thresholds": list(limit.thresholds) if limit else None,
    }


def _read(loading: Loading, place: Place, feature: _Feature, fields: Mapping[str, object]) -> Mapping[str, Json] | None:
    """The columns of terms that `domain` accepts; notes a problem for others."""
    try:
        terms = parse_terms(feature.kind, fields)  # type: ignore[arg-type]
    except EntitlementInvalid as error:
        loading.refuse_definition(place, error)
        return None
    return {"feature_id": feature.id, "kind": feature.kind, **_columns(terms)}


def _put_of_versions(loading: Loading) -> None:
    """What a published version gives stays; a feature that it says nothing of may be added."""
    versions = [
        (("contracts", ref, "versions", n), ref, version)
        for ref, contract in loading.master.contracts.items()
        for n, version in enumerate(contract.versions)
        if version.entitlements
    ]
    features = _features(
        loading, [((*place, "entitlements", name), name) for place, _, each in versions for name in each.entitlements]
    )
    found = loading.conn.execute(
        text("""select c.ref, v.version, v.id from unnest(cast(:refs as text[]), cast(:versions as integer[]))
               as t (ref, version)
             join contracts c on c.ref = t.ref
             join contract_versions v on v.contract_id = c.id and v.version = t.version and v.own_of = 0"""),
        {"refs": [ref for _, ref, _ in versions], "versions": [each.version for _, _, each in versions]},
    )
    made = {(row.ref, row.version): row.id for row in found}
    rows: dict[Place, Row] = {}
    for place, ref, version in versions:
        for name, fields in version.entitlements.items():
            at = (*place, "entitlements", name)
            columns = _read(loading, at, features[name], fields)
            rows[at] = {"contract_version_id": made[ref, version.version], **(columns or {})}
    loading.check()
    put(loading, kinds.ENTITLEMENTS, rows)


def _put_own(loading: Loading) -> None:
    """Publish terms of subscriptions, each over what it covers of those of its subscription and feature."""
    entries = loading.master.entitlements
    features = _features(loading, [(("entitlements", n, "feature"), each.feature) for n, each in enumerate(entries)])
    named = [(("entitlements", n, "subscription"), each.subscription) for n, each in enumerate(entries)]
    subscriptions = ids(loading, kinds.SUBSCRIPTIONS, named, name="ref", what="subscription")
    zones = zones_of(loading, subscriptions.values())
    wanted: list[_Own] = []
    for n, each in enumerate(entries):
        columns = _read(loading, ("entitlements", n, "terms"), features[each.feature], each.terms)
        subscription, zone = subscriptions[each.subscription], zones[subscriptions[each.subscription]]
        starts_at = instant_of(each.starts, zone, missing=EVER)
        ends_at = instant_of(each.ends, zone, missing=OPEN_END)
        key = (subscription, features[each.feature].id)
        wanted.append(_Own(Wanted(("entitlements", n), key, starts_at, ends_at), subscription, columns or {}))
    _refuse_doubles(loading, [own.wanted for own in wanted])
    loading.check()
    kept, known = _kept(loading, [own.wanted for own in wanted])
    fresh: list[_Own] = []
    turns = in_turn([own.wanted for own in wanted])
    for own, turn in sorted(zip(wanted, turns, strict=True), key=lambda pair: pair[1].starts_at):
        same = known.get((own.wanted.key, own.wanted.starts_at, _comparable(own.columns)))
        if same is None:
            fresh.append(replace(own, wanted=turn))
        else:
            check_end(loading, same, own.wanted, kept)
    loading.check()
    _publish(loading, kept, fresh)
    loading.tally.add("entitlements", new=len(fresh), same=len(wanted) - len(fresh))


def _refuse_doubles(loading: Loading, wanted: list[Wanted]) -> None:
    seen: dict[object, Place] = {}
    for each in wanted:
        if each.ends_at <= each.starts_at:
            loading.refuse((*each.place, "to"), "is not after `from`", fix="the end is the first instant without it")
        if seen.setdefault((each.key, each.starts_at), each.place) != each.place:
            loading.refuse(each.place, "is there a second time from the same instant", fix="keep one")


def _comparable(columns: Mapping[str, object]) -> tuple[object, ...]:
    """The terms such that equal ones have equal values, whether they come from the file or from the database."""
    values = [columns[name] for name in _TERMS]
    return tuple(
        decimal_text(value) if isinstance(value, Decimal) else tuple(value) if isinstance(value, list) else value
        for value in values
    )


def _kept(loading: Loading, wanted: list[Wanted]) -> tuple[list[Kept], dict[object, Kept]]:
    """The subscriptions' own entitlements in force, and the same by what makes an entry known."""
    keys = sorted({each.key for each in wanted})  # type: ignore[type-var]
    found = loading.conn.execute(
        text(f"""select id, subscription_id, feature_id, starts_at, ends_at, {", ".join(_TERMS)} from entitlements
             where superseded_at > now() and (subscription_id, feature_id) in (
               select * from unnest(cast(:subscriptions as integer[]), cast(:features as integer[]))) order by id"""),
        {"subscriptions": [key[0] for key in keys], "features": [key[1] for key in keys]},  # type: ignore[index]
    )
    kept: list[Kept] = []
    known: dict[object, Kept] = {}
    for row in found.mappings():
        each = Kept(row["id"], (row["subscription_id"], row["feature_id"]), row["starts_at"], row["ends_at"])
        kept.append(each)
        known[each.key, each.starts_at, _comparable({name: row[name] for name in _TERMS})] = each
    return kept, known


def _publish(loading: Loading, kept: list[Kept], fresh: list[_Own]) -> None:
    planned = plan(loading, kept, [each.wanted for each in fresh])
    loading.check()
    carry_out(loading, "entitlements", planned)
    rows: list[Json] = [
        {
            **each.columns,
            "subscription_id": each.subscription_id,
            "starts_at": each.wanted.starts_at.isoformat(),
            "ends_at": planned.ends.get(-n, each.wanted.ends_at).isoformat(),
        }
        for n, each in enumerate(fresh, start=1)
    ]
    loading.conn.execute(_INSERT, {"rows": canonical_json(rows)})
