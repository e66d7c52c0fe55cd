"""What every ERP can be asked, what it is given, and the four answers that a posting may have."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, Protocol, TypeAlias

from domain.documents import Document
from domain.errors import Rejection, Snooze
from domain.journal import JournalEntry, Posting
from domain.money import Money
from domain.periods import Days

PeriodStatus = Literal["open", "closed"]

#: The refusal that time may cure: the accounting period is closed in the ERP. Every adapter uses this very code.
PERIOD_CLOSED: Final = "period_closed"
#: The key is in the ERP already, on a document that says something else.
KEY_TAKEN: Final = "key_taken"


class ErpAway(Snooze):
    """The ERP did not answer a question, or asks us to wait: nobody's failure, the same work is due again later."""

    outcome = "erp_away"


class ErpUnreadable(Rejection):
    """What the ERP holds or how it is configured cannot be understood; a person must look."""

    code = "erp_unreadable"


@dataclass(frozen=True, slots=True)
class Totals:
    """What is compared before, at and after a posting; those of a credit note are negative."""

    net: Money
    tax: Money
    gross: Money
    lines: int


@dataclass(frozen=True, slots=True)
class ErpDocument:
    """A document with its number and journal entry, ready for one ERP; our key is on it from the first call.

    `debtor` is what the ERP calls the account that it goes to, None where nobody has said it.
    """

    key: str
    number: str
    account_name: str
    document: Document
    entry: JournalEntry
    debtor: str | None = None

    @property
    def totals(self) -> Totals:
        """What the ERP must show when it is read back."""
        return Totals(self.document.net, self.document.tax, self.document.gross, len(self.document.lines))

    @property
    def service(self) -> Days:
        """The days from the first to the last service that a line, or what stands beside the lines, is about."""
        days = [part.service for part in self.document.parts]
        return Days(min(each.first_on for each in days), max(each.end_on for each in days))


@dataclass(frozen=True, slots=True)
class Found:
    """A document that carries our key: a draft, or posted and then with a number."""

    ref: str
    is_posted: bool
    number: str | None = None


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What the ERP itself says about a posted document.

    `number` is the ERP's own, `document_number` ours as it shows it; `entry` is None where it shows no journal entry.
    `debtor` is None where it does not show whom a document is asked of, and empty where that is nobody it knows.
    """

    ref: str
    key: str
    number: str
    document_number: str | None
    totals: Totals
    entry: tuple[Posting, ...] | None
    debtor: str | None = None


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

    def post(self, document: ErpDocument, resume: Resume) -> Outcome:
        """Book the document, or say why not; a key that the ERP already holds is never booked twice."""

    def read_back(self, ref: str) -> ReadBack:
        """What the ERP holds under its own id. Raises `ErpAway` or `ErpUnreadable`."""
