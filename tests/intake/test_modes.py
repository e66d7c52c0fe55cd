"""The same usage, whatever client and mode it comes by: CloudEvents' own Python SDK over pika, and Node's amqplib."""

import json
from datetime import UTC, datetime

import pytest
from cloudevents.core.bindings import amqp, rabbitmq
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from line import event, node_sends
from upstreams import Message, batch, structured

pytestmark = pytest.mark.fleet

NAMES = [f"call {number}" for number in range(12)]


def sdk_event(name):
    attributes = event(name, time=datetime(2026, 11, 5, 12, tzinfo=UTC), datacontenttype="application/json")
    return CloudEvent(attributes, attributes.pop("data"))


def by_python_single(line):
    made = [rabbitmq.to_structured_event(sdk_event(name)) for name in NAMES]
    line.phones.send(*(Message(each.body, each.content_type, each.headers) for each in made))


def by_python_binary(line):
    made = [rabbitmq.to_binary_event(sdk_event(name)) for name in NAMES]
    line.phones.send(*(Message(each.body, each.content_type, each.headers) for each in made))


def by_python_binary_as_amqp_1_0(line):
    made = [amqp.to_binary_event(sdk_event(name)) for name in NAMES]
    line.phones.send(
        *(Message(each.application_data, each.properties["content-type"], each.application_properties) for each in made)
    )


def by_python_batch(line):
    line.phones.send(batch(*(json.loads(JSONFormat().write(sdk_event(name))) for name in NAMES)))


def by_node_single(line):
    node_sends(line.phones, [structured(event(name)) for name in NAMES])


def by_node_batch(line):
    node_sends(line.phones, [batch(*(event(name) for name in NAMES))])


def by_node_binary(line):
    messages = []
    for name in NAMES:
        attributes = event(name)
        body = json.dumps(attributes.pop("data")).encode()
        headers = {f"cloudEvents:{key}": value for key, value in attributes.items()}
        messages.append(Message(body, "application/json", headers, routing_key="any.key at all"))
    node_sends(line.phones, messages)


def by_node_binary_with_a_native_time(line):
    messages = []
    for name in NAMES:
        attributes = event(name)
        body = json.dumps(attributes.pop("data")).encode()
        headers = {f"cloudEvents_{key}": value for key, value in attributes.items()}
        headers["cloudEvents_time"] = {"!": "timestamp", "value": 1_793_880_000}
        messages.append(Message(body, "application/json", headers))
    node_sends(line.phones, messages)


WAYS = (
    by_python_single,
    by_python_binary,
    by_python_binary_as_amqp_1_0,
    by_python_batch,
    by_node_single,
    by_node_batch,
    by_node_binary,
    by_node_binary_with_a_native_time,
)


def test_each_event_counts_once_by_whatever_client_and_mode_it_comes(line):
    for way in WAYS:
        parsed, *_ = line.sums()
        way(line)
        line.wait_until_parsed(parsed + len(NAMES))

        assert line.sums() == (parsed + len(NAMES), len(NAMES), parsed, 0), way.__name__

    assert line.accepted() == set(NAMES)
    assert line.rows("select distinct happened_at, subject, data from usage_events") == [
        (datetime(2026, 11, 5, 12, tzinfo=UTC), "line 1", {"minutes": 1})
    ]
