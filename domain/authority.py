"""Authority: which roles there are, what each may ask for, and which actions need a second person."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

from domain.errors import Rejection

#: Viewer looks. Operator keeps the line running. Finance decides about money. Approver grants what others ask for.
#: Admin says who is who; an admin alone moves no money.
Role = Literal["viewer", "operator", "finance", "approver", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)


class NotPermitted(Rejection):
    """The person has no role, or the token no scope, that allows the action."""

    code = "not_permitted"


class PersonUnknown(Rejection):
    """Nobody of that name is registered, or the person is disabled."""

    code = "person_unknown"
    is_unknown = True


class PersonDisabled(PersonUnknown):
    """The person is registered, and disabled."""

    is_unknown = False


class TokenInvalid(Rejection):
    """The token is not one of ours, or it is revoked or expired; which of them is not told."""

    code = "token_invalid"


@dataclass(frozen=True, slots=True)
class Action:
    """Something a person does: who may ask for it, and what it is in words."""

    name: str
    roles: frozenset[Role]
    meaning: str


#: name | roles that may ask for it | meaning; a scope of a token is such a name, or its part before the dot with `.*`.
_TABLE: Final = """
read.figures | viewer operator finance approver admin | look at events, usage, work, exceptions and documents
read.audit | finance approver admin | read, verify and export the audit log
send.usage | operator | send usage from a file
replay.technical | operator finance | send again what the machinery refused
replay.business | finance | send again what a business rule refused
replay.edit | finance | send again what was refused, with its content changed
replay.control | operator finance | pause, resume or cancel a replay
exceptions.assign | operator finance | name who answers for an exception, and until when
exceptions.dismiss | finance | decide that refused usage is not billable
exceptions.write_off | finance | decide that billable usage is not billed and the loss is ours
documents.repair | finance | void or send again a document that an ERP refused
runs.request | operator finance | ask for a billing period to be billed, and set its dates
runs.override | finance | let what is in the way of a billing run pass
runs.override_total | finance | let control totals that differ pass
runs.approve | approver | approve the drafts of a billing run
runs.release | finance | let a parked account's draft go out
runs.reopen | finance | reopen a closed period
credits.grant | finance | give credit
revenue.run | operator finance | recognise the revenue that is due in an accounting period
revenue.close | finance | close an accounting period for revenue
parties.publish | finance | publish accounts, contracts without prices, legal entities and ERP connections
prices.publish | finance | publish prices and contract versions
entitlements.publish | finance | publish features, entitlements and grants
taxes.publish | finance | publish tax rates
rules.publish | finance | publish rules that exclude usage
mappings.publish | operator finance | publish which subscription usage belongs to
meters.publish | operator | publish meters, their schemas and metrics
sources.publish | operator admin | publish sources and which broker user may claim them
approvals.decide | operator finance approver admin | grant or refuse what somebody else asked for
people.change | admin | register people, give and take roles, make and revoke their tokens
policies.change | admin | change which actions need a second person
retention.erase | operator | erase bodies whose time is over
"""


def _parsed(line: str) -> Action:
    name, roles, meaning = (part.strip() for part in line.split("|"))
    return Action(name, frozenset(role for role in ROLES if role in roles.split()), meaning)


ACTIONS: Final[Mapping[str, Action]] = MappingProxyType(
    {action.name: action for action in map(_parsed, _TABLE.strip().splitlines())}
)


@dataclass(frozen=True, slots=True)
class Acting:
    """Who acts: a person with the roles held now, and the scopes of the token, None where there is none to narrow."""

    person: str
    roles: frozenset[Role]
    scopes: frozenset[str] | None = None
    token_id: int | None = None


def roles_for(acting: Acting, action: str) -> frozenset[Role]:
    """The roles in which the person may do that. Raises `NotPermitted`."""
    known = action_named(action)
    roles = known.roles & acting.roles
    if not roles:
        needed = ", ".join(role for role in ROLES if role in known.roles)
        raise NotPermitted(f"{acting.person} may not {known.meaning}: that takes the role {needed}", action=action)
    if acting.scopes is not None and not is_in_scope(acting.scopes, action):
        raise NotPermitted(f"the token of {acting.person} has no scope for {action}", action=action)
    return roles


def action_named(name: str) -> Action:
    """The action of that name; a name that is not in the table is a mistake of ours."""
    assert name in ACTIONS, name
    return ACTIONS[name]


def is_in_scope(scopes: Collection[str], action: str) -> bool:
    """Whether one of the scopes covers the action: by its name, by its first part (`read.*`), or by `*`."""
    return bool({action, f"{action.partition('.')[0]}.*", "*"} & set(scopes))


def require_no_wider(acting: Acting, scopes: Collection[str]) -> None:
    """A token makes no token that opens what it does not open itself. Raises `NotPermitted`."""
    if acting.scopes is None:
        return
    for action in ACTIONS:
        if is_in_scope(scopes, action) and not is_in_scope(acting.scopes, action):
            sentence = f"the token of {acting.person} has no scope for {action}, so it makes none that has"
            raise NotPermitted(sentence, action=action)


def is_scope(scope: str) -> bool:
    """Whether a token may be given that scope: it covers at least one action."""
    return any(is_in_scope((scope,), action) for action in ACTIONS)
