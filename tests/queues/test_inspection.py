"""Doctor sees what is missing, what was made otherwise, and what nobody serves."""

from rabbit import actor, wait_until, working

from queues import envelope, inspection, topology
from queues.definitions import definitions
from queues.publishing import QueueLook
from queues.topology import Upstream

CONNECTIONS = ["sap"]
UPSTREAMS = [Upstream("jfk")]


def test_a_rabbitmq_that_is_as_it_should_be_gets_no_remark(rabbit):
    rabbit.api.import_definitions(definitions(CONNECTIONS, UPSTREAMS, vhost=rabbit.api.vhost))

    assert list(inspection.differences(rabbit.api, CONNECTIONS, UPSTREAMS)) == []
    assert list(inspection.alarms(rabbit.api)) == []


def test_an_empty_rabbitmq_lacks_everything(rabbit):
    remarks = list(inspection.differences(rabbit.api, CONNECTIONS, UPSTREAMS))

    assert "queue post.sap.replay.XQ is missing" in remarks
    assert "exchange usage.unrouted is missing" in remarks
    assert "queue intake is not bound to exchange usage with the key '#'" in remarks
    assert "queue refusals.jfk is not bound to exchange refusals with the key 'jfk.#'" in remarks
    bindings = len(list(topology.bindings(UPSTREAMS)))
    queues = topology.queue_arguments(CONNECTIONS, UPSTREAMS)
    assert len(remarks) == len(queues) + len(topology.exchanges()) + bindings


def test_a_queue_and_an_exchange_that_were_made_otherwise_are_named(rabbit):
    with rabbit.channel() as channel:
        channel.queue_declare("rate", durable=True)
        channel.exchange_declare("usage", "fanout", durable=True)

    remarks = list(inspection.differences(rabbit.api, []))

    assert any(remark.startswith("queue rate has the arguments {} and not {") for remark in remarks)
    assert "exchange usage is ('fanout', {}) and not ('topic', {'alternate-exchange': 'usage.unrouted'})" in remarks


def test_a_queue_without_a_consumer_is_named_with_what_waits_in_it(rabbit):
    broker = rabbit.broker()
    actor(broker, lambda _ids: None)
    broker.send(envelope.hint("rate", [1], queue="rate"))
    queues = ["validate", "rate", "tax"]

    with working(broker, queues={"validate"}):
        wait_until(lambda: broker.look("validate") == QueueLook(ready=0, consumers=1))

        assert list(inspection.unserved(broker, queues)) == ["queue rate has no consumer and 1 hints ready"]


def test_a_node_in_alarm_is_named():
    class LowOnMemory:
        def alarms(self):
            return ["rabbit@a"]

    assert list(inspection.alarms(LowOnMemory())) == [
        "node rabbit@a is out of memory or disk and blocks all publishers"
    ]
