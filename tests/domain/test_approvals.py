"""When an act needs a second person, and who that may be."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.approvals import (
    NO_MONEY,
    ApprovalClosed,
    ApprovalForbidden,
    ApprovalStale,
    Needed,
    Policy,
    PolicyInvalid,
    PolicyMissing,
    Request,
    is_more,
    needed,
    on_top,
    require_decidable,
    require_unchanged,
)
from domain.authority import Acting, NotPermitted

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FINANCE = Acting("ann", frozenset({"finance"}))
APPROVER = Acting("bob", frozenset({"approver"}))
AMOUNTS = st.decimals(min_value=0, max_value=10**9, places=2)


def policy(action="replay.business", needs="always", role="finance", **limit):
    return Policy(action, role, needs, "approver", 72, **limit)


def limit(amount, currency="EUR", **how):
    return policy(needs="above_limit", currency=currency, money_max=Decimal(amount), **how)


def test_an_act_without_a_policy_does_not_happen():
    with pytest.raises(PolicyMissing):
        needed(FINANCE, ["replay.business"], effect=NO_MONEY, policies=[policy("replay.edit")])


def test_an_act_that_the_role_does_not_allow_does_not_become_a_request():
    with pytest.raises(NotPermitted):
        needed(APPROVER, ["replay.business"], effect=NO_MONEY, policies=[policy()])


def test_always_means_a_second_person_whatever_it_costs():
    assert needed(FINANCE, ["replay.business"], effect=NO_MONEY, policies=[policy()]) == Needed("approver", 72)


@given(AMOUNTS, AMOUNTS)
def test_a_limit_lets_pass_what_is_not_above_it(most, amount):
    found = needed(FINANCE, ["replay.business"], effect={"EUR": -amount}, policies=[limit(most)])

    assert (found is None) == (amount <= most)


def test_money_in_a_currency_without_a_limit_needs_a_second_person():
    both = [limit(1000), limit(1000, "USD")]

    assert needed(FINANCE, ["replay.business"], effect={"EUR": Decimal(1), "USD": Decimal(2)}, policies=both) is None
    assert needed(FINANCE, ["replay.business"], effect={"EUR": Decimal(1), "CHF": Decimal(1)}, policies=both)
    assert needed(FINANCE, ["replay.business"], effect={"CHF": Decimal(0)}, policies=both) is None


def test_money_that_nobody_can_name_needs_a_second_person():
    assert needed(FINANCE, ["replay.business"], effect=None, policies=[limit(10**9)])
    assert needed(FINANCE, ["replay.business"], effect=None, policies=[policy(needs="nothing")]) is None


def test_of_several_roles_the_one_that_is_free_counts():
    both = Acting("ann", frozenset({"finance", "operator"}))
    policies = [policy("mappings.publish"), policy("mappings.publish", "nothing", "operator")]

    assert needed(both, ["mappings.publish"], effect=NO_MONEY, policies=policies) is None
    assert needed(FINANCE, ["mappings.publish"], effect=NO_MONEY, policies=policies)


def test_of_several_actions_each_has_to_be_free():
    policies = [policy("parties.publish", "nothing"), policy("prices.publish")]

    assert needed(FINANCE, ["parties.publish"], effect=NO_MONEY, policies=policies) is None
    assert needed(FINANCE, ["parties.publish", "prices.publish"], effect=NO_MONEY, policies=policies)


@pytest.mark.parametrize(
    "wrong",
    [
        {"needs": "above_limit"},
        {"needs": "nothing", "currency": "EUR", "money_max": Decimal(1)},
        {"needs": "above_limit", "currency": "EUR", "money_max": Decimal(-1)},
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(wrong):
    with pytest.raises(PolicyInvalid):
        policy(**wrong)


def request(**changes):
    given = {"id": 7, "requested_by": "ann", "decided_by": "approver", "state": "open"}
    return Request(**{**given, "expires_at": NOW + timedelta(hours=1), "effect": {"EUR": Decimal(100)}, **changes})


def test_somebody_else_with_the_role_decides():
    require_decidable(request(), APPROVER, now=NOW)


def test_nobody_decides_what_they_asked_for():
    ann = Acting("ann", frozenset({"finance", "approver", "admin"}))

    with pytest.raises(ApprovalForbidden, match="somebody else"):
        require_decidable(request(), ann, now=NOW)


def test_nobody_decides_without_the_role_that_the_policy_names():
    with pytest.raises(ApprovalForbidden, match="approver"):
        require_decidable(request(), Acting("bob", frozenset({"admin"})), now=NOW)
    with pytest.raises(NotPermitted):
        require_decidable(request(), Acting("bob", frozenset({"viewer"})), now=NOW)
    with pytest.raises(NotPermitted):
        require_decidable(request(), Acting("bob", frozenset({"approver"}), frozenset({"read.*"})), now=NOW)


@pytest.mark.parametrize("state", ["granted", "refused", "withdrawn", "expired", "stale"])
def test_what_is_closed_is_not_decided_again(state):
    with pytest.raises(ApprovalClosed, match=state):
        require_decidable(request(state=state), APPROVER, now=NOW)


def test_what_has_expired_is_not_decided():
    require_decidable(request(expires_at=NOW + timedelta(seconds=1)), APPROVER, now=NOW)
    with pytest.raises(ApprovalClosed, match="expired"):
        require_decidable(request(expires_at=NOW), APPROVER, now=NOW)


def test_what_would_move_more_money_than_was_asked_for_is_stale():
    for effect in ({"EUR": Decimal("100.01")}, {"EUR": Decimal("-100.01")}, {"USD": Decimal(1)}, None):
        with pytest.raises(ApprovalStale):
            require_unchanged(request(), effect)


def test_what_moves_as_much_or_less_is_not_stale():
    for effect in ({"EUR": Decimal(100)}, {"EUR": Decimal(-3)}, {}):
        require_unchanged(request(), effect)
    require_unchanged(request(effect=None), {"USD": Decimal(10**9)})


@pytest.mark.parametrize(
    ("effect", "than", "more"),
    [
        ({"EUR": Decimal(1)}, {}, True), ({"EUR": Decimal(1)}, {"USD": Decimal(9)}, True), ({}, {}, False),
        (None, {}, True),
        ({"EUR": Decimal(-5)}, {"EUR": Decimal(4)}, True), ({"EUR": Decimal(9)}, None, False), (None, None, False),
    ],
)  # fmt: skip
def test_what_nobody_can_say_is_more_than_anything_that_was_said(effect, than, more):
    assert is_more(effect, than=than) is more


def test_a_limit_sees_what_was_moved_alone_in_the_currencies_that_are_moved_now():
    alone = {"EUR": Decimal(7), "USD": Decimal(2)}

    assert on_top({"EUR": Decimal(-3), "CHF": Decimal(1), "USD": Decimal(0)}, alone) == {
        "EUR": Decimal(10),
        "CHF": Decimal(1),
    }
    assert on_top({}, alone) == {}
    assert on_top(None, alone) is None
