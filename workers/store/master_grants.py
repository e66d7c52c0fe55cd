"""Grants of metered features: never changed, a correction supersedes what it corrects under the same name."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import text

from workers.store import master_kinds as kinds
from workers.store.master_file import Place
from workers.store.master_parties import OPEN_END, instant_of
from workers.store.master_rows import Loading, ids

#: Grants in force of one subscription and feature; a check reads all of them.
GRANTS_MAX = 1_000

_IN_FORCE = text("""
select id, subscription_id, feature_id, name, quantity, priority, starts_at, ends_at, rollover_max
from entitlement_grants where superseded_at = '9999-12-31 00:00:00+00' and (subscription_id, feature_id) in (
  select * from unnest(cast(:subscriptions as integer[]), cast(:features as integer[])))
""")
_SUPERSEDE = text("""
update entitlement_grants set superseded_at = now() where id = any(cast(:ids as integer[]))
""")
_INSERT = text("""
insert into entitlement_grants (subscription_id, feature_id, name, quantity, priority, starts_at, ends_at, rollover_max)
select * from unnest(cast(:subscriptions as integer[]), cast(:features as integer[]), cast(:names as text[]),
  cast(:quantities as numeric[]), cast(:priorities as integer[]), cast(:starts as timestamptz[]),
  cast(:ends as timestamptz[]), cast(:rollovers as numeric[])) order by 1, 2, 3
""")


@dataclass(frozen=True, slots=True)
class _Key:
    """What a grant is known by."""

    subscription_id: int
    feature_id: int
    name: str


@dataclass(frozen=True, slots=True)
class _Granted:
    """What a grant says."""

    quantity: Decimal
    priority: int
    starts_at: datetime
    ends_at: datetime
    rollover_max: Decimal | None


def put_grants(loading: Loading) -> None:
    """Put the grants of the file; those that say something else than before supersede it. Raises `MasterInvalid`."""
    wanted = _wanted(loading)
    pairs = sorted({(key.subscription_id, key.feature_id) for key in wanted})
    found = loading.conn.execute(_IN_FORCE, {"subscriptions": [s for s, _ in pairs], "features": [f for _, f in pairs]})
    kept = {_Key(*row[1:4]): (row.id, _Granted(*row[4:])) for row in found}
    fresh = {key: granted for key, (_, granted) in wanted.items() if key not in kept or kept[key][1] != granted}
    _refuse_too_many(loading, wanted, {*kept, *fresh})
    superseded = sorted(kept[key][0] for key in fresh if key in kept)
    loading.conn.execute(_SUPERSEDE, {"ids": superseded})
    _insert(loading, fresh)
    table = "entitlement_grants"
    loading.tally.add(table, new=len(fresh) - len(superseded), changed=len(superseded), same=len(wanted) - len(fresh))


def _wanted(loading: Loading) -> dict[_Key, tuple[Place, _Granted]]:
    grants = loading.master.grants
    named = [(("grants", n, "subscription"), each.subscription) for n, each in enumerate(grants)]
    subscriptions = ids(loading, kinds.SUBSCRIPTIONS, named, name="ref", what="subscription")
    named = [(("grants", n, "feature"), each.feature) for n, each in enumerate(grants)]
    features = ids(loading, kinds.FEATURES, named, name="name", what="feature")
    metered = _metered(loading, features.values())
    zones = zones_of(loading, subscriptions.values())
    wanted: dict[_Key, tuple[Place, _Granted]] = {}
    for n, each in enumerate(grants):
        key = _Key(subscriptions[each.subscription], features[each.feature], each.name)
        starts_at, ends_at = (
            instant_of(when, zones[key.subscription_id], missing=OPEN_END) for when in (each.starts, each.expires)
        )
        granted = _Granted(each.quantity, each.priority, starts_at, ends_at, each.rollover_max)
        if key.feature_id not in metered:
            loading.refuse(("grants", n, "feature"), "is not metered", fix="grants are for features with a limit")
        if ends_at <= starts_at:
            loading.refuse(("grants", n, "expires"), "is not after `from`", fix="it is the first instant without it")
        if key in wanted:
            loading.refuse(("grants", n, "name"), "is there twice", fix="give each grant of a feature its own name")
        wanted[key] = ("grants", n), granted
    loading.check()
    return wanted


def zones_of(loading: Loading, subscriptions: Collection[int]) -> Mapping[int, str]:
    """The zones of the legal entities that sell these subscriptions: a day of theirs begins by that."""
    found = loading.conn.execute(
        text("""select s.id, e.zone from subscriptions s join contracts c on c.id = s.contract_id
             join legal_entities e on e.id = c.legal_entity_id where s.id = any(cast(:ids as integer[]))"""),
        {"ids": sorted(subscriptions)},
    )
    return {row.id: row.zone for row in found}


def _metered(loading: Loading, features: Collection[int]) -> set[int]:
    found = loading.conn.execute(
        text("select id from features where kind = 'metered' and id = any(cast(:ids as integer[]))"),
        {"ids": sorted(features)},
    )
    return set(found.scalars())


def _refuse_too_many(loading: Loading, wanted: Mapping[_Key, tuple[Place, _Granted]], after: Collection[_Key]) -> None:
    counts: dict[tuple[int, int], int] = {}
    for key in after:
        pair = key.subscription_id, key.feature_id
        counts[pair] = counts.get(pair, 0) + 1
    for key, (place, _) in wanted.items():
        if counts[key.subscription_id, key.feature_id] > GRANTS_MAX:
            sentence = f"is one of more than {GRANTS_MAX} grants of its subscription and feature"
            loading.refuse(place, sentence, fix="give more with fewer grants")
    loading.check()


def _insert(loading: Loading, fresh: Mapping[_Key, _Granted]) -> None:
    loading.conn.execute(
        _INSERT,
        {
            "subscriptions": [key.subscription_id for key in fresh],
            "features": [key.feature_id for key in fresh],
            "names": [key.name for key in fresh],
            "quantities": [each.quantity for each in fresh.values()],
            "priorities": [each.priority for each in fresh.values()],
            "starts": [each.starts_at for each in fresh.values()],
            "ends": [each.ends_at for each in fresh.values()],
            "rollovers": [each.rollover_max for each in fresh.values()],
        },
    )
