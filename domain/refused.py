"""Refused: why something that was sent is not taken."""

from dataclasses import dataclass

from domain.codes import code_named


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an event is not taken: a code of the table, the field, and what is wrong."""

    code: str
    field: str
    sentence: str

    @property
    def fix(self) -> str:
        """What its producer, or the owner of the meter, can do."""
        return code_named(self.code).fix
