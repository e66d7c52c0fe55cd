"""Loads master data from one file: parties, prices, meters and mappings; the same file twice changes nothing."""

import getpass
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from sqlalchemy import Connection, Engine, text

from queues.work import Hintable
from workers.store import audit, fence, master_file, parked
from workers.store.acting import Named, name
from workers.store.master_complete import complete
from workers.store.master_contracts import put_versions
from workers.store.master_coupons import put_coupons, put_limits
from workers.store.master_entitlements import put_entitlements
from workers.store.master_file import Document, MasterInvalid, Place, Problem
from workers.store.master_lifecycle import put_lifecycle
from workers.store.master_models import MasterData
from workers.store.master_owners import put_dimensions
from workers.store.master_parties import put_meters, put_parties, put_sources
from workers.store.master_phases import put_phase_prices
from workers.store.master_price_models import BOOK, HERE
from workers.store.master_revenue import put_credit_accounts, put_revenue_rules
from workers.store.master_rows import Loading, Tally
from workers.store.master_schedules import put_quantities
from workers.store.master_systems import put_systems
from workers.store.master_terms import put_terms
from workers.store.master_usage import put_mappings, put_metrics, put_subscriptions

__all__ = ["MasterInvalid", "Tally", "load", "read"]

#: Parts of a pydantic location that are no part of the file.
_TAGS = {BOOK, HERE, "[key]"}
#: What to do about the errors a typo makes; others say it themselves.
_FIXES = {
    "missing": "add it",
    "extra_forbidden": "remove it, or correct its spelling",
    "string_type": "write it as text, in quotes",
    "int_type": "write a whole number, without quotes",
    "dict_type": "write a mapping of names to values",
    "list_type": "write a list, each entry after a dash",
    "decimal_parsing": 'write a decimal text such as "4.5"',
}


#: What such an error says, where the words of the library are no words of ours.
_SAYS = {"extra_forbidden": "is not known here"}
#: What only a price book has: it is another file, which another command publishes.
_OF_BOOK = {"plans", "valid_from"}


def read(file: Path, content: bytes | None = None) -> tuple[Document, MasterData]:
    """Read and check a file without a database. Raises `MasterInvalid` with every problem found."""
    document = master_file.read(file, master_file.content_of(file) if content is None else content)
    if set(document.values) >= _OF_BOOK:
        fix = "publish it with `tallyline prices publish`"
        raise MasterInvalid(file, [document.problem((), "this is a price book and no master data", fix=fix)])
    return document, validated(document, MasterData)


Model = TypeVar("Model", bound=BaseModel)


def validated(document: Document, model: type[Model]) -> Model:
    """The values of a file as what they must be. Raises `MasterInvalid` with every problem found."""
    try:
        return model.model_validate(document.values)
    except ValidationError as error:
        raise MasterInvalid(document.file, _problems(document, error.errors(include_url=False))) from None


def _problems(document: Document, errors: list[ErrorDetails]) -> Iterator[Problem]:
    for error in errors:
        place: Place = tuple(part for part in error["loc"] if part not in _TAGS)
        sentence = _SAYS.get(error["type"]) or error["msg"].removeprefix("Value error, ")
        yield document.problem(place, sentence[:1].lower() + sentence[1:], fix=_FIXES.get(error["type"], "correct it"))


def load(engine: Engine, file: Path, *, person: str | None = None) -> tuple[Tally, list[Hintable]]:
    """Load a file in a transaction of its own; `person` is who publishes, by default the user of this machine."""
    person = person or getpass.getuser()
    with engine.begin() as conn:
        name(conn, Named(person, f"master data of {file.name}"))
        return publish(conn, *read(file), person=person)


def publish(
    conn: Connection, document: Document, master: MasterData, *, person: str, is_look: bool = False
) -> tuple[Tally, list[Hintable]]:
    """Load a file that was read, and wake what was parked for want of it or moves because of it.

    Returns what was new, changed and there already, and the work that is owed because of it, to be hinted after the
    commit. The caller has named the person; the fence is held from here to its end. Raises `MasterInvalid`.

    A look is certainly undone: it takes no fence, owes nothing, and holds the audit log only from its first row on.
    """
    if not is_look:
        audit.hold(conn)
    loading = Loading(conn, document, master, person)
    complete(loading)
    put_parties(loading)
    put_revenue_rules(loading)
    put_credit_accounts(loading)
    put_systems(loading)
    put_sources(loading)
    put_dimensions(loading)
    put_meters(loading)
    if not is_look:
        fence.take(conn)
    put_metrics(loading)
    put_terms(loading)
    put_subscriptions(loading)
    put_quantities(loading)
    put_lifecycle(loading)
    put_versions(loading)
    put_phase_prices(loading)
    put_limits(loading)
    put_coupons(loading)
    put_mappings(loading)
    put_entitlements(loading)
    return loading.tally, [] if is_look or loading.tally.is_unchanged else _owe(loading, document.file.name)


def _owe(loading: Loading, file: str) -> list[Hintable]:
    """Owe `enrich` to usage that was parked for what the file brings, and to usage that moves because of it.

    Work that died for want of a price or a tax rate becomes ready again.

    In the transaction that publishes: nobody sees the rows before what they are about, and no crash comes between.
    """
    correlation_id = f"master/{file}"
    hints = parked.wake(loading.conn, _keys(loading.conn, loading.master), correlation_id=correlation_id)
    for kind in ("contract", "mapping"):
        keys = sorted(key for moved, key in loading.moved if moved == kind)
        if keys:
            hints += parked.move(loading.conn, kind, keys, correlation_id=correlation_id)
    return hints + parked.heal_dead(loading.conn)


def _keys(conn: Connection, master: MasterData) -> list[tuple[str, str]]:
    """What usage may have been parked for that this file brings: mappings, contracts, metrics and rules."""
    mapped = conn.execute(
        text("""select distinct s.id, g.subject from mappings g join sources s on s.id = g.source_id
             join subscriptions u on u.id = g.subscription_id
             where g.superseded_at > now() and (u.ref = any(cast(:refs as text[])) or u.contract_id in (
               select c.id from contracts c where c.ref = any(cast(:ended as text[]))) or (s.name, g.subject) in (
               select * from unnest(cast(:sources as text[]), cast(:subjects as text[]))))
             order by 1, 2"""),
        {
            "sources": [each.source for each in master.mappings],
            "subjects": [each.subject for each in master.mappings],
            "refs": list(master.subscriptions),
            "ended": [ref for ref, each in master.contracts.items() if each.renewals],
        },
    )
    keys = [("mapping", parked.mapping_key(row.id, row.subject)) for row in mapped]
    contracts = conn.execute(
        text("select id from contracts where ref = any(cast(:refs as text[])) order by id"),
        {"refs": list(master.contracts)},
    )
    keys += [("contract", str(contract_id)) for contract_id in contracts.scalars()]
    meters = {each.meter for each in master.metrics.values() if each.meter} | {
        each.meter for each in master.exclusion_rules.values()
    }
    found = conn.execute(
        text("select id from meters where name = any(cast(:names as text[])) order by id"), {"names": sorted(meters)}
    )
    return keys + [("metric", str(meter_id)) for meter_id in found.scalars()]
