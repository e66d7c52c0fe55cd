"""Whatever is wrong with a body or an event is refused by name, and nobody beside it waits or is lost."""

import json
import re
from dataclasses import dataclass

import pytest
from line import event
from procfile import wait_until
from upstreams import Message, batch

from queues.contracts import BATCH, STRUCTURED

pytestmark = pytest.mark.fleet

MEAGRE = [f"meagre {number}" for number in range(5)]


def edited(name, old, new):
    """A batch with good neighbours left and right of an event whose JSON text is edited."""
    good = [json.dumps(event(f"{side} of {name}")) for side in ("left", "right")]
    text = json.dumps(event(name)).replace(old, new)
    assert new in text
    return Message(f"[{good[0]}, {text}, {good[1]}]".encode(), BATCH)


def changed(name, **changes):
    return batch(event(f"left of {name}"), event(name, **changes), event(f"right of {name}"))


@dataclass(frozen=True)
class Case:
    """A message, and the refusal it must end as: code, field, and the id of the event if it could be read."""

    message: Message
    code: str
    field: str
    event_id: str | None


CASES = {
    "garbage bytes": Case(Message(bytes(range(256)) * 8, STRUCTURED), "body_unreadable", "", None),
    "5 MB": Case(Message(b"[" + b" " * 5_000_000 + b"]", BATCH), "body_too_large", "", None),
    "unknown content type": Case(Message(b"<usage/>", "application/xml"), "content_type_unknown", "content_type", None),
    "no content type": Case(Message(b"{}"), "content_type_unknown", "content_type", None),
    "empty": Case(Message(b"", STRUCTURED), "body_unreadable", "", None),
    "half a body": Case(Message(json.dumps(event("x")).encode()[:-9], STRUCTURED), "body_unreadable", "", None),
    "a batch that is none": Case(Message(b'{"specversion": "1.0"}', BATCH), "body_unreadable", "", None),
    "nested": Case(Message(b"[" * 100_000, BATCH), "body_unreadable", "", None),
    "text in binary mode": Case(
        Message(b"minutes=1", "text/plain", {"cloudEvents:id": "t"}), "body_unreadable", "", None
    ),
    "NaN": Case(edited("nan", '"minutes": 1', '"minutes": NaN'), "number_out_of_bounds", "data", "nan"),
    "40 digits": Case(
        edited("40 digits", '"minutes": 1', f'"minutes": {"1234567890" * 4}'),
        "number_out_of_bounds", "data", "40 digits",
    ),
    "half a surrogate pair": Case(
        edited("surrogate", '"minutes": 1', '"minutes": 1, "caller": "\\ud83d"'), "text_invalid", "data", "surrogate"
    ),
    "NUL": Case(edited("nul", '"minutes": 1', '"minutes": 1, "caller": "a\\u0000b"'), "text_invalid", "data", "nul"),
    "NUL in the id": Case(edited("id", '"id": "id"', '"id": "i\\u0000d"'), "envelope_invalid", "id", "i\ufffdd"),
    "not an object": Case(
        Message(b"[" + b", ".join([json.dumps(event("left of 42")).encode(), b"42"]) + b"]", BATCH),
        "envelope_invalid", "", None,
    ),
    "no id": Case(changed("no id", id=...), "envelope_invalid", "id", None),
    "data that are none": Case(changed("no data", data=[1]), "envelope_invalid", "data", "no data"),
    "an old specversion": Case(changed("0.3", specversion="0.3"), "specversion_unsupported", "specversion", "0.3"),
    "naive time": Case(changed("naive", time="2026-11-05T12:00:00"), "time_naive", "time", "naive"),
    "leap second": Case(changed("leap", time="2016-12-31T23:59:60Z"), "time_is_leap_second", "time", "leap"),
    "no time": Case(changed("no time", time="yesterday at noon"), "time_invalid", "time", "no time"),
    "future": Case(changed("future", time="2999-01-01T00:00:00Z"), "time_in_future", "time", "future"),
    "too old": Case(changed("old", time="1999-01-01T00:00:00Z"), "time_too_old", "time", "old"),
    "unknown meter": Case(changed("meter", type="call.began"), "meter_unknown", "type", "meter"),
    "unknown schema": Case(changed("schema", dataschema="/v9"), "schema_unknown", "dataschema", "schema"),
    "unknown source": Case(changed("source", source="/faxes"), "source_unknown", "source", "source"),
    "source of another": Case(changed("theft", source="/others"), "source_not_allowed", "source", "theft"),
    "no minutes": Case(changed("missing", data={}), "field_missing", "data.minutes", "missing"),
    "minutes in words": Case(changed("words", data={"minutes": "two"}), "field_invalid", "data.minutes", "words"),
    "another body": Case(
        batch(event("twice"), event("twice", data={"minutes": 2}), event("right of twice")),
        "conflicting_duplicate", "id", "twice",
    ),
    "beyond the quota": Case(
        batch(*(event(name, source="/meagre") for name in MEAGRE)), "quota_exceeded", "source", MEAGRE[-1]
    ),
}  # fmt: skip

#: The fifth call of a source that may send three an hour is refused like the fourth.
ALSO = [("quota_exceeded", "source", MEAGRE[-2])]


def good_ids(messages):
    """The ids of all events that are in order."""
    neighbours = (re.findall(rb'"((?:left|right) of [^"]*)"', message.body) for message in messages)
    return {"twice", *MEAGRE[:3], *(name.decode() for names in neighbours for name in names)}


@pytest.fixture(scope="module")
def sent(line):
    """All cases sent in one go, and everything that came of them done."""
    line.phones.send(*(case.message for case in CASES.values()))
    wait_until(lambda: line.count("select coalesce(sum(bodies), 0)::integer from receipt_counts") == len(CASES))
    wait_until(lambda: line.count("select count(*) from work where state = 'ready' and step = 'validate'") == 0)
    return line


@pytest.fixture(scope="module")
def exceptions(sent):
    return sent.rows("select code, facts ->> 'field', event_id, sentence, facts ->> 'user' from exceptions")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_it_is_an_exception_that_names_the_reason(exceptions, case):
    assert (case.code, case.field, case.event_id) in [row[:3] for row in exceptions]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_its_producer_can_fetch_the_reason(sent, refusals, case):
    assert (case.code, case.field, case.event_id) in [
        (body["data"]["code"], body["data"]["field"], body["data"]["event_id"]) for _key, body in refusals
    ]


def test_nothing_else_is_refused(sent, exceptions):
    expected = [(case.code, case.field, case.event_id) for case in CASES.values()] + ALSO

    assert sorted(map(str, expected)) == sorted(str(row[:3]) for row in exceptions)
    assert all(user == sent.phones.upstream.user for *_, user in exceptions)


def test_every_neighbour_is_accepted(sent):
    assert sent.accepted() == good_ids(case.message for case in CASES.values())
    parsed, accepted, duplicate, refused = sent.sums()
    assert parsed == accepted + duplicate + refused


def test_no_work_is_dead_and_no_queue_holds_a_dead_letter(sent):
    assert sent.rows("select * from work where state = 'dead'") == []
    assert sent.region.look("intake")[0] == 0
    assert sent.region.look("validate.XQ")[0] == 0


@pytest.fixture(scope="module")
def refusals(sent):
    """What the producer finds in its own queue."""
    found = []
    wait_until(lambda: found.extend(sent.phones.refusals()) or len(found) >= len(CASES) + len(ALSO))
    return found


def test_a_refusal_is_keyed_by_user_and_source(sent, refusals):
    user = sent.phones.upstream.user

    assert {key for key, _body in refusals} == {
        f"{user}.{source}" for source in ("", "/phones", "/faxes", "/others", "/meagre")
    }


def test_nobody_else_is_told(sent, refusals):
    assert sent.others.refusals() == []
