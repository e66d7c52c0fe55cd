"""The doctor names what is not well and what to do; sources are added with the broker user that may claim them."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pika
import pytest
from operator_bench import DEMO, TOKEN, Operator

from queues.definitions import definitions
from queues.rabbit_api import RabbitApi
from workers.cli import checks, checks_servers
from workers.cli.reach import forget

ROOT = DEMO.parents[1]


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


def states(found: list[dict[str, str]]) -> dict[str, str]:
    return {each["name"]: each["state"] for each in found}


def test_a_sound_deployment_is_ok_in_every_check(airports):
    found = airports.json("doctor")

    assert set(states(found).values()) == {"ok"}
    assert {"mode", "schema", "database", "clock of the database", "work", "audit log", "master data"} == set(
        states(found)
    )
    assert "embedded" in airports("doctor").out


def test_an_empty_deployment_is_told_how_to_begin(operator):
    found = {each["name"]: each for each in operator.json("doctor")}

    assert found["master data"]["state"] == "warning"
    assert "master load" in found["master data"]["fix"]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (
            "insert into legal_entities select 'x', 'X', 'USD', 'UTC', 'us-ny', 'ledger-pony'",
            "legal entities without a cycle",
        ),
        ("delete from source_users", "sources nobody may claim"),
        ("insert into meters (name, owner) values ('x', 'x')", "meters without a version"),
        ("insert into meters (name, owner) values ('x', 'x')", "meters without a metric"),
        (
            "insert into metrics (name, meter_id, aggregation, unit) select 'x', id, 'count', 'x' from meters",
            "metrics no contract has a price for",
        ),
        ("update mappings set superseded_at = now()", "subscriptions no usage leads to"),
        ("update contract_versions set superseded_at = now()", "contracts without a version in force"),
        ("delete from tax_rates where category = 'stand'", "tax categories without a rate"),
        ("insert into work (step, subject, correlation_id, state) values ('rate', 'x/1', 'c', 'dead')", "work"),
    ],
)
def test_what_will_not_work_is_named_with_what_to_do(airports, change, name):
    airports.run(change)

    found = {each["name"]: each for each in airports.json("doctor")}

    assert found[name]["state"] == "warning"
    assert found[name]["fix"]


def test_a_trigger_of_the_audit_log_that_is_off_is_wrong(airports):
    airports.run("alter table prices disable trigger audit_insert")
    try:
        found = {each["name"]: each for each in json.loads(airports("doctor", "--json").out)}
    finally:
        airports.run("alter table prices enable trigger audit_insert")

    assert (found["audit log"]["state"], found["audit log"]["says"]) == ("wrong", "a trigger is gone or off: prices")


def test_a_schema_of_another_revision_is_wrong(operator):
    operator.run("alter table alembic_version rename to alembic_version_away")

    ran = operator("doctor")
    operator.run("alter table alembic_version_away rename to alembic_version")

    assert ran.code == 1
    assert "revision none, this code needs" in text_of(ran)


def test_a_database_that_does_not_answer_is_wrong_and_the_rest_is_told(operator, monkeypatch):
    monkeypatch.setenv("TALLYLINE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    forget()

    ran = operator("doctor", "--json")

    assert ran.code == 1
    assert states(ran.json) == {"mode": "ok", "database": "wrong"}


@pytest.mark.parametrize(("skew_s", "state"), [(0, "ok"), (0.5, "ok"), (-5, "warning"), (5, "warning"), (-90, "wrong")])
def test_a_clock_that_is_off_is_told_by_how_much(skew_s, state):
    check = checks.clock("clock", lambda: datetime.now(UTC) + timedelta(seconds=skew_s))

    assert check.state == state
    assert (check.fix != "") == (state != "ok")


def test_a_clock_of_whole_seconds_is_allowed_one():
    def whole_seconds() -> datetime:
        return datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)

    assert checks.clock("clock", whole_seconds, resolution=timedelta(seconds=1)).state == "ok"


def test_many_names_are_cut_short():
    assert checks.names(["a", "b", "c"], shown=2) == "a, b and 1 more"


def test_a_source_is_added_changed_and_listed(operator):
    assert operator.json("sources", "add", "/ops/bos", "--user", "ops-bos")["is_new"] is True
    assert operator.json("sources", "add", "/ops/bos", "--user", "ops-two", "--quota", "5")["is_new"] is False

    assert operator.json("sources", "list") == [
        {"name": "/ops/bos", "owner": "operations", "quota_per_hour": 5, "users": ["ops-bos", "ops-two"]}
    ]
    assert "/ops/bos" in operator("sources", "list").out
    assert "when this is run with TALLYLINE_MODE=fleet" in text_of(operator("sources", "add", "/x", "--user", "x"))


def test_a_user_that_rabbitmq_would_not_keep_apart_is_refused(operator):
    ran = operator("sources", "add", "/ops/bos", "--user", "Ops Boston")

    assert ran.code == 2
    assert "use small letters" in text_of(ran)


def fleet(database_url: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command of a fleet, in a process of its own, since a process has one broker."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYLINE_")}
    named = {f"TALLYLINE_{name.upper()}": value for name, value in environment.items()}
    return subprocess.run(
        [sys.executable, "-m", "workers", *words],
        env={
            **kept,
            "TALLYLINE_MODE": "fleet",
            "TALLYLINE_DATABASE_URL": database_url,
            "TALLYLINE_TOKEN": TOKEN,
            **named,
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_servers_that_do_not_answer_are_wrong_each_by_name(operator):
    away = {
        "amqp_url": "amqp://x:x@127.0.0.1:1/",
        "rabbit_api_url": "http://x:x@127.0.0.1:1",
        "redis_url": "redis://127.0.0.1:1/0",
    }
    url = os.environ["TALLYLINE_DATABASE_URL"]

    named = fleet(url, "doctor", "--json", **away)
    unnamed = fleet(url, "doctor", "--json")

    for ran in (named, unnamed):
        assert ran.returncode == 1, ran.stderr
        wrong = {name for name, state in states(json.loads(ran.stdout)).items() if state == "wrong"}
        assert wrong == {"RabbitMQ", "RabbitMQ console", "Redis"}


def test_sending_without_a_rabbitmq_ends_with_3(operator, tmp_path):
    file = tmp_path / "events.jsonl"
    file.write_text("{}\n")
    url = os.environ["TALLYLINE_DATABASE_URL"]

    unnamed = fleet(url, "send", str(file))
    away = fleet(url, "send", str(file), amqp_url="amqp://x:x@127.0.0.1:1/")
    unknown = fleet(url, "send", str(file), amqp_url="amqp://x:x@no-such-host.invalid:1/")
    source = fleet(url, "sources", "add", "/x", "--user", "x")

    assert [ran.returncode for ran in (unnamed, away, unknown, source)] == [3, 3, 3, 3]
    assert "no RabbitMQ is named" in unnamed.stderr
    assert "RabbitMQ does not answer" in away.stderr
    assert "RabbitMQ does not answer" in unknown.stderr
    assert "the console of RabbitMQ is not named" in source.stderr


@pytest.fixture
def servers(vhost, rabbit_api_url, redis_url) -> dict[str, str]:
    return {"amqp_url": vhost, "rabbit_api_url": rabbit_api_url, "redis_url": redis_url}


def test_a_fleet_is_looked_at_server_by_server(airports: Operator, servers):
    url = os.environ["TALLYLINE_DATABASE_URL"]

    bare = json.loads(fleet(url, "doctor", "--json", **servers).stdout)
    added = fleet(url, "sources", "add", "/ops/bos", "--user", "ops-bos", "--json", **servers)
    again = fleet(url, "sources", "add", "/ops/lax", "--user", "ops-bos", "--json", **servers)
    after = {each["name"]: each for each in json.loads(fleet(url, "doctor", "--json", **servers).stdout)}

    assert {name for name, state in states(bare).items() if state == "wrong"} == {"queues", "exchanges"}
    assert states(bare)["clock of RabbitMQ"] == states(bare)["Redis"] == "ok"
    assert len(json.loads(added.stdout)["password"]) > 40
    assert json.loads(again.stdout)["password"] is None
    assert "exchanges" not in after
    assert "refusals.demo" in after["queues of refusals"]["says"]
    assert after["consumers"]["state"] == "wrong" if "consumers" in after else after["queues"]["state"] == "wrong"


def test_events_go_to_rabbitmq_confirmed_and_status_shows_its_queues(airports: Operator, servers, tmp_path):
    url = os.environ["TALLYLINE_DATABASE_URL"]
    file = DEMO / "flights-2013-01.csv.gz"

    unrouted = fleet(url, "send", str(file), "--batch", "10000", **servers)
    fleet(url, "sources", "add", "/ops/bos", "--user", "ops-bos", **servers)
    sent = fleet(url, "send", str(file), "--batch", "10000", "--json", **servers)
    status = fleet(url, "status", "--json", **servers)

    assert unrouted.returncode == 1
    assert "RabbitMQ refused" in unrouted.stderr or "not the next" in unrouted.stderr
    assert json.loads(sent.stdout) == {"events": 27_004, "messages": 3, "confirmed_by": "RabbitMQ"}
    assert json.loads(status.stdout)["queues"]["intake"]["ready"] == 3


def test_no_broker_user_is_made_before_a_second_person_has_let_it_in(airports: Operator, servers, rabbit_api_url):
    url, words = os.environ["TALLYLINE_DATABASE_URL"], ("sources", "add", "/ops/bos", "--user", "ops-late")
    airports.run("update approval_policies set needs = 'always' where action = 'sources.publish'")
    airports("people", "add", "abe", "--name", "Abe", "--role", "approver")
    users = RabbitApi(rabbit_api_url, vhost="/").users

    asked = fleet(url, *words, **servers)

    assert (asked.returncode, "ops-late" in users()) == (4, False)
    assert airports("approve", airports.one("select id from approval_requests"), "--as", "abe").code == 0
    assert len(json.loads(fleet(url, *words, "--json", **servers).stdout)["password"]) > 40
    assert "ops-late" in users()


def test_a_user_without_the_right_to_write_is_told_so(airports: Operator, servers, lines):
    url = os.environ["TALLYLINE_DATABASE_URL"]
    added = json.loads(fleet(url, "sources", "add", "/x", "--user", "ops-x", "--json", **servers).stdout)
    scheme, rest = servers["amqp_url"].split("://", 1)
    upstream = {**servers, "amqp_url": f"{scheme}://ops-x:{added['password']}@{rest.split('@', 1)[1]}"}
    file = lines({"id": "1"})

    allowed = fleet(url, "send", str(file), **upstream)
    wrong = fleet(
        url, "send", str(file), **{**upstream, "amqp_url": upstream["amqp_url"].replace(added["password"], "x")}
    )

    assert allowed.returncode == 0, allowed.stderr
    assert wrong.returncode == 3


def test_queues_that_nobody_works_on_or_that_differ_are_named(airports: Operator, servers):
    url = os.environ["TALLYLINE_DATABASE_URL"]
    with pika.BlockingConnection(pika.URLParameters(servers["amqp_url"])) as connection:
        connection.channel().queue_declare("validate", durable=True)
    api = RabbitApi(servers["rabbit_api_url"], vhost=servers["amqp_url"].rpartition("/")[2])
    wanted = definitions(["ledger-pony", "ledger-newark"], vhost=api.vhost)
    wanted["queues"] = [each for each in wanted["queues"] if each["name"] != "validate"]
    api.import_definitions(wanted)

    found = {each["name"]: each for each in json.loads(fleet(url, "doctor", "--json", **servers).stdout)}

    assert (found["queue arguments"]["state"], found["queue arguments"]["says"]) == (
        "wrong",
        "other arguments: validate",
    )
    assert found["consumers"]["state"] == "wrong"
    assert "nobody works on intake" in found["consumers"]["says"]
    assert "queues" not in found


def test_a_message_that_reaches_no_queue_is_not_taken_as_sent(airports: Operator, servers, lines):
    url = os.environ["TALLYLINE_DATABASE_URL"]
    with pika.BlockingConnection(pika.URLParameters(servers["amqp_url"])) as connection:
        connection.channel().exchange_declare("usage", "topic", durable=True)

    ran = fleet(url, "send", str(lines({"id": "1"})), **servers)

    assert ran.returncode == 1
    assert "RabbitMQ took 0 messages and not the next" in " ".join(ran.stderr.split())


def test_an_alarm_of_rabbitmq_is_wrong():
    class Alarmed:
        def alarms(self) -> list[str]:
            return ["rabbit@one"]

    check = checks_servers._alarms(Alarmed())

    assert (check.state, check.says) == ("wrong", "memory or disk alarm on rabbit@one")
