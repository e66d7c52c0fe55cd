"""Replays: in which order they go, what an edit may change, and how much money a forecast moves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from domain.canonical import Json
from domain.errors import Rejection
from domain.money import EXACT

#: Replay and edit send again; dismiss and write-off decide that it is not sent.
ReplayKind = Literal["replay", "edit", "dismiss", "write_off"]
ReplayState = Literal["planned", "running", "paused", "done", "cancelled"]
Control = Literal["start", "pause", "resume", "cancel"]

#: From which states each act leads, and to which.
_ACTS: Final[Mapping[Control, tuple[frozenset[ReplayState], ReplayState]]] = {
    "start": (frozenset({"planned"}), "running"),
    "pause": (frozenset({"running"}), "paused"),
    "resume": (frozenset({"paused"}), "running"),
    "cancel": (frozenset({"planned", "running", "paused"}), "cancelled"),
}
#: What makes an event the one it is; another value is another event, which its producer has to send.
_IDENTITY: Final = ("source", "id")
_DATA: Final = "data"


class ReplayOutOfOrder(Rejection):
    """The replay is not in a state from which that is possible."""

    code = "replay_out_of_order"


class ReplayUnknown(ReplayOutOfOrder):
    """There is no replay of that number."""

    is_unknown = True


class EditInvalid(Rejection):
    """The edit would make another event of it."""

    code = "edit_invalid"


class ExceptionUnknown(EditInvalid):
    """There is no exception of that number to edit."""

    is_unknown = True


def after(act: Control, state: ReplayState, *, replay: int) -> ReplayState:
    """The state after the act. Raises `ReplayOutOfOrder`."""
    from_states, to_state = _ACTS[act]
    if state not in from_states:
        raise ReplayOutOfOrder(f"replay {replay} is {state}: it takes no {act}", replay=replay)
    return to_state


def edited(event: Mapping[str, Json], changes: Mapping[str, Json]) -> dict[str, Json]:
    """The event with the members at these paths (`data.distance`) set; what is not named stays as it is.

    Raises `EditInvalid` where a path leads through something that has no members.
    """
    made = dict(event)
    for path, value in changes.items():
        *parents, name = path.split(".")
        at = made
        for parent in parents:
            below = at.get(parent, {})
            if not isinstance(below, dict):
                raise EditInvalid(f"{parent} has no members, so there is no {path}", field=path)
            at[parent] = dict(below)
            at = at[parent]  # type: ignore[assignment]  # it has just been made
        at[name] = value
    return made


def require_same_event(event: Mapping[str, Json], new: Mapping[str, Json], *, is_accepted: bool) -> None:
    """Refuse an edit that changes what the event is, or nothing at all. Raises `EditInvalid`.

    An event that was accepted is never changed: what is edited stands in for its data where usage is decided again.
    """
    fixed = sorted({*event, *new} - {_DATA}) if is_accepted else _IDENTITY
    for name in fixed:
        if event.get(name) != new.get(name):
            why = (
                "the event was accepted: only its data can be edited"
                if is_accepted and name not in _IDENTITY
                else ("source and id make it the event it is: its producer has to send another one")
            )
            raise EditInvalid(f"{name} cannot be edited; {why}", field=name)
    if event == new:
        raise EditInvalid("nothing is changed: a plain replay sends it as it is", field=_DATA)


@dataclass(frozen=True, slots=True)
class Difference:
    """What a document would bill more or less: net, rounded as its lines are, in whole minor units."""

    legal_entity: str
    account: str
    contract: str
    period: str
    document: str
    currency: str
    before: Decimal
    after: Decimal

    @property
    def net(self) -> Decimal:
        """What is added to the document, negative where it is taken off."""
        return EXACT.subtract(self.after, self.before)


ByCurrency: TypeAlias = Mapping[str, Decimal]


def by_account(differences: Iterable[Difference]) -> Mapping[tuple[str, str], Decimal]:
    """The net difference by (account, currency)."""
    sums: dict[tuple[str, str], Decimal] = {}
    for each in differences:
        key = (each.account, each.currency)
        sums[key] = EXACT.add(sums.get(key, Decimal(0)), each.net)
    return sums


def money_moved(differences: Iterable[Difference]) -> ByCurrency:
    """The absolute differences by currency: what one document gains does not make good what another loses."""
    sums: dict[str, Decimal] = {}
    for each in differences:
        sums[each.currency] = EXACT.add(sums.get(each.currency, Decimal(0)), abs(each.net))
    return sums
