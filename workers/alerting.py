"""How alerts about limits come about: in the transaction that moved the usage, each threshold of a period once."""

from collections.abc import Iterator, Sequence

from domain.entitlement_terms import Limit
from domain.entitlements import Alert, allowance, in_force, instant_in, reached
from domain.notices import threshold_reached
from workers.store import entitlement_alerts as store
from workers.store import entitlements, notices
from workers.store.aggregates import Added
from workers.store.entitlement_alerts import Key, Near
from workers.store.entitlements import Asked
from workers.unit import Unit


def alert(unit: Unit, added: Added) -> None:
    """Owe a notice for each threshold that usage of the batches reached and that was not told before.

    It is the last thing of its transaction that takes locks: whoever waits for them has written its windows already.
    """
    watched = store.watched(unit.conn, added.moved) if added.moved else []
    if not watched:
        return
    store.lock(unit.conn, watched)
    found = list(_alerts(unit, store.near(unit.conn, watched)))
    fresh = store.insert(unit.conn, [(key, each.threshold, each.allowance) for key, each in found])
    told = {
        f"{key.subscription_id}/{key.feature_id}/{key.billing_period_id}/{each.threshold:04}": threshold_reached(each)
        for key, each in found
        if (key, each.threshold) in fresh
    }
    if told:
        notices.owe_all(unit, unit.ready[0], told, under=f"entitlements/{min(added.batches)}")


def _alerts(unit: Unit, found: Sequence[Near]) -> Iterator[tuple[Key, Alert]]:
    """The thresholds that each has reached by now, told before or not."""
    asked = [Asked(each.subscription, each.feature, instant_in(each.window, unit.now)) for each in found]
    for near, question, holding in zip(found, asked, entitlements.holdings(unit.conn, asked), strict=True):
        assert holding is not None, question
        terms = in_force(holding.entitlements, question.at)
        if not isinstance(terms, Limit):
            continue
        left = allowance(holding, at=question.at)
        for threshold in reached(terms, left):
            yield near.key, Alert(
                near.subscription, near.account, near.feature, near.metric, near.unit, near.period,
                terms.enforcement, threshold, left,
            )  # fmt: skip
