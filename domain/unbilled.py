"""Not billed: why a subscription of a billed period has no document, under one named reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

#: In the order in which they are tried: what a person can do something about comes before what is as it should be.
Reason = Literal[
    "not_active",
    "in_exception",
    "draft_held",
    "left_to_next_run",
    "run_blocked",
    "on_its_way",
    "all_excluded",
    "nothing_due",
]
MEANINGS: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        "not_active": "the subscription is not active in the period",
        "in_exception": "its usage, or its draft, is in exception",
        "draft_held": "its draft waits for approval",
        "left_to_next_run": "it has usage that the next run bills",
        "run_blocked": "its draft is not made before what is in the way of the run is put right or let pass",
        "on_its_way": "the run has not made its draft yet",
        "all_excluded": "all its usage is excluded by rules",
        "nothing_due": "it has no usage, and nothing is due without",
    }
)


@dataclass(frozen=True, slots=True)
class Usage:
    """What is known of a subscription in a period that has no document with a line of it.

    `is_owed`: the run has not made its draft; `is_stopped`: and something is in the run's way.
    `exceptions` counts what is open by code, `excluded` what each rule excludes; `usages` are the billable ones.
    """

    is_active: bool
    usages: int = 0
    exceptions: Mapping[str, int] = field(default_factory=dict)
    excluded: Mapping[str, int] = field(default_factory=dict)
    has_draft: bool = False
    is_owed: bool = False
    is_stopped: bool = False
    is_left_out: bool = False


def reason_of(found: Usage) -> Reason:
    """Why the subscription has no document."""
    if found.exceptions:
        return "in_exception"
    if found.has_draft:
        return "draft_held"
    if found.is_owed:
        return "run_blocked" if found.is_stopped else "on_its_way"
    if found.usages or found.is_left_out:
        return "left_to_next_run"
    if found.excluded:
        return "all_excluded"
    return "nothing_due" if found.is_active else "not_active"
