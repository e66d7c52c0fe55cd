"""Phases with prices: a subscription that has them follows stretches of its contract's versions, derived, never said.

A stretch copies its prices once, from its version or from the plan of its phase, as contract versions do. One that
holds no more is superseded; usage attributed under it moves. The caller holds the fence.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import text

from domain.phases import Stretch, stretches
from workers.store import master_fits, master_plans, master_stretches, price_books
from workers.store import master_kinds as kinds
from workers.store.master_file import Place
from workers.store.master_parties import OPEN_END
from workers.store.master_rows import Loading, Row, ids, put
from workers.store.master_stretches import Key, PhasedSubscription, PricedPhase
from workers.store.price_books import Reference

_IN_FORCE: Final = "superseded_at = '9999-12-31 00:00:00+00'"
#: A stretch with the number of its row.
Made = tuple[int, PhasedSubscription, Stretch[int, PricedPhase]]


def put_phase_prices(loading: Loading) -> None:
    """Derive the stretches of subscriptions whose phases or contracts the file names. Raises `MasterInvalid`."""
    phased = master_stretches.phased(loading)
    if not phased:
        return
    versions = master_stretches.versions_of(loading.conn, sorted({each.contract_id for each in phased}))
    kept = master_stretches.kept(loading.conn, [each.id for each in phased])
    copies = master_stretches.copies(loading.conn, [each.id for each in phased])
    gone: list[int] = []
    ends: dict[int, datetime] = {}
    fresh: list[tuple[PhasedSubscription, Stretch[int, PricedPhase]]] = []
    for each in phased:
        wanted = stretches(versions.get(each.contract_id, ()), each.phases) if each.phases else []
        mine = kept.get(each.id, {})
        keys = {_key(stretch): stretch for stretch in wanted}
        shorter, left = _shorter(mine, keys)
        ends |= shorter
        gone += [number for key, number in mine.items() if key not in keys and number not in shorter]
        fresh += [(each, stretch) for key, stretch in left.items() if key not in mine]
    changed = {each.contract_id for each, _ in fresh} | master_stretches.contracts_of(loading.conn, [*gone, *ends])
    _shorten(loading, ends)
    made = _replace(loading, sorted(gone), fresh)
    _follow(loading, phased)
    _put_prices(loading, made, copies)
    _copy_versions(loading, [each.id for each in phased])
    loading.moved |= {("contract", str(contract)) for contract in changed}
    loading.tally.add("contract_versions", new=len(fresh), changed=len(gone) + len(ends))


def _key(stretch: Stretch[int, PricedPhase]) -> Key:
    phase = None if stretch.phase is None else stretch.phase.id
    return stretch.window.starts_at, stretch.window.ends_at, stretch.version, phase


def _shorter(
    kept: Mapping[Key, int], wanted: Mapping[Key, Stretch[int, PricedPhase]]
) -> tuple[dict[int, datetime], dict[Key, Stretch[int, PricedPhase]]]:
    """The kept stretches that only end earlier, with their ends, and what is wanted besides."""
    lasting = {(key[0], *key[2:]): (number, key[1]) for key, number in kept.items() if key not in wanted}
    ends: dict[int, datetime] = {}
    left = dict(wanted)
    for key, stretch in wanted.items():
        number, ends_at = lasting.get((key[0], *key[2:]), (0, stretch.window.ends_at))
        if ends_at > stretch.window.ends_at:
            ends[number] = stretch.window.ends_at
            del left[key]
    return ends, left


def _shorten(loading: Loading, ends: Mapping[int, datetime]) -> None:
    """End stretches where what comes next begins, as contract versions do."""
    loading.conn.execute(
        text("""update contract_versions v set ends_at = n.ends_at
             from unnest(cast(:ids as integer[]), cast(:ends as timestamptz[])) as n (id, ends_at)
             where v.id = n.id"""),
        {"ids": sorted(ends), "ends": [ends[number] for number in sorted(ends)]},
    )


def _replace(
    loading: Loading, gone: Sequence[int], fresh: Sequence[tuple[PhasedSubscription, Stretch[int, PricedPhase]]]
) -> list[Made]:
    """Supersede what holds no more and insert what does, numbered like the version it is a stretch of."""
    loading.conn.execute(
        text("update contract_versions set superseded_at = now() where id = any(cast(:ids as integer[]))"),
        {"ids": list(gone)},
    )
    found = loading.conn.execute(
        text("""insert into contract_versions (contract_id, version, starts_at, ends_at, owner, recorded_by,
               subscription_id, copy_of, phase_id)
             select b.contract_id, b.version, t.starts_at, t.ends_at, b.owner, :person, t.subscription_id, b.id,
               t.phase_id
             from unnest(cast(:subscriptions as integer[]), cast(:copies as integer[]), cast(:phases as integer[]),
               cast(:starts as timestamptz[]), cast(:ends as timestamptz[]))
               as t (subscription_id, copy_of, phase_id, starts_at, ends_at)
             join contract_versions b on b.id = t.copy_of order by t.subscription_id, t.starts_at
             returning id, subscription_id, starts_at"""),
        {
            "person": loading.person,
            "subscriptions": [each.id for each, _ in fresh],
            "copies": [stretch.version for _, stretch in fresh],
            "phases": [_key(stretch)[3] for _, stretch in fresh],
            "starts": [stretch.window.starts_at for _, stretch in fresh],
            "ends": [stretch.window.ends_at for _, stretch in fresh],
        },
    )
    numbers = {(row.subscription_id, row.starts_at): row.id for row in found}
    return [(numbers[each.id, stretch.window.starts_at], each, stretch) for each, stretch in fresh]


def _follow(loading: Loading, phased: Sequence[PhasedSubscription]) -> None:
    """Let each subscription follow its own stretches from its first priced phase on, before that the contract's."""
    firsts = [min((window.starts_at for window, _ in each.phases), default=OPEN_END) for each in phased]
    loading.conn.execute(
        text("""update subscriptions s set terms_from = n.terms_from
             from unnest(cast(:ids as integer[]), cast(:firsts as timestamptz[])) as n (id, terms_from)
             where s.id = n.id and s.terms_from <> n.terms_from"""),
        {"ids": [each.id for each in phased], "firsts": firsts},
    )


def _put_prices(loading: Loading, made: Sequence[Made], copies: Mapping[tuple[object, ...], Mapping[str, Row]]) -> None:
    """Insert the prices of the stretches that lie under a phase. Raises `MasterInvalid`."""
    under = [(number, each, stretch.phase) for number, each, stretch in made if stretch.phase is not None]
    plans = _plans(loading, [(each, phase) for _, each, phase in under if (each.id, *phase.copied_as) not in copies])
    loading.check()
    rows: dict[Place, tuple[str, Row]] = {}
    for number, each, phase in under:
        key = (each.id, *phase.copied_as)
        prices = copies.get(key) or plans.get(key) or json.loads(phase.prices or "{}")
        for metric, price in prices.items():
            rows[*_place(loading, each, phase), "prices", metric, number] = (
                metric, {"contract_version_id": number, **price}
            )  # fmt: skip
    named = [(place[:-1], metric) for place, (metric, _) in rows.items()]
    metrics = ids(loading, kinds.METRICS, named, name="name", what="metric")
    complete = {place: {**row, "metric_id": metrics[metric]} for place, (metric, row) in rows.items()}
    master_fits.check(loading, complete)
    loading.check()
    put(loading, kinds.PRICES, complete)


def _plans(
    loading: Loading, wanted: Sequence[tuple[PhasedSubscription, PricedPhase]]
) -> dict[tuple[object, ...], Mapping[str, Row]]:
    """The charges of plans as they are on the first day of the phase; notes a problem for each that cannot be had."""
    planned = [(each, phase, phase.plan) for each, phase in wanted if phase.plan is not None]
    references = [
        Reference(plan.partition("/")[0], plan.partition("/")[2], phase.starts_on) for _, phase, plan in planned
    ]
    found = price_books.resolve(loading.conn, references)
    charges: dict[tuple[object, ...], Mapping[str, Row]] = {}
    for (each, phase, _), reference, plan in zip(planned, references, found, strict=True):
        master_plans.check(loading, _place(loading, each, phase), reference, plan, currency=each.currency)
        charges[each.id, *phase.copied_as] = plan.charges
    return charges


def _place(loading: Loading, each: PhasedSubscription, phase: PricedPhase) -> Place:
    """Where the file says the phase, or the subscription that has it."""
    said = loading.master.subscriptions.get(each.ref)
    numbers = (n for n, other in enumerate(said.phases if said else ()) if other.starts == phase.starts_on)
    return ("subscriptions", each.ref, "phases", *([n] if (n := next(numbers, None)) is not None else []))


def _copy_versions(loading: Loading, subscriptions: Sequence[int]) -> None:
    """Give stretches without a phase the prices of their version, also those that it got later."""
    loading.conn.execute(
        text(f"""insert into prices
               (contract_version_id, metric_id, terms, tax_category, revenue_account, book_charge_id)
             select d.id, b.metric_id, b.terms, b.tax_category, b.revenue_account, b.book_charge_id
             from contract_versions d join prices b on b.contract_version_id = d.copy_of
             where d.subscription_id = any(cast(:ids as integer[])) and d.phase_id is null and d.{_IN_FORCE}
               and not exists (select from prices k where k.contract_version_id = d.id and k.metric_id = b.metric_id)
             order by 1, 2"""),
        {"ids": list(subscriptions)},
    )
