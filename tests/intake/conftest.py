"""Fixtures of the intake tests: one running line for a module, with two upstreams."""

import pytest
from line import line as running_line
from upstreams import region as fresh_region


@pytest.fixture(scope="module")
def region(amqp_url, rabbit_api_url):
    with fresh_region(amqp_url, rabbit_api_url, "phones", "others") as made:
        yield made


@pytest.fixture(scope="module")
def line(region, new_database, tmp_path_factory):
    with running_line(region, new_database(), tmp_path_factory.mktemp("fleet")) as started:
        yield started
