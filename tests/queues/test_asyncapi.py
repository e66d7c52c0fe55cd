"""The AsyncAPI document says what the programs do: the same exchanges, types, content types and fields."""

from datetime import UTC, datetime
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import yaml
from asyncapi_notices import NOTICES

from domain.closing import STAGES
from domain.notices import TYPES
from queues import topology
from queues.contracts import BATCH, BATCH_EVENTS_MAX, STRUCTURED, Envelope
from workers.store.notices import SOURCE

pytestmark = pytest.mark.fast

DOCUMENT = yaml.safe_load((Path(topology.__file__).with_name("asyncapi.yaml")).read_text(encoding="utf-8"))
SCHEMAS = DOCUMENT["components"]["schemas"]
MESSAGES = DOCUMENT["components"]["messages"]


def refs(node):
    """Every reference in the document."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from refs(value)


def resolved(ref):
    found = DOCUMENT
    for name in ref.removeprefix("#/").split("/"):
        found = found[name]
    return found


def data_schema(message):
    """The schema of a notice's data."""
    return resolved(MESSAGES[message]["payload"]["allOf"][1]["properties"]["data"]["$ref"])


def test_every_reference_leads_somewhere():
    assert all(resolved(ref) for ref in refs(DOCUMENT))


def test_the_channels_are_the_topic_exchanges_that_others_see():
    exchanges = {each.name: each for each in topology.exchanges() if each.kind == "topic"}

    bound = {channel["bindings"]["amqp"]["exchange"]["name"]: channel for channel in DOCUMENT["channels"].values()}
    assert set(bound) == set(exchanges) == set(DOCUMENT["channels"])
    assert all(channel["bindings"]["amqp"]["exchange"]["type"] == "topic" for channel in bound.values())


def test_every_type_of_notice_is_described_and_no_other():
    told = {*DOCUMENT["channels"]["tallyline"]["messages"], *DOCUMENT["channels"]["refusals"]["messages"]}

    assert told == set(TYPES)
    assert {
        name for name, message in MESSAGES.items() if message["name"] == name and "allOf" in message["payload"]
    } == told


@pytest.mark.parametrize("notice", NOTICES, ids=lambda notice: notice.type)
def test_a_notice_has_the_fields_that_are_described(notice):
    schema = data_schema(notice.type)

    assert set(schema["required"]) == set(schema["properties"]) == set(notice.particulars)


def test_every_notice_is_of_the_envelope_that_is_described():
    event = NOTICES[0].to_event(id="1", source=SOURCE, at=datetime.now(UTC))

    assert set(SCHEMAS["notice"]["required"]) == set(SCHEMAS["notice"]["properties"]) == set(event)
    assert SCHEMAS["notice"]["properties"]["source"]["const"] == SOURCE


def test_the_stages_are_those_of_a_billing_run():
    assert SCHEMAS["runStageEntered"]["properties"]["stage"]["enum"] == list(STAGES)


def test_usage_is_described_as_it_is_read():
    hints = get_type_hints(Envelope, include_extras=True)
    required = set(Envelope.__required_keys__)

    assert set(SCHEMAS["usageEvent"]["properties"]) == set(hints)
    assert set(SCHEMAS["usageEvent"]["required"]) == required
    assert MESSAGES["usageEvent"]["contentType"] == STRUCTURED
    assert MESSAGES["usageEventBatch"]["contentType"] == BATCH
    assert MESSAGES["usageEventBatch"]["payload"]["maxItems"] == BATCH_EVENTS_MAX


def test_a_number_in_a_series_is_described_as_it_is_checked():
    annotated = get_type_hints(Envelope, include_extras=True)["sequence"]
    (inner,) = [each for each in (annotated, *get_args(annotated)) if hasattr(each, "__metadata__")][-1:]

    assert SCHEMAS["usageEvent"]["properties"]["sequence"]["pattern"] == inner.__metadata__[0].pattern


@pytest.mark.parametrize("name", ["id", "source", "type", "subject", "dataschema"])
def test_the_lengths_are_those_that_are_checked(name):
    annotated = get_type_hints(Envelope, include_extras=True)[name]
    (inner,) = [each for each in (annotated, *get_args(annotated)) if hasattr(each, "__metadata__")][-1:]
    (limits,) = [each for each in inner.__metadata__ if hasattr(each, "max_length")]

    assert SCHEMAS["usageEvent"]["properties"][name]["maxLength"] == limits.max_length
