"""A file mapping: which columns of a usage file become which attributes and data of an event."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from domain.local_times import is_zone
from domain.registers import Rules
from workers.files.lines import FileUnreadable
from workers.store import master, master_file

Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Words = Annotated[str, StringConstraints(max_length=1_024)]
Kind = Literal["string", "integer", "decimal", "boolean"]
#: What a difference of readings says of itself; a file's own columns must not.
OF_DIFFERENCES = frozenset(
    {"register", "reading", "previous_reading", "previous_at", "is_reset", "has_rolled_over"}
)  # fmt: skip


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Attribute(_Part):
    """An attribute that is the same for every row, or stands in a column."""

    constant: Words | None = None
    column: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> "Attribute":
        if (self.constant is None) == (self.column is None):
            raise ValueError("needs either a text or a column")
        return self


def _attribute(value: object) -> object:
    return {"constant": value} if isinstance(value, str) else value


def _zone(value: object) -> object:
    if isinstance(value, str) and not is_zone(value):
        raise ValueError("is no zone of the IANA time zone database, such as Europe/Paris")
    return value


Attributed = Annotated[Attribute, BeforeValidator(_attribute)]


class Time(_Part):
    """The column of the time, and the zone whose clock it shows where it has no offset."""

    column: Name = "time"
    zone: Annotated[str | None, BeforeValidator(_zone)] = None


class Property(_Part):
    """A property of the data; without a kind it is what it is in the file: a text in CSV, any value in JSON Lines."""

    column: Name
    kind: Kind | None = None
    empty: Literal["absent", "null"] = "absent"


class Limits(_Part):
    """What is known of a register."""

    capacity: Decimal | None = Field(default=None, gt=0, strict=False)
    jump_max: Decimal | None = Field(default=None, gt=0, strict=False)
    gap_max_hours: int | None = Field(default=None, ge=1, le=87_600)

    def rules(self) -> Rules:
        """The same as the rule takes it."""
        gap_max = None if self.gap_max_hours is None else timedelta(hours=self.gap_max_hours)
        return Rules(self.capacity, self.jump_max, gap_max)


class Register(Limits):
    """How rows are readings: `quantity` is the property for what was used; `each` is what differs by register."""

    column: Name = "register"
    reading: Name = "reading"
    reset: Name | None = None
    quantity: Name = "quantity"
    each: dict[Name, Limits] = {}

    def rules_of(self, name: str) -> Rules:
        """What is known of one register: what is said of it alone, else what is said of all."""
        alone = self.each.get(name)
        if alone is None:
            return self.rules()
        said = {**self.model_dump(include=set(Limits.model_fields)), **alone.model_dump(exclude_unset=True)}
        return Limits(**said).rules()


class FileMapping(_Part):
    """How the rows of a file become events.

    Without `data` every column that is no attribute is a property of its own name.
    """

    type: Attributed = Attribute(column="type")
    subject: Attributed = Attribute(column="subject")
    time: Time = Time()
    id: Attributed = Attribute(column="id")
    dataschema: Attributed = Attribute(column="dataschema")
    delimiter: Literal[",", ";", "\t", "|"] = ","
    empty_words: list[Words] = []
    data: dict[Name, Property] | None = None
    readings: Register | None = Field(default=None, alias="register")

    @model_validator(mode="after")
    def _names_once(self) -> "FileMapping":
        if self.id.constant is not None:
            raise ValueError("id: needs a column, since every event has an id of its own")
        if self.readings is not None and self.data is not None:
            taken = sorted({*OF_DIFFERENCES, self.readings.quantity} & self.data.keys())
            if taken:
                raise ValueError(f"data: {', '.join(taken)} is what the difference of two readings says of itself")
        return self

    def columns(self) -> Iterator[tuple[str, bool]]:
        """The columns that are attributes, and whether the file must have them."""
        for name in ("type", "subject", "id", "dataschema"):
            attribute: Attribute = getattr(self, name)
            if attribute.column is not None:
                yield attribute.column, name == "type" or name in self.model_fields_set
        yield self.time.column, True
        if self.readings is not None:
            yield self.readings.column, True
            yield self.readings.reading, True
            if self.readings.reset is not None:
                yield self.readings.reset, True

    def check(self, columns: tuple[str, ...] | None) -> None:
        """Raise `FileUnreadable` if a table lacks a column that it must have; None: each row names its own."""
        if columns is None:
            return
        wanted = [name for name, is_needed in self.columns() if is_needed]
        wanted += [each.column for each in (self.data or {}).values()]
        missing = [name for name in dict.fromkeys(wanted) if name not in columns]
        if missing:
            sentence = f"the file has no column {', '.join(missing)}; it has {', '.join(columns)[:1_000]}"
            raise FileUnreadable(sentence, fix="name the columns in a file mapping (--mapping)")

    def properties(self, values: Mapping[str, Any]) -> Mapping[str, Property]:
        """The properties of a row."""
        if self.data is not None:
            return self.data
        taken = {name for name, _ in self.columns()}
        return {name: Property.model_construct(column=name) for name in values if name not in taken and name}


def load(file: Path) -> FileMapping:
    """Read a file mapping. Raises `MasterInvalid`, which names line, field and fix of every problem."""
    document = master_file.read(file, master_file.content_of(file))
    return master.validated(document, FileMapping)
