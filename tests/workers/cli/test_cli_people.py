"""People, roles, tokens and policies at the command line."""

import pytest
from two_people import begin, request_of

from workers.cli import acting as acting_module
from workers.cli.reach import forget


@pytest.fixture
def two(operator):
    begin(operator)
    return operator


@pytest.fixture
def with_token(two, monkeypatch):
    """Runs a command with a token."""

    def run(secret, *words):
        monkeypatch.setenv("TALLYLINE_TOKEN", secret)
        forget()
        try:
            return two(*words)
        finally:
            monkeypatch.delenv("TALLYLINE_TOKEN")
            forget()

    return run


@pytest.fixture
def nobody(operator):
    """A database in which nobody is registered."""
    operator.run("truncate people, person_roles, api_tokens cascade")


def made(two, *words):
    return two.json("people", "token", *words)["token"]


def test_the_user_of_this_machine_is_registered_the_first_time_and_may_do_everything(operator, nobody):
    assert operator("people", "add", "bob", "--role", "viewer").code == 0

    people = {each["id"]: each["roles"] for each in operator.json("people", "list")}
    assert people == {
        acting_module.local_user(): ["viewer", "operator", "finance", "approver", "admin"],
        "bob": ["viewer"],
    }


@pytest.mark.parametrize(("user", "spelled"), [("Ann", "ann"), ("_svc x", "u_svc-x".replace("_", "-")), ("é", "u-")])
def test_a_user_of_the_machine_is_spelled_as_people_are(monkeypatch, user, spelled):
    monkeypatch.setattr("getpass.getuser", lambda: user)

    found = acting_module.local_user()

    assert found.replace("_", "-") == spelled


def test_only_an_admin_says_who_is_who(two):
    assert two("people", "add", "bob", "--role", "finance", "--as", "finance").code == 1
    assert two("people", "add", "bob", "--name", "Bob", "--role", "finance", "--as", "admin").code == 0
    assert (
        two("people", "add", "bob", "--name", "Bob", "--role", "finance", "--as", "admin")
        .out.strip()
        .endswith("was so already")
    )
    assert two("people", "revoke", "bob", "--role", "finance", "--as", "admin").code == 0
    assert two("people", "revoke", "bob", "--role", "finance", "--as", "admin").code == 2
    assert two("people", "disable", "bob", "--as", "admin").code == 0
    assert two("people", "disable", "bob", "--as", "admin").code == 2
    assert "is disabled" in two("people", "add", "eve", "--role", "admin", "--as", "bob").err


def test_a_disabled_person_comes_back_by_being_registered_again(two):
    two("people", "disable", "viewer", "--as", "admin")

    assert two("people", "add", "viewer", "--role", "viewer", "--as", "admin").code == 0

    assert [each["is_disabled"] for each in two.json("people", "list") if each["id"] == "viewer"] == [False]


def test_somebody_is_left_who_can_say_who_is_who(two):
    for words in (("revoke", "admin", "--role", "admin"), ("disable", "admin")):
        refused = two("people", *words, "--as", "admin")
        assert (refused.code, "nobody would be left" in refused.err) == (1, True)
    assert two.one("select count(*) from person_roles where role = 'admin' and revoked_at is null") == 1


@pytest.mark.parametrize("person", ["Bob", "", "-x", "a" * 65, "a b"])
def test_a_short_name_that_is_none_is_refused(two, person):
    assert two("people", "add", "--role", "viewer", "--as", "admin", "--", person).code == 2


@pytest.mark.parametrize("verb", ["add", "revoke"])
def test_a_role_that_does_not_exist_is_refused(two, verb):
    assert "is no role" in two("people", verb, "bob", "--role", "king", "--as", "admin").err


def test_nobody_acts_who_is_not_registered(two):
    refused = two("people", "add", "bob", "--role", "viewer", "--as", "eve")

    assert refused.code == 2
    assert "'eve' is not registered" in refused.err


def test_a_token_speaks_for_its_person_within_its_scopes(two, with_token):
    secret = made(two, "admin", "--scope", "people.*", "--as", "admin", "--label", "laptop")

    assert secret.startswith("tally_")
    assert with_token(secret, "people", "add", "bob", "--role", "viewer").code == 0
    refused = with_token(secret, "policies", "set", "runs.request", "finance", "always")
    assert "no scope for policies.change" in refused.err
    assert two.one("select used_at is not null and hash <> convert_to(:s, 'UTF8') from api_tokens", s=secret)


def test_a_token_goes_with_no_other_name(two, with_token):
    secret = made(two, "admin", "--scope", "*", "--as", "admin")

    assert with_token(secret, "people", "add", "bob", "--role", "viewer", "--as", "admin").code == 2


def test_a_token_that_is_unknown_revoked_or_expired_opens_nothing(two, with_token):
    secret = made(two, "admin", "--scope", "*", "--as", "admin")
    add = ("people", "add", "bob", "--role", "viewer")

    assert with_token("tally_guess", *add).code == 1
    two.run("update api_tokens set created_at = now() - interval '2 days', expires_at = now() - interval '1 day'")
    assert with_token(secret, *add).code == 1
    two.run("update api_tokens set expires_at = now() + interval '1 day'")
    assert two("people", "revoke-token", 1, "--as", "admin").code == 0
    assert two("people", "revoke-token", 1, "--as", "admin").code == 2
    refused = with_token(secret, *add)
    assert (refused.code, "unknown, revoked or expired" in refused.err) == (1, True)
    assert two.one("select count(*) from people where id = 'bob'") == 0


def test_the_tokens_of_a_disabled_person_open_nothing(two, with_token):
    two("people", "add", "second", "--role", "admin", "--as", "admin")
    secret = made(two, "admin", "--scope", "*", "--as", "admin")

    two("people", "disable", "admin", "--as", "second")

    assert with_token(secret, "people", "add", "bob", "--role", "viewer").code == 1


def test_one_makes_and_revokes_tokens_of_ones_own_but_not_of_others(two):
    assert two("people", "token", "viewer", "--scope", "read.*", "--as", "viewer").code == 0
    assert two("people", "token", "admin", "--scope", "*", "--as", "viewer").code == 1
    made(two, "admin", "--scope", "*", "--as", "admin")
    assert two("people", "revoke-token", 2, "--as", "viewer").code == 1
    assert two("people", "revoke-token", 1, "--as", "viewer").code == 0
    (of_admin,) = two.json("people", "tokens", "admin")
    assert (of_admin["person"], of_admin["is_revoked"]) == ("admin", False)
    assert "read.*" in two("people", "tokens").out


def test_a_scope_that_covers_nothing_is_refused(two):
    assert two("people", "token", "viewer", "--scope", "reed.*", "--as", "viewer").code == 2


def test_a_token_file_is_read(two, monkeypatch, tmp_path):
    file = tmp_path / "token"
    file.write_text(made(two, "admin", "--scope", "*", "--as", "admin") + "\n")
    monkeypatch.setenv("TALLYLINE_TOKEN_FILE", str(file))
    forget()
    assert two("people", "add", "bob", "--role", "viewer").code == 0

    monkeypatch.setenv("TALLYLINE_TOKEN_FILE", str(tmp_path / "none"))
    forget()
    refused = two("people", "add", "eve", "--role", "viewer")
    assert (refused.code, "cannot be read" in refused.err) == (2, True)


def test_a_fleet_has_to_know_who_acts(operator, nobody, monkeypatch):
    monkeypatch.setenv("TALLYLINE_MODE", "fleet")
    forget()

    assert "no token is named" in operator("people", "add", "bob", "--role", "viewer").err
    first = operator.json("people", "bootstrap", "root")
    assert operator("people", "bootstrap", "eve").code == 2
    monkeypatch.setenv("TALLYLINE_TOKEN", first["token"])
    forget()
    assert operator("people", "add", "bob", "--role", "viewer").code == 0


def test_the_person_of_an_embedded_run_can_be_named_in_the_environment(two, monkeypatch):
    monkeypatch.setenv("TALLYLINE_PERSON", "viewer")
    forget()

    assert "viewer may not" in two("people", "add", "bob", "--role", "viewer").err


def test_a_policy_is_changed_only_by_two(two):
    asked = two(
        "policies", "set", "replay.business", "finance", "above_limit", "--limit", "EUR", "500", "--as", "admin"
    )

    assert two("approve", request_of(asked), "--as", "approver").code == 0

    limits = {
        each["currency"]: each["money_max"]
        for each in two.json("policies", "list")
        if each["action"] == "replay.business"
    }
    assert (limits["EUR"], limits["USD"]) == ("500", "10000")
    assert two.one("select count(*) from approval_policies where superseded_at is not null") == 1


def test_a_policy_without_a_limit_ends_the_limits_and_the_reverse(operator):
    set_ = ("policies", "set", "replay.business", "finance")
    in_force = """select needs, currency from approval_policies where superseded_at is null
      and action = 'replay.business' and role = 'finance' order by currency"""

    operator(*set_, "above_limit", "--limit", "EUR", "500")
    operator(*set_, "above_limit", "--limit", "USD", "600")
    assert operator.rows(in_force) == [("above_limit", "EUR"), ("above_limit", "USD")]

    operator(*set_, "always")
    assert operator.rows(in_force) == [("always", None)]
    assert operator.json(*set_, "always")["is_changed"] is False


@pytest.mark.parametrize(
    "words",
    [
        ("runs.fly", "finance", "always"),
        ("runs.approve", "finance", "always"),
        ("runs.request", "finance", "above_limit"),
        ("runs.request", "finance", "always", "--limit", "EUR", "1"),
        ("runs.request", "finance", "above_limit", "--limit", "EURO", "1"),
        ("runs.request", "finance", "above_limit", "--limit", "EUR", "1e3"),
        ("runs.request", "finance", "always", "--decided-by", "viewer"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(operator, words):
    assert operator("policies", "set", *words).code == 2


def test_what_can_be_done_and_by_whom_is_listed(operator):
    assert "let what is in the way of a billing run pass" in operator("people", "actions").out
    assert {each["action"] for each in operator.json("people", "actions")} >= {"runs.approve", "replay.business"}
    assert "People" in operator("people", "list").out
    assert "Policies" in operator("policies", "list").out
