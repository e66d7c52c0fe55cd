from dataclasses import replace

import pytest

from domain.ownership import Known, Message, MessageConflicting, foreign, heed, not_owned

pytestmark = pytest.mark.fast

SAID = Message("m-1", "crm", "account", "A", 5, {"name": "Alpha", "bill_to": "B"})
NEW = Known(None, None)


@pytest.mark.parametrize(
    ("message", "known", "answer"),
    [
        (SAID, NEW, "yes"),
        (SAID, Known(None, 4), "yes"),
        (SAID, Known(None, 5), "older"),
        (SAID, Known(None, 6), "older"),
        (SAID, Known(b"same", 5), "duplicate"),
        (SAID, Known(b"same", None), "duplicate"),
        (replace(SAID, origin="tallyline"), NEW, "own"),
        (replace(SAID, origin="tallyline"), Known(b"same", 5), "duplicate"),
        (replace(SAID, origin="shop"), NEW, "yes"),
    ],
)
def test_a_message_is_heeded_once_in_order_and_not_if_it_is_our_own(message, known, answer):
    assert heed(message, hash=b"same", known=known) == answer


def test_something_else_under_the_same_id_and_version_conflicts():
    with pytest.raises(MessageConflicting):
        heed(SAID, hash=b"other", known=Known(b"same", None))


def test_what_a_system_does_not_own_is_foreign():
    assert foreign(SAID, {}) == SAID.data
    assert foreign(SAID, {"name": "crm", "bill_to": "erp"}) == {"bill_to": "B"}
    assert foreign(SAID, {"name": "crm", "bill_to": "crm"}) == {}


def test_of_names_only_those_that_other_systems_give_are_foreign():
    mine, its = {"system": "crm", "identifier": "1"}, {"system": "erp", "identifier": "2"}

    assert foreign(replace(SAID, data={"identities": [mine]}), {}) == {}
    assert foreign(replace(SAID, data={"identities": [mine, its]}), {}) == {"identities": [its]}
    assert foreign(replace(SAID, data={"identities": ["odd"]}), {}) == {"identities": ["odd"]}
    assert foreign(replace(SAID, data={"identities": "odd"}), {}) == {"identities": "odd"}
    assert foreign(replace(SAID, data={"identities": [its]}), {"identities": "crm"}) == {}


def test_the_refusal_says_who_owns_each_field():
    refused = not_owned(SAID, ["name", "bill_to"], {"name": "shop"})

    assert refused.sentence == "crm may not write account A: name (shop owns it), bill_to (nobody owns it)"
    assert refused.facts["field"] == "name, bill_to"
