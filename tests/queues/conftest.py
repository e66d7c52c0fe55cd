"""Fixtures of the broker's tests: each has a virtual host of its own on the real RabbitMQ."""

from urllib.parse import urlsplit

import pytest
from rabbit import Rabbit
from wire import Wire

from queues.rabbit_api import RabbitApi


@pytest.fixture
def rabbit(vhost, rabbit_api_url):
    rabbit = Rabbit(vhost, RabbitApi(rabbit_api_url, vhost=urlsplit(vhost).path[1:]))
    yield rabbit
    rabbit.close()


@pytest.fixture
def wire(rabbit):
    relay = Wire(rabbit.url)
    yield relay
    relay.close()
