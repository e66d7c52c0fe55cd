"""Codes: every reason for which something is refused, parked or dead, with its meaning and what to do about it.

A code is an exception's code, the reason of a dead letter, the heading of a runbook and a word that producers may have
programmed against: it is never renamed, and its meaning never changes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from domain.code_table import OF_MONEY, OF_USAGE, TECHNICAL
from domain.code_table_documents import OF_DOCUMENTS
from domain.code_table_files import OF_FILES
from domain.code_table_master import OF_MASTER
from domain.code_table_people import OF_AUTHORITY

#: Technical: the machinery or a producer's software is at fault. Business: master data or a decision is missing.
Kind = Literal["technical", "business"]
#: Low: one usage waits. Medium: usage of an account waits. High: money or a deadline is at risk, somebody is called.
Severity = Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class Code:
    """One reason: its stable name, whose matter it is, how urgent, what it means and how it is put right."""

    name: str
    kind: Kind
    severity: Severity
    meaning: str
    fix: str


def _parsed(kind: Kind, table: str) -> Iterator[Code]:
    severities: dict[str, Severity] = {"low": "low", "medium": "medium", "high": "high"}
    lines = [line.strip() for line in table.strip().splitlines()]
    for heading, meaning, fix in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        name, severity = heading.split()
        yield Code(name, kind, severities[severity], meaning, fix)


#: All codes by name.
CODES: Final[Mapping[str, Code]] = MappingProxyType(
    {
        code.name: code
        for code in (
            *_parsed("technical", TECHNICAL),
            *_parsed("technical", OF_FILES),
            *_parsed("business", OF_USAGE),
            *_parsed("business", OF_MONEY),
            *_parsed("business", OF_DOCUMENTS),
            *_parsed("business", OF_AUTHORITY),
            *_parsed("business", OF_MASTER),
        )
    }
)


def code_named(name: str) -> Code:
    """The code of that name; a name that is not in the table is a mistake of ours."""
    assert name in CODES, name
    return CODES[name]
