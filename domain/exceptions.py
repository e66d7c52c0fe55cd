"""Exceptions as people see them: whose each is, until when, and one sentence for all that have the same cause."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from domain.codes import CODES, Code, Severity
from domain.completeness import ESTIMATED_LOSS, GAP
from domain.currencies import MINOR_UNITS
from domain.money import rounded_to

#: Hours that an exception may stay open before it is overdue.
HOURS: Final[Mapping[Severity, int]] = MappingProxyType({"low": 120, "medium": 48, "high": 8})

#: Who looks after the machinery, and who decides about master data and money, until a person is named.
OPERATIONS: Final = "operations"
FINANCE: Final = "finance"


def owner_of(code: Code, *, assigned_to: str | None, producer: str | None) -> str:
    """Who acts on an exception: whoever it is assigned to, else by whose matter its code is.

    `producer` owns the meter, or else the source, of the event that it is about; None where it is about our own work.
    """
    if assigned_to is not None:
        return assigned_to
    if code.kind == "business":
        return FINANCE
    return producer or OPERATIONS


def deadline_of(code: Code, *, opened_at: datetime, set_at: datetime | None) -> datetime:
    """Until when an exception must be closed: as a person set it, else by the severity of its code."""
    return set_at if set_at is not None else opened_at + timedelta(hours=HOURS[code.severity])


@dataclass(frozen=True, slots=True)
class Cause:
    """What is known of all exceptions of one code and cause.

    `events` and `documents` are how many all of them are about, 0 where some are about something else: an event that
    three metrics read may have three exceptions. Names are None where there is none or they differ.
    """

    code: str
    exceptions: int
    events: int = 0
    documents: int = 0
    accounts: int = 0
    unpriced: int = 0
    money: Mapping[str, Decimal] = field(default_factory=dict)
    names: Mapping[str, str | None] = field(default_factory=dict)


#: What is missing or wrong, for causes that can be named better than by the meaning of their code.
_MISSING: Final[Mapping[str, str]] = MappingProxyType(
    {
        "subscription_not_found": "no subscription for {source} {subject}",
        "contract_not_in_force": "no version of contract {contract} in force",
        "metric_not_found": "no metric reads {meter}",
        "price_not_found": "no price for {waits_for}",
        "tax_rate_not_found": "no tax rate for {waits_for}",
        "tax_rate_ambiguous": "two tax rates for {waits_for}",
        "quantity_missing": "no quantity of {metric}",
        "source_unknown": "no source {source}",
        "source_not_allowed": "sent for {source} by a user that may not",
        "quota_exceeded": "{source} sent more than agreed",
        "field_missing": "no {field} from {source}",
        "field_invalid": "{field} of the wrong kind from {source}",
        "conflicting_duplicate": "{source} sent known ids with other bodies",
        GAP: "numbers of {source} that never came",
        "posting_rejected": "refused by {connection}",
        "posting_unknown": "{connection} may or may not have booked",
        "posting_differs": "{connection} booked other totals",
    }
)
#: Names that tell one cause of a code from another, the first that is known.
_PLACES: Final = ("waits_for", "connection", "source", "metric", "step")


def sentence_of(cause: Cause) -> str:
    """Such as `37 events, 4 accounts, EUR 12,410.00: no subscription for /phones k7`."""
    parts = [_counted(cause)]
    if cause.accounts:
        parts.append(_plural(cause.accounts, "account"))
    loss = f" ({ESTIMATED_LOSS})" if cause.code == GAP else ""  # what never came is no money that waits
    parts += [money_of(amount, currency) + loss for currency, amount in sorted(cause.money.items())]
    if cause.unpriced:
        parts.append("of unknown worth" if not cause.money else f"{cause.unpriced:,} of unknown worth")
    return f"{', '.join(parts)}: {_missing(cause)}"


def _counted(cause: Cause) -> str:
    if cause.events:
        return _plural(cause.events, "event")
    if cause.documents:
        return _plural(cause.documents, "document")
    return _plural(cause.exceptions, "gap" if cause.code == GAP else "exception")


def _plural(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def _missing(cause: Cause) -> str:
    template = _MISSING.get(cause.code)
    if template is not None:
        try:
            return template.format(**{name: value for name, value in cause.names.items() if value})
        except KeyError:  # a name it wants is not known here, so the code says it
            pass
    meaning = CODES[cause.code].meaning if cause.code in CODES else cause.code
    words = meaning[:1].lower() + meaning[1:].removesuffix(".")
    place = next((value for name in _PLACES if (value := cause.names.get(name))), None)
    return words if place is None else f"{words} ({place})"


def money_of(amount: Decimal, currency: str) -> str:
    """An amount as people read it, in the minor units of its currency: `EUR 12,410.00`."""
    return f"{currency} {rounded_to(amount, MINOR_UNITS.get(currency, 2)):,f}"
