"""Terms of contracts: how long they run, whether they begin anew, and when a contract ends with its last one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from domain.notices import Ending
from domain.periods import first_instant
from domain.renewals import TOLD_DAYS, Renewal, RenewalInvalid, contract_end
from domain.schedules import Spell
from workers.store import master_kinds as kinds
from workers.store.master_parties import OPEN_END
from workers.store.master_rows import Loading, ids
from workers.store.master_schedules import Entry, Scheduled, put_schedules

#: Contracts that one tick tells of.
TOLD_MAX: Final = 1_000
#: A contract that has ended is told of when that is news: its file came late, or the scheduler was away.
LATE_DAYS: Final = 31
RENEWALS: Final = Scheduled(
    "contract_renewals",
    {"contract_id": "integer"},
    {"term_months": "integer", "auto_renew": "boolean", "notice_days": "integer"},
)


def put_terms(loading: Loading) -> None:
    """Put the terms of contracts and end those whose last one does not renew, with what is subscribed under them.

    Usage that was attributed after such an end is decided anew. Raises `MasterInvalid`.
    """
    contracts = {ref: each for ref, each in loading.master.contracts.items() if each.renewals}
    known = ids(loading, kinds.CONTRACTS, [(("contracts", ref), ref) for ref in contracts], name="ref", what="contract")
    put_schedules(loading, RENEWALS, [
        Entry(
            ("contracts", ref, "renewals", n), (known[ref],), each.starts, each.ends,
            (each.term_months, each.auto_renew, each.notice_days),
        ) for ref, contract in contracts.items() for n, each in enumerate(contract.renewals)
    ])  # fmt: skip
    if known:
        _end(loading, {known[ref]: ref for ref in contracts})


def ends_of(loading: Loading, contracts: Sequence[int]) -> Mapping[int, datetime]:
    """When contracts end with their terms."""
    found = loading.conn.execute(
        text("select id, ends_at from contracts where id = any(cast(:ids as integer[]))"), {"ids": sorted(contracts)}
    )
    return {row.id: row.ends_at for row in found}


def _end(loading: Loading, contracts: Mapping[int, str]) -> None:
    ends = _ends(loading, contracts)
    loading.check()
    values = {"ids": sorted(ends), "ends": [ends[contract] for contract in sorted(ends)]}
    changed = list(
        loading.conn.execute(
            text("""update contracts c set ends_at = n.ends_at
                 from unnest(cast(:ids as integer[]), cast(:ends as timestamptz[])) as n (id, ends_at)
                 where c.id = n.id and c.ends_at <> n.ends_at returning c.id"""),
            values,
        ).scalars()
    )
    _refuse_beginnings(loading, contracts, values)
    ended = loading.conn.execute(
        text("""update subscriptions s set ends_at = least(coalesce(s.own_ends_at, s.ends_at), n.ends_at),
               own_ends_at = case when coalesce(s.own_ends_at, s.ends_at) > n.ends_at
                 then coalesce(s.own_ends_at, s.ends_at) end
             from unnest(cast(:ids as integer[]), cast(:ends as timestamptz[])) as n (id, ends_at)
             where s.contract_id = n.id and s.ends_at <> least(coalesce(s.own_ends_at, s.ends_at), n.ends_at)
             returning s.id"""),
        values,
    ).all()
    loading.moved |= {("contract", str(contract)) for contract in changed}
    loading.tally.add("contracts", changed=len(changed))
    loading.tally.add("subscriptions", changed=len(ended))


def _refuse_beginnings(loading: Loading, contracts: Mapping[int, str], values: Mapping[str, object]) -> None:
    """Note a problem for each subscription that would begin when its contract is over. Raises `MasterInvalid`."""
    found = loading.conn.execute(
        text("""select n.id, s.ref, n.ends_at from subscriptions s
             join unnest(cast(:ids as integer[]), cast(:ends as timestamptz[])) as n (id, ends_at)
               on n.id = s.contract_id and s.starts_at >= n.ends_at order by 2"""),
        values,
    )
    for row in found:
        sentence = f"end the contract at {row.ends_at.isoformat()}, before subscription {row.ref} begins"
        loading.refuse(("contracts", contracts[row.id], "renewals"), sentence, fix="agree on a term that holds it")
    loading.check()


def _ends(loading: Loading, contracts: Mapping[int, str]) -> dict[int, datetime]:
    """When each contract ends with its terms, as they are now; notes a problem where they contradict themselves."""
    found = loading.conn.execute(
        text("""select r.contract_id, e.zone, r.starts_on, r.ends_on, r.term_months, r.auto_renew, r.notice_days
             from contract_renewals r join contracts c on c.id = r.contract_id
             join legal_entities e on e.id = c.legal_entity_id
             where r.contract_id = any(cast(:ids as integer[])) and r.superseded_at = '9999-12-31 00:00:00+00'
             order by 1, r.starts_on"""),
        {"ids": sorted(contracts)},
    )
    spells: dict[tuple[int, str], list[Spell[Renewal]]] = {}
    for row in found:
        renewal = Renewal(row.starts_on, row.term_months, auto_renew=row.auto_renew, notice_days=row.notice_days)
        spells.setdefault((row.contract_id, row.zone), []).append(Spell(row.starts_on, row.ends_on, renewal))
    ends: dict[int, datetime] = {}
    for (contract, zone), of_contract in spells.items():
        try:
            ends_on = contract_end(of_contract)
        except RenewalInvalid as error:
            loading.refuse_definition(("contracts", contracts[contract]), error)
            continue
        ends[contract] = OPEN_END if ends_on is None else first_instant(ends_on, zone)
    return ends


@dataclass(frozen=True, slots=True)
class EndingContract:
    """A contract that ends with its term, of which nobody was told yet."""

    id: int
    ending: Ending


_UNTOLD = text(f"""
select c.id, c.ref, c.account_id, c.legal_entity_id, t.ends_on, r.notice_days,
  (select count(*) from subscriptions s where s.contract_id = c.id and s.ends_at = c.ends_at) as subscriptions
from contracts c join legal_entities e on e.id = c.legal_entity_id
cross join lateral (
  select (c.ends_at at time zone e.zone)::date as ends_on, (now() at time zone e.zone)::date as today_on) t
join contract_renewals r on r.contract_id = c.id and r.superseded_at = '9999-12-31 00:00:00+00'
  and r.starts_on < t.ends_on and r.ends_on >= t.ends_on
where c.ends_at < '9999-12-31 00:00:00+00' and c.ends_at > now() - interval '{LATE_DAYS} days'
  and t.today_on >= t.ends_on - greatest(r.notice_days, {TOLD_DAYS})
  and not exists (select from notices n where n.key = 'contract/' || c.id || '/ending/' || t.ends_on)
order by c.ends_at, c.id limit {TOLD_MAX}
""")


def untold(conn: Connection) -> list[EndingContract]:
    """The contracts that end soon enough to be told of, and were not yet; those that end first at the top."""
    return [EndingContract(number, Ending(*ending)) for number, *ending in conn.execute(_UNTOLD)]
