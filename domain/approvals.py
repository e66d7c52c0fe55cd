"""Approvals: when an act needs a second person, who that may be, and what a decision is worth."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

from domain.authority import Acting, Role, roles_for
from domain.errors import Rejection

#: Nothing: done at once. Above a limit: done at once up to so much money a day. Always: never without a second person.
Needs = Literal["nothing", "above_limit", "always"]
RequestState = Literal["open", "granted", "refused", "withdrawn", "expired", "stale"]
#: Money by currency that an act moves, as absolute amounts; None: nobody can say, so no limit can hold it.
Effect = Mapping[str, Decimal] | None
NO_MONEY: Final[Effect] = {}


class PolicyMissing(Rejection):
    """No policy says whether the act needs a second person, so it does not happen."""

    code = "policy_missing"


class PolicyInvalid(Rejection):
    """A policy that contradicts itself."""

    code = "policy_invalid"


class ApprovalForbidden(Rejection):
    """Who decides is who asked, or has not the role that the policy names."""

    code = "approval_forbidden"


class ApprovalClosed(Rejection):
    """The request is decided, withdrawn or expired already."""

    code = "approval_closed"


class RequestUnknown(ApprovalClosed):
    """There is no request of that number."""

    is_unknown = True


class ApprovalStale(Rejection):
    """What was asked for would move more money now, or is no longer possible: it has to be asked for again."""

    code = "approval_stale"


@dataclass(frozen=True, slots=True)
class Policy:
    """What an action needs when it is asked for in a role; with a limit it counts for that currency alone."""

    action: str
    role: Role
    needs: Needs
    decided_by: Role
    expires_h: int
    currency: str | None = None
    money_max: Decimal | None = None

    def __post_init__(self) -> None:
        if (self.needs == "above_limit") != (self.currency is not None and self.money_max is not None):
            raise PolicyInvalid(
                f"the policy of {self.action} names a limit without needing one, or the reverse", action=self.action
            )
        if self.money_max is not None and self.money_max < 0:
            raise PolicyInvalid(f"the limit of {self.action} is below zero", action=self.action)


@dataclass(frozen=True, slots=True)
class Needed:
    """That a second person with the role has to grant the act within so many hours."""

    decided_by: Role
    expires_h: int


@dataclass(frozen=True, slots=True)
class Request:
    """What of a request for approval a decision rests on."""

    id: int
    requested_by: str
    decided_by: Role
    state: RequestState
    expires_at: datetime
    effect: Effect


def needed(acting: Acting, actions: Collection[str], *, effect: Effect, policies: Sequence[Policy]) -> Needed | None:
    """The approval that doing all of these actions takes; None: it may happen at once.

    Where several are needed, the one that expires first counts, decided by the role that most of them name.
    Raises `NotPermitted` or `PolicyMissing`.
    """
    found = [
        each
        for action in sorted(actions)
        if (each := _of_action(acting, action, effect=effect, policies=policies)) is not None
    ]
    if not found:
        return None
    deciders = [each.decided_by for each in found]
    return Needed(max(deciders, key=lambda role: (deciders.count(role), role)), min(each.expires_h for each in found))


def _of_action(acting: Acting, action: str, *, effect: Effect, policies: Sequence[Policy]) -> Needed | None:
    """The mildest approval among the roles that may do the action."""
    roles = roles_for(acting, action)
    mine = [each for each in policies if each.action == action and each.role in roles]
    if not mine:
        raise PolicyMissing(f"no policy says whether {action} needs a second person", action=action)
    if any(_is_free([each for each in mine if each.role == role], effect) for role in roles):
        return None
    strictest = min(mine, key=lambda each: (each.expires_h, each.decided_by))
    return Needed(strictest.decided_by, strictest.expires_h)


def _is_free(policies: Sequence[Policy], effect: Effect) -> bool:
    """Whether the policies of one role let the effect pass without a second person."""
    if any(each.needs == "nothing" for each in policies):
        return True
    if effect is None or any(each.needs == "always" for each in policies):
        return False
    limits = {each.currency: each.money_max for each in policies if each.money_max is not None}
    return bool(limits) and all(
        amount == 0 or ((most := limits.get(currency)) is not None and abs(amount) <= most)
        for currency, amount in effect.items()
    )


def on_top(effect: Effect, alone: Mapping[str, Decimal]) -> Effect:
    """The effect as a limit sees it: with what the person moved alone within a day, so that parts pass no whole."""
    if effect is None:
        return None
    return {code: abs(amount) + alone.get(code, Decimal(0)) for code, amount in effect.items() if amount}


def require_decidable(request: Request, acting: Acting, *, now: datetime) -> None:
    """Raise `ApprovalClosed` or `ApprovalForbidden` unless that person may decide the request now."""
    if request.state != "open":
        raise ApprovalClosed(f"request {request.id} is {request.state}", request=request.id)
    if now >= request.expires_at:
        raise ApprovalClosed(f"request {request.id} expired at {request.expires_at:%Y-%m-%d %H:%M} UTC")
    if acting.person == request.requested_by:
        raise ApprovalForbidden(f"{acting.person} asked for it: somebody else has to decide", request=request.id)
    roles_for(acting, "approvals.decide")
    if request.decided_by not in acting.roles:
        raise ApprovalForbidden(f"request {request.id} is decided by the role {request.decided_by}", request=request.id)


def require_unchanged(request: Request, effect: Effect) -> None:
    """Raise `ApprovalStale` if the act would move more money, or other money, than was asked for."""
    if is_more(effect, than=request.effect):
        raise ApprovalStale(f"request {request.id} would move more money than was asked for", request=request.id)


def is_more(effect: Effect, *, than: Effect) -> bool:
    """Whether it moves more money in any currency; what nobody can say is more than anything but itself."""
    if than is None:
        return False
    return effect is None or any(abs(amount) > abs(than.get(code, Decimal(0))) for code, amount in effect.items())
