"""The names and arguments of every queue, and the definitions file made from them."""

import json
from pathlib import Path

import pytest

from queues import definitions, topology
from queues.topology import DelayTooLong, QueueUnknown, Route, Upstream

pytestmark = pytest.mark.fast

DEFINITIONS = Path(__file__).parents[2] / "infra" / "rabbitmq" / "definitions.json"


def test_the_definitions_file_is_what_the_code_says():
    assert DEFINITIONS.read_text() == definitions.definitions_text([]), (
        "run: python -m queues.definitions > infra/rabbitmq/definitions.json"
    )


@pytest.mark.parametrize(
    ("queue", "route"),
    [
        ("validate", Route("validate")),
        ("validate.replay", Route("validate", "replay")),
        ("rate.close", Route("rate", "close")),
        ("post.netsuite-us", Route("post", "live", "netsuite-us")),
        ("post.netsuite-us.replay", Route("post", "replay", "netsuite-us")),
        ("post.replay", Route("post", "live", "replay")),
    ],
)
def test_a_queue_name_tells_step_lane_and_connection(queue, route):
    assert topology.route_of(queue) == route
    assert topology.queue_name(route.step, route.lane, route.connection) == queue


@pytest.mark.parametrize(
    "queue",
    [
        "",
        "valdate",
        "validate.live",
        "validate.close",
        "validate.replay.replay",
        "post",
        "post.a.live",
        "post.A",
        "post.a.b.c",
        "validate.XQ",
    ],
)
def test_a_name_outside_the_topology_is_refused(queue):
    with pytest.raises(QueueUnknown):
        topology.route_of(queue)


def test_a_connection_belongs_to_post_alone():
    with pytest.raises(QueueUnknown, match="no queue per ERP connection"):
        topology.queue_name("rate", connection="sap")
    with pytest.raises(QueueUnknown, match="a queue per ERP connection"):
        topology.queue_name("post")


def test_a_delay_is_rounded_up_to_a_rung_and_never_beyond_the_last():
    assert [topology.rung(delay_s) for delay_s in (0.2, 1, 1.5, 31, 600)] == [1, 1, 5, 120, 600]
    with pytest.raises(DelayTooLong):
        topology.rung(600.1)


def test_every_work_queue_has_a_dead_letter_queue_that_never_expires_anything():
    queues = topology.queue_arguments(["sap"])

    for queue in topology.work_queues(["sap"]):
        assert queues[queue]["x-dead-letter-routing-key"] == f"{queue}.XQ"
        assert queues[f"{queue}.XQ"] == {"x-queue-type": "quorum", "x-delivery-limit": 2**31 - 1}


def test_no_queue_has_an_argument_that_one_of_the_two_rabbitmq_lines_refuses():
    for arguments in topology.queue_arguments(["sap"], [Upstream("jfk")]).values():
        assert arguments["x-queue-type"] == "quorum"
        assert not {"x-max-priority", "x-queue-mode", "x-queue-master-locator"} & set(arguments)
        assert arguments.get("x-delivery-limit", 1) > 0


def test_an_upstream_may_write_usage_and_read_its_own_refusals_only():
    upstream = Upstream("airport-jfk")

    assert upstream.permissions == {"configure": "", "write": "^usage$", "read": r"^refusals\.airport-jfk$"}
    assert ("refusals", "refusals.airport-jfk", "airport-jfk.#") in list(topology.bindings([upstream]))


def test_an_upstream_cannot_have_a_name_that_means_something_to_a_broker():
    for user in ("", "A", "a.b", "a*", "#", ".*"):
        with pytest.raises(QueueUnknown):
            Upstream(user)


def test_a_refusal_goes_to_who_sent_the_event_also_when_the_source_is_long():
    assert topology.refusal_key("jfk", "urn:jfk.departures") == "jfk.urn:jfk.departures"

    key = topology.refusal_key("jfk", "https://example.org/" + "x" * 300)

    assert key.startswith("jfk.sha256-")
    assert len(key) <= 255


def test_the_command_prints_definitions_for_named_connections_and_upstreams(capsys):
    definitions.main(["--connection", "sap", "--upstream", "jfk", "--vhost", "eu"])

    printed = json.loads(capsys.readouterr().out)

    assert printed["vhosts"] == [{"name": "eu"}]
    assert {"post.sap", "post.sap.XQ", "refusals.jfk"} <= {queue["name"] for queue in printed["queues"]}
