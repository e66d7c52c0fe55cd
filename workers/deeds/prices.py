"""The deed `prices.publish`: a version of a price book, whose file is kept with the request."""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from domain.approvals import NO_MONEY
from domain.price_books import PriceBook
from workers.deeds.deed import Carried, Deed, Order, Plan
from workers.store import price_book_file, price_books
from workers.store.price_books import Published


def _plan(conn: Connection, order: Order) -> Plan:
    """What is published already needs nobody. No contract changes, so no amount of money stands for it."""
    book, published = _publish(conn, order)
    named = f"price book {book.name}, valid from {book.valid_from}"
    if published is None:
        return Plan((), _subject(book), f"{named}, is published as it is", NO_MONEY)
    summary = f"publish {named}: version {published.version}, {published.plans} plans, {published.charges} charges"
    return Plan(("prices.publish",), _subject(book), summary, NO_MONEY)


def _subject(book: PriceBook) -> str:
    return f"price_book/{book.name}/{book.valid_from}"


def _carry_out(conn: Connection, order: Order) -> Carried:
    book, published = _publish(conn, order)
    version = None if published is None else published.version
    return Carried({"book": book.name, "valid_from": book.valid_from.isoformat(), "version": version})


def _publish(conn: Connection, order: Order) -> tuple[PriceBook, Published | None]:
    document, book = price_book_file.read(Path(str(order.payload["file"])), order.attachment or b"")
    digest = str(order.payload["sha256"])
    return book, price_books.publish(conn, document, book, person=order.person, sha256=digest)


DEEDS: Final = (Deed("prices.publish", _plan, _carry_out),)
