"""Prepaid credits: grants and the entries of all that becomes of them; a document draws them when it is issued."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Connection, Row, text

from domain.credits import CreditInvalid, Entry, Grant, Rollover, drawn, ended, opened, returned
from domain.documents import Document
from domain.money import Currency, Money, total
from domain.periods import first_instant
from workers.unit import database_now

#: What the database keeps for a grant without an end.
OPEN_END = datetime.fromisoformat("9999-12-31T00:00:00+00:00")
#: Grants that end in one transaction.
ENDED_MAX = 500
#: Grants or entries that are listed at once.
LISTED_MAX = 1_000
#: Digits of a grant's number in its name here, so that names sort as numbers do.
_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Wanted:
    """A grant that somebody asks for, over whole days of the legal entity's zone; `ends_on` is the first day after."""

    account_id: str
    legal_entity_id: str
    amount: Money
    starts_on: date
    ends_on: date | None = None
    priority: int = 0
    rollover: Rollover | None = None
    is_paid: bool = False


@dataclass(slots=True)
class Book:
    """What an account has with a legal entity in a currency: its grants, and their entries in order."""

    grants: list[Grant]
    entries: list[Entry]


#: Account, legal entity, currency.
Key = tuple[str, str, str]

_GRANT = text("""
insert into credit_grants (account_id, legal_entity_id, currency, amount, priority, valid_from, expires_at,
  rollover_days, rollover_percent, rollover_amount, carried_from, is_paid, reason, recorded_by)
values (:account_id, :legal_entity_id, :currency, :amount, :priority, :valid_from, :expires_at, :days, :percent,
  :rollover_amount, :carried_from, :is_paid, :reason, :person) returning id
""")
_ENTER = text("""
insert into credit_entries (grant_id, kind, amount, at, invoice_id, carried_to)
select * from unnest(cast(:grants as integer[]), cast(:kinds as text[]), cast(:amounts as numeric[]),
  cast(:ats as timestamptz[]), cast(:invoices as bigint[]), cast(:carried as integer[])) order by 1, 3 desc
""")
#: Whoever draws, gives back or ends credits of an account waits here for others who do.
_HOLD = text("""
select pg_advisory_xact_lock(7204, key) from (
  select distinct hashtext(a) as key from unnest(cast(:accounts as text[])) a order by 1) k
""")
_VALID = text("""
select g.id from credit_grants g join unnest(cast(:accounts as text[]), cast(:entities as text[]),
  cast(:currencies as text[])) k (account_id, legal_entity_id, currency) using (account_id, legal_entity_id, currency)
where g.valid_from <= :at and g.expires_at > :at
""")
#: Grants with those that their rests were carried into.
_GRANTS = text("""
select * from credit_grants where id = any(cast(:ids as integer[])) or carried_from = any(cast(:ids as integer[]))
order by id
""")
_ENTRIES = text("""
select e.grant_id, e.kind, e.amount, e.at, coalesce(e.invoice_id::text, '') as reference, g.currency
from credit_entries e join credit_grants g on g.id = e.grant_id
where e.grant_id = any(cast(:grants as integer[])) order by e.id
""")
#: Of what still holds something, which is all that is looked at, however many grants there ever were.
_OVER = text("""
select g.* from credit_balances b join credit_grants g on g.id = b.grant_id
where b.held > 0 and g.expires_at <= now() order by g.id limit :limit
""")


def grant(conn: Connection, wanted: Wanted, *, person: str, reason: str) -> int:
    """Grant an account credit; the grant's number. Raises `CreditInvalid` where a party or an amount makes no sense."""
    zone = conn.execute(
        text("""select e.zone from legal_entities e, accounts a where e.id = :entity and a.id = :account"""),
        {"entity": wanted.legal_entity_id, "account": wanted.account_id},
    ).scalar_one_or_none()
    if zone is None:
        sentence = f"{wanted.account_id} and the legal entity {wanted.legal_entity_id} are not both there"
        raise CreditInvalid(sentence, field="account", fix="correct the names; master data come first")
    ends_at = None if wanted.ends_on is None else first_instant(wanted.ends_on, zone)
    starts_at = first_instant(wanted.starts_on, zone)
    made = Grant("new", wanted.amount, starts_at, ends_at, wanted.priority, wanted.rollover)
    values = {"account_id": wanted.account_id, "legal_entity_id": wanted.legal_entity_id, "is_paid": wanted.is_paid}
    number = _insert(conn, made, {**values, "carried_from": None, "person": person, "reason": reason})
    _enter(conn, [opened(made)], {made.id: number})
    return number


def draw(conn: Connection, documents: Mapping[int, Document], *, at: datetime) -> None:
    """Let invoices draw what their accounts have, as of the last instant of the service that they bill.

    What a document asks for stays the same: credits pay it, they do not change it.
    """
    due = {
        invoice_id: (each.account_id, each.legal_entity_id, each.currency.code)
        for invoice_id, each in sorted(documents.items())
        if each.kind == "invoice" and not each.gross.is_zero
    }
    books = _books_at(conn, set(due.values()), at)
    for invoice_id, key in due.items():
        if key in books:
            book = books[key]
            found = drawn(book.grants, book.entries, documents[invoice_id].gross, at=at, reference=str(invoice_id))
            book.entries += found
            _enter(conn, found)


def give_back(conn: Connection, invoice_id: int) -> None:
    """Give back all that a document drew, since it asks for nothing any more."""
    rows = conn.execute(
        text("""select distinct g.id, g.account_id from credit_entries e join credit_grants g on g.id = e.grant_id
             where e.invoice_id = :invoice_id"""),
        {"invoice_id": invoice_id},
    ).all()
    for book in _books(conn, [row.account_id for row in rows], [row.id for row in rows]).values():
        currency = book.grants[0].amount.currency
        out = total((-each.amount for each in book.entries if each.reference == str(invoice_id)), currency)
        _enter(conn, returned(book.entries, out, reference=str(invoice_id)))


def end_due(conn: Connection) -> int:
    """End grants whose time is over, at most `ENDED_MAX`; how many ended. The caller has named who acts.

    What the grant says is carried on, the rest expires. That may come before or after the documents for its time: they
    draw it all the same, and what comes back ends as if it had never been drawn.
    """
    rows = conn.execute(_OVER, {"limit": ENDED_MAX}).all()
    books = _books(conn, [row.account_id for row in rows], [row.id for row in rows])
    now, paid = database_now(conn), {row.id: row.is_paid for row in rows}
    for (account_id, legal_entity_id, _), book in books.items():
        end, numbers = ended(book.grants, book.entries, at=now), {}
        for made in end.carried:
            assert made.carried_from is not None
            number = int(made.carried_from)
            values = {"account_id": account_id, "legal_entity_id": legal_entity_id, "is_paid": paid[number]}
            reason = f"carried on from grant {number}"
            kept = {**values, "carried_from": number, "person": "tallyline", "reason": reason}
            numbers[made.id] = _insert(conn, made, kept)
        _enter(conn, end.entries, numbers)
    return len(rows)


def _insert(conn: Connection, made: Grant, values: Mapping[str, object]) -> int:
    rollover = made.rollover
    found = conn.execute(
        _GRANT,
        {
            "currency": made.amount.currency.code,
            "amount": made.amount.rounded().amount,
            "priority": made.priority,
            "valid_from": made.valid_from,
            "expires_at": made.expires_at or OPEN_END,
            "days": None if rollover is None else rollover.days,
            "percent": None if rollover is None else rollover.percent,
            "rollover_amount": None if rollover is None or rollover.amount is None else rollover.amount.amount,
            **values,
        },
    )
    return int(found.scalar_one())


def _enter(conn: Connection, entries: Sequence[Entry], numbers: Mapping[str, int] | None = None) -> None:
    """Insert entries; `numbers` are those of grants that were made just now."""
    if not entries:
        return
    made = numbers or {}
    conn.execute(
        _ENTER,
        {
            "grants": [made.get(each.grant) or int(each.grant) for each in entries],
            "kinds": [each.kind for each in entries],
            "amounts": [each.amount.rounded().amount for each in entries],
            "ats": [each.at for each in entries],
            "invoices": [int(each.reference) if each.kind in {"drawn", "returned"} else None for each in entries],
            "carried": [
                (made.get(each.reference) or int(each.reference)) if each.kind == "carried" else None
                for each in entries
            ],
        },
    )


def _books_at(conn: Connection, keys: Collection[Key], at: datetime) -> dict[Key, Book]:
    """What these accounts may draw at the instant; they are held as by `_books`."""
    accounts, entities, currencies = ([key[n] for key in sorted(keys)] for n in range(3))
    values = {"accounts": accounts, "entities": entities, "currencies": currencies, "at": at}
    if not keys or conn.execute(_VALID, values).first() is None:
        return {}
    conn.execute(_HOLD, values)
    return _books(conn, accounts, conn.execute(_VALID, values).scalars().all())


def _books(conn: Connection, accounts: Iterable[str], ids: Sequence[int]) -> dict[Key, Book]:
    """These grants of the accounts, which are held until the transaction ends, with what they were carried into."""
    conn.execute(_HOLD, {"accounts": list(accounts)})
    found: dict[Key, Book] = {}
    by_name: dict[str, Book] = {}
    rows = conn.execute(_GRANTS, {"ids": list(ids)}).all()
    for row in rows:
        book = found.setdefault((row.account_id, row.legal_entity_id, row.currency), Book([], []))
        book.grants.append(grant_of(row))
        by_name[_name(row.id)] = book
    for entry in entries_of(conn, [row.id for row in rows]):
        by_name[entry.grant].entries.append(entry)
    return found


def entries_of(conn: Connection, grants: Iterable[int]) -> list[Entry]:
    """The entries of these grants, in the order in which they were made."""
    rows = conn.execute(_ENTRIES, {"grants": list(grants)})
    return [
        Entry(_name(row.grant_id), row.kind, Money(row.amount, Currency(row.currency)), row.at, row.reference)
        for row in rows
    ]


def grant_of(row: Row[tuple[object, ...]]) -> Grant:
    """The grant of a row of `credit_grants`."""
    currency = Currency(row.currency)
    rollover = None
    if row.rollover_days is not None:
        most: Decimal | None = row.rollover_amount
        rollover = Rollover(row.rollover_days, row.rollover_percent, None if most is None else Money(most, currency))
    expires_at = None if row.expires_at == OPEN_END else row.expires_at
    carried_from = None if row.carried_from is None else _name(row.carried_from)
    amount = Money(row.amount, currency)
    return Grant(_name(row.id), amount, row.valid_from, expires_at, row.priority, rollover, carried_from)


def _name(number: int) -> str:
    return f"{number:0{_DIGITS}d}"


_LISTED = text("""
select g.id as grant, g.account_id as account, g.legal_entity_id as legal_entity,
  (g.valid_from at time zone z.zone)::date as starts_on,
  (nullif(g.expires_at, '9999-12-31 00:00:00+00') at time zone z.zone)::date as ends_on, g.currency,
  case when g.carried_from is null then g.amount
    else coalesce(sum(e.amount) filter (where e.kind in ('granted', 'carried')), 0) end as granted,
  -coalesce(sum(e.amount) filter (where e.kind in ('drawn', 'returned')), 0) as drawn,
  -coalesce(sum(e.amount) filter (where e.kind = 'expired'), 0) as expired,
  -coalesce(sum(e.amount) filter (where e.kind = 'carried' and g.carried_from is null), 0) as carried,
  coalesce(sum(e.amount), 0) as left, g.reason
from credit_grants g join legal_entities z on z.id = g.legal_entity_id left join credit_entries e on e.grant_id = g.id
where cast(:account as text) is null or g.account_id = :account
group by g.id, z.zone order by g.id desc limit :limit
""")
_HISTORY = text("""
select e.at, e.kind, e.amount, sum(e.amount) over (order by e.id) as left, i.number_text as document, e.carried_to
from credit_entries e left join invoices i on i.id = e.invoice_id where e.grant_id = :grant order by e.id limit :limit
""")


def listed(conn: Connection, account: str | None) -> Sequence[Row[tuple[object, ...]]]:
    """The latest grants, of one account or of all, with what became of each; at most `LISTED_MAX`."""
    return conn.execute(_LISTED, {"account": account, "limit": LISTED_MAX}).all()


def is_account(conn: Connection, account: str) -> bool:
    """Whether there is such an account."""
    return conn.execute(text("select from accounts where id = :account"), {"account": account}).first() is not None


def history(conn: Connection, number: int) -> Sequence[Row[tuple[object, ...]]]:
    """The entries of a grant in the order in which they were made, with what was left after each."""
    return conn.execute(_HISTORY, {"grant": number, "limit": LISTED_MAX}).all()
