"""How alerts about limits come about: in the transaction that moved the usage, each threshold of a period once."""

from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy import Connection

from domain.entitlement_terms import Limit
from domain.entitlements import Alert, Holding, allowance, in_force, instant_in, reached
from domain.notices import Notice, threshold_reached
from workers.store import entitlement_alerts as store
from workers.store import entitlements, notices
from workers.store.aggregates import Added
from workers.store.entitlement_alerts import Key, Near
from workers.store.entitlements import Asked
from workers.unit import Unit


def alert(unit: Unit, added: Added) -> None:
    """Owe a notice for each threshold that usage of the batches reached and that was not told before.

    What must be measured first is told by the tick (`looking`). It is the last thing of its transaction that takes
    locks: whoever waits for them has written its windows already.
    """
    if not added.moved:
        return
    store.look_later(unit.conn, added.moved)
    watched = store.watched(unit.conn, added.moved)
    if not watched:
        return
    at = store.lock(unit.conn, [each.key.subscription_id for each in watched])
    near = store.near(unit.conn, watched)
    asked = [Asked(each.subscription, each.feature, instant_in(each.window, at)) for each in near]
    found = [
        each
        for of, question, holding in zip(near, asked, entitlements.holdings(unit.conn, asked), strict=True)
        for each in alerts(of, question, holding)
    ]
    if told := fresh(unit.conn, found):
        notices.owe_all(unit, unit.ready[0], told, under=f"entitlements/{min(added.batches)}")


def alerts(near: Near, asked: Asked, holding: Holding | None) -> Iterator[tuple[Key, Alert]]:
    """The thresholds that usage has reached by the instant, told before or not."""
    assert holding is not None, asked
    terms = in_force(holding.entitlements, asked.at)
    if not isinstance(terms, Limit):
        return
    left = allowance(holding, at=asked.at)
    for threshold in reached(terms, left):
        yield near.key, Alert(
            near.subscription, near.account, near.feature, near.metric, near.unit, near.period,
            terms.enforcement, threshold, left,
        )  # fmt: skip


def fresh(conn: Connection, found: Iterable[tuple[Key, Alert]]) -> Mapping[str, Notice]:
    """Keep the alerts; the notices of those that were not known before, each under a name of its own."""
    alerts = list(found)
    if not alerts:
        return {}
    new = store.insert(conn, [(key, each.threshold, each.allowance) for key, each in alerts])
    return {
        f"{key.subscription_id}/{key.feature_id}/{key.billing_period_id}/{each.threshold:04}": threshold_reached(each)
        for key, each in alerts
        if (key, each.threshold) in new
    }
