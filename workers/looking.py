"""Judges limits by themselves, once a minute: what has changed without usage, and usage that must be measured."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Connection

from domain.entitlement_terms import Limit
from domain.entitlements import Holding, Used, allowance, in_force, instant_in, reached_by_time
from domain.errors import Rejection
from queues.telemetry import correlation_id
from queues.work import Hintable
from workers.alerting import alerts, fresh
from workers.step import publish
from workers.store import entitlement_alerts, entitlements, notices
from workers.store import entitlement_looks as looks
from workers.store import entitlement_usage as usage
from workers.store.database import engine
from workers.store.entitlement_alerts import Near
from workers.store.entitlement_looks import Due, Next
from workers.store.entitlement_usage import Unmeasured
from workers.store.entitlements import Asked, Draft

log = structlog.get_logger(__name__)

#: How often it is asked, and the least time between two looks that only time brings about.
EVERY_S: Final = 60.0
#: Looks that are taken in one transaction, and transactions of one tick; what is left waits for the next.
PORTION: Final = 100
PORTIONS_MAX: Final = 300


def tick() -> None:
    """Take the looks that are due, portion by portion: measure anew, tell thresholds that are reached, look ahead."""
    for _ in range(PORTIONS_MAX):
        with engine().begin() as conn:
            found = looks.due(conn, limit=PORTION)
            hints = _look(conn, found) if found else []
        publish(hints)
        if not found:
            return
    log.warning("limits wait to be looked at", portions=PORTIONS_MAX)


def _look(conn: Connection, due: Sequence[Due]) -> list[Hintable]:
    """The instant is read last: whoever moves usage of these afterwards judges it itself, or owes another look."""
    settled = looks.settle(conn, due)
    at = entitlement_alerts.lock(conn, [each.subscription_id for each in due if each.is_summed])
    near = looks.near(conn, due, settled, at=at)
    asked = [Asked(each.subscription, each.feature, instant_in(each.window, at)) for each in near]
    drafts = [each for each in entitlements.drafts(conn, asked) if each is not None]  # all: they are named by ids
    judged = [
        (of, question, draft, holding)
        for of, question, draft in zip(near, asked, drafts, strict=True)
        if (holding := _measured(conn, of, draft, at=at)) is not None
    ]
    told = fresh(conn, [each for of, question, _, holding in judged for each in alerts(of, question, holding)])
    kinds = {(each.subscription_id, each.feature_id): each for each in due}
    ahead = [
        each
        for of, question, draft, holding in judged
        if question.at == at
        for each in _ahead(conn, kinds[of.key.subscription_id, of.key.feature_id], of, draft, holding, at=at)
    ]
    looks.schedule(conn, ahead)
    cause = correlation_id.get() or "tick-look-at-limits"
    under = f"entitlements/look-{min(each.look_id for each in settled)}"
    return notices.owe_many(conn, told, under=under, at=at, correlation_id=cause)


def _measured(conn: Connection, near: Near, draft: Draft, *, at: datetime) -> Holding | None:
    """The holding with what had to be measured, which is kept; None if it cannot be: others do not wait for it."""
    try:
        found = [(each, usage.anew(conn, each)) for each in draft.unmeasured]
    except Rejection as rejection:
        log.warning("a limit is not measured", subscription=near.subscription, feature=near.feature,
                    code=rejection.code)  # fmt: skip
        return None
    usage.keep(conn, found, at=at)
    return draft.holding(Used(each.window, quantity) for each, quantity in found)


def _ahead(  # noqa: PLR0913 -- what is known of one limit
    conn: Connection, kind: Due, near: Near, draft: Draft, holding: Holding, *, at: datetime
) -> Iterator[Next]:
    """When the limit is to be looked at without anybody's doing: as its usage goes on, and as time moves it."""
    terms, present = in_force(holding.entitlements, at), draft.periods[-1]
    if not isinstance(terms, Limit):
        return
    if kind.goes_on:
        yield Next(near, near.window.ends_at)
    if kind.is_moved_by_time and isinstance(present, Unmeasured):
        whole = usage.anew(conn, replace(present, until=present.period.ends_at))
        then = Used(present.window, whole)
        reached_at = reached_by_time(terms, allowance(holding, at=at), at=at, then=then)
        if reached_at is not None:
            yield Next(near, max(reached_at, at + timedelta(seconds=EVERY_S)))
