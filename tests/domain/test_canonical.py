import json
from decimal import Decimal
from hashlib import sha256

import msgspec
import pytest
from domain_strategies import json_values, numbers
from hypothesis import given
from hypothesis import strategies as st

from domain.canonical import (
    DEPTH_MAX,
    DataInvalid,
    DataTooDeep,
    NumberOutOfBounds,
    TextInvalid,
    canonical_json,
    decimal_of,
    decimal_text,
    is_number,
    jsonb_text,
    key_text,
    normal_number,
    number_in,
    plain_text,
)

pytestmark = pytest.mark.fast


def test_keys_are_sorted_and_nothing_is_spaced():
    value = {"b": [1, {}, []], "a": None, "Z": True, "é": "ü\n", "e": False}

    assert canonical_json(value) == '{"Z":true,"a":null,"b":[1,{},[]],"e":false,"é":"ü\\n"}'


@pytest.mark.parametrize(
    "text", ["1", "1.0", "1e0", "10E-1", "0.1e1", "1.000000000000000000000000000000000000000000000"]
)
def test_one_is_one_however_it_is_written(text):
    assert canonical_json(Decimal(text)) == canonical_json(1) == "1"
    assert normal_number(text) == 1


@pytest.mark.parametrize("text", ["0", "-0", "0.000", "0e999999", "-0e-999999"])
def test_zero_is_zero(text):
    assert canonical_json(Decimal(text)) == "0"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("12.50", "12.5"),
        ("-0.000001", "-0.000001"),
        ("0.0000001", "1E-7"),
        ("1e30", "1" + "0" * 30),
        ("1e-30", "1E-30"),
        ("12345678901234567890123456789.012345678", "12345678901234567890123456789.012345678"),
    ],
)
def test_numbers_keep_every_digit(text, canonical):
    assert canonical_json(Decimal(text)) == canonical


@pytest.mark.parametrize(
    "text", ["1e31", "-1e31", "1e-31", "1e999999999", "0." + "1" * 39, "1" * 32, "NaN", "sNaN", "-Infinity", "abc", ""]
)
def test_a_number_that_cannot_be_kept_is_refused_by_name(text):
    with pytest.raises(NumberOutOfBounds) as refused:
        normal_number(text)

    assert refused.value.code == "number_out_of_bounds"
    assert len(refused.value.sentence) < 120


@pytest.mark.parametrize("number", [10**31, -(10**31), 10**4000])
def test_an_integer_beyond_bounds_is_refused_as_a_decimal_is(number):
    with pytest.raises(NumberOutOfBounds):
        canonical_json(number)


def test_the_largest_integer_is_kept():
    assert canonical_json(10**31 - 1) == "9" * 31
    assert normal_number("9" * 31) == 10**31 - 1


def test_true_is_not_one():
    assert canonical_json([True, False]) == "[true,false]"


@pytest.mark.parametrize("text", ["a\0", "\ud800", "x\udfff"])
@pytest.mark.parametrize("place", ["value", "key"])
def test_texts_that_no_database_stores_are_refused_by_name(text, place):
    with pytest.raises(TextInvalid):
        canonical_json(text if place == "value" else {text: 1})


def test_depth_is_bounded():
    value: object = 1
    for _ in range(DEPTH_MAX):
        value = [value]

    assert canonical_json(value) == "[" * DEPTH_MAX + "1" + "]" * DEPTH_MAX
    with pytest.raises(DataTooDeep):
        canonical_json({"deeper": value})


@pytest.mark.parametrize("value", [1.5, b"x", object(), {1, 2}])
def test_what_json_has_no_form_for_is_refused_by_name(value):
    with pytest.raises(DataInvalid):
        canonical_json([value])


@given(json_values())
def test_equal_values_have_equal_texts_however_they_travelled(value):
    text = canonical_json(value)

    assert canonical_json(json.loads(text, parse_float=Decimal)) == text


@given(json_values())
def test_a_fast_encoder_that_knows_decimals_writes_the_same(value):
    text = canonical_json(value)

    decoded = msgspec.json.Decoder(float_hook=normal_number).decode(text)

    assert msgspec.json.Encoder(order="sorted", decimal_format="number").encode(decoded).decode() == text


@given(numbers(), st.integers(0, 20))
def test_trailing_zeros_never_matter(number, zeros):
    text = decimal_text(Decimal(number))
    padded = (text if "." in text else text + ".") + "0" * (zeros + 1)

    assert normal_number(padded) == normal_number(text) == number


def test_a_property_that_is_counted_is_its_plain_text():
    assert plain_text(Decimal("0.0000001")) == "0.0000001"
    assert plain_text(Decimal("7.0")) == plain_text(7) == plain_text("7") == "7"
    assert [plain_text(value) for value in (True, None)] == ["true", "null"]


def test_an_object_is_printed_as_postgresql_prints_jsonb():
    value = {"zone": 'a"b', "é": None, "at": Decimal("1E-7"), "b": True}

    assert jsonb_text(value) == '{"b": true, "at": 0.0000001, "é": null, "zone": "a\\"b"}'
    assert jsonb_text({}) == "{}"


def test_a_part_of_a_key_is_itself_as_long_as_an_index_can_hold_it():
    assert key_text(1_000 * "é") == 1_000 * "é"
    assert key_text(2_001 * "x") == f"sha256-{sha256(2_001 * b'x').hexdigest()}"
    assert len({key_text(number * "\U0001f6eb") for number in range(400, 1_000)}) == 600


@pytest.mark.parametrize(("value", "number"), [(7, "7"), (Decimal("0.50"), "0.5"), ("-0012.50", "-12.5"), ("0", "0")])
def test_a_number_may_be_written_as_a_decimal_text(value, number):
    assert number_in(value) == Decimal(number)


@pytest.mark.parametrize(
    "value", [None, True, "", "x", "1e3", " 1", "+1", ".5", "5.", "NaN", "1" * 31, "0." + "1" * 31, 10**31, []]
)
def test_what_is_no_exact_number_is_none(value):
    assert number_in(value) is None


def test_a_decimal_text_with_too_many_digits_is_no_number():
    assert number_in("1" * 20 + "." + "1" * 20) is None


@given(json_values() | numbers() | st.integers() | st.decimals() | st.booleans() | st.text(alphabet="-.0123456789e"))
def test_what_is_a_number_is_what_one_can_be_made_of(value):
    assert is_number(value) == (number_in(value) is not None)
    assert decimal_of("1e2") == 100
    assert decimal_text(Decimal("-0.0")) == "0"
