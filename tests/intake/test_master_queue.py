"""Messages of master data through a real RabbitMQ: nothing is lost, nothing is applied twice, whoever is killed."""

import json
from dataclasses import replace

import pika
import pytest
from procfile import Fleet, wait_until
from sqlalchemy import text
from upstreams import PASSWORD
from upstreams import region as fresh_region

from queues.topology import MASTER_EXCHANGE, MASTER_QUEUE, Upstream
from workers.store.database import make_engine

SYSTEMS = """
insert into systems (id, owner, users) values ('crm', 'sales', array[:user]);
insert into field_owners values ('account', 'name', 'crm');
"""


def change(n, **data):
    return {
        "specversion": "1.0", "id": f"m-{n}", "source": "crm", "type": "tallyline.master.account.v1", "version": n,
        "data": {"id": f"A-{n}", "name": f"Account {n}", **data},
    }  # fmt: skip


class Crm:
    """A CRM as RabbitMQ knows it, and what Tallyline made of what it said."""

    def __init__(self, region, engine, fleet):
        self.region, self.engine, self.fleet = region, engine, fleet
        producer = region.producers["crm"]
        self.upstream = replace(producer.upstream, exchange=MASTER_EXCHANGE)
        region.api.put_upstream(self.upstream, password=PASSWORD)
        self.producer = replace(producer, upstream=self.upstream)

    def say(self, *messages, exchange=MASTER_EXCHANGE, user=None):
        with self.producer.channel() as channel:
            for each in messages:
                body = each if isinstance(each, bytes) else json.dumps(each).encode()
                properties = pika.BasicProperties(
                    content_type="application/cloudevents+json", delivery_mode=2, user_id=user or self.upstream.user
                )
                key = f"{self.upstream.user}.tallyline.master.account.v1"
                channel.basic_publish(exchange, key, body, properties, mandatory=True)

    def rows(self, sql):
        with self.engine.connect() as conn:
            return [tuple(row) for row in conn.execute(text(sql))]

    def accounts(self):
        return {name for (name,) in self.rows("select id from accounts")}

    def states(self):
        return dict(self.rows("select state, count(*) from master_messages group by state"))


@pytest.fixture
def crm(amqp_url, rabbit_api_url, new_database, tmp_path):
    url = new_database()
    engine = make_engine(url)
    with fresh_region(amqp_url, rabbit_api_url, "crm") as region:
        fleet = Fleet({"TALLYLINE_DATABASE_URL": url, "TALLYLINE_AMQP_URL": region.url}, tmp_path)
        made = Crm(region, engine, fleet)
        with engine.begin() as conn:
            conn.exec_driver_sql("reset role")
            for statement in SYSTEMS.strip().split(";\n"):
                conn.execute(text(statement.rstrip(";")), {"user": made.upstream.user} if ":user" in statement else {})
        try:
            yield made
        finally:
            fleet.stop()
            engine.dispose()


def test_what_a_system_says_is_applied_and_what_is_refused_is_kept(crm):
    crm.fleet.start(("master", "scheduler"))

    crm.say(change(1), change(2, bill_to="A-1"), change(1), b"{")

    wait_until(lambda: sum(crm.states().values()) == 4 and "received" not in crm.states(), what="all are decided")
    assert crm.states() == {"applied": 1, "ignored": 1, "refused": 2}
    assert crm.accounts() == {"A-1"}
    assert crm.rows("select code from exceptions where step = 'master' and state = 'open' order by code") == [
        ("envelope_invalid",), ("field_not_owned",),
    ]  # fmt: skip
    assert crm.region.look(MASTER_QUEUE)[0] == 0


def test_whoever_is_killed_nothing_is_lost_and_nothing_applied_twice(crm):
    crm.say(*(change(n) for n in range(1, 41)))
    crm.fleet.start(("master", "scheduler"))
    wait_until(lambda: crm.states().get("applied", 0) >= 5, what="some are applied")

    crm.fleet.kill("scheduler")
    crm.say(*(change(n) for n in range(41, 61)))
    crm.fleet.kill("master")
    crm.say(*(change(n) for n in range(61, 81)))

    wait_until(lambda: crm.states().get("applied", 0) >= 80, what=f"80 are applied, not {crm.states()}")
    assert crm.accounts() == {f"A-{n}" for n in range(1, 81)}
    added = crm.rows(
        "select subject, count(*) from audit_log where action = 'accounts.insert' group by 1 having count(*) > 1"
    )
    assert added == []


def test_a_system_may_write_to_its_exchange_and_to_no_other_and_for_nobody_else(crm):
    crm.fleet.start(("master",))
    wait_until(lambda: crm.region.look(MASTER_QUEUE, missing=0)[1] == 1, what="the queue is consumed")

    for wrong in ({"exchange": "usage"}, {"user": "somebody"}):
        with pytest.raises(pika.exceptions.AMQPError):
            crm.say(change(1), **wrong)
    crm.say(change(2))

    wait_until(lambda: crm.rows("select 1 from master_messages"), what="the message is stored")


def test_an_upstream_may_not_say_anything_of_master_data():
    assert Upstream("phones").permissions["write"] == "^usage$"
    assert Upstream("crm", MASTER_EXCHANGE).permissions["write"] == "^master$"


def test_intake_takes_only_queues_that_others_send_to(monkeypatch, capsys):
    from queues.settings import settings
    from workers import intake

    monkeypatch.setenv("TALLYLINE_MODE", "fleet")
    monkeypatch.setenv("TALLYLINE_AMQP_URL", "amqp://nobody@127.0.0.1:1/")
    monkeypatch.setattr("sys.argv", ["intake", "validate"])
    settings.cache_clear()
    try:
        with pytest.raises(SystemExit, match="'validate' is no queue that others send to: name one of intake, master"):
            intake.main()
    finally:
        settings.cache_clear()
