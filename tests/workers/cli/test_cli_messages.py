"""What other systems say of master data: held against who owns what, applied once and in order, kept if refused."""

import json

import pytest
from messages_bench import SYSTEMS
from two_people import begin

from queues.contracts import BATCH, STRUCTURED
from workers import messages


# ----------------------------------------------------------------------------------------------- applied
def test_a_system_changes_what_it_owns_and_the_audit_log_names_it(others):
    state, code, _ = others.say("account", {"id": "A", "name": "Alpha"})

    assert (state, code) == ("applied", None)
    assert others.operator.one("select name from accounts where id = 'A'") == "Alpha"
    assert others.operator.rows("select person, reason from audit_log order by no desc limit 1") == [
        ("system/crm", "message crm-1 version 1")
    ]


def test_a_system_adds_what_it_owns_the_fields_of(others):
    assert others.say("account", {"id": "D", "name": "Delta", "parent": "A"})[0] == "applied"
    assert others.say("product", {"id": "voice", "name": "Voice"}, system="shop")[0] == "applied"
    assert others.operator.one("select parent_id from accounts where id = 'D'") == "A"


def test_what_a_system_calls_an_account_itself_is_its_own_to_say(others):
    mine = {"system": "shop", "kind": "tenant", "identifier": "t-1"}

    assert others.say("account", {"id": "A", "identities": [mine]}, system="shop")[0] == "applied"
    refused = others.say("account", {"id": "A", "identities": [{**mine, "system": "crm"}]}, system="shop", version=2)
    assert refused[:2] == ("refused", "field_not_owned")


def test_a_sequence_stands_for_a_version(others):
    assert others.say("account", {"id": "A", "name": "Alpha"}, version=..., sequence="7", id="x")[0] == "applied"
    assert others.operator.one("select version from master_messages") == 7


# ----------------------------------------------------------------------------------------------- who owns what
def test_a_change_to_a_field_of_another_system_is_refused_and_kept_as_an_exception(others):
    state, code, sentence = others.say("account", {"id": "A", "name": "Aleph"}, system="shop")

    assert (state, code) == ("refused", "field_not_owned")
    assert sentence == "shop may not write account A: name (crm owns it)"
    assert others.operator.one("select name from accounts where id = 'A'") == "Account A"
    assert others.exceptions() == [("field_not_owned", "shop", "shop-1", "account A")]


def test_a_field_that_nobody_owns_is_nobodys_to_write(others):
    assert others.say("account", {"id": "A", "bill_to": "B"})[2].endswith("bill_to (nobody owns it)")
    assert others.say("account", {"id": "A", "colour": "red"}, version=2)[2].endswith("colour (nobody owns it)")


def test_what_says_nothing_new_of_a_field_of_another_system_is_no_change_to_it(others):
    seats = [{"item": "seats", "quantity": "10", "from": "2026-01-01"}]

    echoed = others.say("subscription", {"id": "S-1", "contract": "C-1", "quantities": seats}, system="shop")

    assert echoed[0] == "applied"
    assert others.operator.one("select quantity from subscription_quantities") == 10


def test_a_system_that_may_not_add_an_object_is_refused_it(others):
    assert others.say("account", {"id": "D", "name": "Delta"}, system="shop")[:2] == ("refused", "field_not_owned")


def test_a_field_that_changes_its_owner_is_written_by_the_new_one(others):
    others.load.done(SYSTEMS.replace("account: [name, parent]", "account: [parent]").replace(
        "      product: [name]", "      product: [name]\n      account: [name]"))  # fmt: skip

    assert others.say("account", {"id": "A", "name": "Aleph"}, system="shop")[0] == "applied"
    assert others.say("account", {"id": "A", "name": "Alpha"})[:2] == ("refused", "field_not_owned")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("product: [name]", "product: [nme]", "systems.shop.fields.product: has no field 'nme'; use: name"),
        ("product: [name]", "prodct: [name]", "systems.shop.fields.prodct: is no kind; use: account"),
        ("product: [name]", "account: [name]", "systems.shop.fields.account: name is owned by crm"),
        ("owner: product", "owner: product\n    person: zed", "systems.shop.person: there is no person 'zed'"),
    ],
)
def test_fields_and_people_that_cannot_be_are_refused(others, old, new, says):
    assert says in others.load.refused(SYSTEMS.replace(old, new))


# ----------------------------------------------------------------------------------------------- once and in order
def test_the_same_message_again_is_ignored_and_recorded(others):
    others.say("account", {"id": "A", "name": "Alpha"})

    assert others.say("account", {"id": "A", "name": "Alpha"}) == ("ignored", None, "it was heard before")
    assert others.exceptions() == []


def test_an_older_version_than_the_applied_one_is_ignored_and_recorded(others):
    others.say("account", {"id": "A", "name": "Newest"}, version=3)

    state, _, sentence = others.say("account", {"id": "A", "name": "Older"}, version=2)

    assert (state, sentence) == ("ignored", "a newer version of the object was applied before")
    assert others.operator.one("select name from accounts where id = 'A'") == "Newest"


def test_something_else_under_the_same_id_and_version_is_refused(others):
    others.say("account", {"id": "A", "name": "Alpha"})

    assert others.say("account", {"id": "A", "name": "Aleph"})[:2] == ("refused", "message_conflicting")
    assert others.operator.one("select name from accounts where id = 'A'") == "Alpha"


def test_versions_of_different_objects_and_systems_have_nothing_to_do_with_one_another(others):
    others.say("account", {"id": "A", "name": "Alpha"}, version=9)

    assert others.say("account", {"id": "B", "name": "Beta"}, version=1)[0] == "applied"


def test_our_own_update_that_comes_back_is_not_applied_again(others):
    before = others.operator.one("select max(no) from audit_log")

    marked = others.say("account", {"id": "A", "name": "Old news"}, origin="tallyline")
    same = others.say("account", {"id": "A", "name": "Account A"}, version=2)

    assert (marked[0], same[0]) == ("unchanged", "unchanged")
    assert others.operator.one("select max(no) from audit_log") == before


# ----------------------------------------------------------------------------------------------- out of order
def test_a_message_that_names_what_is_not_there_yet_is_applied_when_it_comes(others):
    early = others.say("subscription", {"id": "S-9", "contract": "C-9", "cycle": "us/month"}, id="early")
    assert early[:2] == ("refused", "master_reference_missing")
    assert [row[0] for row in others.exceptions()] == ["master_reference_missing"]

    others.say("contract", {"id": "C-9", "account": "B", "legal_entity": "us", "currency": "USD"}, id="late")
    messages.tick()

    assert others.of("message_id = 'early'")[0] == "applied"
    assert (others.exceptions(), len(others.exceptions("resolved"))) == ([], 1)


def test_a_message_that_still_misses_something_is_not_tried_before_master_data_change(others):
    others.say("subscription", {"id": "S-9", "contract": "C-9", "cycle": "us/month"})

    assert messages.tick() == 0
    others.say("account", {"id": "A", "name": "Alpha"}, version=2)
    assert messages.tick() == 1
    assert messages.tick() == 0
    assert others.operator.one("select seen from exceptions where step = 'master'") == 1


def test_a_refused_message_rests_when_a_newer_one_of_its_object_is_applied(others):
    others.say("account", {"id": "A", "name": "Alpha", "bill_to": "B"})

    others.say("account", {"id": "A", "name": "Alpha"}, version=2)

    assert others.of("version = 1") == ("ignored", None, "overtaken by version 2")
    assert others.exceptions() == []


def test_messages_that_miss_something_keep_neither_new_ones_nor_each_other_waiting(others, monkeypatch):
    for n, account in ((1, "A"), (2, "B")):
        assert others.say("account", {"id": account, "parent": "Z"}, version=n)[1] == "master_reference_missing"
    monkeypatch.setattr(messages, "MESSAGES_MAX", 1)
    last_tried = "select id from master_messages where state = 'refused' order by decided_at desc limit 1"

    looked_at = []
    for n in (3, 4):  # whatever is applied makes both due
        assert others.say("account", {"id": f"C{n}", "name": "Charlie"}, version=n)[0] == "applied"
        messages.tick()
        looked_at.append(others.operator.one(last_tried))

    assert looked_at == [1, 2]


# ----------------------------------------------------------------------------------------------- refused
@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"source": "erp"}, "system_unknown", "erp is not registered"),
        ({"user": "shop-sync"}, "system_unknown", "its broker user may not speak for it"),
        ({"user": None}, "system_unknown", "its broker user may not speak for it"),
        ({"type": "tallyline.master.price.v1"}, "message_type_unknown", "tallyline.master.price.v1 is not read here"),
        ({"type": "tallyline.master.account.v2"}, "message_type_unknown", "tallyline.master.account.v2"),
        ({"specversion": "0.3"}, "envelope_invalid", "specversion"),
        ({"id": ...}, "envelope_invalid", "id: Field required"),
        ({"version": ...}, "envelope_invalid", "version: is missing"),
        ({"version": 0}, "envelope_invalid", "version"),
        ({"version": 2**63}, "envelope_invalid", "version"),
        ({"data": {"name": "x"}}, "envelope_invalid", "data.id: is missing, or no text"),
        ({"data": {"id": 7}}, "envelope_invalid", "data.id"),
        ({"data": []}, "envelope_invalid", "data"),
        ({"data": {"id": "A", "name": "x" * 256}}, "master_unusable", "accounts.A.name"),
        ({"data": {"id": "A", "name": 7}}, "master_unusable", "accounts.A.name"),
        ({"data": {"id": "A", "parent": "A"}}, "master_unusable", "would be above itself"),
        ({"data": {"id": "A", "parent": "Z"}}, "master_reference_missing", "there is no account 'Z'"),
        ({"data": {"id": "A", "name": "\0"}}, "text_invalid", ""),
    ],
)
def test_a_message_that_cannot_be_applied_is_refused_with_its_code_and_the_next_goes_on(others, changes, code, says):
    user = changes.pop("user", "crm-sync")
    event = {
        "specversion": "1.0", "id": "m-1", "source": "crm", "version": 1, "type": "tallyline.master.account.v1",
        "data": {"id": "A", "name": "Alpha"}, **changes,
    }  # fmt: skip
    body = json.dumps({name: value for name, value in event.items() if value is not ...}).encode()
    others.receive(body, user=user)

    state, refused_as, sentence = others.say("account", {"id": "B", "name": "Beta"}, version=2) and others.of("id = 1")

    assert (state, refused_as) == ("refused", code)
    assert says in sentence
    assert [row[0] for row in others.exceptions()] == [code]
    assert others.operator.one("select name from accounts where id = 'B'") == "Beta"
    assert bytes(others.operator.one("select body from master_messages where id = 1")) == body


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"{", STRUCTURED, "envelope_invalid"),
        (b"\xff", STRUCTURED, "envelope_invalid"),
        (b"[{}, {}]", BATCH, "envelope_invalid"),
        (b"{}", "text/plain", "envelope_invalid"),
    ],
)
def test_a_body_that_is_no_message_is_kept_as_an_exception(others, body, content_type, code):
    others.receive(body, content_type=content_type)

    messages.tick()

    assert others.last()[:2] == ("refused", code)
    assert others.exceptions() == [(code, None, None, None)]


def test_what_the_database_does_not_take_is_refused_and_the_next_goes_on(others):
    others.operator.run("alter table accounts add constraint no_zed check (name <> 'Zed')")

    refused = others.say("account", {"id": "A", "name": "Zed"})

    assert refused[:2] == ("refused", "master_unusable")
    assert "the database does not take it" in refused[2]
    assert others.say("account", {"id": "A", "name": "Alpha"}, version=2)[0] == "applied"
    others.operator.run("alter table accounts drop constraint no_zed")


def test_what_is_wrong_with_the_database_refuses_no_message(others):
    others.operator.run("alter table accounts rename to accounts_elsewhere")
    tried = others.say("account", {"id": "A", "name": "Alpha"})
    others.operator.run("alter table accounts_elsewhere rename to accounts")
    others.operator.run("update master_messages set due_at = now()")  # it rests a second

    messages.tick()

    assert (tried[0], others.last()[0]) == ("received", "applied")


def test_a_message_that_is_settled_is_not_looked_at_again(others):
    others.say("account", {"id": "A", "name": "Alpha"})

    messages.hear(1)

    assert others.last()[0] == "applied"


# ----------------------------------------------------------------------------------------------- prices
PRICED = {
    "id": "C-1",
    "versions": [{"version": 2, "from": "2026-06-01", "prices": {
        "calls": {"terms": {"model": "per_unit", "unit_amount": "0.30"}, "tax_category": "service",
                  "revenue_account": "revenue"}}}],
}  # fmt: skip
WITH_PRICES = SYSTEMS.replace("currency]\n", "currency, versions]\n")


def test_prices_of_a_system_with_nobody_to_ask_for_it_are_refused(others):
    others.load.done(WITH_PRICES)

    assert others.say("contract", PRICED)[:2] == ("refused", "not_permitted")


@pytest.fixture
def priced(others):
    """The CRM owns the versions of contracts, and Finance asks for it."""
    begin(others.operator)  # forgets all people, and with them whoever they stood for
    others.operator.run("insert into systems values ('crm', 'sales', '{crm-sync}', 'finance')")
    others.operator.run("insert into field_owners values ('contract', 'versions', 'crm')")
    return others


def test_prices_wait_for_a_second_person_and_are_published_when_it_is_granted(priced):
    state, _, _ = priced.say("contract", PRICED)
    before = priced.operator.one("select count(*) from contract_versions")
    request = priced.operator.one("select request_id from master_messages")

    assert priced.operator("approve", request, "--as", "approver").code == 0
    messages.tick()

    assert (state, before) == ("waiting", 1)
    assert priced.last()[0] == "applied"
    assert priced.operator.one("select count(*) from contract_versions") == 2


def test_prices_that_are_refused_are_an_exception(priced):
    priced.say("contract", PRICED)
    request = priced.operator.one("select request_id from master_messages")

    priced.operator("approve", request, "--refuse", "--note", "too cheap", "--as", "approver")
    messages.tick()

    assert priced.last()[:2] == ("refused", "change_not_approved")
    assert [row[0] for row in priced.exceptions()] == ["change_not_approved"]


def test_a_crash_between_asking_and_keeping_it_asks_no_second_time(priced):
    priced.say("contract", PRICED)
    priced.operator.run("update master_messages set state = 'received'")

    messages.tick()

    assert priced.last()[0] == "waiting"
    assert priced.operator.one("select count(*) from approval_requests") == 1


PHASED = {
    "id": "S-1",
    "phases": [{"phase": "trial", "from": "2026-06-01", "prices": {
        "calls": {"terms": {"model": "per_unit", "unit_amount": "0"}, "tax_category": "service",
                  "revenue_account": "revenue"}}}],
}  # fmt: skip
REGULAR = {"id": "S-1", "phases": [{"phase": "regular", "from": "2026-06-01"}]}


def test_phases_that_change_prices_wait_for_a_second_person_and_others_do_not(priced):
    priced.operator.run("insert into field_owners values ('subscription', 'phases', 'crm')")
    assert priced.say("subscription", REGULAR)[0] == "applied"

    state = priced.say("subscription", PHASED, version=2)[0]
    request = priced.operator.one("select max(request_id) from master_messages")
    stretches = "select count(*) from contract_versions where subscription_id is not null"
    assert (state, priced.operator.one(stretches)) == ("waiting", 0)
    priced.operator("approve", request, "--as", "approver")
    messages.tick()

    assert (priced.last()[0], priced.operator.one(stretches)) == ("applied", 1)
    # what takes them away names no price, and changes some
    assert priced.say("subscription", REGULAR, version=3)[0] == "waiting"


def test_phases_with_prices_that_cannot_be_are_refused(priced):
    priced.operator.run("insert into field_owners values ('subscription', 'phases', 'crm')")
    wrong = json.loads(json.dumps(PHASED).replace("per_unit", "per_mile"))

    assert priced.say("subscription", wrong)[:2] == ("refused", "master_unusable")


def test_prices_that_no_policy_holds_up_are_published_at_once(priced):
    priced.operator.run("update approval_policies set needs = 'nothing' where action = 'prices.publish'")

    assert priced.say("contract", PRICED)[0] == "applied"
    assert priced.operator.one("select count(*) from contract_versions") == 2


def test_prices_that_cannot_be_are_refused(priced):
    wrong = json.loads(json.dumps(PRICED).replace("per_unit", "per_mile"))

    assert priced.say("contract", wrong)[:2] == ("refused", "master_unusable")


# ----------------------------------------------------------------------------------------------- at the command line
def test_messages_are_listed_and_refused_ones_tried_again(others):
    others.say("account", {"id": "A", "bill_to": "B"})
    listed = others.operator.json("master", "messages", "--state", "refused")
    others.load.done(SYSTEMS.replace("account: [name, parent]", "account: [name, parent, bill_to]"))

    tried = others.operator.json("master", "retry", listed[0]["id"])

    assert (listed[0]["code"], tried["messages"]) == ("field_not_owned", [1])
    assert others.operator.one("select bill_to_id from accounts where id = 'A'") == "B"
    assert others.exceptions() == []


def test_people_see_what_became_of_messages_and_that_none_is_refused(others):
    others.say("account", {"id": "A", "name": "Alpha"})

    shown = others.operator("master", "messages")

    assert "account A" in shown.out
    for words in ((), ("1",)):
        tried = others.operator("master", "retry", *words)
        assert (tried.code, "no such message is refused" in tried.err) == (1, True)


def test_people_are_told_how_many_are_looked_at_again(others):
    others.say("account", {"id": "A", "bill_to": "B"})

    assert "1 messages are looked at again" in others.operator("master", "retry").out


def test_an_exception_of_a_message_is_listed_with_the_others(others):
    others.say("account", {"id": "A", "bill_to": "B"})

    (group,) = others.operator.json("exceptions")

    assert (group["code"], group["exceptions"]) == ("field_not_owned", 1)


# ----------------------------------------------------------------------------------------------- refusals
REFUSED = "select exchange, routing_key, body -> 'data' from notices order by id"


def test_a_refusal_goes_back_to_the_system_that_sent_it_in_the_words_of_the_exception(others):
    others.say("account", {"id": "A", "bill_to": "B"})
    others.say("account", {"id": "A", "bill_to": "B"})  # the same again is no news

    ((exchange, key, said),) = others.operator.rows(REFUSED)
    assert (exchange, key) == ("refusals", "crm-sync.crm")
    assert (said["code"], said["source"], said["event_id"], said["version"]) == ("field_not_owned", "crm", "crm-1", 1)
    assert others.exceptions()[0][0] == said["code"]
    assert said["fix"]
    assert others.operator.one("select count(*) from work where step = 'notify' and state = 'ready'") == 1


def test_what_cannot_be_read_goes_back_as_well_and_what_nobody_vouches_for_does_not(others):
    others.receive(b"{", user="crm-sync")
    others.receive(b"{", user=None)
    messages.tick()

    ((_, key, said),) = others.operator.rows(REFUSED)
    assert (key, said["source"], said["event_id"]) == ("crm-sync.", None, None)
