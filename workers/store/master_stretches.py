"""What priced phases and the stretches derived from them are now, as they are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection, text

from domain.periods import Window, first_instant
from workers.store.master_parties import OPEN_END
from workers.store.master_rows import Loading, Row

_IN_FORCE: Final = "superseded_at = '9999-12-31 00:00:00+00'"
_PRICED: Final = "(p.plan is not null or p.prices is not null)"
#: Stretches that a preview shows.
SHOWN_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class PricedPhase:
    """A phase in force that has prices; of all that say the same from the same day on one copy of a plan is made."""

    id: int
    phase: str
    plan: str | None
    prices: str | None
    starts_on: date

    @property
    def copied_as(self) -> tuple[object, ...]:
        """What its copy of a plan is known by."""
        return self.phase, self.plan, self.starts_on


@dataclass(frozen=True, slots=True)
class PhasedSubscription:
    """A subscription with priced phases, or with stretches from when it had some."""

    id: int
    ref: str
    contract_id: int
    currency: str
    phases: Sequence[tuple[Window, PricedPhase]]


#: What a stretch is: when it starts and ends, of which version, under which phase.
Key = tuple[datetime, datetime, int, int | None]


def phased(loading: Loading) -> list[PhasedSubscription]:
    """The subscriptions with priced phases that the file may change, and those that had some before."""
    found = loading.conn.execute(
        text(f"""select s.id, s.ref, s.contract_id, c.currency, e.zone, p.id as phase_id, p.phase, p.plan, p.prices,
               p.starts_on, p.ends_on
             from subscriptions s join contracts c on c.id = s.contract_id
             join legal_entities e on e.id = c.legal_entity_id
             left join subscription_phases p on p.subscription_id = s.id and p.{_IN_FORCE} and {_PRICED}
             where (s.ref = any(cast(:subscriptions as text[])) or c.ref = any(cast(:contracts as text[])))
               and (s.terms_from < '9999-12-31 00:00:00+00' or p.id is not null) order by s.id, p.starts_on"""),
        {
            "subscriptions": [ref for ref, each in loading.master.subscriptions.items() if each.phases],
            "contracts": [ref for ref, each in loading.master.contracts.items() if each.versions],
        },
    )
    phased: dict[int, PhasedSubscription] = {}
    for row in found:
        phases = list(phased[row.id].phases) if row.id in phased else []
        if row.phase_id is not None:
            over = Window(first_instant(row.starts_on, row.zone), _end(row.ends_on, row.zone))
            phases.append((over, PricedPhase(row.phase_id, row.phase, row.plan, row.prices, row.starts_on)))
        phased[row.id] = PhasedSubscription(row.id, row.ref, row.contract_id, row.currency, phases)
    return list(phased.values())


def _end(ends_on: date, zone: str) -> datetime:
    return OPEN_END if ends_on == OPEN_END.date() else first_instant(ends_on, zone)


def versions_of(conn: Connection, contracts: Sequence[int]) -> dict[int, list[tuple[Window, int]]]:
    """The contracts' own versions in force."""
    found = conn.execute(
        text(f"""select id, contract_id, starts_at, ends_at from contract_versions
             where contract_id = any(cast(:ids as integer[])) and own_of = 0 and {_IN_FORCE} order by starts_at"""),
        {"ids": contracts},
    )
    versions: dict[int, list[tuple[Window, int]]] = {}
    for row in found:
        versions.setdefault(row.contract_id, []).append((Window(row.starts_at, row.ends_at), row.id))
    return versions


def kept(conn: Connection, subscriptions: Sequence[int]) -> dict[int, dict[Key, int]]:
    """The stretches in force, by subscription and what they are."""
    found = conn.execute(
        text(f"""select id, subscription_id, starts_at, ends_at, copy_of, phase_id from contract_versions
             where subscription_id = any(cast(:ids as integer[])) and {_IN_FORCE} order by id"""),
        {"ids": subscriptions},
    )
    kept: dict[int, dict[Key, int]] = {}
    for row in found:
        kept.setdefault(row.subscription_id, {})[row.starts_at, row.ends_at, row.copy_of, row.phase_id] = row.id
    return kept


def copies(conn: Connection, subscriptions: Sequence[int]) -> dict[tuple[object, ...], dict[str, Row]]:
    """What phases have copied from their plans before, by subscription and phase."""
    found = conn.execute(
        text("""with newest as (
               select distinct on (p.subscription_id, p.phase, p.plan, p.starts_on) p.subscription_id, p.phase, p.plan,
                 p.starts_on, v.id
               from contract_versions v join subscription_phases p on p.id = v.phase_id
               where v.subscription_id = any(cast(:ids as integer[])) and p.plan is not null
               order by 1, 2, 3, 4, v.id desc)
             select n.*, m.name as metric, k.terms, k.tax_category, k.revenue_account, k.book_charge_id
             from newest n join prices k on k.contract_version_id = n.id join metrics m on m.id = k.metric_id
             order by n.id, m.name"""),
        {"ids": subscriptions},
    )
    copies: dict[tuple[object, ...], dict[str, Row]] = {}
    for row in found:
        price = {name: getattr(row, name) for name in ("terms", "tax_category", "revenue_account", "book_charge_id")}
        copies.setdefault((row.subscription_id, row.phase, row.plan, row.starts_on), {})[row.metric] = price
    return copies


def contracts_of(conn: Connection, versions: Sequence[int]) -> set[int]:
    """The contracts that these versions are of."""
    found = conn.execute(
        text("select distinct contract_id from contract_versions where id = any(cast(:ids as integer[]))"),
        {"ids": list(versions)},
    )
    return set(found.scalars())


@dataclass(frozen=True, slots=True)
class Shown:
    """By what a subscription is priced over a stretch of time: its contract's version, or a phase over it."""

    subscription: str
    starts_at: datetime
    ends_at: datetime
    version: int
    phase: str | None
    prices: str


_SHOWN = text(f"""
select s.ref, v.starts_at, case v.own_of when 0 then least(v.ends_at, s.terms_from) else v.ends_at end as ends_at,
  v.version, p.phase, coalesce(p.plan, case when p.prices is not null then 'of the phase' else 'of the version' end)
from subscriptions s join contract_versions v on v.contract_id = s.contract_id and v.own_of in (0, s.id)
  and v.{_IN_FORCE} and (v.own_of > 0 or v.starts_at < s.terms_from)
left join subscription_phases p on p.id = v.phase_id
where s.ref = any(cast(:refs as text[])) and s.terms_from < '9999-12-31 00:00:00+00'
order by s.ref, v.starts_at limit {SHOWN_MAX}
""")


def shown(conn: Connection, refs: Sequence[str]) -> list[Shown]:
    """How subscriptions with priced phases are priced from instant to instant, as of now."""
    return [Shown(*row) for row in conn.execute(_SHOWN, {"refs": sorted(refs)})]
