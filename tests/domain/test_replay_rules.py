"""In which order replays go, what an edit may change, and how much money a forecast moves."""

from decimal import Decimal
from itertools import product

import pytest

from domain.replays import Difference, EditInvalid, ReplayOutOfOrder, after, by_account, money_moved, require_same_event

ALLOWED = {
    ("start", "planned"): "running",
    ("pause", "running"): "paused",
    ("resume", "paused"): "running",
    ("cancel", "planned"): "cancelled",
    ("cancel", "running"): "cancelled",
    ("cancel", "paused"): "cancelled",
}
STATES = ("planned", "running", "paused", "done", "cancelled")
EVENT = {"id": "1", "source": "/a", "subject": "x", "data": {"n": 1}}


@pytest.mark.parametrize(("act", "state"), list(product(("start", "pause", "resume", "cancel"), STATES)))
def test_each_act_is_possible_in_its_states_only(act, state):
    if (act, state) in ALLOWED:
        assert after(act, state, replay=7) == ALLOWED[act, state]
    else:
        with pytest.raises(ReplayOutOfOrder, match=f"replay 7 is {state}: it takes no {act}"):
            after(act, state, replay=7)


@pytest.mark.parametrize("name", ["id", "source"])
@pytest.mark.parametrize("is_accepted", [True, False])
def test_what_makes_an_event_the_one_it_is_stays(name, is_accepted):
    with pytest.raises(EditInvalid, match="has to send another one"):
        require_same_event(EVENT, {**EVENT, name: "other"}, is_accepted=is_accepted)
    with pytest.raises(EditInvalid, match=f"{name} cannot be edited"):
        require_same_event(EVENT, {key: value for key, value in EVENT.items() if key != name}, is_accepted=is_accepted)


def test_a_refused_event_may_change_all_else_and_an_accepted_one_its_data():
    require_same_event(EVENT, {**EVENT, "subject": "y"}, is_accepted=False)
    require_same_event(EVENT, {**EVENT, "data": {"n": 2}}, is_accepted=True)
    for new in ({**EVENT, "subject": "y"}, {**EVENT, "extra": 1}):
        with pytest.raises(EditInvalid, match="only its data"):
            require_same_event(EVENT, new, is_accepted=True)
    with pytest.raises(EditInvalid, match="nothing is changed"):
        require_same_event(EVENT, dict(EVENT), is_accepted=False)


def difference(account: str, before: str, after_: str, currency: str = "USD") -> Difference:
    return Difference("pony", account, "c", "2026-03", "invoice", currency, Decimal(before), Decimal(after_))


def test_what_one_document_gains_does_not_make_good_what_another_loses():
    found = [difference("a", "1.00", "4.00"), difference("a", "5.00", "3.00"), difference("b", "0", "2.50", "EUR")]

    assert by_account(found) == {("a", "USD"): Decimal("1.00"), ("b", "EUR"): Decimal("2.50")}
    assert money_moved(found) == {"USD": Decimal("5.00"), "EUR": Decimal("2.50")}
