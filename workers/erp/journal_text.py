"""One document as plain-text accounting (hledger's journal format), and back again from nothing but the text."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final
from urllib.parse import quote, unquote

from domain.documents import Adjustment, Line
from domain.errors import Rejection
from domain.journal import Posting
from domain.money import Currency, Money, total
from workers.erp.protocol import ErpDocument, ErpUnreadable, ReadBack, Totals

#: The first line of every document; a later format has a higher number and is read beside this one.
MARK: Final = "; tallyline document 1"

#: What needs no escape in a payee besides letters and digits: only `;`, `|` and the line's end mean something there.
PAYEE_SAFE: Final = " ,()&'/+"

_ENTRY = re.compile(r"(?P<posting_on>\d{4}-\d{2}-\d{2}) \((?P<number>[^()]*)\) .*")
_TAG = re.compile(r"    ; (?P<name>[a-z0-9-]+): (?P<value>.*)")
_LEG = re.compile(r"    (?P<account>\S.*?)  +(?P<amount>\S+ [A-Z]{3})")
_AMOUNT = re.compile(r"(?P<amount>-?\d+(?:\.\d+)?) (?P<currency>[A-Z]{3})")
_PART = re.compile(r"(?P<kind>line|adjustment|tax)-[1-9]\d*")
#: A space is kept only between two other characters; two of them would end an account name.
_LOOSE_SPACE = re.compile(r"^ | $|(?<= ) ")


def escaped(words: str, *, keep: str = " ") -> str:
    """The words in ASCII without a character that means something in a journal; `unescaped` gives them back.

    ASCII, since hledger reads a file in whatever encoding its own environment names.
    """
    return _LOOSE_SPACE.sub("%20", quote(words, safe=keep))


def unescaped(words: str) -> str:
    """The words that `escaped` was given."""
    return unquote(words, errors="strict")


def escaped_account(ledger_account: str) -> str:
    """A ledger account as an account name of a journal; colons keep their meaning: a level below."""
    return ":".join(escaped(part) if part else "%" for part in ledger_account.split(":"))


def unescaped_account(name: str) -> str:
    """The ledger account that `escaped_account` was given."""
    return ":".join("" if part == "%" else unescaped(part) for part in name.split(":"))


def amount_text(money: Money) -> str:
    """The exact amount with its currency, at least its minor units shown: `-12.50 EUR`."""
    shown = money.rounded() if money.is_rounded else money
    return f"{shown.to_text()} {money.currency.code}"


def commodity_text(currency: Currency) -> str:
    """The declaration that makes hledger show the currency with its minor units."""
    return f"commodity 1000.{'0' * currency.minor_units} {currency.code}\n"


def document_text(asked: ErpDocument) -> str:
    """The document as one transaction, every amount in it exact; the same document always gives the same text."""
    postings = asked.entry.postings
    accounts = sorted({escaped_account(posting.ledger_account) for posting in postings})
    payee = escaped(asked.account_name, keep=PAYEE_SAFE)
    rows = [
        MARK,
        "decimal-mark .",
        *(f"account {account}" for account in accounts),
        "",
        f"{asked.entry.posting_on} ({escaped(asked.number)}) {payee} | {asked.document.kind}",
        *(f"    ; {name}: {value}" for name, value in _tags(asked)),
        *(f"    {escaped_account(posting.ledger_account)}  {amount_text(posting.amount)}" for posting in postings),
    ]
    return "\n".join(rows) + "\n"


def _tags(asked: ErpDocument) -> Iterator[tuple[str, str]]:
    document, totals = asked.document, asked.totals
    yield "external-key", asked.key
    yield "kind", document.kind
    yield "legal-entity", escaped(document.legal_entity_id)
    yield "account-id", escaped(document.account_id)
    if asked.debtor is not None:
        yield "debtor", escaped(asked.debtor)
    yield "invoice-date", f"{document.invoice_on}"
    yield "service-period", f"{asked.service.first_on}/{asked.service.end_on}"
    yield "net", amount_text(totals.net)
    yield "tax", amount_text(totals.tax)
    yield "gross", amount_text(totals.gross)
    for position, line in enumerate(document.lines, start=1):
        yield f"line-{position}", _line_text(line)
    for position, adjustment in enumerate(document.adjustments, start=1):
        yield f"adjustment-{position}", _adjustment_text(adjustment)
    for position, tax in enumerate(document.taxes, start=1):
        words = (amount_text(tax.tax), f"{escaped(tax.category)} {format(tax.percent, 'f')}% of {amount_text(tax.net)}")
        yield f"tax-{position}", " | ".join(words)


def _line_text(line: Line) -> str:
    quantity = f"{format(line.quantity, 'f')} {escaped(line.unit)}"
    return " | ".join((amount_text(line.net), quantity, *_words(line)))


def _adjustment_text(adjustment: Adjustment) -> str:
    return " | ".join((amount_text(adjustment.net), *_words(adjustment)))


def _words(part: Line | Adjustment) -> tuple[str, ...]:
    """What a line and what stands beside the lines have in common, after the amount."""
    return (
        escaped(part.description),
        f"{part.service.first_on}/{part.service.end_on}",
        f"{escaped(part.evidence.category)} {format(part.evidence.percent, 'f')}%",
        escaped_account(part.revenue_account),
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """The parts of a text, before they are understood."""

    number: str
    tags: Mapping[str, str]
    postings: Sequence[Posting]


def read_document(written: str, *, ref: str) -> ReadBack:
    """What the text says, nothing remembered. Raises `ErpUnreadable` if it is no such text or contradicts itself."""
    try:
        entry = _parsed(written.splitlines())
        totals = _totals(entry)
        key = entry.tags["external-key"]
    except (KeyError, ValueError, Rejection) as error:
        raise ErpUnreadable(f"{ref} cannot be read: {error}", ref=ref) from error
    number = entry.number
    return ReadBack(
        ref=ref, key=key, number=number, document_number=number, totals=totals, entry=tuple(entry.postings),
        debtor=unescaped(entry.tags.get("debtor", "")),
    )  # fmt: skip


def _parsed(rows: Sequence[str]) -> _Entry:
    if not rows or rows[0] != MARK:
        raise ValueError(f"the first line is not {MARK!r}")
    start = rows.index("") + 1
    head = _ENTRY.fullmatch(rows[start])
    if head is None:
        raise ValueError(f"no transaction: {rows[start]!r}")
    date.fromisoformat(head["posting_on"])
    tags: dict[str, str] = {}
    postings: list[Posting] = []
    for row in rows[start + 1 :]:
        if tag := _TAG.fullmatch(row):
            tags[tag["name"]] = tag["value"]
        elif leg := _LEG.fullmatch(row):
            postings.append(Posting(unescaped_account(leg["account"]), _money(leg["amount"])))
        else:
            raise ValueError(f"not understood: {row!r}")
    return _Entry(unescaped(head["number"]), tags, postings)


def _totals(entry: _Entry) -> Totals:
    """The totals of the tags, after lines, adjustments and taxes were added up and the entry was found to balance."""
    net, tax, gross = (_money(entry.tags[name]) for name in ("net", "tax", "gross"))
    parts: dict[str, list[Money]] = {"line": [], "adjustment": [], "tax": []}
    for name, value in entry.tags.items():
        if part := _PART.fullmatch(name):
            parts[part["kind"]].append(_money(value.partition(" | ")[0]))
    nets = total([*parts["line"], *parts["adjustment"]], net.currency)
    if nets != net or total(parts["tax"], net.currency) != tax:
        raise ValueError("the lines, adjustments or taxes do not add up to the totals")
    if not total((posting.amount for posting in entry.postings), net.currency).is_zero:
        raise ValueError("the journal entry does not balance")
    return Totals(net=net, tax=tax, gross=gross, lines=len(parts["line"]))


def _money(written: str) -> Money:
    match = _AMOUNT.fullmatch(written)
    if match is None:
        raise ValueError(f"no amount: {written!r}")
    return Money(Decimal(match["amount"]), Currency(match["currency"]))
