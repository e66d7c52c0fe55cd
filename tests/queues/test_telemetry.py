"""Logs, errors and metrics say what happened and never what a customer's data is."""

import io
import json
import logging
import urllib.request
from decimal import Decimal
from urllib.error import HTTPError

import pytest
import sentry_sdk
import structlog
from rabbit import actor, wait_until, working
from sentry_sdk.transport import Transport

from queues import telemetry
from queues.broker import build_broker
from queues.embedded import EmbeddedBroker
from queues.metrics import FiguresAway, Gauge, serving
from queues.settings import Settings, settings
from queues.telemetry import configure_logging, correlation_id


@pytest.fixture
def stream():
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield io.StringIO()
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_log_line_is_one_json_object_with_its_facts(stream):
    configure_logging(stream=stream)

    structlog.get_logger("workers.post").info("entry posted", entry=17, amount=Decimal("1.50"))
    logging.getLogger("library").warning("disk %s", "full")
    logging.getLogger("pika.connection").error("noise")

    ours, theirs = lines(stream)
    assert (ours["event"], ours["entry"], ours["amount"], ours["level"]) == ("entry posted", 17, "1.50", "info")
    assert ours["timestamp"].endswith("Z")
    assert (theirs["event"], theirs["logger"]) == ("disk full", "library")


def test_an_exception_is_logged_with_its_traceback(stream):
    configure_logging(stream=stream)

    structlog.get_logger().error("step failed", exc_info=RuntimeError("broken"))

    (line,) = lines(stream)
    assert "RuntimeError: broken" in line["exception"]


def test_a_person_at_a_terminal_reads_text(stream):
    configure_logging(stream=stream, style="text")

    structlog.get_logger().info("entry posted", entry=17)

    assert "entry posted" in stream.getvalue()
    assert "{" not in stream.getvalue()


def test_all_that_a_step_logs_carries_its_correlation_id_and_the_next_hint_starts_clean(stream):
    configure_logging(stream=stream)
    broker, seen = EmbeddedBroker(), []

    def note(_ids):
        structlog.get_logger().info("in step")
        seen.append(correlation_id.get())

    actor(broker, note)
    validate = broker.get_actor("validate")
    validate.send_with_options(args=([1],), correlation_id="c-1")
    validate.send([2])
    with working(broker):
        wait_until(lambda: len(seen) == 2)

    assert [line["correlation_id"] for line in lines(stream) if line["event"] == "in step"] == seen
    assert seen[0] == "c-1"
    assert seen[1] not in (None, "c-1")
    assert correlation_id.get() is None


def test_a_worker_of_a_fleet_logs_json_and_a_process_of_ours_keeps_its_own(stream, monkeypatch):
    configured = []
    monkeypatch.setattr(telemetry, "configure_logging", lambda: configured.append(1))

    for mode in ("embedded", "fleet"):
        monkeypatch.setenv("TALLYLINE_MODE", mode)
        settings.cache_clear()
        EmbeddedBroker().emit_after("process_boot")
    settings.cache_clear()

    assert configured == [1]
    assert stream.getvalue() == ""


class Caught(Transport):
    """Keeps what would be sent to Sentry."""

    def __init__(self):
        super().__init__()
        self.events = []

    def capture_envelope(self, envelope):
        event = envelope.get_event()
        if event is not None:
            self.events.append(event)


@pytest.fixture
def caught(monkeypatch):
    transport, init = Caught(), sentry_sdk.init
    monkeypatch.setattr(sentry_sdk, "init", lambda **options: init(transport=transport, **options))
    yield transport
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


def test_sentry_learns_of_a_failure_and_neither_of_variables_nor_of_bodies(caught):
    broker = build_broker(Settings(mode="embedded", sentry_dsn="https://key@example.invalid/1"))

    def fail(ids):
        iban = f"DE{ids[0]}"
        raise RuntimeError(f"refused after {len(iban)} characters")

    actor(broker, fail)
    broker.get_actor("validate").send([89370400440532013])
    logging.getLogger("dramatiq.worker.ConsumerThread(validate)").critical("RabbitMQ was restarted")
    with working(broker):
        wait_until(lambda: caught.events)

    (event,) = caught.events
    assert event["exception"]["values"][-1]["value"] == "refused after 19 characters"
    assert "DE89370400440532013" not in json.dumps(event)
    assert not any("vars" in frame for frame in event["exception"]["values"][-1]["stacktrace"]["frames"])
    assert not event["contexts"]["dramatiq"]["data"]


def test_without_a_dsn_sentry_stays_off(caught):
    build_broker(Settings(mode="embedded", sentry_dsn=None))

    assert not sentry_sdk.is_initialized()
    assert caught.events == []


def scrape(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return answer.read().decode()


def test_metrics_are_read_at_each_scrape_and_not_before():
    figures = []

    def read():
        figures.append(len(figures) + 1)
        return [(("rate", "live"), figures[-1]), (("tax", "close"), 0)]

    gauge = Gauge("tallyline_due_work", "Rows that are due.", ("step", "lane"), read)
    with serving([gauge], host="127.0.0.1", port=0) as port:
        assert figures == []
        assert 'tallyline_due_work{lane="live",step="rate"} 1.0' in scrape(port)
        assert 'tallyline_due_work{lane="live",step="rate"} 2.0' in scrape(port)

    with pytest.raises(OSError, match="refused"):
        scrape(port)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_metric_that_cannot_be_read_fails_the_scrape(capfd):
    def away():
        raise ConnectionError

    gauges = [Gauge("tallyline_a", "a", (), lambda: [((), 1)]), Gauge("tallyline_b", "b", (), away)]

    with serving(gauges, host="127.0.0.1", port=0) as port, pytest.raises(HTTPError) as caught:
        scrape(port)

    assert caught.value.code == 500
    caught.value.close()
    assert "ConnectionError" in capfd.readouterr().err


def test_with_the_database_away_what_needs_none_is_told_and_the_scrape_succeeds():
    def away():
        raise FiguresAway

    gauges = [
        Gauge("tallyline_a", "a", (), lambda: [((), 1)]),
        Gauge("tallyline_b", "b", (), away),
        Gauge("tallyline_c", "c", (), lambda: [((), 1)]),
    ]

    with serving(gauges, host="127.0.0.1", port=0) as port:
        told = scrape(port)

    assert "tallyline_a 1.0" in told
    assert "tallyline_b" not in told
    assert "tallyline_c" not in told


def test_what_every_consumer_says_of_an_outage_is_said_once_a_minute(stream, monkeypatch):
    configure_logging(stream=stream)
    now = [1_000.0]
    monkeypatch.setattr(telemetry, "monotonic", lambda: now[0])
    consumers = [logging.getLogger(f"{telemetry.CONSUMERS}(rate)"), logging.getLogger(f"{telemetry.CONSUMERS}(tax)")]

    for now[0] in (1_000.0, 1_003.0, 1_059.0, 1_061.0):
        for consumer in consumers:
            consumer.critical("Consumer encountered a connection error: %s", "refused")
        logging.getLogger("other").warning("said each time")

    said = [line["logger"] for line in lines(stream)]
    assert [said.count(each.name) for each in consumers] == [2, 2]
    assert said.count("other") == 4


def test_a_metric_has_our_name_before_it():
    with pytest.raises(AssertionError):
        Gauge("due_work", "Rows that are due.", (), list)
