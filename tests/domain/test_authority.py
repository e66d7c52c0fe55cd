"""Roles and actions: who may ask for what, and how far a token reaches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.authority import ACTIONS, ROLES, Acting, NotPermitted, is_in_scope, is_scope, require_no_wider, roles_for

#: What each role may do, written down a second time by the words of the roles, not by the table.
VIEWER = {"read.figures"}
EVERYBODY_ELSE = VIEWER | {"approvals.decide"}
EXPECTED = {
    "viewer": VIEWER,
    "operator": EVERYBODY_ELSE
    | {"send.usage", "replay.technical", "replay.control", "exceptions.assign", "runs.request", "mappings.publish"}
    | {"meters.publish", "sources.publish", "retention.erase", "revenue.run"},
    "finance": EVERYBODY_ELSE
    | {"read.audit", "replay.technical", "replay.business", "replay.edit", "replay.control", "exceptions.assign"}
    | {"exceptions.dismiss", "exceptions.write_off", "documents.repair", "runs.request", "runs.override"}
    | {
        "runs.override_total",
        "runs.reopen",
        "runs.release",
        "credits.grant",
        "parties.publish",
        "prices.publish",
        "taxes.publish",
    }
    | {"rules.publish", "runs.release", "mappings.publish", "entitlements.publish"}
    | {"revenue.run", "revenue.close"},
    "approver": EVERYBODY_ELSE | {"read.audit", "runs.approve"},
    "admin": EVERYBODY_ELSE | {"read.audit", "people.change", "policies.change", "sources.publish"},
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_role_may_do_what_it_is_for_and_nothing_else(role, action):
    acting = Acting("ann", frozenset({role}))

    if action in EXPECTED[role]:
        assert roles_for(acting, action) == {role}
    else:
        with pytest.raises(NotPermitted, match="takes the role"):
            roles_for(acting, action)


def test_nobody_without_a_role_may_do_anything():
    for action in ACTIONS:
        with pytest.raises(NotPermitted):
            roles_for(Acting("ann", frozenset()), action)


@given(st.sets(st.sampled_from(sorted(ACTIONS))), st.sampled_from(sorted(ACTIONS)))
def test_a_token_narrows_and_never_widens(scopes, action):
    everything = Acting("ann", frozenset(ROLES), frozenset(scopes))

    if action in scopes:
        assert roles_for(everything, action)
    else:
        with pytest.raises(NotPermitted, match="no scope"):
            roles_for(everything, action)
    with pytest.raises(NotPermitted):
        roles_for(Acting("ann", frozenset(), frozenset(scopes)), action)


def test_a_scope_is_an_action_a_part_of_them_or_all():
    assert is_in_scope({"replay.*"}, "replay.technical")
    assert is_in_scope({"*"}, "people.change")
    assert not is_in_scope({"replay.*", "read.figures"}, "runs.approve")
    assert [each for each in ("read.*", "*", "runs.approve", "run.*", "", "reads") if is_scope(each)] == [
        "read.*",
        "*",
        "runs.approve",
    ]


@given(st.sets(st.sampled_from(sorted(ACTIONS))), st.sets(st.sampled_from([*sorted(ACTIONS), "*", "read.*", "runs.*"])))
def test_a_token_is_made_by_one_that_opens_as_much(own, wanted):
    made_by = Acting("ann", frozenset(ROLES), frozenset(own))
    opened = {action for action in ACTIONS if is_in_scope(wanted, action)}

    if opened <= own:
        require_no_wider(made_by, wanted)
    else:
        with pytest.raises(NotPermitted, match="makes none that has"):
            require_no_wider(made_by, wanted)
    require_no_wider(Acting("ann", frozenset()), wanted)
