"""Ownership: which system may write which field of master data, and which messages are to be heeded at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from domain.errors import Rejection

#: What a system may send, and which fields it has; those of a contract's versions are prices.
FIELDS: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "account": ("name", "parent", "bill_to", "identities"),
        "product": ("name",),
        "contract": ("account", "legal_entity", "currency", "versions", "renewals"),
        "subscription": (
            "contract",
            "cycle",
            "from",
            "to",
            "activated",
            "quantities",
            "phases",
            "cancellation",
        ),
        "mapping": ("source", "subject", "subscription", "from", "to", "owner"),
    }
)
#: How we mark what we send; a message that comes back with it is our own.
ORIGIN: Final = "tallyline"


class SystemUnknown(Rejection):
    """The message names a system that is not registered, or comes from a broker user that may not speak for it."""

    code = "system_unknown"


class MessageTypeUnknown(Rejection):
    """The message's type is not one that is read here."""

    code = "message_type_unknown"


class MessageConflicting(Rejection):
    """The system has said something else under the same id and version before."""

    code = "message_conflicting"


class FieldNotOwned(Rejection):
    """The system would change a field that another one writes, or that nobody said it may write."""

    code = "field_not_owned"


class MasterUnusable(Rejection):
    """What the message says cannot be published as it is."""

    code = "master_unusable"


class ReferenceMissing(Rejection):
    """The message names something that is not there yet; it is tried again when master data change."""

    code = "master_reference_missing"


class ChangeNotApproved(Rejection):
    """What the message says needs an approval, and it was refused, or nobody gave it in time."""

    code = "change_not_approved"


@dataclass(frozen=True, slots=True)
class Message:
    """What a system says of one object of master data; its version rises with every change there."""

    id: str
    system: str
    kind: str
    object: str
    version: int
    data: Mapping[str, Any]
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What was heard before: the same id and version with its hash, and the last version of the object applied."""

    hash: bytes | None
    version: int | None


def heed(message: Message, *, hash: bytes, known: Known) -> Literal["yes", "duplicate", "older", "own"]:  # noqa: A002
    """Whether the message is to be applied, or why it says nothing new. Raises `MessageConflicting`."""
    if known.hash is not None:
        if known.hash != hash:
            sentence = f"{message.system} said something else as {message.id} version {message.version} before"
            raise MessageConflicting(sentence, message=message.id, version=message.version)
        return "duplicate"
    if known.version is not None and message.version <= known.version:
        return "older"
    return "own" if message.origin == ORIGIN else "yes"


def foreign(message: Message, owners: Mapping[str, str]) -> dict[str, Any]:
    """What the message says of fields that its system does not own; `owners` are those of its kind.

    What the system itself calls an account is its own to say.
    """
    data = {name: value for name, value in message.data.items() if owners.get(name) != message.system}
    names = data.get("identities")
    if isinstance(names, list):
        others = [each for each in names if not isinstance(each, dict) or each.get("system") != message.system]
        data = {name: value for name, value in data.items() if name != "identities"}
        data |= {"identities": others} if others else {}
    return data


def not_owned(message: Message, fields: Sequence[str], owners: Mapping[str, str]) -> FieldNotOwned:
    """The refusal of a change to fields that the system does not own; it says who does."""
    parts = [f"{name} ({owners[name]} owns it)" if name in owners else f"{name} (nobody owns it)" for name in fields]
    sentence = f"{message.system} may not write {message.kind} {message.object}: {', '.join(parts)}"
    return FieldNotOwned(sentence, field=", ".join(fields), system=message.system, kind=message.kind)
