"""The watch says of each server whether it answers: a line of log when that changes, never an address or a secret."""

import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import psycopg
import pytest
import structlog
from structlog.testing import capture_logs

from queues.publishing import NoticeNotSent, NotPublished
from queues.settings import Settings
from workers import watch as module
from workers.watch import Watch, answers, probes


def wait_until(holds):
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Server:
    """A server that is away when told so."""

    def __init__(self, error=NotPublished):
        self.error = error
        self.is_away = False
        self.asked = 0

    def __call__(self):
        self.asked += 1
        if self.is_away:
            raise self.error("amqp://user:geheim@host")

    def answer_twice(self):
        asked = self.asked
        wait_until(lambda: self.asked >= asked + 2)


@pytest.fixture(autouse=True)
def _plain_logs():
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def test_an_outage_is_said_once_when_it_begins_and_once_when_it_ends():
    server = Server()
    watch = Watch({"rabbitmq": server}, every_s=0.01)
    with capture_logs() as logs, watch.watching():
        wait_until(watch.standing)
        assert watch.standing()["rabbitmq"].is_up

        server.is_away = True
        wait_until(lambda: not watch.standing()["rabbitmq"].is_up)
        since = watch.standing()["rabbitmq"].outage.since
        server.answer_twice()
        assert watch.standing()["rabbitmq"].outage.since == since

        server.is_away = False
        wait_until(lambda: watch.standing()["rabbitmq"].is_up)
        server.answer_twice()

    assert [(each["event"], each["log_level"]) for each in logs] == [
        ("dependency away", "error"), ("dependency back", "warning"),
    ]  # fmt: skip
    assert logs[0]["reason"] == "NotPublished"
    assert "geheim" not in str(logs)
    assert watch.take_ended() == []


def test_a_silent_server_hides_no_other():
    silence, redis = threading.Event(), Server()
    watch = Watch({"rabbitmq": lambda: silence.wait(5), "redis": redis}, every_s=0.01)
    with watch.watching():
        wait_until(lambda: "redis" in watch.standing())
        redis.is_away = True
        wait_until(lambda: not watch.standing()["redis"].is_up)
        assert "rabbitmq" not in watch.standing()
        silence.set()


def test_an_outage_of_postgresql_is_kept_until_it_was_written():
    server = Server(psycopg.OperationalError)
    watch = Watch({"postgresql": server}, every_s=0.01)
    with watch.watching():
        server.is_away = True
        wait_until(lambda: watch.standing() and not watch.standing()["postgresql"].is_up)
        server.is_away = False
        wait_until(lambda: watch.standing()["postgresql"].is_up)

    ((outage, until),) = ended = watch.take_ended()
    assert outage.since < until
    assert watch.take_ended() == []
    watch.give_back(ended)
    assert watch.take_ended() == ended


class Rabbit:
    """What is told straight; away when told so."""

    def __init__(self):
        self.told = []
        self.is_away = False

    def publish_event(self, exchange, routing_key, body):
        if self.is_away:
            raise NoticeNotSent("no broker", delay_s=1)
        self.told.append((exchange, routing_key))


@pytest.mark.parametrize(("led", "rabbit_is_away", "told"), [
    (True, False, [("tallyline", "tallyline.dependency.away")]), (True, True, []), (False, False, []),
])  # fmt: skip
def test_only_who_led_tells_of_postgresql_straight_away(led, rabbit_is_away, told, monkeypatch):
    rabbit = Rabbit()
    rabbit.is_away = rabbit_is_away
    monkeypatch.setattr(module, "broker", lambda: rabbit)
    server = Server(psycopg.OperationalError)
    watch = Watch({"postgresql": server}, every_s=0.01)
    if led:
        watch.leads()
    with watch.watching():
        server.is_away = True
        wait_until(lambda: watch.standing() and not watch.standing()["postgresql"].is_up)
        server.answer_twice()

    assert rabbit.told == told


@contextmanager
def web(status):
    """A web server that answers every question with one status."""

    class Answers(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_words):
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize(("status", "is_up"), [(200, True), (403, True), (404, True), (502, False), (503, False)])
def test_sentry_is_there_if_it_answers_whatever_it_thinks_of_the_question(status, is_up):
    with web(status) as port:
        ask = probes(Settings(sentry_dsn=f"http://key@127.0.0.1:{port}/1"))["sentry"]
        if is_up:
            ask()
        else:
            with pytest.raises(module.AWAY):
                ask()


def test_sentry_is_away_if_it_takes_a_question_and_never_answers(monkeypatch):
    monkeypatch.setattr(module, "ANSWER_S_MAX", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ask = probes(Settings(sentry_dsn=f"http://key@127.0.0.1:{silent.getsockname()[1]}/1"))["sentry"]
        with pytest.raises(module.AWAY):
            ask()


def test_only_what_a_deployment_has_is_asked(monkeypatch):
    assert set(probes(Settings(mode="embedded", database_url="postgresql://x@h/d", redis_url="redis://h"))) == {
        "postgresql"
    }
    fleet = Settings(mode="fleet", database_url="postgresql://x@h/d", redis_url="redis://h", amqp_url="amqp://h",
                     sentry_dsn="https://key@h/1")  # fmt: skip
    assert set(probes(fleet)) == {"postgresql", "rabbitmq", "redis", "sentry"}
    monkeypatch.setattr(module, "settings", lambda: Settings(mode="embedded", sentry_dsn="http://key@127.0.0.1:1/1"))
    assert answers("redis", "sentry") == {"sentry": "URLError"}


def test_the_servers_of_the_stack_answer_and_a_port_without_one_does_not(
    amqp_url, redis_url, postgres_url, monkeypatch
):
    import queues.broker
    import queues.gate

    for port, is_up in ((None, True), (1, False)):
        named = Settings(
            mode="fleet",
            database_url=postgres_url if port is None else "postgresql://x:geheim@127.0.0.1:1/d",
            redis_url=redis_url if port is None else "redis://:geheim@127.0.0.1:1/0",
            amqp_url=amqp_url if port is None else "amqp://x:geheim@127.0.0.1:1/",
        )
        broker = queues.broker.FleetBroker(named.amqp_url.get_secret_value())
        gate = queues.gate.build_gate(named)
        monkeypatch.setattr(module, "broker", lambda broker=broker: broker)
        monkeypatch.setattr(module, "gate", lambda gate=gate: gate)
        monkeypatch.setattr(module, "settings", lambda named=named: named)

        found = answers("postgresql", "rabbitmq", "redis")

        assert {name: reason is None for name, reason in found.items()} == dict.fromkeys(found, is_up)
        assert len(found) == 3
        assert "geheim" not in str(found)
        gate.close()
        broker.close()
