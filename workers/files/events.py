"""Makes the event of each row of a usage file, with an id that is the same whenever the file is read."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeAlias

from domain.canonical import Json, canonical_json, number_in, plain_text
from domain.errors import Rejection
from domain.events import KEY_BYTES
from domain.local_times import instant_in
from domain.refused import Refused
from queues.contracts import Unusable
from workers.files.file_mapping import Attribute, FileMapping, Property
from workers.files.lines import RefusedRow
from workers.files.rows import Row, Rows

#: Different rows without an id of their own in one file; their number is what keeps equal ones apart.
ROWS_WITHOUT_ID_MAX = 2_000_000
#: Stands for a member that a JSON object does not have.
ABSENT = ""
#: What a cell may say of true and false.
BOOLEANS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "no", "n", "0"), False),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """The event of a row, as the JSON text that is sent."""

    line: int
    text: str


#: What a file comes to, row by row.
Items: TypeAlias = Iterator[Event | RefusedRow]


class Unfit(Exception):
    """Why a row is no event."""

    def __init__(self, code: str, name: str, sentence: str) -> None:
        super().__init__(sentence)
        self.refused = Refused(code, name, sentence)


@dataclass(slots=True)
class Maker:
    """Makes the events of one file.

    A row without an id gets one of its content and of how many equal rows came before it: the same file twice makes the
    same ids, and two equal rows make two. `source` is what CloudEvents without one are given.
    """

    mapping: FileMapping
    source: str | None
    is_plain: bool = True  # whether a row that is a CloudEvent already goes as it is
    _seen: Counter[bytes] = field(default_factory=Counter)

    def events(self, rows: Rows) -> Items:
        """The event of each row, or why it is none."""
        for row in rows:
            yield row if isinstance(row, RefusedRow) else self._event(row)

    def _event(self, row: Row) -> Event | RefusedRow:
        try:
            if self.is_plain and "specversion" in row.values:
                return Event(row.line, self._as_it_is(row))
            event = {**attributes(self.mapping, row), "data": data_of(self.mapping, row)}
            event["id"] = id_of(self.mapping, row) or self._made_id(event)
            return Event(row.line, written(event, self.source))
        except Unfit as error:
            return RefusedRow(row.line, error.refused)
        except Rejection as error:
            return RefusedRow(row.line, Refused(error.code, str(error.facts.get("field", "data")), error.sentence))

    def _as_it_is(self, row: Row) -> str:
        source = row.values.get("source")
        if source is None and self.source is not None:
            return canonical_json({**row.values, "source": self.source})
        if self.source is not None and source != self.source:
            raise Unfit("envelope_invalid", "source", f"the event's source is not {self.source}, which was named")
        return row.text

    def _made_id(self, event: Mapping[str, Json]) -> str:
        digest = blake2b(canonical_json(event).encode(), digest_size=KEY_BYTES).digest()
        if len(self._seen) >= ROWS_WITHOUT_ID_MAX and digest not in self._seen:
            sentence = f"more than {ROWS_WITHOUT_ID_MAX} rows of the file have no id: give them one, or split the file"
            raise Unfit("id_missing", "id", sentence)
        self._seen[digest] += 1
        return f"row-{digest.hex()}-{self._seen[digest]}"


def written(event: Mapping[str, Json], source: str | None) -> str:
    """The text of an event of ours. Raises `Rejection` for what JSON, or a database, has no form for."""
    return canonical_json({"specversion": "1.0", "source": source, **event})


def attributes(mapping: FileMapping, row: Row) -> dict[str, Json]:
    """The attributes of a row that are there, its id left out. Raises `Unfit` or `Rejection`."""
    kind = _text(mapping, mapping.type, row)
    if kind is None:
        raise Unfit("type_missing", mapping.type.column or "type", "the row does not say which meter it is for")
    found: dict[str, Json] = {"type": kind, "time": time_of(mapping, row)}
    for name in ("subject", "dataschema"):
        text = _text(mapping, getattr(mapping, name), row)
        if text is not None:
            found[name] = text
    return found


def time_of(mapping: FileMapping, row: Row) -> str:
    """The instant of a row in UTC, as RFC 3339 writes it. Raises `Unfit`, `TimeNaive`, or `TimeInvalid`."""
    column = mapping.time.column
    text = cell(mapping, row, column)
    if text is None:
        raise Unfit("time_missing", column, "the row has no time")
    try:
        return instant_in(plain_text(text).strip(), mapping.time.zone).isoformat().replace("+00:00", "Z")
    except Rejection as error:
        raise Unfit(error.code, column, error.sentence) from None


def id_of(mapping: FileMapping, row: Row) -> str | None:
    """The id that a row gives itself. Raises `Unfit` if the mapping names a column for it that is empty."""
    text = _text(mapping, mapping.id, row)
    if text is None and "id" in mapping.model_fields_set:
        raise Unfit("id_missing", str(mapping.id.column), "the row has no id")
    return text


def data_of(mapping: FileMapping, row: Row) -> dict[str, Json]:
    """The data of a row. Raises `Unfit` or `Rejection`."""
    found: dict[str, Json] = {}
    for name, each in mapping.properties(row.values).items():
        value = cell(mapping, row, each.column)
        if value is not None:
            found[name] = _converted(each, value)
        elif each.empty == "null" or row.values.get(each.column, ABSENT) is None:
            found[name] = None
    return found


def cell(mapping: FileMapping, row: Row, column: str) -> Json:
    """The value in a column, or None if it is empty; an empty text in JSON is a text.

    Raises `Unfit` for a number that nothing can keep.
    """
    value = row.values.get(column)
    if isinstance(value, Unusable):
        raise Unfit(value.rejection.code, column, value.rejection.sentence)
    is_empty = value in mapping.empty_words or (not value and not row.text)
    return None if isinstance(value, str) and is_empty else value


def _text(mapping: FileMapping, attribute: Attribute, row: Row) -> str | None:
    if attribute.column is None:
        return attribute.constant or None
    value = cell(mapping, row, attribute.column)
    return None if value is None else plain_text(value)


def _converted(each: Property, value: Json) -> Json:
    if each.kind is None:
        return value
    found = _KINDS[each.kind](value)
    if found is None:
        raise Unfit("field_invalid", each.column, f"{plain_text(value)[:40]!r} is no {each.kind}")
    return found


def number_of(value: Json) -> Json:
    """The number that a cell stands for, or None."""
    return number_in(value.strip() if isinstance(value, str) else value)


def boolean_of(value: Json) -> bool | None:
    """What a cell says of true and false, or None."""
    return value if isinstance(value, bool) else BOOLEANS.get(plain_text(value).strip().lower())


def _integer(value: Json) -> Json:
    number = number_of(value)
    return int(number) if number is not None and number == int(number) else None  # type: ignore[arg-type]


_KINDS: Mapping[str, Callable[[Json], Json]] = {
    "string": plain_text,
    "integer": _integer,
    "decimal": number_of,
    "boolean": boolean_of,
}
