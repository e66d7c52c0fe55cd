"""Documents: what an account is sent. Totals are sums of rounded parts; a number is given on issue and never reused."""

import re
from base64 import b32encode
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import blake2b
from typing import Final, Literal

from domain.errors import Rejection
from domain.money import Currency, Money, total
from domain.periods import Days
from domain.rating import AmountNotRounded
from domain.taxation import TaxEvidence, TaxSubtotal

DocumentKind = Literal["invoice", "credit_note"]
#: SAP's DocumentReferenceID, the shortest field that an ERP offers for our number, holds 16 characters.
NUMBER_LENGTH_MAX: Final = 16
#: ERPs' keys hold 20 to 35 plain characters.
EXTERNAL_KEY_LENGTHS: Final = range(20, 36)
_EXTERNAL_KEY_BYTES: Final = 16
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class DocumentEmpty(Rejection):
    """A document has no lines, and nothing is given or asked beside them."""

    code = "document_empty"


class DocumentCurrencyMixed(Rejection):
    """A line, tax or adjustment is in another currency than its document."""

    code = "document_currency_mixed"


class TotalNegative(Rejection):
    """An invoice would give money, or a credit note ask for it."""

    code = "total_negative"


class NumberTooLong(Rejection):
    """A document number has more characters than ERPs take, or others than letters, digits, dash and underscore."""

    code = "number_too_long"


class IssueDateTooEarly(Rejection):
    """The invoice date lies before that of the last number of the series."""

    code = "issue_date_too_early"


@dataclass(frozen=True, slots=True)
class Line:
    """A charge on a document. `net` is rounded and signed: positive where the account owes us more."""

    description: str
    quantity: Decimal
    unit: str
    net: Money
    revenue_account: str
    service: Days
    evidence: TaxEvidence


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What the whole document gives (below zero) or asks beside its lines: an allowance or a charge in EN 16931."""

    description: str
    net: Money
    revenue_account: str
    service: Days
    evidence: TaxEvidence


@dataclass(frozen=True, slots=True)
class Document:
    """An invoice or credit note, not yet numbered. Amounts are signed: those of a credit note sum to less than zero.

    `service` days, `invoice_on` and `posting_on` are inputs of their own; none is derived from another.
    """

    kind: DocumentKind
    legal_entity_id: str
    account_id: str
    currency: Currency
    invoice_on: date
    posting_on: date
    lines: tuple[Line, ...]
    taxes: tuple[TaxSubtotal, ...]
    adjustments: tuple[Adjustment, ...] = ()

    def __post_init__(self) -> None:
        if not self.parts:
            raise DocumentEmpty(f"nothing to bill to {self.account_id}", account=self.account_id)
        amounts = [part.net for part in self.parts] + [tax.tax for tax in self.taxes]
        for amount in amounts:
            if amount.currency != self.currency:
                sentence = f"{amount.currency.code} on a document in {self.currency.code}"
                raise DocumentCurrencyMixed(sentence, account=self.account_id)
            if not amount.is_rounded:
                raise AmountNotRounded(f"{amount.to_text()} on a document", account=self.account_id)
        if kind_of(self.gross) != self.kind:
            raise TotalNegative(f"{self.kind} of {self.gross.to_text()}", account=self.account_id, kind=self.kind)

    @property
    def parts(self) -> tuple[Line | Adjustment, ...]:
        """All that has a net: the lines, then what is given or asked beside them."""
        return (*self.lines, *self.adjustments)

    @property
    def net(self) -> Money:
        """The sum of the lines and of what is given or asked beside them."""
        return total((part.net for part in self.parts), self.currency)

    @property
    def tax(self) -> Money:
        """The sum of the taxes."""
        return total((tax.tax for tax in self.taxes), self.currency)

    @property
    def gross(self) -> Money:
        """What the account owes us, or we it if negative."""
        return self.net + self.tax


@dataclass(frozen=True, slots=True)
class Series:
    """A run of gapless numbers of one legal entity and kind of document; `digits` is the least width of a number."""

    legal_entity_id: str
    prefix: str
    digits: int = 6


def kind_of(gross: Money) -> DocumentKind:
    """A document that gives money is a credit note; one over nothing is an invoice."""
    return "credit_note" if gross.is_negative else "invoice"


def as_shown(amount: Money, kind: DocumentKind) -> Money:
    """An amount as people and ERPs see it: on a credit note, what is given is positive."""
    return -amount if kind == "credit_note" else amount


def format_number(series: Series, number: int) -> str:
    """The number as the account sees it, such as `PNY-13-000017`. Raises `NumberTooLong`."""
    assert number > 0, number
    text = f"{series.prefix}{number:0{series.digits}d}"
    if len(text) > NUMBER_LENGTH_MAX or not _PLAIN.fullmatch(text):
        sentence = f"{text!r} is not 1 to {NUMBER_LENGTH_MAX} letters, digits, dashes and underscores"
        raise NumberTooLong(sentence, legal_entity=series.legal_entity_id, number=text)
    return text


def issue_date(wanted: date, *, last_on: date | None, policy: Literal["refuse", "move"]) -> date:
    """The date to issue on, so that the dates of a series never fall while its numbers rise.

    An earlier date than that of the last number is moved to it, or refused with `IssueDateTooEarly`.
    """
    if last_on is None or wanted >= last_on:
        return wanted
    if policy == "move":
        return last_on
    raise IssueDateTooEarly(
        f"{wanted} is before {last_on}, the date of the last number", wanted=wanted, last_on=last_on
    )


def external_key(*identity: str) -> str:
    """Our key of a document in every ERP: 29 characters that depend on nothing but what identifies the document.

    `tl-` and 26 lower-case letters and digits, so that it also survives systems that fold case.
    """
    assert identity, "a document is identified by something"
    parts = b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in identity)
    digest = blake2b(parts, digest_size=_EXTERNAL_KEY_BYTES).digest()
    key = "tl-" + b32encode(digest).decode().rstrip("=").lower()
    assert len(key) in EXTERNAL_KEY_LENGTHS, key
    assert _PLAIN.fullmatch(key), key
    return key
