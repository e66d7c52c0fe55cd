"""Closing: the stages of billing one period of a legal entity, and what must be true before each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from domain.codes import code_named
from domain.errors import Rejection

Stage = Literal["open", "frozen", "drafted", "approved", "posted", "reconciled", "closed"]
#: In order; a run never skips one and never goes back.
STAGES: Final[tuple[Stage, ...]] = ("open", "frozen", "drafted", "approved", "posted", "reconciled", "closed")


class StageOutOfOrder(Rejection):
    """A run would skip a stage or go back."""

    code = "stage_out_of_order"


class CloseBlocked(Rejection):
    """Entry conditions of the next stage are not met; `blockers` says which."""

    code = "close_blocked"

    def __init__(self, stage: Stage, blockers: "tuple[Blocker, ...]") -> None:
        names = ", ".join(f"{blocker.code} ({blocker.count})" for blocker in blockers)
        super().__init__(f"not {stage} yet: {names}", stage=stage, blockers=[blocker.code for blocker in blockers])
        self.blockers = blockers


class OverrideInvalid(Rejection):
    """An override that names no blocker, or one that cannot be overridden, or no person or no reason."""

    code = "override_invalid"


@dataclass(frozen=True, slots=True)
class Facts:
    """What was counted about a run in one snapshot; zero everywhere means nothing is in the way.

    `exceptions_open` counts the open exceptions of the period by code, `money_at_risk` (decimal text) goes with it.
    """

    period_not_ended: int = 0
    receipts_unaggregated: int = 0
    events_do_not_add_up: int = 0
    usage_does_not_add_up: int = 0
    exceptions_open: Mapping[str, int] = field(default_factory=dict)
    money_at_risk: Mapping[str, str] = field(default_factory=dict)
    work_open: int = 0
    drafts_blocked: int = 0
    accounts_parked: int = 0
    issue_date_too_early: int = 0
    accounting_period_closed: int = 0
    approval_missing: int = 0
    postings_unconfirmed: int = 0
    posting_differs: int = 0
    control_totals_differ: int = 0
    usage_in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """That a count of `Facts` is zero before a stage; `code` is the name of the fact and of the blocker."""

    stage: Stage
    code: str
    is_overridable: bool = False


#: Open exceptions stand beside these: each of their codes blocks `frozen` and can be overridden by name.
CONDITIONS: Final = (
    Condition("frozen", "period_not_ended"),
    Condition("frozen", "receipts_unaggregated"),
    Condition("frozen", "events_do_not_add_up"),
    Condition("frozen", "usage_does_not_add_up"),
    Condition("drafted", "work_open"),
    Condition("drafted", "drafts_blocked", is_overridable=True),
    Condition("approved", "issue_date_too_early"),
    Condition("approved", "accounting_period_closed"),
    Condition("approved", "approval_missing"),
    Condition("posted", "postings_unconfirmed"),
    Condition("reconciled", "posting_differs"),
    Condition("reconciled", "control_totals_differ", is_overridable=True),
    Condition("closed", "usage_does_not_add_up"),
    Condition("closed", "accounts_parked"),
    Condition("closed", "usage_in_flight"),
)
EXCEPTIONS_STAGE: Final[Stage] = "frozen"


@dataclass(frozen=True, slots=True)
class Blocker:
    """What is in the way of a stage, how often, and what to do about it."""

    code: str
    stage: Stage
    count: int
    is_overridable: bool
    meaning: str
    fix: str
    money_at_risk: str | None = None


@dataclass(frozen=True, slots=True)
class Override:
    """That a person let a blocker pass, of which there were `count`, and why. If more appear it blocks again."""

    code: str
    person: str
    reason: str
    count: int
    overridden_at: datetime


def next_stage(stage: Stage) -> Stage | None:
    """The stage after, or None after the last."""
    place = STAGES.index(stage) + 1
    return STAGES[place] if place < len(STAGES) else None


def blockers(stage: Stage, facts: Facts, overrides: Sequence[Override] = ()) -> tuple[Blocker, ...]:
    """What is in the way of entering the stage and not overridden, in the order of the conditions."""
    let_pass = {override.code: override.count for override in overrides}
    return tuple(
        found
        for found in _unmet(stage, facts)
        if not (found.is_overridable and found.count <= let_pass.get(found.code, 0))
    )


def entered(current: Stage, stage: Stage, *, facts: Facts, overrides: Sequence[Override] = ()) -> Stage:
    """The stage, if it is the next one and nothing is in its way. Raises `StageOutOfOrder` or `CloseBlocked`."""
    if next_stage(current) != stage:
        raise StageOutOfOrder(f"{stage} does not follow {current}", current=current, stage=stage)
    found = blockers(stage, facts, overrides)
    if found:
        raise CloseBlocked(stage, found)
    return stage


def overridden(blocker: Blocker, *, person: str, reason: str, overridden_at: datetime) -> Override:
    """The record that a person lets the blocker pass. Raises `OverrideInvalid`."""
    if not blocker.is_overridable:
        raise OverrideInvalid(f"{blocker.code} cannot be overridden", code=blocker.code, person=person)
    if not person.strip() or not reason.strip():
        raise OverrideInvalid(f"{blocker.code} is overridden by nobody or for no reason", code=blocker.code)
    return Override(blocker.code, person.strip(), reason.strip(), blocker.count, overridden_at)


def _unmet(stage: Stage, facts: Facts) -> Iterator[Blocker]:
    for condition in CONDITIONS:
        count: int = getattr(facts, condition.code)
        if condition.stage == stage and count > 0:
            yield _blocker(condition, count)
    if stage == EXCEPTIONS_STAGE:
        for code, count in sorted(facts.exceptions_open.items()):
            if count > 0:
                condition = Condition(stage, code, is_overridable=True)
                yield _blocker(condition, count, money_at_risk=facts.money_at_risk.get(code))


def _blocker(condition: Condition, count: int, *, money_at_risk: str | None = None) -> Blocker:
    code = code_named(condition.code)
    return Blocker(code.name, condition.stage, count, condition.is_overridable, code.meaning, code.fix, money_at_risk)
