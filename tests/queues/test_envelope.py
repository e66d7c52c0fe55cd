"""A body in a work queue is read without trust, and says in the console what it is about."""

import json

import pika
import pytest
from rabbit import hint_body

from queues import envelope
from queues.envelope import HintUnreadable

pytestmark = pytest.mark.fast

POISON = {
    "garbage": b"\xff\xfe not json",
    "a CloudEvent": json.dumps({"specversion": "1.0", "type": "x", "id": "1", "data": {}}).encode(),
    "a list": b"[1, 2]",
    "deeply nested": b"[" * 100_000,
    "options null": hint_body(1, options=None),
    "options a list": hint_body(1, options=[]),
    "no queue": hint_body(1, queue_name=...),
    "attempt a text": hint_body(1, options={"attempt": "x"}),
    "attempt negative": hint_body(1, options={"attempt": -1}),
    "attempt too large": hint_body(1, options={"attempt": 2**40}),
    "correlation id too long": hint_body(1, options={"correlation_id": "x" * 256}),
    "correlation id no UTF-8": hint_body(1, options={"correlation_id": "\ud800"}),
    "kwargs a list": hint_body(1, kwargs=[1]),
    "kwargs null": hint_body(1, kwargs=None),
    "kwargs with a name": hint_body(1, kwargs={"1 x": 1}),
    "message id a list": hint_body(1, message_id=[1]),
    "an unknown field": hint_body(1, foo=1),
    "timestamp a text": hint_body(1, message_timestamp="now"),
    "actor null": hint_body(1, actor_name=None),
    "actor a list": hint_body(1, actor_name=["validate"]),
    "args null": hint_body(1, args=None),
    "no ids": hint_body(),
    "two arguments": hint_body(1, args=[[1], [2]]),
    "ids a text": hint_body(1, args=["12"]),
    "an id that is a text": hint_body(1, args=[["1"]]),
    "an id that is true": hint_body(1, args=[[True]]),
    "id zero": hint_body(0),
    "an id beyond bigint": hint_body(2**63),
    "201 ids": hint_body(*range(1, 202)),
}


@pytest.mark.parametrize("body", POISON.values(), ids=POISON)
def test_what_is_no_hint_is_refused_with_a_reason(body):
    with pytest.raises(HintUnreadable, match=r"\w"):
        envelope.read_hint(body, queue="validate")


def test_a_usage_event_that_came_as_a_hint_is_refused_with_what_it_lacks():
    with pytest.raises(HintUnreadable, match="the field 'args' is missing"):
        envelope.read_hint(b'{"specversion": "1.0", "id": "1", "source": "/a", "data": {}}', queue="validate")


def test_a_hint_belongs_to_the_queue_it_arrived_on_and_keeps_only_known_options():
    options = {"correlation_id": "c", "attempt": 2, "eta": 9e15, "time_limit": 1, "pipe_target": {}, "throws": "X"}

    hint = envelope.read_hint(hint_body(1, 2, queue_name="elsewhere", options=options), queue="validate")

    assert hint.queue_name == "validate"
    assert hint.args == ([1, 2],)
    assert hint.options == {"correlation_id": "c", "attempt": 2}


def test_a_hint_survives_the_wire():
    sent = envelope.hint("rate", [1, 2**63 - 1], queue="rate.close", correlation_id="c", suspect=True)

    assert envelope.read_hint(sent.encode(), queue="rate.close") == sent


def test_each_attempt_waits_a_rung_longer_and_never_gives_up():
    hint, waits = envelope.hint("rate", [1], queue="rate"), []

    for _ in range(7):
        hint, delay_s = envelope.next_attempt(hint)
        waits.append(delay_s)

    assert waits == [1, 5, 30, 120, 600, 600, 600]
    assert envelope.attempt_of(hint) == 7


def test_the_console_shows_actor_attempt_rows_worker_and_correlation_id():
    hint = envelope.hint("rate", [1, 2], queue="rate", correlation_id="c-1")

    properties = envelope.properties(hint, {"error": "e" * 9_999, "missing": None, "odd": "\ud800"})

    assert (properties.type, properties.correlation_id, properties.app_id) == ("rate", "c-1", envelope.worker_name())
    assert properties.message_id == hint.message_id
    assert properties.headers == {"actor": "rate", "attempt": 0, "rows": 2, "error": "e" * 2_000, "odd": "?"}


def test_a_buried_body_keeps_its_headers_except_those_by_which_rabbitmq_detects_circles():
    original = pika.BasicProperties(
        content_type="text/plain", headers={"mine": 1, "x-death": [], "x-first-death-queue": "q"}
    )

    properties = envelope.buried(original, queue="validate", code="hint_unreadable", error="no hint")

    assert properties.content_type == "text/plain"
    assert properties.headers == {
        "mine": 1,
        "code": "hint_unreadable",
        "error": "no hint",
        "queue": "validate",
        "worker": envelope.worker_name(),
        "runbook": "infra/runbooks/hint_unreadable.md",
    }
