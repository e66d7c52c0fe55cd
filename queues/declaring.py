"""Creates on RabbitMQ what the topology asks for, once per process and again after it vanished."""

from typing import Any

from queues import topology

Channel = Any  # pika comes without types


class Declared:
    """What this process knows to exist. Every declaration is idempotent; other arguments are refused (406)."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def forget(self) -> None:
        """Something may be missing: declare everything again when next needed."""
        self._names.clear()

    def work_queue(self, channel: Channel, queue: str) -> None:
        """Make sure a work queue, its `.XQ` and the delay ladder exist."""
        for delay_s in topology.DELAYS_S:
            self._rung(channel, delay_s)
        if queue not in self._names:
            _declare_queue(channel, topology.dead_queue_name(queue), topology.parked_queue_arguments())
            _declare_queue(channel, queue, topology.work_queue_arguments(queue))
            self._names.add(queue)

    def exchange(self, channel: Channel, name: str) -> None:
        """Make sure an exchange of the topology exists, and before it the alternate it names."""
        if name in self._names:
            return
        for exchange in topology.exchanges():
            channel.exchange_declare(exchange.name, exchange.kind, durable=True, arguments=dict(exchange.arguments))
            self._names.add(exchange.name)

    def intake(self, channel: Channel) -> None:
        """Make sure upstreams can send: exchange `usage`, its alternate and queue `intake`, bound to both."""
        self.exchange(channel, topology.USAGE_EXCHANGE)
        _declare_queue(channel, topology.INTAKE_QUEUE, topology.parked_queue_arguments())
        for exchange, queue, key in topology.bindings():
            if queue == topology.INTAKE_QUEUE:
                channel.queue_bind(queue, exchange, key)

    def master(self, channel: Channel) -> None:
        """Make sure other systems can send master data: exchange `master` and its queue."""
        self.exchange(channel, topology.MASTER_EXCHANGE)
        _declare_queue(channel, topology.MASTER_QUEUE, topology.parked_queue_arguments())
        channel.queue_bind(topology.MASTER_QUEUE, topology.MASTER_EXCHANGE, "#")

    def _rung(self, channel: Channel, delay_s: int) -> None:
        name = topology.delay_name(delay_s)
        if name not in self._names:
            channel.exchange_declare(name, "fanout", durable=True)
            _declare_queue(channel, name, topology.delay_queue_arguments(delay_s))
            channel.queue_bind(name, name)
            self._names.add(name)


def _declare_queue(channel: Channel, name: str, arguments: topology.Arguments) -> None:
    channel.queue_declare(name, durable=True, arguments=dict(arguments))
