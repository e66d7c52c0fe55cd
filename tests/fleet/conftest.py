"""Fixtures of the fleet tests: a region with the upstreams and ERP connections of the month."""

import pytest
from upstreams import region as fresh_region


@pytest.fixture
def region(amqp_url, rabbit_api_url):
    with fresh_region(amqp_url, rabbit_api_url, "pony", "elbe", connections=("books-pony", "books-elbe")) as made:
        yield made
