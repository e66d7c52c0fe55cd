"""Notices on RabbitMQ: structured CloudEvents on topic exchanges, for whoever listens."""

from queues.broker import broker


class Exchange:
    """The exchanges of the fleet's broker; a notice is there when RabbitMQ has confirmed it."""

    def publish(self, exchange: str, routing_key: str, body: bytes) -> None:
        """Publish a CloudEvent. Raises `NoticeNotSent`."""
        broker().publish_event(exchange, routing_key, body)
