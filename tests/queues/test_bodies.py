"""One body, however it is read: the quick reader agrees with the reference wherever it does not stand back."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from queues.contracts import (
    BATCH,
    BATCH_EVENTS_MAX,
    STRUCTURED,
    Checked,
    Delivery,
    Reading,
    Refusal,
    Unusable,
    _read_at_once,
    _read_with_reasons,
    read,
)

pytestmark = pytest.mark.fast

_literals = st.one_of(
    st.floats(allow_nan=True).map(json.dumps),
    st.integers(min_value=-(10**40), max_value=10**40).map(json.dumps),
    st.text().map(json.dumps),
    st.text().map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(["null", "true", "false", "1.0", "1e3", "-0.0", "1e999", "1E-31", "0.10", "9" * 5_000, "[", "01"]),
)
_documents = st.recursive(
    _literals,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(st.sampled_from("abc"), inner), max_size=4).map(
            lambda items: "{" + ",".join(f'"{key}": {item}' for key, item in items) + "}"
        )
    ),
    max_leaves=12,
)


_attributes = st.fixed_dictionaries(
    {
        "specversion": st.sampled_from(['"1.0"', '"1.0"', '"1.0"', '"0.3"', "1.0"]),
        "id": st.text(min_size=1).map(json.dumps) | _literals,
        "source": st.sampled_from(['"/a"', '"/a"', '""', "null", json.dumps("x" * 256)]),
        "type": st.just('"flown"'),
        "time": st.sampled_from(['"2026-11-20T07:00:00Z"', '"2026-11-20T07:00:00Z"', '"soon"', json.dumps("1" * 65)]),
        "data": _documents.map(lambda text: f'{{"a": {text}}}') | st.just("{}") | _documents,
    },
    optional={
        "subject": st.sampled_from(['"s"', '""', "null", json.dumps("s" * 1025), '"\\u0000"', '"a\\n"']),
        "dataschema": st.sampled_from(['"v1"', "1"]),
        "datacontenttype": st.sampled_from(['"application/json"', "{}"]),
        "extension": _documents,
        "sequence": st.sampled_from(
            ['"1"', '"0042"', '"1\\n"', '"-1"', '""', '"٣"', "7", "null", json.dumps("9" * 19)]
        ),
        "sequencetype": st.sampled_from(['"Integer"', '"Integer"', '"integer"', "null"]),
    },
)
_events = _attributes.map(lambda event: "{" + ",".join(f'"{name}":{text}' for name, text in event.items()) + "}")
_GOOD = b'{"specversion":"1.0","id":"1","source":"/a","type":"t","time":"2026-11-20T07:00:00Z","data":{"n":%s}%s}'


def _agree(body: bytes, kind: str) -> None:
    delivery = Delivery(body, {"content_type": kind})
    quick = _read_at_once(delivery)
    if quick is not None:
        by_reference = _read_with_reasons(delivery)
        assert isinstance(by_reference, Reading)
        assert repr(list(quick)) == repr(list(by_reference.checked))


@given((_events | _documents).map(lambda text: text.encode(errors="surrogatepass")) | st.binary(max_size=40))
@example(_GOOD % (b'"\\ud800"', b""))
@example(_GOOD % (b"NaN", b""))
@example(_GOOD % (b"1", b',"id":"2"'))
@example(_GOOD % (b"1", b',"extension":"\xff"'))
@example(_GOOD % (b"[" * 100_000, b""))
def test_a_body_reads_the_same_at_once_and_by_the_reference(body):
    _agree(body, STRUCTURED)
    _agree(b"[" + body + b"]", BATCH)


@given(st.lists(_events, max_size=3))
def test_of_a_batch_each_event_is_checked_or_refused(events):
    body = f"[{','.join(events)}]".encode(errors="surrogatepass")

    reading = read(Delivery(body, {"content_type": BATCH}))

    _agree(body, BATCH)
    if isinstance(reading, Reading):
        assert len(reading.checked) == len(events)
        assert not any(isinstance(each, Refusal) for each in reading.checked) or len(reading.written) == len(events)


def test_ordinary_bodies_are_read_at_once():
    for number in (b"1", b"1.50", b'"x"', b"null", b"1e400", b"9" * 29):
        (event,) = _read_at_once(Delivery(_GOOD % (number, b',"x":[1]'), {"content_type": STRUCTURED}))
        assert isinstance(event, Checked)


@pytest.mark.parametrize("sequence", ["1", "0042", "0", "9" * 18])
def test_a_number_in_the_series_of_a_source_is_kept(sequence):
    body = _GOOD % (b"1", b',"sequence":"%s","sequencetype":"Integer"' % sequence.encode())

    (quick,) = _read_at_once(Delivery(body, {"content_type": STRUCTURED}))
    reading = _read_with_reasons(Delivery(body, {"content_type": STRUCTURED}))

    assert (quick.sequence, reading.checked[0].sequence) == (sequence, sequence)


def test_a_number_comes_as_a_header_too():
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/a", "ce-type": "t", "ce-sequence": "42"}
    delivery = Delivery(b'{"n":1}', {"headers": {**headers, "ce-time": "2026-11-20T07:00:00Z"}})

    assert read(delivery).checked[0].sequence == "42"


@pytest.mark.parametrize(
    "attributes",
    [
        b'"sequence":"-1"', b'"sequence":"+1"', b'"sequence":"1.0"', b'"sequence":"soon"', b'"sequence":""',
        b'"sequence":"1\\n"', b'"sequence":" 1"', b'"sequence":"\xd9\xa3"', b'"sequence":7', b'"sequence":null',
        b'"sequence":"1000000000000000000"', b'"sequence":"1","sequencetype":"Lamport"',
    ],
)  # fmt: skip
def test_a_number_that_is_none_is_refused_with_its_field_and_what_to_send(attributes):
    reading = read(Delivery(_GOOD % (b"1", b"," + attributes), {"content_type": STRUCTURED}))

    (refusal,) = reading.checked
    field = "sequencetype" if b"Lamport" in attributes else "sequence"
    assert (refusal.code, refusal.field, refusal.event["id"]) == ("sequence_invalid", field, "1")
    assert refusal.sentence.startswith(f"{field}: is not ")
    assert "send" in refusal.sentence


@pytest.mark.parametrize("digits", [29, 30, 31, 40, 5_000])
def test_a_whole_number_is_read_exactly_or_not_at_all(digits):
    reading = read(Delivery(_GOOD % (b"9" * digits, b""), {"content_type": STRUCTURED}))

    (event,) = reading.checked
    assert (event.data["n"] == int("9" * digits)) if digits <= 31 else isinstance(event.data["n"], Unusable)


def test_a_batch_of_too_many_is_refused():
    event = _GOOD % (b"1", b"")

    reading = read(Delivery(b"[" + b",".join([event] * (BATCH_EVENTS_MAX + 1)) + b"]", {"content_type": BATCH}))

    assert isinstance(reading, Refusal)
    assert reading.code == "batch_too_large"
