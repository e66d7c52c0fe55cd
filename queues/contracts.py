"""What travels: the CloudEvents envelope upstream systems send, and how one body is read as one or many of them.

A body is never trusted: numbers are read as Decimal or int, NaN and Infinity are refused, sizes and counts are bounded,
and whatever is wrong ends as a `Refusal` that names a code and a field while its neighbours go on.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, NotRequired

import msgspec
from pydantic import ConfigDict, StringConstraints, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from domain.canonical import NumberOutOfBounds, normal_number
from domain.errors import Rejection

#: Bodies above this are refused; a batch of a thousand ordinary events is far below it.
BODY_BYTES_MAX = 4 * 2**20
#: Events in one batch body.
BATCH_EVENTS_MAX = 10_000
#: Whole numbers up to this many characters need no second look.
INTEGER_LENGTH_MAX = 30

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
#: The AMQP binding of CloudEvents 1.0 allows two spellings, since some clients cannot write a colon; the binding for
#: RabbitMQ that the CloudEvents SDKs bring along writes `ce-`. Upper and lower case do not differ there.
BINARY_PREFIXES = ("cloudevents:", "cloudevents_", "ce-")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Characters of an invalid name that are shown to people.
SHOWN_LENGTH_MAX = 255
#: Characters of the attributes.
NAME_LENGTH_MAX = 255
WORDS_LENGTH_MAX = 1024
TIME_LENGTH_MIN, TIME_LENGTH_MAX = 10, 64
#: Digits of a number in a source's series; it is kept as a whole number of 64 bits.
SEQUENCE_DIGITS_MAX = 18
#: PostgreSQL keeps no NUL in a text; lone surrogates are refused by pydantic itself.
WITHOUT_NUL = r"^[^\x00]*$"
Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_LENGTH_MAX, pattern=WITHOUT_NUL)]
Words = Annotated[str, StringConstraints(max_length=WORDS_LENGTH_MAX, pattern=WITHOUT_NUL)]
Digits = Annotated[str, StringConstraints(pattern=rf"^[0-9]{{1,{SEQUENCE_DIGITS_MAX}}}$")]


class Envelope(TypedDict):
    """The attributes of CloudEvents 1.0 that Tallyline reads; others stay in the receipt."""

    __pydantic_config__ = ConfigDict(extra="ignore", strict=True)  # type: ignore[misc]

    specversion: Literal["1.0"]
    id: Name
    source: Name
    type: Name
    time: Annotated[str, StringConstraints(min_length=TIME_LENGTH_MIN, max_length=TIME_LENGTH_MAX)]
    subject: NotRequired[Words]
    dataschema: NotRequired[Words]
    datacontenttype: NotRequired[str]
    data: dict[str, Any]
    sequence: NotRequired[Digits]
    sequencetype: NotRequired[Literal["Integer"]]


_envelope = TypeAdapter(Envelope)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it lay on the queue: the body, and what AMQP said of it."""

    body: bytes
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an event, or a whole body, is not taken; `event` is what could be read of it."""

    code: str
    field: str
    sentence: str
    event: Mapping[str, object]


class _Unreadable(Exception):
    def __init__(self, code: str, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.refusal = Refusal(code, field, sentence, {})


@dataclass(frozen=True, slots=True)
class Unusable:
    """Stands where a number was that cannot be kept exactly, so that only the event that holds it is refused."""

    rejection: Rejection


def _number(literal: str) -> object:
    try:
        return normal_number(literal)
    except NumberOutOfBounds as error:
        return Unusable(error)


def _integer(literal: str) -> object:
    return _number(literal) if len(literal) > INTEGER_LENGTH_MAX else int(literal)


_decoder = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=_number)


def _json(body: bytes) -> object:
    if len(body) > BODY_BYTES_MAX:
        raise _Unreadable(
            "body_too_large", "", f"the body has {len(body)} bytes, at most {BODY_BYTES_MAX}: send smaller batches"
        )
    try:
        return _decoder.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _Unreadable("body_unreadable", "", f"the body is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise _Unreadable(
            "body_unreadable", "", f"the body is not JSON at character {error.pos}: {error.msg}"
        ) from None
    except RecursionError:
        raise _Unreadable("body_unreadable", "", "the body is nested too deeply to be read") from None


def json_in(body: bytes) -> object | Refusal:
    """The JSON value in a body, its numbers exact or an `Unusable`; or why there is none."""
    try:
        return _json(body)
    except _Unreadable as error:
        return error.refusal


def _binary(delivery: Delivery) -> dict[str, object] | None:
    """The envelope whose attributes are AMQP headers, or None if there are none."""
    headers = delivery.properties.get("headers") or {}
    attributes: dict[str, object] = {}
    for name, value in headers.items():
        for prefix in BINARY_PREFIXES:
            if name.lower().startswith(prefix):
                attributes[name.lower()[len(prefix) :]] = value
    if not attributes:
        return None
    attributes["data"] = _json(delivery.body)
    time = attributes.get("time")
    if type(time) is int:
        attributes["time"] = _instant_text(time)
    return attributes


def _instant_text(milliseconds: int) -> str | int:
    """The time of a client that writes milliseconds since 1970, as AMQP 1.0 does; nonsense stays what it is."""
    try:
        return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat()
    except OverflowError:
        return milliseconds


def events_of(delivery: Delivery) -> tuple[list[object], Refusal | None]:
    """The events in a body as they were written, not yet checked; or why the whole body is refused."""
    try:
        return _events_of(delivery), None
    except _Unreadable as error:
        return [], error.refusal


def _events_of(delivery: Delivery) -> list[object]:
    kind = _kind(delivery)
    if kind == STRUCTURED:
        return [_json(delivery.body)]
    if kind == BATCH:
        batch = _json(delivery.body)
        if not isinstance(batch, list):
            raise _Unreadable("body_unreadable", "", "a batch is a JSON array of events")
        if len(batch) > BATCH_EVENTS_MAX:
            raise _Unreadable("batch_too_large", "", f"the batch has {len(batch)} events, at most {BATCH_EVENTS_MAX}")
        return batch
    envelope = _binary(delivery)
    if envelope is not None:
        return [envelope]
    raise _Unreadable(
        "content_type_unknown",
        "content_type",
        f"content type {kind!r} is none of {STRUCTURED}, {BATCH}, and there are no cloudEvents headers",
    )


def _kind(delivery: Delivery) -> str:
    return str(delivery.properties.get("content_type") or "").partition(";")[0].strip().lower()


class Checked(msgspec.Struct, frozen=True, gc=False):
    """One event whose envelope is as it must be; what is in `data` has not been looked at.

    The same constraints as in `Envelope`; those that are missing here are seen in the body before.
    """

    specversion: Literal["1.0"]
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_LENGTH_MAX)]
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_LENGTH_MAX)]
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_LENGTH_MAX)]
    time: Annotated[str, msgspec.Meta(min_length=TIME_LENGTH_MIN, max_length=TIME_LENGTH_MAX)]
    data: dict[str, Any]
    subject: Annotated[str, msgspec.Meta(max_length=WORDS_LENGTH_MAX)] = ""
    dataschema: Annotated[str, msgspec.Meta(max_length=WORDS_LENGTH_MAX)] = ""
    datacontenttype: str = ""
    # `\Z`: to Python's expressions, unlike pydantic's, `$` is also the place before a last line break
    sequence: Annotated[str, msgspec.Meta(pattern=rf"^[0-9]{{1,{SEQUENCE_DIGITS_MAX}}}\Z")] = ""
    sequencetype: Literal["Integer"] = "Integer"


@dataclass(frozen=True, slots=True)
class Reading:
    """The events of a body in order, each checked or refused, and as they were written if one of them is refused."""

    checked: Sequence[Checked | Refusal]
    written: Sequence[object] = ()


def read(delivery: Delivery) -> Reading | Refusal:
    """The events in a body, or why the whole body is refused."""
    checked = _read_at_once(delivery)
    return _read_with_reasons(delivery) if checked is None else Reading(checked)


def _read_with_reasons(delivery: Delivery) -> Reading | Refusal:
    """The reference: says of everything that is wrong what and where it is."""
    events, refusal = events_of(delivery)
    return refusal or Reading([_checked(event) for event in events], events)


#: Reading and checking in one go costs a sixth; a property test holds it to the reference.
_DECODERS: Mapping[str, Callable[[bytes], Any]] = {
    STRUCTURED: msgspec.json.Decoder(Checked, float_hook=_number).decode,
    BATCH: msgspec.json.Decoder(list[Checked], float_hook=_number).decode,
}
_AS_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_NUMBER = b"0" * INTEGER_LENGTH_MAX


def _read_at_once(delivery: Delivery) -> Sequence[Checked] | None:
    """The events of a body in which nothing is wrong or doubtful; None leaves it to the reference."""
    decode = _DECODERS.get(_kind(delivery))
    body = delivery.body
    if decode is None or len(body) > BODY_BYTES_MAX or b"\\u0000" in body or _LONG_NUMBER in body.translate(_AS_ZEROS):
        return None
    try:
        body.decode("utf-8")  # what it skips, it would skip in any bytes
        found = decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    batch: list[Checked] = found if isinstance(found, list) else [found]
    return batch if len(batch) <= BATCH_EVENTS_MAX else None


def _shown(name: str) -> str:
    """A text that could not be taken, as it can be kept and shown: bounded, and of characters a database holds."""
    return name[:SHOWN_LENGTH_MAX].replace("\0", "\ufffd").encode(errors="replace").decode()


#: The codes of attributes whose fix is not that of any other.
_CODES: Mapping[str, str] = {
    "specversion": "specversion_unsupported",
    "sequence": "sequence_invalid",
    "sequencetype": "sequence_invalid",
}
_SENTENCES: Mapping[str, str] = {
    "sequence": f'is not a text of 1 to {SEQUENCE_DIGITS_MAX} decimal digits: send it as "42", or send none',
    "sequencetype": "is not Integer: number the events with whole numbers, or send neither it nor a sequence",
}


def _checked(event: object) -> Checked | Refusal:
    try:
        return msgspec.convert(_envelope.validate_python(event), Checked)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        known = event if isinstance(event, dict) else {}
        named = {
            name: _shown(known[name])
            for name in ("id", "source", "type", "subject")
            if isinstance(known.get(name), str)
        }
        code = _CODES.get(field, "envelope_invalid")
        return Refusal(code, field, f"{field or 'event'}: {_SENTENCES.get(field, first['msg'])}", named)
