"""Tables of master data: a CSV file of one kind as rows, its columns, and where its rows stand in a file."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final

from workers.store.master_file import FILE_BYTES_MAX, MasterInvalid, Problem
from workers.store.master_import import MORE, Refusal, Row


@dataclass(frozen=True, slots=True)
class Table:
    """A kind of rows: the section they stand in, the columns that lead to them there, and those they hold.

    `numbers` are columns of whole numbers; what is none is left as it stands, and refused as a file would be.
    """

    section: str
    keys: Sequence[str]
    within: str = ""
    columns: Sequence[str] = ()
    numbers: Sequence[str] = ()

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Every column a file of this kind may have."""
        return (*self.keys, *self.columns)

    def path(self, cells: Mapping[str, str]) -> tuple[str | None, ...]:
        """Where a row stands in a file."""
        keys = [cells[name] for name in self.keys]
        if self.within:
            return (self.section, *keys, self.within, MORE)
        return (self.section, *keys) if keys else (self.section, MORE)

    def value(self, cells: Mapping[str, str]) -> dict[str, str | int]:
        """What a row says."""
        return {
            name: int(cell) if name in self.numbers and _WHOLE.fullmatch(cell) else cell
            for name, cell in cells.items()
            if name not in self.keys
        }


#: A whole number as spreadsheets write it.
_WHOLE: Final = re.compile(r"[0-9]{1,9}")


#: What a table may hold, by the name that `--kind` takes.
TABLES: Final[Mapping[str, Table]] = {
    "accounts": Table("accounts", ["id"], columns=["name", "parent", "bill_to"]),
    "identities": Table("accounts", ["account"], "identities", ["system", "kind", "identifier", "from", "to"]),
    "addresses": Table(
        "accounts", ["account"], "addresses",
        ["line1", "line2", "city", "postal_code", "subdivision", "country", "from", "to"],
    ),
    "account_tax_registrations": Table(
        "accounts", ["account"], "tax_registrations", ["country", "number", "from", "to"]
    ),
    "products": Table("products", ["id"], columns=["name"]),
    "contracts": Table("contracts", ["id"], columns=["account", "legal_entity", "currency"]),
    "contract_versions": Table(
        "contracts", ["contract"], "versions", ["version", "from", "to", "plan", "owner"], ["version"]
    ),
    "tax_registrations": Table(
        "legal_entities", ["legal_entity"], "tax_registrations", ["country", "number", "from", "to"]
    ),
    "coupons": Table(
        "coupons", ["name"], columns=["title", "percent", "amount", "currency", "amount_is", "uses", "expires"]
    ),
    "contract_coupons": Table("contracts", ["contract"], "coupons", ["coupon", "from", "to", "place"]),
    "subscriptions": Table("subscriptions", ["id"], columns=["contract", "cycle", "from", "to"]),
    "quantities": Table("subscriptions", ["subscription"], "quantities", ["item", "quantity", "from", "to"]),
    "mappings": Table("mappings", [], columns=["source", "subject", "subscription", "from", "to", "owner"]),
    "tax_rates": Table("tax_rates", [], columns=[
        "jurisdiction", "category", "rate", "vat_category", "exemption_code", "exemption_reason", "from", "to",
        "source",
    ]),
}  # fmt: skip


def read(file: Path, content: bytes, kind: str) -> tuple[list[Row], list[Refusal]]:
    """The rows of a CSV file, numbered as a spreadsheet does, and those that are no rows of this kind.

    A cell that is empty says nothing. Columns are separated by commas or semicolons. Raises `MasterInvalid` where the
    file or its heading cannot be read.
    """
    table = TABLES[kind]
    records = _records(file, content)
    heading = [name.strip() for name in next(records, [])]
    _check_heading(file, heading, table)
    rows: list[Row] = []
    refused: list[Refusal] = []
    for number, record in enumerate(records, start=2):
        if not any(cell.strip() for cell in record):
            continue
        if len(record) > len(heading):
            reason = f"has {len(record)} cells under {len(heading)} headings"
            refused.append(Refusal(number, "", reason, "put a cell that holds a comma in quotes"))
            continue
        cells = {name: cell.strip() for name, cell in zip(heading, record, strict=False) if cell.strip()}
        missing = next((name for name in table.keys if name not in cells), None)
        if missing is not None:
            refused.append(Refusal(number, missing, "is empty", f"say which {missing} the row is about"))
            continue
        rows.append(Row(number, table.path(cells), table.value(cells), named_by=next(iter(table.keys), "")))
    return rows, refused


def _records(file: Path, content: bytes) -> Iterator[list[str]]:
    if len(content) > FILE_BYTES_MAX:
        raise _unreadable(file, f"has more than {FILE_BYTES_MAX} bytes", "split it")
    try:
        words = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(file, f"is not UTF-8 at byte {error.start}", "save it as CSV UTF-8") from None
    heading = words.partition("\n")[0]
    delimiter = ";" if heading.count(";") > heading.count(",") else ","
    try:
        yield from csv.reader(StringIO(words, newline=""), delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise _unreadable(file, f"is no CSV: {error}", "correct the quotes; a quote within quotes is doubled") from None


def _check_heading(file: Path, heading: Sequence[str], table: Table) -> None:
    known = ", ".join(table.all_columns)
    wrong = [name for name in heading if name not in table.all_columns]
    if wrong or not heading:
        raise _unreadable(file, f"has a column {', '.join(map(repr, wrong)) or 'of no name'}", f"use: {known}", line=1)
    if len(set(heading)) < len(heading):
        raise _unreadable(file, "has a column twice", f"use each once: {known}", line=1)
    lacking = [name for name in table.keys if name not in heading]
    if lacking:
        raise _unreadable(file, f"has no column {', '.join(lacking)}", f"use: {known}", line=1)


def _unreadable(file: Path, sentence: str, fix: str, *, line: int = 0) -> MasterInvalid:
    return MasterInvalid(file, [Problem(line, "", sentence, fix)])
