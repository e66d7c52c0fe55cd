"""`notify`: each notice at least once, in the order it was written, and marked only when its channel has it."""

import json

import pika
import pytest

import workers.notify  # noqa: F401 - registers its step
from queues import broker as brokers
from queues import work
from queues.publishing import NoticeNotSent
from queues.settings import settings
from queues.work import NewWork
from workers import telling
from workers.channels.channel import channel
from workers.channels.exchange import Exchange
from workers.channels.folder import Folder
from workers.step import perform
from workers.store.database import engine


@pytest.fixture
def owe(month):
    """Owe notices under the keys and `notify` under the subject; the work row."""

    def insert(*keys: str, subject: str) -> int:
        for key in keys:
            month.bound.run(
                """insert into notices (exchange, routing_key, key, body)
                   values ('tallyline', 'tallyline.test', :key, jsonb_build_object('id', cast(:key as text)))""",
                key=key,
            )
        with engine().begin() as conn:
            (row,) = work.insert(conn, [NewWork("notify", f"notices/{subject}", "test")])
        return row.id

    return insert


@pytest.fixture
def told(monkeypatch):
    """What a channel in memory was told; `told.fails_at` makes it fail once."""

    class Told(list):
        fails_at: int | None = None

        def publish(self, exchange, routing_key, body):
            if self.fails_at == len(self):
                self.fails_at = None
                raise NoticeNotSent("the exchange did not confirm", delay_s=5)
            self.append(json.loads(body)["id"])

    made = Told()
    monkeypatch.setattr(telling, "channel", lambda: made)
    return made


def lines(folder, exchange="tallyline"):
    return [json.loads(line) for line in (folder / "notices" / f"{exchange}.jsonl").read_text().splitlines()]


def test_the_embedded_run_appends_notices_to_a_file_for_each_exchange(month, owe):
    row = owe("erp_posting/1/posted", subject="erp_posting/1/posted")

    perform("notify", [row])

    assert lines(settings().home) == [{"routing_key": "tallyline.test", "event": {"id": "erp_posting/1/posted"}}]
    assert month.bound.one("select count(*) from notices where sent_at is null") == 0


def test_a_refusal_goes_back_to_its_producer_with_what_to_do(month):
    month.use(("u1", "UA", "N1", 1))
    month.receive_refused()

    month.work()

    (line,) = lines(settings().home, "refusals")
    assert line["routing_key"] == "upstream./ops/jfk"
    data = line["event"]["data"]
    assert (data["code"], data["event_id"], data["source"]) == ("meter_unknown", "bad", "/ops/jfk")
    assert data["fix"]


def test_one_row_sends_what_lies_below_its_key_and_nothing_beside_it(month, owe, told):
    row = owe("receipt/1/refusal/0", "receipt/1/refusal/1", "receipt/10/refusal/0", "receipt/1x", subject="receipt/1")

    perform("notify", [row])

    assert told == ["receipt/1/refusal/0", "receipt/1/refusal/1"]


def test_what_the_channel_has_is_marked_and_the_rest_waits_without_an_attempt(month, owe, told):
    row = owe("a/1", "a/2", "a/3", subject="a")
    told.fails_at = 1

    perform("notify", [row])

    assert month.bound.rows("select key, sent_at is not null from notices order by id") == [
        ("a/1", True), ("a/2", False), ("a/3", False),
    ]  # fmt: skip
    assert month.bound.rows("select state, attempts from work where id = :id", id=row) == [("ready", 0)]

    month.let_time_pass()
    perform("notify", [row])
    assert told == ["a/1", "a/2", "a/3"]


def test_a_worker_that_dies_before_it_marks_sends_again_under_the_same_id(month, owe, told, monkeypatch):
    row = owe("a/1", subject="a")

    class Killed(BaseException):
        pass

    def die(*_arguments):
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(telling.notices, "mark_sent", die)
        with pytest.raises(Killed):
            perform("notify", [row])
    month.let_time_pass()
    perform("notify", [row])

    assert told == ["a/1", "a/1"]
    assert month.bound.one("select count(*) from notices where sent_at is null") == 0


def test_very_many_notices_are_sent_in_bounded_errands(month, owe, told, monkeypatch):
    monkeypatch.setattr(telling, "NOTICES_MAX", 2)
    owe(*(f"a/{n}" for n in range(5)), subject="a")

    month.work("notify")

    assert told == [f"a/{n}" for n in range(5)]
    assert month.bound.one("select max(revision) from work where step = 'notify'") == 3


def test_a_line_that_a_crash_cut_is_ended_before_the_next(tmp_path):
    path = tmp_path / "tallyline.jsonl"
    path.write_bytes(b'{"routing_key":"x","eve')

    Folder(tmp_path).publish("tallyline", "y", b'{"id":"1"}')

    assert path.read_bytes() == b'{"routing_key":"x","eve\n{"routing_key":"y","event":{"id":"1"}}\n'


def test_a_folder_that_cannot_be_written_is_an_outage(tmp_path):
    (tmp_path / "notices").write_text("a file where the folder should be")

    with pytest.raises(NoticeNotSent):
        Folder(tmp_path / "notices").publish("tallyline", "x", b"{}")


@pytest.fixture
def fleet(vhost, monkeypatch):
    """This process as one of a fleet, on a virtual host of its own."""
    monkeypatch.setenv("TALLYLINE_MODE", "fleet")
    monkeypatch.setenv("TALLYLINE_AMQP_URL", vhost)
    made = brokers.build_broker(settings.__wrapped__())
    monkeypatch.setattr("workers.channels.exchange.broker", lambda: made)
    settings.cache_clear()
    yield vhost
    made.close()
    settings.cache_clear()


def test_a_fleet_publishes_notices_on_the_exchange(fleet):
    assert isinstance(channel(), Exchange)
    channel().publish("tallyline", "tallyline.document.posted", b'{"id":"0"}')  # makes the exchange
    connection = pika.BlockingConnection(pika.URLParameters(fleet))
    listening = connection.channel()
    queue = listening.queue_declare("", exclusive=True).method.queue
    listening.queue_bind(queue, "tallyline", "tallyline.document.*")

    channel().publish("tallyline", "tallyline.document.posted", b'{"id":"1"}')

    method, properties, body = listening.basic_get(queue, auto_ack=True)
    assert (method.routing_key, body) == ("tallyline.document.posted", b'{"id":"1"}')
    assert properties.content_type == "application/cloudevents+json"
    assert properties.delivery_mode == 2
    connection.close()
