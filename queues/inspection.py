"""What is wrong with a RabbitMQ, in sentences for `tallyline doctor`."""

from collections.abc import Iterator, Sequence

from queues import topology
from queues.publishing import HintBroker
from queues.rabbit_api import RabbitApi
from queues.topology import Upstream


def differences(api: RabbitApi, connections: Sequence[str], upstreams: Sequence[Upstream] = ()) -> Iterator[str]:
    """Every queue, exchange and binding that is missing or was made otherwise than the topology says.

    Missing ones appear by themselves when something needs them, or all at once by importing the definitions; one with
    other arguments has to be emptied and deleted by a person. Raises `RabbitApiFailed`.
    """
    found = {queue["name"]: queue["arguments"] for queue in api.queues()}
    for name, arguments in topology.queue_arguments(connections, upstreams).items():
        if name not in found:
            yield f"queue {name} is missing"
        elif found[name] != arguments:
            yield f"queue {name} has the arguments {found[name]} and not {dict(arguments)}"
    exchanges = {exchange["name"]: (exchange["type"], exchange["arguments"]) for exchange in api.exchanges()}
    for exchange in topology.exchanges():
        if exchange.name not in exchanges:
            yield f"exchange {exchange.name} is missing"
        elif exchanges[exchange.name] != (exchange.kind, exchange.arguments):
            yield f"exchange {exchange.name} is {exchanges[exchange.name]} and not {exchange.kind, exchange.arguments}"
    bound = {(each["source"], each["destination"], each["routing_key"]) for each in api.bindings()}
    for source, queue, key in topology.bindings(upstreams):
        if (source, queue, key) not in bound:
            yield f"queue {queue} is not bound to exchange {source} with the key {key!r}"


def alarms(api: RabbitApi) -> Iterator[str]:
    """Every node that lets nobody publish for want of memory or disk. Raises `RabbitApiFailed`."""
    for node in api.alarms():
        yield f"node {node} is out of memory or disk and blocks all publishers"


def unserved(broker: HintBroker, queues: Sequence[str]) -> Iterator[str]:
    """Every one of these queues that no worker consumes: hints stay there, safe and unseen. Raises `NotPublished`."""
    for queue in queues:
        look = broker.look(queue)
        if look is not None and look.consumers == 0:
            yield f"queue {queue} has no consumer and {look.ready} hints ready"
