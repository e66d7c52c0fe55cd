"""One body, however it is read: the fast reader agrees with the reference wherever it does not stand back."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from queues import contracts
from queues.contracts import BATCH, STRUCTURED, Delivery, events_of

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


def _outcome(body: bytes) -> str:
    events, refusal = events_of(Delivery(body, {"content_type": STRUCTURED}))
    return repr((events, refusal))


@given(_documents.map(lambda text: text.encode(errors="surrogatepass")) | st.binary(max_size=40))
@example(b'["\\ud800"]')
@example(b"[NaN, -Infinity]")
@example(b'{"a": 1, "a": 2}')
@example(b"[" * 100_000)
def test_a_body_reads_the_same_by_the_fast_reader_and_by_the_reference(body):
    fast = _outcome(body)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contracts, "_fast", contracts._reference)
        assert _outcome(body) == fast


@pytest.mark.parametrize("digits", [29, 30, 31, 40, 5_000])
def test_a_whole_number_is_read_exactly_or_not_at_all(digits):
    events, refusal = events_of(Delivery(b"[" + b"9" * digits + b"]", {"content_type": BATCH}))

    assert refusal is None
    assert (events[0] == int("9" * digits)) if digits <= 31 else isinstance(events[0], contracts.Unusable)
