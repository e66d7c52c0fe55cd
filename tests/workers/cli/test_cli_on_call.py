"""The RabbitMQ user of whoever is on call, made at the command line."""

from uuid import uuid4

import pytest
from two_people import begin

from queues.rabbit_api import RabbitApi
from workers.cli.reach import forget
from workers.cli.sources import vhost_of


@pytest.fixture
def named(operator, vhost, rabbit_api_url, monkeypatch):
    """The commands on a vhost of their own, whose API and a user name that is free are returned with them."""
    begin(operator)
    monkeypatch.setenv("TALLYLINE_AMQP_URL", vhost)
    monkeypatch.setenv("TALLYLINE_RABBIT_API_URL", rabbit_api_url)
    forget()
    api, user = RabbitApi(rabbit_api_url, vhost=vhost_of(vhost)), f"night-{uuid4().hex[:8]}"
    yield operator, api, user
    api.delete_user(user)


def test_an_admin_makes_it_and_the_audit_log_says_so(named):
    operator, api, user = named

    made = operator("people", "on-call", user, "--as", "admin")

    assert made.code == 0, made.err
    assert "shown this once" in made.out
    assert user in api.users()
    assert operator.one("select person from audit_log where action = 'on_call.put'") == "admin"
    assert operator.json("people", "on-call", user, "--as", "admin")["password"] not in made.out


def test_nobody_else_makes_it_and_not_under_any_name(named):
    operator, api, user = named

    assert "may not" in operator("people", "on-call", user, "--as", "operator").err
    assert operator("people", "on-call", "Night Shift", "--as", "admin").code == 2
    assert user not in api.users()


def test_without_a_console_it_says_what_is_missing(operator, monkeypatch):
    monkeypatch.delenv("TALLYLINE_RABBIT_API_URL", raising=False)
    forget()

    assert operator("people", "on-call", "night").code == 3
