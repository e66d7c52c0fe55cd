"""What every ERP can be asked, what it is given, and the four answers that a posting may have."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, Literal, Protocol, TypeAlias

from domain.errors import Rejection, Snooze
from domain.money import Money

Kind = Literal["invoice", "credit_note"]
PeriodStatus = Literal["open", "closed"]

#: The refusal that time may cure: the accounting period is closed in the ERP. Every adapter uses this very code.
PERIOD_CLOSED: Final = "period_closed"
#: The key is in the ERP already, on a document that says something else.
KEY_TAKEN: Final = "key_taken"


class ErpAway(Snooze):
    """The ERP did not answer a question, or asks us to wait: nobody's failure, the same work is due again later."""


class ErpUnreadable(Rejection):
    """What the ERP holds or how it is configured cannot be understood; a person must look."""

    code = "erp_unreadable"


@dataclass(frozen=True, slots=True)
class Totals:
    """What is compared before, at and after a posting; a credit note's amounts are negative."""

    net: Money
    tax: Money
    gross: Money
    lines: int


@dataclass(frozen=True, slots=True)
class Leg:
    """One posting of the journal entry: debit positive, credit negative."""

    ledger_account: str
    amount: Money


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """One line as the ERP shows it; `net` is the first rounded money."""

    position: int
    description: str
    quantity: Decimal
    unit: str
    net: Money
    tax_category: str
    tax_rate: Decimal
    revenue_account: str


@dataclass(frozen=True, slots=True)
class Document:
    """An invoice or credit note with its journal entry, ready for one ERP; the key is on it from the first call."""

    key: str
    kind: Kind
    number: str
    legal_entity_id: str
    account_id: str
    account_name: str
    invoice_on: date
    posting_on: date
    service_starts_on: date
    service_ends_on: date
    totals: Totals
    lines: tuple[DocumentLine, ...]
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A document that carries our key: a draft, or posted and then with a number."""

    ref: str
    is_posted: bool
    number: str | None = None


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What the ERP itself says about a posted document; `legs` is None where it does not show its journal entry."""

    ref: str
    key: str
    number: str
    totals: Totals
    legs: tuple[Leg, ...] | None


@dataclass(frozen=True, slots=True)
class Posted:
    """The ERP has booked it."""

    ref: str
    number: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The ERP has refused it and holds nothing; asking again changes nothing until a person acts."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Busy:
    """The ERP has not taken it and holds nothing; it may be asked again after `retry_after_s` seconds."""

    retry_after_s: float
    sentence: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows whether the ERP has booked it: it is looked up, never repeated blindly."""

    sentence: str


Outcome: TypeAlias = Posted | Rejected | Busy | Unknown


@dataclass(frozen=True, slots=True)
class Resume:
    """Where an ERP that creates a draft first and posts it in a second call takes up its work.

    `keep_draft(ref)` stores the draft's id; the adapter calls it before it asks for the draft to be posted, and lets
    whatever it raises pass.
    """

    keep_draft: Callable[[str], None]
    draft_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What must be known of an ERP before it is asked.

    `call_s` bounds one whole `post`, `quiet_s` is how long after that a document may still appear; `key_is_unique` says
    that the ERP itself refuses a second document with our key, without which nothing is ever repeated.
    """

    key_is_unique: bool
    call_s: float
    quiet_s: float
    lines_max: int
    amount_decimals_max: int


class Erp(Protocol):
    """One connection to one ERP. Questions raise `ErpAway` where no answer comes; `post` answers with an outcome.

    Whatever else leaves `post` as an exception counts as `Unknown`. All calls are safe from several processes at once.
    """

    def limits(self) -> Limits:
        """What this ERP allows; asks nobody."""

    def ping(self) -> None:
        """Return if the ERP would take a posting now. Raises `ErpAway` or `ErpUnreadable`."""

    def period_status(self, on: date) -> PeriodStatus:
        """Whether the accounting period of that date takes documents. Raises `ErpAway` or `ErpUnreadable`."""

    def find(self, key: str) -> Found | None:
        """The document that carries our key, if the ERP holds one. Raises `ErpAway`."""

    def post(self, document: Document, resume: Resume) -> Outcome:
        """Book the document, or say why not; a key that the ERP already holds is never booked twice."""

    def read_back(self, ref: str) -> ReadBack:
        """What the ERP holds under its own id. Raises `ErpAway` or `ErpUnreadable`."""
