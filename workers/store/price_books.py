"""Price books in the database: their versions, plans and charges, which are added and never changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from domain.canonical import canonical_json
from domain.money import Currency
from domain.price_books import Plan, PriceBook, book_json, parse_plan
from domain.prices.needs import Kept
from workers.store import audit, price_book_file
from workers.store.master_file import Document, MasterInvalid

#: Versions that one question lists.
VERSIONS_MAX = 500


@dataclass(frozen=True, slots=True)
class Published:
    """A version of a book as it was recorded; `contracts` counts the contract versions with prices from it."""

    id: int
    book: str
    version: int
    currency: str
    valid_from: date
    recorded_at: datetime
    recorded_by: str
    plans: int
    charges: int
    contracts: int


_PUBLISHED = """
select v.id, v.book, v.version, v.currency, v.valid_from, v.recorded_at, v.recorded_by,
  (select count(*) from price_book_plans p where p.version_id = v.id) as plans,
  (select count(*) from price_book_plans p join price_book_charges c on c.plan_id = p.id where p.version_id = v.id)
    as charges,
  (select count(distinct k.contract_version_id) from price_book_plans p join price_book_charges c on c.plan_id = p.id
    join prices k on k.book_charge_id = c.id where p.version_id = v.id) as contracts
from price_book_versions v
"""


def metrics(conn: Connection) -> dict[str, Kept]:
    """What each metric keeps, by its name."""
    found = conn.execute(text("select name, aggregation, dimensions, bucket is not null as has_buckets from metrics"))
    return {
        row.name: Kept.by(row.aggregation, has_buckets=row.has_buckets, dimensions=tuple(row.dimensions or ()))
        for row in found
    }


def versions(conn: Connection, *, book: str | None = None) -> list[Published]:
    """The versions of a book, or of all, the last recorded ones first."""
    statement = f"""{_PUBLISHED} where v.book = coalesce(cast(:book as text), v.book)
      order by v.book, v.version desc limit :versions_max"""
    return [Published(*row) for row in conn.execute(text(statement), {"book": book, "versions_max": VERSIONS_MAX})]


def in_force(conn: Connection, *, on: date, known_at: datetime, book: str | None = None) -> list[Published]:
    """The version of a book, or of each, that is in force on a day as known at an instant; by the books' names."""
    statement = f"""{_PUBLISHED} where v.id in (
      select distinct on (book) id from price_book_versions
      where book = coalesce(cast(:book as text), book) and valid_from <= :on_day and recorded_at <= :known_at
      order by book, valid_from desc, recorded_at desc)
      order by v.book limit :versions_max"""
    values = {"book": book, "on_day": on, "known_at": known_at, "versions_max": VERSIONS_MAX}
    return [Published(*row) for row in conn.execute(text(statement), values)]


def load(conn: Connection, published: Published) -> PriceBook:
    """The book as it was published."""
    found = conn.execute(
        text("""select p.name, p.title, jsonb_agg(jsonb_build_object('metric', m.name, 'terms', c.terms,
               'tax_category', c.tax_category, 'revenue_account', c.revenue_account)) as charges
             from price_book_plans p join price_book_charges c on c.plan_id = p.id join metrics m on m.id = c.metric_id
             where p.version_id = :id group by p.id order by p.name collate "C" """),
        {"id": published.id},
    )
    plans: dict[str, Plan] = {row.name: parse_plan({"title": row.title, "charges": row.charges}) for row in found}
    return PriceBook(published.book, Currency(published.currency), published.valid_from, plans)


def publish(conn: Connection, document: Document, book: PriceBook, *, person: str, sha256: str) -> Published | None:
    """Record a version of a book; None if the last one for its day is the same. The caller has named the person.

    Raises `MasterInvalid` for a metric that is not there, or keeps less than its price needs.
    """
    audit.hold(conn)
    problems = [*price_book_file.misfits(document, metrics(conn))]
    if problems:
        raise MasterInvalid(document.file, problems)
    former = _last(conn, "v.book = :book and v.valid_from = :valid_from", book=book.name, valid_from=book.valid_from)
    if former is not None and load(conn, former) == book:
        return None
    version_id = conn.execute(
        text("""insert into price_book_versions (book, version, currency, valid_from, recorded_by, file_sha256)
             select :book, coalesce(max(version), 0) + 1, :currency, :valid_from, :person, decode(:sha256, 'hex')
             from price_book_versions where book = :book returning id"""),
        {
            "book": book.name,
            "currency": book.currency.code,
            "valid_from": book.valid_from,
            "person": person,
            "sha256": sha256,
        },
    ).scalar_one()
    _insert_plans(conn, version_id, book)
    return _last(conn, "v.id = :id", id=version_id)


def _last(conn: Connection, which: str, **values: object) -> Published | None:
    """The version recorded last of those, or None."""
    row = conn.execute(text(f"{_PUBLISHED} where {which} order by v.version desc limit 1"), values).one_or_none()
    return None if row is None else Published(*row)


def _insert_plans(conn: Connection, version_id: int, book: PriceBook) -> None:
    values = {"version_id": version_id, "plans": canonical_json(book_json(book)["plans"])}
    conn.execute(
        text("""insert into price_book_plans (version_id, name, title)
             select :version_id, key, value ->> 'title' from jsonb_each(cast(:plans as jsonb)) order by key"""),
        values,
    )
    conn.execute(
        text("""insert into price_book_charges (plan_id, metric_id, terms, tax_category, revenue_account)
             select p.id, m.id, c -> 'terms', c ->> 'tax_category', c ->> 'revenue_account'
             from jsonb_each(cast(:plans as jsonb)) e
             join price_book_plans p on p.version_id = :version_id and p.name = e.key,
             jsonb_array_elements(e.value -> 'charges') c join metrics m on m.name = c ->> 'metric'
             order by p.id, m.id"""),
        values,
    )


@dataclass(frozen=True, slots=True)
class Reference:
    """That a contract's version has the prices of a plan, as they are in force on its first day."""

    book: str
    plan: str
    on: date


@dataclass(frozen=True, slots=True)
class Found:
    """What a reference leads to: the version in force and its plan, as far as there are any, and the plan's charges."""

    version: int | None
    currency: str | None
    has_plan: bool
    charges: Mapping[str, Mapping[str, object]]


def resolve(conn: Connection, references: Sequence[Reference]) -> list[Found]:
    """What each reference leads to as known now, in their order."""
    rows = conn.execute(
        text("""select r.n, v.version, v.currency, p.id as plan_id from unnest(cast(:books as text[]),
               cast(:plans as text[]), cast(:days as date[])) with ordinality as r (book, plan, on_day, n)
             left join lateral (select id, version, currency from price_book_versions b
               where b.book = r.book and b.valid_from <= r.on_day
               order by b.valid_from desc, b.recorded_at desc limit 1) v on true
             left join price_book_plans p on p.version_id = v.id and p.name = r.plan order by r.n"""),
        {
            "books": [each.book for each in references],
            "plans": [each.plan for each in references],
            "days": [each.on for each in references],
        },
    ).all()
    charges = _charges(conn, sorted({row.plan_id for row in rows if row.plan_id is not None}))
    return [Found(row.version, row.currency, row.plan_id is not None, charges.get(row.plan_id, {})) for row in rows]


def _charges(conn: Connection, plans: Sequence[int]) -> dict[int, dict[str, Mapping[str, object]]]:
    """The rows of `prices` that the plans come to, by plan and metric."""
    found: dict[int, dict[str, Mapping[str, object]]] = {}
    for row in conn.execute(
        text("""select c.plan_id, m.name as metric, c.id as book_charge_id, c.terms, c.tax_category, c.revenue_account
             from price_book_charges c join metrics m on m.id = c.metric_id
             where c.plan_id = any(cast(:plans as integer[])) order by c.plan_id, m.name"""),
        {"plans": plans},
    ):
        found.setdefault(row.plan_id, {})[row.metric] = _price(row)
    return found


def _price(row: Row[Any]) -> Mapping[str, object]:
    return {name: getattr(row, name) for name in ("book_charge_id", "terms", "tax_category", "revenue_account")}
