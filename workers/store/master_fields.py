"""The fields of master data: names, references, days and instants, and how strictly they are read."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints

from domain.canonical import DIGITS_MAX, EXPONENT_MAX

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
Ref = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
Subject = Annotated[str, StringConstraints(min_length=1, max_length=1_024)]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Number = Annotated[int, Field(ge=1)]
#: The legal entity and the cycle's name: `pony/month`.
CycleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}/.{1,64}$")]
#: A published price book and a plan of it.
PlanName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}/[a-z][a-z0-9-]{0,30}$")]

#: As many digits as `domain` keeps exactly; the exponent is bounded with them.
Quantities = Annotated[
    Decimal, Field(ge=0, max_digits=DIGITS_MAX, decimal_places=EXPONENT_MAX, allow_inf_nan=False, strict=False)
]

DATE_LENGTH = len("2013-01-31")


def _day(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError("is no date") from None


def _when(value: object) -> object:
    """A day, which its reader turns into the first instant of it in a zone, or an instant with its offset."""
    if not isinstance(value, str) or len(value) <= DATE_LENGTH:
        return _day(value)
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("is neither a date nor an instant") from None
    if instant.tzinfo is None:
        raise ValueError("is an instant without an offset")
    return instant.astimezone(UTC)


Day = Annotated[date, BeforeValidator(_day)]
When = Annotated[date | datetime, BeforeValidator(_when)]

#: How each part of the file is read: a field that it does not know is refused, and a number is no text.
STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)
