"""Fixtures of the broker's tests: each test has a virtual host of its own on the real RabbitMQ."""

from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from rabbit import Rabbit, Wire

from queues.rabbit_api import RabbitApi


@pytest.fixture
def rabbit(amqp_url, rabbit_api_url):
    vhost = f"test-{uuid4().hex[:8]}"
    parts = urlsplit(amqp_url)
    api = RabbitApi(rabbit_api_url, vhost=vhost)
    api.put_vhost(administrator=parts.username)
    rabbit = Rabbit(urlunsplit(parts._replace(path=f"/{vhost}")), api)
    yield rabbit
    rabbit.close()
    api.delete_vhost()


@pytest.fixture
def wire(rabbit):
    relay = Wire(rabbit.url)
    yield relay
    relay.close()
