"""Who sells to whom, where it is booked and taxed, and who may send usage: what no step of enrich decides by."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from functools import partial
from typing import Final

from sqlalchemy import text

from domain.errors import Rejection
from domain.money import Currency
from domain.periods import EVER, first_instant
from domain.validation import MeterInvalid, fields_of
from workers.store import master_kinds as kinds
from workers.store import master_owners
from workers.store.master_accounts import put_accounts, put_products
from workers.store.master_file import Place
from workers.store.master_models import MeterVersion
from workers.store.master_rows import Loading, ids, put
from workers.store.master_taxes import check_tax_rates, put_taxes_of_accounts, put_taxes_of_entities, tax_rate_row

#: The end of time as the tables have it, so that a client in any zone can still read it.
OPEN_END: Final = datetime(9999, 12, 31, tzinfo=UTC)
#: Any day: only whether the zone is known is asked.
SOME_DAY: Final = date(2000, 1, 1)


def instant_of(when: date | datetime | None, zone: str, *, missing: datetime) -> datetime:
    """The instant itself, of a day its first instant in the zone; `missing` if there is none."""
    if when is None:
        return missing
    return when if isinstance(when, datetime) else first_instant(when, zone)


def instant_text(when: date | datetime | None, zone: str, *, missing: datetime) -> str:
    """As `instant_of`, as PostgreSQL reads it."""
    return instant_of(when, zone, missing=missing).isoformat()


def put_parties(loading: Loading) -> None:
    """Put connections, legal entities, cycles, tax rates, accounts, products and contracts. Raises `MasterInvalid`."""
    _check_definitions(loading)
    master = loading.master
    put(loading, kinds.CONNECTIONS, {
        ("connections", name): {
            "id": name, "adapter": each.adapter, "settings": each.settings, "per_second": each.per_second,
            "concurrency": each.concurrency, "debtor_system": each.debtor.system, "debtor_kind": each.debtor.kind,
            "needs_debtor": each.debtor.required,
        } for name, each in master.connections.items()
    })  # fmt: skip
    entities = master.legal_entities
    named = [(("legal_entities", name, "connection"), each.connection or "") for name, each in entities.items()]
    ids(loading, kinds.CONNECTIONS, named, name="id", what="connection")
    put(loading, kinds.LEGAL_ENTITIES, {
        ("legal_entities", name): {
            "id": name, "name": each.name, "currency": each.currency, "zone": each.zone,
            "jurisdiction": each.jurisdiction, "connection_id": each.connection,
            "receivable_account": each.receivable_account, "tax_account": each.tax_account,
            "tax_accounts": each.tax_accounts, "payment_days": each.payment_days,
            "breakers": each.breakers.model_dump(mode="json", exclude_defaults=True),
        } for name, each in master.legal_entities.items()
    })  # fmt: skip
    _put_cycles(loading)
    put(loading, kinds.TAX_RATES, {
        ("tax_rates", n): {**tax_rate_row(each), "ends_on": (each.ends or OPEN_END.date()).isoformat()}
        for n, each in enumerate(master.tax_rates)
    })  # fmt: skip
    put_taxes_of_entities(loading)
    put_accounts(loading)
    put_taxes_of_accounts(loading)
    put_products(loading)
    _put_contracts(loading)


def _check_definitions(loading: Loading) -> None:
    """Refuse currencies and zones that do not exist, a rate or rule that ends before it starts, and doubled entries."""
    master = loading.master
    for name, entity in master.legal_entities.items():
        _probe(loading, ("legal_entities", name, "currency"), partial(Currency, entity.currency or ""))
        _probe(loading, ("legal_entities", name, "zone"), partial(first_instant, SOME_DAY, entity.zone or ""))
    for name, cycle in master.cycles.items():
        _probe(loading, ("cycles", name, "zone"), partial(first_instant, SOME_DAY, cycle.zone or "UTC"))
    for name, contract in master.contracts.items():
        _probe(loading, ("contracts", name, "currency"), partial(Currency, contract.currency or ""))
    check_tax_rates(loading)
    loading.check()


def _probe(loading: Loading, place: Place, read: Callable[[], object]) -> None:
    try:
        read()
    except Rejection as error:
        loading.refuse(place, error.sentence, fix="use a code of ISO 4217 or a name of the IANA time zone database")


def _put_cycles(loading: Loading) -> None:
    names = {name: name.split("/", 1) for name in loading.master.cycles}
    zones = zones_of(loading, ((("cycles", name), parts[0]) for name, parts in names.items()))
    put(loading, kinds.CYCLES, {
        ("cycles", name): {
            "legal_entity_id": names[name][0], "name": names[name][1], "zone": each.zone or zones[names[name][0]],
            "months": each.months, "anchor_day": each.anchor_day, "anchor_month": each.anchor_month,
            "bill_after_days": each.bill_after_days, "deadline_days": each.deadline_days,
        } for name, each in loading.master.cycles.items()
    })  # fmt: skip


def zones_of(loading: Loading, entities: Iterable[tuple[Place, str]]) -> Mapping[str, str]:
    """The zones of legal entities. Raises `MasterInvalid` with the place of each that is not there."""
    wanted = list(entities)
    ids(loading, kinds.LEGAL_ENTITIES, wanted, name="id", what="legal entity")
    found = loading.conn.execute(
        text("select id, zone from legal_entities where id = any(cast(:ids as text[]))"),
        {"ids": sorted({entity for _, entity in wanted})},
    )
    return {row.id: row.zone for row in found}


def _put_contracts(loading: Loading) -> None:
    contracts = loading.master.contracts
    accounts = [(("contracts", ref, "account"), each.account or "") for ref, each in contracts.items()]
    ids(loading, kinds.ACCOUNTS, accounts, name="id", what="account")
    entities = [(("contracts", ref, "legal_entity"), each.legal_entity or "") for ref, each in contracts.items()]
    ids(loading, kinds.LEGAL_ENTITIES, entities, name="id", what="legal entity")
    put(loading, kinds.CONTRACTS, {
        ("contracts", ref): {
            "ref": ref, "account_id": each.account, "legal_entity_id": each.legal_entity, "currency": each.currency,
            "prices_include_tax": each.prices_include_tax, "payment_days": each.payment_days,
        } for ref, each in contracts.items()
    })  # fmt: skip


def put_sources(loading: Loading) -> None:
    """Put sources with the broker users that may claim them; users that are no longer named lose the source."""
    sources = loading.master.sources
    put(loading, kinds.SOURCES, {
        ("sources", name): {
            "name": name, "owner": each.owner, "quota_per_hour": each.quota_per_hour,
            "sequence_start": each.sequence_start, "gap_grace_s": each.gap_grace_s,
        } for name, each in sources.items()
    })  # fmt: skip
    known = ids(loading, kinds.SOURCES, [(("sources", name), name) for name in sources], name="name", what="source")
    pairs = [(known[name], user) for name, each in sources.items() for user in sorted(set(each.users))]
    values = {
        "known": sorted(known.values()),
        "sources": [source for source, _ in pairs],
        "users": [user for _, user in pairs],
    }
    gone = loading.conn.execute(
        text("""delete from source_users
             where source_id = any(cast(:known as integer[])) and (source_id, user_name) not in (
               select * from unnest(cast(:sources as integer[]), cast(:users as text[]))) returning source_id"""),
        values,
    ).all()
    new = loading.conn.execute(
        text("""insert into source_users (source_id, user_name)
             select * from unnest(cast(:sources as integer[]), cast(:users as text[])) order by 1, 2
             on conflict do nothing returning source_id"""),
        values,
    ).all()
    loading.tally.add("source_users", new=len(new), changed=len(gone), same=len(pairs) - len(new))


def put_meters(loading: Loading) -> None:
    """Put meters and their versions; the fields of a version are read by `domain`. Raises `MasterInvalid`."""
    meters = loading.master.meters
    put(loading, kinds.METERS, {
        ("meters", name): {"name": name, "owner": each.owner} for name, each in meters.items()
    })  # fmt: skip
    known = ids(loading, kinds.METERS, [(("meters", name), name) for name in meters], name="name", what="meter")
    kept = master_owners.of_meter_versions(loading, known.values())
    rows: dict[Place, dict[str, object]] = {}
    for name, meter in meters.items():
        for n, version in enumerate(meter.versions):
            fields = _fields(loading, ("meters", name, "versions", n), version)
            rows["meters", name, "versions", n] = {
                "meter_id": known[name], "version": version.version, "dataschema": version.dataschema,
                "fields": fields, "max_age_days": version.max_age_days,
                "starts_at": instant_text(version.starts, "UTC", missing=EVER),
                "owner": version.owner or kept.get((known[name], version.version), meter.owner),
            }  # fmt: skip
    loading.check()
    put(loading, kinds.METER_VERSIONS, rows)


def _fields(loading: Loading, place: Place, version: MeterVersion) -> list[dict[str, object]]:
    """The fields in the form in which they are kept; notes a problem if `domain` refuses them."""
    try:
        return [
            {name: value for name, value in asdict(each).items() if name != "length_max" or each.kind == "string"}
            for each in fields_of(version.fields)
        ]
    except MeterInvalid as error:
        loading.refuse_definition(place, error)
        return []
