"""What a deed is: a plan that says what it would come to, and the act itself, both in the caller's transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlalchemy import Connection

from domain.approvals import Effect
from queues.work import Hintable


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for, by whom and why; `payload` is JSON, since it may have to wait for an approval as such."""

    person: str
    reason: str
    payload: Mapping[str, Any]
    attachment: bytes | None = None
    approval_id: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What the deed would come to now: the actions it is, what it is about, and the money it moves by currency."""

    actions: tuple[str, ...]
    subject: str
    summary: str
    effect: Effect
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Carried:
    """What was done: facts for whoever asked, and work that is hinted after the commit."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    hints: Sequence[Hintable] = ()


Planning: TypeAlias = Callable[[Connection, Order], Plan]
Act: TypeAlias = Callable[[Connection, Order], Carried]


@dataclass(frozen=True, slots=True)
class Deed:
    """A deed by name. What `plan` writes is rolled back; both raise a `Rejection` where the deed is impossible."""

    name: str
    plan: Planning
    carry_out: Act
