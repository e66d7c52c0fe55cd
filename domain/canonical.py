"""One text for one JSON value: what equality of two events' data means, and which numbers and texts we take at all."""

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Clamped, Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow, Subnormal
from hashlib import sha256
from typing import Final, TypeAlias

from domain.errors import Rejection

#: A JSON value whose numbers are exact: never a float.
Json: TypeAlias = "bool | int | Decimal | str | Sequence[Json] | Mapping[str, Json] | None"

#: Significant digits of one number; PostgreSQL's numeric and every ERP we know hold fewer or as many.
DIGITS_MAX: Final = 38
#: Largest power of ten of a number's first digit, and the smallest, negated: "1e999999999" is five bytes on the wire.
EXPONENT_MAX: Final = 30
#: Nesting of arrays and objects; usage is flat, and a body of brackets must not exhaust a worker's stack.
DEPTH_MAX: Final = 32
#: Bytes of a text that is part of a key: an entry of a PostgreSQL index holds no more than 2,704.
KEY_TEXT_BYTES_MAX: Final = 2_000

#: Takes a number as it is or signals: inexact here means too many digits, subnormal too small an exponent.
_BOUNDED: Final = Context(
    prec=DIGITS_MAX, Emax=EXPONENT_MAX, Emin=-EXPONENT_MAX, traps=[Inexact, InvalidOperation, Overflow, Subnormal]
)
assert not _BOUNDED.traps[Clamped], "0e99 is zero and stays allowed"
_INTEGER_END: Final = 10 ** (EXPONENT_MAX + 1)
_DECIMAL_TEXT: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", re.ASCII)


class NumberOutOfBounds(Rejection):
    """The number has more digits, or a larger or smaller exponent, than is kept exactly."""

    code = "number_out_of_bounds"


class TextInvalid(Rejection):
    """The text holds a NUL or half of a surrogate pair, which no database stores."""

    code = "text_invalid"


class DataTooDeep(Rejection):
    """The data nest deeper than `DEPTH_MAX`."""

    code = "data_too_deep"


class DataInvalid(Rejection):
    """The data hold something that JSON has no form for, such as a binary float."""

    code = "data_invalid"


def normal_number(value: str | int | Decimal) -> int | Decimal:
    """The one form of a number: an int if it is whole, else a Decimal without trailing zeros.

    Fit as the float hook of a JSON parser, which then yields equal values for 1, 1.0 and 1e0.
    Raises `NumberOutOfBounds` beyond `DIGITS_MAX` digits or `EXPONENT_MAX`, also for NaN and infinities.
    """
    if isinstance(value, int):
        if -_INTEGER_END < value < _INTEGER_END:
            return value
        raise NumberOutOfBounds(f"a number has more than {EXPONENT_MAX + 1} digits before its point")
    try:
        number = _BOUNDED.normalize(_BOUNDED.create_decimal(value))
    except DecimalException as error:
        raise NumberOutOfBounds(f"the number {_shown(value)} cannot be kept exactly", number=_shown(value)) from error
    if not number.is_finite():
        raise NumberOutOfBounds(f"{_shown(value)} is not a number", number=_shown(value))
    whole = int(number)
    return whole if whole == number else number


def decimal_of(value: str | int | Decimal) -> Decimal:
    """The number as a Decimal, with the bounds of `normal_number`."""
    return Decimal(normal_number(value))


def decimal_text(number: Decimal) -> str:
    """The number in digits: no exponent, no trailing zeros, no negative zero."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def canonical_json(value: Json) -> str:
    """The text of a JSON value in which equal values have equal texts.

    Object keys are sorted by code point, nothing is spaced, characters beyond ASCII stand as they are. A whole number
    is written in digits, any other as the text of its normalised Decimal (so 0.0000001 is `1E-7`): what encoders that
    know Decimal print by themselves.
    Raises `NumberOutOfBounds`, `TextInvalid`, `DataTooDeep` or `DataInvalid`.
    """
    parts: list[str] = []
    _write(value, parts, depth=0)
    return "".join(parts)


def number_in(value: Json) -> Decimal | None:
    """The number that a property stands for: a number, or a decimal written as a text so that nobody rounds it.

    None for anything else, and for what cannot be kept exactly.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    if isinstance(value, str) and not _DECIMAL_TEXT.fullmatch(value):
        return None
    try:
        return decimal_of(value)
    except NumberOutOfBounds:
        return None


def is_number(value: Json) -> bool:
    """Whether `number_in` finds a number, without making it."""
    if type(value) is int:
        return -_INTEGER_END < value < _INTEGER_END
    if type(value) is Decimal:
        try:
            return _BOUNDED.normalize(value).is_finite()
        except DecimalException:
            return False
    return number_in(value) is not None


def plain_text(value: Json) -> str:
    """The text of a single value where it is compared or counted, as PostgreSQL's `->>` gives it.

    A text is itself, a number stands in digits without an exponent: a producer that begins to quote its numbers has
    not changed what it says.
    """
    if isinstance(value, str):
        return value
    return jsonb_text(value)


def key_text(words: str) -> str:
    """The text where it is part of a key: itself, or its SHA-256 if no index could hold it."""
    encoded = words.encode()
    return words if len(encoded) <= KEY_TEXT_BYTES_MAX else f"sha256-{sha256(encoded).hexdigest()}"


def jsonb_text(value: Json) -> str:
    """The text of a flat value as PostgreSQL prints jsonb: shorter keys first, a space after colon and comma."""
    if isinstance(value, Mapping):
        entries = sorted(value.items(), key=lambda entry: (len(entry[0].encode()), entry[0].encode()))
        return "{" + ", ".join(f"{_text(key)}: {jsonb_text(item)}" for key, item in entries) + "}"
    if isinstance(value, Decimal):
        return decimal_text(decimal_of(value))
    return canonical_json(value)


def _write(value: Json, parts: list[str], *, depth: int) -> None:
    if isinstance(value, str):
        parts.append(_text(value))
    elif value is None or isinstance(value, bool):
        parts.append({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, int | Decimal):
        parts.append(str(normal_number(value)))
    elif depth == DEPTH_MAX:
        raise DataTooDeep(f"the data nest more than {DEPTH_MAX} deep")
    elif isinstance(value, Mapping):
        _write_object(value, parts, depth=depth + 1)
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        _write_array(value, parts, depth=depth + 1)
    else:
        raise DataInvalid(f"{type(value).__name__} is not a JSON value", kind=type(value).__name__)


def _write_object(value: "Mapping[str, Json]", parts: list[str], *, depth: int) -> None:
    opening = "{"
    for key in sorted(value):
        parts += (opening, _text(key), ":")
        _write(value[key], parts, depth=depth)
        opening = ","
    parts.append("}" if value else "{}")


def _write_array(value: "Sequence[Json]", parts: list[str], *, depth: int) -> None:
    opening = "["
    for item in value:
        parts.append(opening)
        _write(item, parts, depth=depth)
        opening = ","
    parts.append("]" if value else "[]")


def _text(text: str) -> str:
    if "\0" in text:
        raise TextInvalid("a text holds the character NUL", character="U+0000")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        character = f"U+{ord(text[error.start]):04X}"
        raise TextInvalid(f"a text holds {character}, half of a surrogate pair", character=character) from error
    return json.dumps(text, ensure_ascii=False)


def _shown(value: str | Decimal) -> str:
    """The start of a number, since what is refused for its length must not be logged at length."""
    text = str(value)
    return text if len(text) <= DIGITS_MAX else f"{text[:DIGITS_MAX]}..."
