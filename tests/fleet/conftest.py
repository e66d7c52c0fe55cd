"""Fixtures of the fleet tests: the month, about to be sent to a fleet of its own."""

from functools import partial

import pytest
from running_month import running_month
from upstreams import region as fresh_region


@pytest.fixture
def start(amqp_url, rabbit_api_url, redis_url, new_database, tmp_path):
    """Starts the fleet for a `with` block; keywords are settings of all processes, and the `module` loaded first."""
    with fresh_region(amqp_url, rabbit_api_url, "pony", "elbe", connections=("books-pony", "books-elbe")) as region:
        yield partial(running_month, region, new_database(), tmp_path, redis_url=redis_url)
