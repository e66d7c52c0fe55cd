"""Reads one message of master data: its envelope, its type, and which object of which kind it is about."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from domain.errors import Rejection
from domain.ownership import Message, MessageTypeUnknown
from queues.contracts import Delivery, Digits, Name, events_of

#: The section of a master data file in which the objects of each kind stand.
SECTIONS: Final[Mapping[str, str]] = {
    "account": "accounts",
    "product": "products",
    "contract": "contracts",
    "subscription": "subscriptions",
    "mapping": "mappings",
}
#: The one version of each kind that is read.
_TYPE: Final = re.compile(r"tallyline\.master\.([a-z]+)\.v1")
#: As many characters as the names of objects have.
OBJECT_LENGTH_MAX: Final = 1_300
VERSION_MAX: Final = 2**63 - 1


class _Envelope(TypedDict):
    __pydantic_config__ = ConfigDict(extra="ignore", strict=True)  # type: ignore[misc]

    specversion: Literal["1.0"]
    id: Name
    source: Annotated[Name, Field(max_length=64)]
    type: Name
    data: dict[str, Any]
    sequence: NotRequired[Digits]
    version: NotRequired[Annotated[int, Field(ge=1, le=VERSION_MAX)]]
    origin: NotRequired[Name]


_envelope = TypeAdapter(_Envelope)


class MessageUnreadable(Rejection):
    """The body is no CloudEvent about one object, or its envelope is not as it must be."""

    code = "envelope_invalid"


def read(delivery: Delivery) -> Message:
    """The message in a body. Raises `MessageUnreadable` and `MessageTypeUnknown`."""
    events, refusal = events_of(delivery)
    if refusal is not None:
        raise MessageUnreadable(refusal.sentence, field=refusal.field)
    if len(events) != 1:
        raise MessageUnreadable("a body holds one message: send each alone", field="")
    try:
        envelope = _envelope.validate_python(events[0])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise MessageUnreadable(f"{field}: {first['msg']}", field=field) from None
    kind = _TYPE.fullmatch(envelope["type"])
    if kind is None or kind[1] not in SECTIONS:
        raise MessageTypeUnknown(f"{envelope['type']} is not read here", field="type")
    version = envelope.get("version") or int(envelope.get("sequence", "0"))
    if version < 1:
        raise MessageUnreadable("version: is missing, and so is a sequence above 0", field="version")
    data = dict(envelope["data"])
    return Message(
        envelope["id"], envelope["source"], kind[1], _object(kind[1], data), version, data, envelope.get("origin")
    )


def _object(kind: str, data: dict[str, Any]) -> str:
    """What the message is about; the name of an object is no field of it, so it is taken out."""
    parts = [data.get("source"), data.get("subject")] if kind == "mapping" else [data.pop("id", None)]
    if not all(isinstance(part, str) and part for part in parts):
        named = "data.source and data.subject" if kind == "mapping" else "data.id"
        raise MessageUnreadable(f"{named}: is missing, or no text", field=named)
    return " ".join(map(str, parts))[:OBJECT_LENGTH_MAX]
