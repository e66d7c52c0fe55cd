"""What may leave for Sentry: which error, where and about which row; never what a customer's data say."""

import re
from collections.abc import Mapping
from typing import Any

from sentry_sdk.types import Breadcrumb, BreadcrumbHint, Event, Hint

#: What a sentence may quote from data: texts in quotes, addresses, runs of digits as in an IBAN or a telephone number.
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|[^\s@'\"]+@[^\s@'\"]+|\d[\d ./-]{5,}\d")
#: A database's first line names the constraint; the next ones show the row.
SENTENCE_LENGTH_MAX = 300
#: Facts of our own log lines that go along: ids and names of ours.
FACTS = ("step", "work", "code", "dependency", "reason", "tick", "check", "metric", "correlation_id")
CRUMB = ("type", "category", "level", "timestamp")
EXTRA = ("dramatiq_message_id",)


def masked(sentence: str) -> str:
    """The first line of a sentence without what it may quote; the whole of it is in our own logs."""
    first = sentence.strip().splitlines()[0] if sentence.strip() else ""
    return _QUOTED.sub("[…]", first)[:SENTENCE_LENGTH_MAX]


def scrub(event: Event, hint: Hint) -> Event:
    """The event with masked sentences and without whatever else could be personal."""
    told: dict[str, Any] = dict(event)
    for part in ("user", "request", "message"):
        told.pop(part, None)
    told["extra"] = {name: value for name, value in told.get("extra", {}).items() if name in EXTRA}
    for value in told.get("exception", {}).get("values", ()):
        value["value"] = masked(str(value.get("value") or ""))
    said = _said(hint)
    if said is not None:
        told["logentry"] = {"message": masked(str(said.get("event", "")))}
        told["extra"] |= {name: masked(str(said[name])) for name in FACTS if name in said}
    elif "logentry" in told:
        told["logentry"] = {"message": masked(str(told["logentry"].get("message") or ""))}
    return told  # type: ignore[return-value]


def scrub_crumb(crumb: Breadcrumb, hint: BreadcrumbHint) -> Breadcrumb:
    """A breadcrumb as a masked sentence: what it counted or queried stays here."""
    said = _said(hint)
    sentence = str(crumb.get("message") or "") if said is None else str(said.get("event", ""))
    kept = {name: value for name, value in crumb.items() if name in CRUMB}
    return {**kept, "message": masked(sentence)}


def _said(hint: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The fields of a log line of ours, which structlog hands over as a mapping."""
    message = getattr(hint.get("log_record"), "msg", None)
    return message if isinstance(message, Mapping) else None
