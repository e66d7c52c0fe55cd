"""Contract versions with their prices: numbered, published in order, never edited. The caller holds the fence."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import text

from domain.canonical import Json, canonical_json
from domain.periods import EVER
from domain.prices import PriceInvalid, parse_price, price_json
from workers.store import master_fits, master_owners, master_plans
from workers.store import master_kinds as kinds
from workers.store.master_file import Place
from workers.store.master_models import Version
from workers.store.master_parties import OPEN_END, instant_of
from workers.store.master_price_models import BookEntry
from workers.store.master_rows import Loading, Row, ids, put
from workers.store.master_timelines import Kept, Wanted, carry_out, plan
from workers.store.master_usage import check_end

#: A version's number before the first: what is published must have a higher one than all that is.
NONE = 0


@dataclass(frozen=True, slots=True)
class _Published:
    """A version that is in the database, in force or not."""

    kept: Kept
    version: int
    is_superseded: bool
    prices: Mapping[str, str]
    plan: str | None


@dataclass(frozen=True, slots=True)
class _New:
    wanted: Wanted
    contract_id: int
    version: int
    prices: Mapping[str, Row]
    owner: str | None
    plan: str | None


def put_versions(loading: Loading) -> None:
    """Publish the versions that are new, with their prices. Raises `MasterInvalid`."""
    books = {name: read_book(loading, ("price_books", name), book) for name, book in loading.master.price_books.items()}
    loading.check()
    named = [(("contracts", ref), ref) for ref in loading.master.contracts]
    contracts = ids(loading, kinds.CONTRACTS, named, name="ref", what="contract")
    zones = _zones(loading, sorted(contracts.values()))
    published = _published(loading, sorted(contracts.values()))
    fresh: list[_New] = []
    owners: dict[int, str] = {}
    priced: list[tuple[int, _New]] = []
    count = 0
    for ref, contract in loading.master.contracts.items():
        mine = published.get(contracts[ref], [])
        for n, version in sorted(enumerate(contract.versions), key=lambda pair: pair[1].version):
            count += 1
            place = ("contracts", ref, "versions", n)
            new = _read_version(
                loading, place, version, contract_id=contracts[ref], zone=zones[contracts[ref]], books=books
            )
            if new is not None and _is_fresh(loading, new, mine):
                fresh.append(new)
            elif new is not None:
                priced += _lacking(new, mine)
                if new.owner:
                    owners |= {each.kept.id: new.owner for each in mine if each.version == new.version}
        _refuse_doubles(loading, ref, [version.version for version in contract.versions])
    loading.check()
    fresh = _with_charges(loading, fresh, zones)
    in_force = [each.kept for rows in published.values() for each in rows if not each.is_superseded]
    _put_prices(loading, [*priced, *_publish(loading, fresh, in_force)])
    master_owners.change(loading, "contract_versions", owners)
    loading.tally.add("contract_versions", new=len(fresh), same=count - len(fresh))


def _with_charges(loading: Loading, fresh: list[_New], zones: Mapping[int, str]) -> list[_New]:
    """The versions, those that refer to a plan with its charges. Raises `MasterInvalid`."""
    wanted = {
        new.wanted.place: (_entry(loading, new.wanted.place), zones[new.contract_id]) for new in fresh if new.plan
    }
    charges = master_plans.charges_of(loading, wanted)
    loading.check()
    return [replace(new, prices=charges.get(new.wanted.place, new.prices)) for new in fresh]


def _entry(loading: Loading, place: Place) -> Version:
    return loading.master.contracts[str(place[1])].versions[int(place[3])]


def _refuse_doubles(loading: Loading, ref: str, numbers: list[int]) -> None:
    for n, number in enumerate(numbers):
        if number in numbers[:n]:
            loading.refuse(("contracts", ref, "versions", n, "version"), "is there twice", fix="give each its number")


def read_book(loading: Loading, place: Place, book: Mapping[str, BookEntry]) -> dict[str, Row]:
    """The rows of `prices` by metric, without their version; notes a problem for each price that `domain` refuses."""
    rows: dict[str, Row] = {}
    for metric, entry in book.items():
        try:
            terms: Json = price_json(parse_price(entry.terms))
        except PriceInvalid as error:
            loading.refuse_definition((*place, metric, "terms"), error)
            continue
        rows[metric] = {"terms": terms, "tax_category": entry.tax_category, "revenue_account": entry.revenue_account}
    return rows


def _read_version(  # noqa: PLR0913 -- what a version is read with
    loading: Loading,
    place: Place,
    version: Version,
    *,
    contract_id: int,
    zone: str,
    books: Mapping[str, dict[str, Row]],
) -> _New | None:
    if version.prices is None:
        prices = {}  # those of its plan, if it is new
    elif isinstance(version.prices, dict):
        prices = read_book(loading, (*place, "prices"), version.prices)
    elif version.prices in books:
        prices = books[version.prices]
    else:
        fix = "name a section of `price_books` in this file, or a plan of a published book by `plan: BOOK/PLAN`"
        loading.refuse((*place, "prices"), f"there is no price book {version.prices!r}", fix=fix)
        return None
    starts_at = instant_of(version.starts, zone, missing=EVER)
    ends_at = instant_of(version.ends, zone, missing=OPEN_END)
    if ends_at <= starts_at:
        loading.refuse((*place, "to"), "is not after `from`", fix="the end is the first day without it")
        return None
    wanted = Wanted(place, contract_id, starts_at, ends_at)
    return _New(wanted, contract_id, version.version, prices, version.owner, version.plan)


def _is_fresh(loading: Loading, new: _New, published: list[_Published]) -> bool:
    """Whether the version is not published yet; notes a problem if it is and says something else.

    A metric that it has no price for may get one: no usage of it can have been rated under the version.
    """
    same = next((each for each in published if each.version == new.version), None)
    if same is None:
        last = max((each.version for each in published), default=NONE)
        if new.version < last:
            fix = f"give it a number above {last}: the last one published counts"
            loading.refuse((*new.wanted.place, "version"), f"is lower than {last}, which is published", fix=fix)
        return True
    add = f"add version {max(each.version for each in published) + 1}; what is published stays as it was"
    if same.kept.starts_at != new.wanted.starts_at:
        sentence = f"version {new.version} is published from {same.kept.starts_at.isoformat()}"
        loading.refuse((*new.wanted.place, "from"), sentence, fix=add)
    if new.plan is not None and new.plan != same.plan:
        was = f"with {same.plan or 'prices of its own'}"
        loading.refuse((*new.wanted.place, "plan"), f"version {new.version} is published {was}", fix=add)
    elif (
        new.plan is None
        and not same.prices.items() <= {metric: _comparable(row) for metric, row in new.prices.items()}.items()
    ):
        loading.refuse((*new.wanted.place, "prices"), f"version {new.version} is published with other prices", fix=add)
    if not same.is_superseded:
        check_end(loading, same.kept, new.wanted, [each.kept for each in published if not each.is_superseded])
    return False


def _lacking(new: _New, published: list[_Published]) -> list[tuple[int, _New]]:
    """The version that is published already, with the prices that it does not have yet."""
    return [
        (each.kept.id, replace(new, prices={name: row for name, row in new.prices.items() if name not in each.prices}))
        for each in published
        if each.version == new.version
    ]


def _comparable(row: Mapping[str, object]) -> str:
    return canonical_json([row["terms"], row["tax_category"], row["revenue_account"]])  # type: ignore[list-item]


def _zones(loading: Loading, contracts: list[int]) -> Mapping[int, str]:
    found = loading.conn.execute(
        text("""select c.id, e.zone from contracts c join legal_entities e on e.id = c.legal_entity_id
             where c.id = any(cast(:ids as integer[]))"""),
        {"ids": contracts},
    )
    return {row.id: row.zone for row in found}


def _published(loading: Loading, contracts: list[int]) -> dict[int, list[_Published]]:
    found = loading.conn.execute(
        text("""select v.id, contract_id, version, starts_at, ends_at, superseded_at <= now() as is_superseded,
               coalesce(p.prices, '{}') as prices, (
                 select min(b.book || '/' || n.name) from prices k join price_book_charges c on c.id = k.book_charge_id
                 join price_book_plans n on n.id = c.plan_id join price_book_versions b on b.id = n.version_id
                 where k.contract_version_id = v.id) as plan
             from contract_versions v left join lateral (
               select jsonb_object_agg(m.name, jsonb_build_object('terms', terms, 'tax_category', tax_category,
                 'revenue_account', revenue_account)) as prices
               from prices join metrics m on m.id = metric_id where contract_version_id = v.id) p on true
             where contract_id = any(cast(:ids as integer[])) and own_of = 0 order by contract_id, version"""),
        {"ids": contracts},
    )
    published: dict[int, list[_Published]] = {}
    for row in found:
        kept = Kept(row.id, row.contract_id, row.starts_at, row.ends_at)
        prices = {metric: _comparable(price) for metric, price in row.prices.items()}
        published.setdefault(row.contract_id, []).append(
            _Published(kept, row.version, row.is_superseded, prices, row.plan)
        )
    return published


def _publish(loading: Loading, fresh: list[_New], in_force: list[Kept]) -> list[tuple[int, _New]]:
    """Insert the versions that are new; each with its id."""
    planned = plan(loading, in_force, [new.wanted for new in fresh])
    loading.check()
    carry_out(loading, "contract_versions", planned)
    loading.moved |= {("contract", str(contract_id)) for contract_id in planned.keys}
    ends: list[datetime] = [planned.ends.get(-n, new.wanted.ends_at) for n, new in enumerate(fresh, start=1)]
    rows = loading.conn.execute(
        text("""insert into contract_versions (contract_id, version, starts_at, ends_at, superseded_at, owner,
               recorded_by)
             select t.contract_id, t.version, t.starts_at, t.ends_at,
               case when is_superseded then now() else '9999-12-31 00:00:00+00' end, coalesce(t.owner, e.name), :person
             from unnest(cast(:contracts as integer[]), cast(:versions as integer[]), cast(:starts as timestamptz[]),
               cast(:ends as timestamptz[]), cast(:superseded as boolean[]), cast(:owners as text[]))
               as t (contract_id, version, starts_at, ends_at, is_superseded, owner)
             join contracts c on c.id = t.contract_id join legal_entities e on e.id = c.legal_entity_id
             order by t.contract_id, t.version returning id, contract_id, version"""),
        {
            "person": loading.person,
            "contracts": [new.contract_id for new in fresh],
            "versions": [new.version for new in fresh],
            "starts": [new.wanted.starts_at for new in fresh],
            "ends": ends,
            "superseded": [-n in planned.superseded for n in range(1, len(fresh) + 1)],
            "owners": [new.owner for new in fresh],
        },
    )
    made = {(row.contract_id, row.version): row.id for row in rows}
    return [(made[new.contract_id, new.version], new) for new in fresh]


def _put_prices(loading: Loading, versions: list[tuple[int, _New]]) -> None:
    named = [((*new.wanted.place, "prices", metric), metric) for _, new in versions for metric in new.prices]
    metrics = ids(loading, kinds.METRICS, named, name="name", what="metric")
    rows = {
        (*new.wanted.place, "prices", metric): {
            "contract_version_id": version_id, "metric_id": metrics[metric], **price,
        } for version_id, new in versions for metric, price in new.prices.items()
    }  # fmt: skip
    master_fits.check(loading, rows)
    loading.check()
    put(loading, kinds.PRICES, rows)
