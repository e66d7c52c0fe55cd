"""Definitions: rules kept as JSON (prices, metrics, meters), read strictly, with errors that name the field."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Self

from domain.canonical import Json, NumberOutOfBounds, decimal_of
from domain.errors import Rejection

#: Entries of one list in a definition (tiers, fields, conditions).
ENTRIES_MAX: Final = 200
#: Characters of one text in a definition.
TEXT_LENGTH_MAX: Final = 255


class DefinitionInvalid(Rejection):
    """A definition cannot be used as it is; `facts` name the field and the fix.

    `others` are what else is wrong with it, as far as that is known.
    """

    code = "definition_invalid"

    def __init__(self, sentence: str, *, field: str, fix: str, others: "Sequence[DefinitionInvalid]" = ()) -> None:
        super().__init__(f"{field}: {sentence}" if field else sentence, field=field, fix=fix)
        self.field = field
        self.fix = fix
        self.claim = sentence
        self.others = tuple(others)

    @classmethod
    def all_of(cls, errors: Sequence[Self]) -> Self:
        """The first of errors, with the others."""
        first = errors[0]
        return cls(first.claim, field=first.field, fix=first.fix, others=errors[1:])

    def within(self, path: str) -> Self:
        """The same error about a definition that lies at `path` of another."""
        others = [each.within(path) for each in self.others]
        field = f"{path}.{self.field}" if self.field else path
        return type(self)(self.claim, field=field, fix=self.fix, others=others)


@dataclass(frozen=True, slots=True)
class Definition:
    """One JSON object of a definition, and where it lies; a reader returns a right value or raises `refusal`."""

    entries: Mapping[str, Json]
    refusal: type[DefinitionInvalid]
    path: str = ""

    def field(self, name: str) -> str:
        """The field's path from the top, such as `tiers[2].up_to`."""
        return f"{self.path}.{name}" if self.path else name

    def refuse(self, name: str, sentence: str, *, fix: str) -> DefinitionInvalid:
        """The error to raise about a field."""
        return self.refusal(sentence, field=self.field(name), fix=fix)

    def only(self, *names: str) -> None:
        """Refuses fields that are not among the names: a misspelt option must not be ignored."""
        for name in self.entries:
            if name not in names:
                raise self.refuse(name, "is not known here", fix=f"use one of: {', '.join(names)}")

    def text(self, name: str, *, default: str | None = None) -> str:
        """A text that is not empty."""
        value = self.entries.get(name, default)
        if not isinstance(value, str) or not 0 < len(value) <= TEXT_LENGTH_MAX:
            raise self.refuse(name, "is not a text", fix=f"give a text of 1 to {TEXT_LENGTH_MAX} characters")
        return value

    def choice(self, name: str, choices: Sequence[str], *, default: str | None = None) -> str:
        """One of the words."""
        value = self.entries.get(name, default)
        if not isinstance(value, str) or value not in choices:
            raise self.refuse(name, f"is {_shown(value)}", fix=f"use one of: {', '.join(choices)}")
        return value

    def boolean(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self.entries.get(name, default)
        if not isinstance(value, bool):
            raise self.refuse(name, f"is {_shown(value)}", fix="use true or false")
        return value

    def integer(self, name: str, *, default: int | None = None) -> int | None:
        """A whole number, or `default` if it is not given or null."""
        value = self.entries.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(name, f"is {_shown(value)}", fix="give a whole number")
        return value

    def decimal(self, name: str) -> Decimal:
        """A number, given as a decimal text or an exact JSON number, never as a binary float."""
        value = self.optional_decimal(name)
        if value is None:
            raise self.refuse(name, "is missing", fix='give a decimal text such as "0.25"')
        return value

    def optional_decimal(self, name: str) -> Decimal | None:
        """As `decimal`, or None if it is not given or null."""
        value = self.entries.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise self.refuse(name, f"is {_shown(value)}", fix='give a decimal text such as "0.25"')
        try:
            return decimal_of(value)
        except NumberOutOfBounds as error:
            raise self.refuse(name, error.sentence, fix='give a decimal text such as "0.25"') from error

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of different texts, empty if it is not given."""
        values = self._list(name)
        texts = tuple(value for value in values if isinstance(value, str) and value)
        if len(texts) != len(values) or len(set(texts)) != len(texts):
            raise self.refuse(name, "is not a list of different texts", fix='give a list such as ["origin"]')
        return texts

    def scalars(self, name: str) -> tuple[Json, ...]:
        """A list of texts, numbers, booleans and nulls, at least one."""
        values = self._list(name)
        if not values or not all(value is None or isinstance(value, str | int | Decimal) for value in values):
            raise self.refuse(name, "is not a list of single values", fix='give a list such as ["JFK", "LGA"]')
        return tuple(values)

    def object(self, name: str) -> "Definition":
        """The definition that a field holds."""
        value = self.entries.get(name)
        if not isinstance(value, Mapping):
            raise self.refuse(name, f"is {_shown(value)}", fix="give an object of fields")
        return Definition(value, self.refusal, self.field(name))

    def limits(self, name: str) -> Mapping[str, Decimal | None]:
        """Numbers by name, null where there is none."""
        inner = self.object(name)
        if len(inner.entries) > ENTRIES_MAX:
            raise self.refuse(name, f"has {len(inner.entries)} names", fix=f"give at most {ENTRIES_MAX}")
        return {each: inner.optional_decimal(each) for each in inner.entries}

    def optional_object(self, name: str) -> "Definition | None":
        """The definition under a name, or None if it is not given or null."""
        value = self.entries.get(name)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.refuse(name, "is not an object", fix="give an object of fields")
        return Definition(value, self.refusal, self.field(name))

    def objects(self, name: str, *, entries_max: int = ENTRIES_MAX) -> "Iterator[Definition]":
        """The definitions in a list, each with its place in its path."""
        for place, value in enumerate(self._list(name, entries_max)):
            if not isinstance(value, Mapping):
                raise self.refuse(f"{name}[{place}]", "is not an object", fix="give an object of fields")
            yield Definition(value, self.refusal, self.field(f"{name}[{place}]"))

    def _list(self, name: str, entries_max: int = ENTRIES_MAX) -> Sequence[Json]:
        value = self.entries.get(name)
        if value is None:
            return ()
        if isinstance(value, str) or not isinstance(value, Sequence) or len(value) > entries_max:
            raise self.refuse(name, "is not a list", fix=f"give a list of at most {entries_max} entries")
        return value


def _shown(value: Json) -> str:
    return "missing" if value is None else f"{value!r:.40}"
