"""Usage events: the key that makes one unique, the hash that tells two bodies apart, and the instant it happened."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from domain.canonical import Json, canonical_json, normal_number
from domain.errors import Rejection

__all__ = [
    "KEY_BYTES",
    "TimeInvalid",
    "TimeIsLeapSecond",
    "TimeNaive",
    "UsageEvent",
    "canonical",
    "canonical_json",
    "key16",
    "microseconds",
    "normal_number",
    "parse_instant",
    "payload_hash",
    "truncate_to_microseconds",
]

#: Bytes of a key and of a payload hash: no two of 10^15 events share one by chance.
KEY_BYTES: Final = 16
#: Longer texts are no attribute that we accept, and must not fill the memory of a cache.
FAMILIAR_LENGTH_MAX: Final = 1_024
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Length prefix of a part that is absent, which is not the same as an empty one.
_ABSENT: Final = b"\xff\xff\xff\xff"
_LENGTH_BYTES: Final = 4
_DAY_S: Final = 86_400
_MILLION: Final = 1_000_000

#: RFC 3339 section 5.6; the second may be 60 so that a leap second is refused by its own name.
_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt][0-2]\d:[0-5]\d:[0-6]\d(?:\.\d+)?(?:([Zz])|[+-][0-2]\d:[0-5]\d)?", re.ASCII
)
_SECOND_AT: Final = slice(17, 19)


class TimeInvalid(Rejection):
    """The text is not an RFC 3339 timestamp, or no such instant exists between the years 1 and 9999."""

    code = "time_invalid"


class TimeNaive(Rejection):
    """The timestamp has no offset, so it names no instant."""

    code = "time_naive"


class TimeIsLeapSecond(Rejection):
    """The timestamp lies in a leap second, which neither database nor calendar arithmetic can hold."""

    code = "time_is_leap_second"


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """One report of consumption, as read from its envelope: CloudEvents' attributes, with the time as an instant."""

    source: str
    event_id: str
    type: str
    subject: str | None
    happened_at: datetime
    dataschema: str | None
    data: Mapping[str, Json]

    @property
    def key(self) -> bytes:
        """What makes it unique: 16 bytes."""
        return key16(self.source, self.event_id)


def key16(source: str, event_id: str) -> bytes:
    """The 16 bytes that stand for (source, id); parts are length-prefixed, so "a"+"bc" is not "ab"+"c"."""
    return blake2b(_familiar_part(source) + _part(event_id), digest_size=KEY_BYTES).digest()


def canonical(
    type: str,  # noqa: A002  # CloudEvents' own name of the attribute
    subject: str | None,
    happened_at: datetime,
    dataschema: str | None,
    data_text: bytes,
) -> bytes:
    """The bytes in which two events are equal if they say the same, however they were written.

    `data_text` is the canonical JSON of the data in UTF-8. Extensions, `source` and `id` are not part of it.
    """
    instant = microseconds(happened_at).to_bytes(8, signed=True)
    return b"".join((_familiar_part(type), _part(subject), instant, _familiar_part(dataschema), data_text))


def payload_hash(
    type: str,  # noqa: A002
    subject: str | None,
    happened_at: datetime,
    dataschema: str | None,
    data_text: bytes,
) -> bytes:
    """The 16 bytes by which a second event with a known key is a duplicate or a conflict; see `canonical`."""
    return blake2b(canonical(type, subject, happened_at, dataschema, data_text), digest_size=KEY_BYTES).digest()


def microseconds(instant: datetime) -> int:
    """Microseconds since 1970 in UTC, negative before."""
    since = instant - _EPOCH
    return (since.days * _DAY_S + since.seconds) * _MILLION + since.microseconds


def truncate_to_microseconds(fraction: str) -> int:
    """The microseconds of a second's fraction, given its digits: later digits are cut, never rounded.

    Rounding would move 23:59:59.9999999 into the next day and so, once a month, into the next period.
    """
    return int(fraction[:6].ljust(6, "0"))


def parse_instant(text: str) -> datetime:
    """The instant, in UTC and cut to microseconds, that an RFC 3339 timestamp names.

    Raises `TimeNaive` without an offset, `TimeIsLeapSecond` for second 60, else `TimeInvalid`.
    """
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise TimeInvalid(f"{text[:64]!r} is no RFC 3339 timestamp", field="time")
    if text[_SECOND_AT] == "60":
        raise TimeIsLeapSecond(f"{text} is a leap second", field="time")
    try:
        # The standard library cuts the fraction after six digits; a test holds it to that.
        instant = datetime.fromisoformat(text if match[1] != "z" else text[:-1] + "Z")
        if instant.tzinfo is UTC:
            return instant
        if instant.tzinfo is None:
            raise TimeNaive(f"{text} has no offset", field="time")
        return instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise TimeInvalid(f"{text[:64]!r} names no instant: {error}", field="time") from error


def instant_or_none(text: str) -> datetime | None:
    """The instant as `parse_instant` reads it, or None where there is none: for what is refused anyway."""
    try:
        return parse_instant(text)
    except Rejection:
        return None


def _part(text: str | None) -> bytes:
    if text is None:
        return _ABSENT
    encoded = text.encode()
    return len(encoded).to_bytes(_LENGTH_BYTES) + encoded


#: Parts of sources, types and schemas, of which a deployment has few.
_kept_part = lru_cache(maxsize=1_024)(_part)


def _familiar_part(text: str | None) -> bytes:
    return _kept_part(text) if text is None or len(text) <= FAMILIAR_LENGTH_MAX else _part(text)
