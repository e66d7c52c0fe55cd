"""Contract versions that refer to a plan of a price book: they get its charges as they are on their first day."""

from collections.abc import Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import text

from workers.store import price_books
from workers.store.master_file import Place
from workers.store.master_models import Version
from workers.store.master_rows import Loading, Row
from workers.store.price_books import Found, Reference


def charges_of(loading: Loading, versions: Mapping[Place, tuple[Version, str]]) -> dict[Place, Mapping[str, Row]]:
    """The rows of `prices` by metric of versions with a plan, each with the zone of its contract's legal entity.

    Notes a problem for each plan that is not there, not yet in force, or in another currency.
    """
    references = [_reference(version, zone) for version, zone in versions.values()]
    found = price_books.resolve(loading.conn, references)
    currencies = _currencies(loading, {str(place[1]) for place in versions})
    for place, reference, each in zip(versions, references, found, strict=True):
        check(loading, place, reference, each, currency=currencies[str(place[1])])
    return {place: each.charges for place, each in zip(versions, found, strict=True)}


def _reference(version: Version, zone: str) -> Reference:
    book, _, plan = (version.plan or "").partition("/")
    return Reference(book, plan, _first_day(version.starts, zone))


def _first_day(starts: date | datetime, zone: str) -> date:
    return starts.astimezone(ZoneInfo(zone)).date() if isinstance(starts, datetime) else starts


def _currencies(loading: Loading, contracts: set[str]) -> dict[str, str]:
    """The currencies of contracts by reference: a file may leave out what is kept."""
    found = loading.conn.execute(
        text("select ref, currency from contracts where ref = any(cast(:refs as text[]))"), {"refs": sorted(contracts)}
    )
    return {row.ref: row.currency for row in found}


def check(loading: Loading, place: Place, reference: Reference, found: Found, *, currency: str) -> None:
    """Note a problem if the plan is not there, not yet in force, or in another currency."""
    book, on = reference.book, reference.on
    if found.version is None:
        fix = "correct the name, publish the book first, or let the version start later"
        loading.refuse((*place, "plan"), f"no version of price book {book!r} is in force on {on}", fix=fix)
    elif not found.has_plan:
        sentence = f"version {found.version} of price book {book!r}, in force on {on}, has no plan {reference.plan!r}"
        loading.refuse((*place, "plan"), sentence, fix=f"`tallyline prices show {book} --as-of {on}` lists its plans")
    elif found.currency != currency:
        fix = f"give the contract a plan in {currency}"
        loading.refuse((*place, "plan"), f"is in {found.currency}, and the contract in {currency}", fix=fix)
