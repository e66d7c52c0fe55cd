"""Register readings of files: what each register used between two readings, as events that prove themselves."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from domain.canonical import Json, decimal_of, plain_text
from domain.errors import Rejection
from domain.refused import Refused
from domain.registers import Difference, Gap, Reading, Segment, Series, series
from workers.files.events import Event, Items, Unfit, attributes, boolean_of, cell, data_of, number_of, written
from workers.files.file_mapping import OF_DIFFERENCES, FileMapping, Register
from workers.files.lines import FileUnreadable, RefusedRow
from workers.files.rows import Row, Rows

#: Readings of one import, all of which are kept in memory until they are sorted.
READINGS_MAX = 500_000
#: Characters of a register's name, which is part of an event's id.
NAME_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of one register."""

    register: str
    segments: tuple[Segment, ...]
    gaps: tuple[Gap, ...]
    repeats: int
    #: When counting begins in this file, because no reading of before is known.
    begins_at: datetime | None


@dataclass(slots=True)
class Readings:
    """All readings of a file, and of the files before it; then what each register used."""

    mapping: FileMapping
    source: str | None
    found: list[Found] = field(default_factory=list)
    _new: dict[str, list[Reading]] = field(default_factory=dict)
    _known: dict[str, list[Reading]] = field(default_factory=dict)
    _rows: dict[int, Mapping[str, Json]] = field(default_factory=dict)
    _count: int = 0

    @property
    def _columns(self) -> Register:
        assert self.mapping.readings is not None, "a mapping of readings says which columns they are in"
        return self.mapping.readings

    def know(self, rows: Rows) -> None:
        """Read a file that was imported before; what was refused of it was told then."""
        for row in rows:
            if isinstance(row, Row):
                self._read(row, self._known)

    def events(self, rows: Rows) -> Items:
        """The events of a file, register by register, and the rows that are none.

        Raises `FileUnreadable` for more than `READINGS_MAX` readings, before the first event.
        """
        for row in rows:
            refused = row if isinstance(row, RefusedRow) else self._read(row, self._new)
            if refused is not None:
                yield refused
        for name in sorted(self._new):
            known = series(self._known.get(name, ()), rules=self._columns.rules_of(name)).taken
            found = series(self._new[name], rules=self._columns.rules_of(name), known=known)
            self.found.append(_summary(name, found, is_first=not known))
            yield from (RefusedRow(reading.line, refused) for reading, refused in found.refused)
            yield from self._events(name, found)

    def _read(self, row: Row, kept: dict[str, list[Reading]]) -> RefusedRow | None:
        self._count += 1
        if self._count > READINGS_MAX:
            fix = "split it by time, and name the part before with --since-file"
            raise FileUnreadable(f"there are more than {READINGS_MAX} readings", fix=fix)
        try:
            name, reading, said = self._reading(row)
        except Unfit as error:
            return RefusedRow(row.line, error.refused)
        except Rejection as error:
            return RefusedRow(row.line, Refused(error.code, "data", error.sentence))
        kept.setdefault(name, []).append(reading)
        if kept is self._new:
            self._rows[row.line] = said
        return None

    def _reading(self, row: Row) -> tuple[str, Reading, Mapping[str, Json]]:
        columns = self._columns
        named = cell(self.mapping, row, columns.column)
        name = "" if named is None else plain_text(named).strip()
        if not 0 < len(name) <= NAME_LENGTH_MAX:
            sentence = f"the row does not name its register in 1 to {NAME_LENGTH_MAX} characters"
            raise Unfit("field_missing", columns.column, sentence)
        value = cell(self.mapping, row, columns.reading)
        number = number_of(value)
        if number is None:
            code = "field_missing" if value is None else "field_invalid"
            raise Unfit(code, columns.reading, f"the reading is {str(value)[:40]!r}, no number")
        is_reset = self._is_reset(row)
        said = attributes(self.mapping, row)
        at = datetime.fromisoformat(str(said.pop("time")))
        own = {columns.quantity, *OF_DIFFERENCES}
        data = {name: each for name, each in data_of(self.mapping, row).items() if name not in own}
        return name, Reading(at, decimal_of(number), is_reset, row.line), {**said, "data": data}  # type: ignore[arg-type]

    def _is_reset(self, row: Row) -> bool:
        column = self._columns.reset
        value = cell(self.mapping, row, column) if column is not None else None
        found = False if value is None else boolean_of(value)
        if found is None:
            raise Unfit("field_invalid", str(column), f"{str(value)[:40]!r} says neither yes nor no of a reset")
        return found

    def _events(self, name: str, found: Series) -> Iterator[Event | RefusedRow]:
        for difference in found.differences:
            line = difference.reading.line
            try:
                yield Event(line, written(self._event(name, difference, self._rows[line]), self.source))
            except Rejection as error:
                yield RefusedRow(line, Refused(error.code, self._columns.reading, error.sentence))

    def _event(self, name: str, difference: Difference, said: Mapping[str, Json]) -> dict[str, Json]:
        """The event of a difference: its id is the register and the instant, and its data hold both readings."""
        reading = difference.reading
        data: dict[str, Json] = {
            **said["data"],  # type: ignore[dict-item]
            "register": name,
            self._columns.quantity: difference.quantity,
            "reading": reading.value,
            "previous_reading": difference.base,
            "is_reset": reading.is_reset,
            "has_rolled_over": difference.has_rolled_over,
        }
        if difference.since is not None:
            data["previous_at"] = _text(difference.since)
        event_id = f"{name}@{_text(reading.at)}{'/reset' if reading.is_reset else ''}"
        return {"subject": name, **said, "id": event_id, "time": _text(reading.at), "data": data}


def _summary(name: str, found: Series, *, is_first: bool) -> Found:
    begins_at = found.taken[0].at if is_first and found.taken and not found.taken[0].is_reset else None
    return Found(name, tuple(found.segments), tuple(found.gaps), found.repeats, begins_at)


def _text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
