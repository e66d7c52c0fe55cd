"""Rows of master data, put where they are missing; what differs is changed if it may be, and named if it may not."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, text

from domain.canonical import canonical_json
from domain.definitions import DefinitionInvalid
from workers.store.master_file import Document, MasterInvalid, Place, Problem
from workers.store.master_models import MasterData

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Kind:
    """A table of master data: columns and types of its key, of what never changes and of what may."""

    table: str
    key: Mapping[str, str]
    fixed: Mapping[str, str] = field(default_factory=dict)
    free: Mapping[str, str] = field(default_factory=dict)
    why_fixed: str = "give the new one another name"

    @property
    def columns(self) -> dict[str, str]:
        """All columns with their types."""
        return {**self.key, **self.fixed, **self.free}


@dataclass(slots=True)
class Tally:
    """How many rows of each table were new, changed, or there already."""

    new: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    same: dict[str, int] = field(default_factory=dict)

    def add(self, table: str, *, new: int = 0, changed: int = 0, same: int = 0) -> None:
        """Count rows of a table."""
        for counts, n in ((self.new, new), (self.changed, changed), (self.same, same)):
            if n:
                counts[table] = counts.get(table, 0) + n

    @property
    def is_unchanged(self) -> bool:
        """Whether everything was there already."""
        return not self.new and not self.changed


@dataclass(slots=True)
class Loading:
    """One file on its way into the database, in one transaction."""

    conn: Connection
    document: Document
    master: MasterData
    person: str
    tally: Tally = field(default_factory=Tally)
    problems: list[Problem] = field(default_factory=list)
    #: (kind, key) of contracts and mappings under which attributed usage has to be looked at again.
    moved: set[tuple[str, str]] = field(default_factory=set)

    def refuse(self, place: Place, sentence: str, *, fix: str) -> None:
        """Note a problem; `check` raises them all together."""
        self.problems.append(self.document.problem(place, sentence, fix=fix))

    def refuse_missing(self, place: Place, what: str, name: str) -> None:
        """Note that the file names something that is not there."""
        sentence, fix = f"there is no {what} {name!r}", f"correct the name, or add the {what}"
        self.problems.append(replace(self.document.problem(place, sentence, fix=fix), is_missing=True))

    def refuse_definition(self, place: Place, error: DefinitionInvalid) -> None:
        """Note what `domain` says of a definition that lies at a place of the file."""
        names = re.findall(r"[^.\[\]]+", error.field)
        within = tuple(int(name) if name.isdecimal() else name for name in names)
        self.refuse((*place, *within), error.sentence.removeprefix(f"{error.field}: "), fix=error.fix)

    def check(self) -> None:
        """Raise `MasterInvalid` if there is a problem."""
        if self.problems:
            raise MasterInvalid(self.document.file, self.problems)


def _record(kind: Kind) -> str:
    columns = ", ".join(f"{name} {type_}" for name, type_ in kind.columns.items())
    return f"jsonb_to_recordset(cast(:rows as jsonb)) as t (n integer, {columns})"


def _upsert(kind: Kind) -> str:
    names = ", ".join(kind.columns)
    key = ", ".join(kind.key)
    changes = ", ".join(f"{name} = excluded.{name}" for name in kind.free)
    differs = " or ".join(f"k.{name} is distinct from excluded.{name}" for name in kind.free)
    action = f"do update set {changes} where {differs}" if changes else "do nothing"
    return f"""insert into {kind.table} as k ({names}) select {names} from {_record(kind)} order by {key}
      on conflict ({key}) {action} returning (xmax = 0) as is_new"""


def _differences(kind: Kind) -> str:
    key = " and ".join(f"k.{name} = t.{name}" for name in kind.key)
    parts = " union all ".join(
        f"select t.n, '{name}' as name, k.{name}::text as kept from {kind.table} k join {_record(kind)} on {key} "
        f"where k.{name} is distinct from t.{name}"
        for name in kind.fixed
    )
    return f"select * from ({parts}) d order by n, name"


def put(loading: Loading, kind: Kind, rows: Mapping[Place, Row]) -> None:
    """Insert the rows that are missing and change what may change.

    Raises `MasterInvalid` that names the place of each row whose kept form differs in what never changes.
    """
    if not rows:
        return
    places = list(rows)
    values = {"rows": canonical_json([{"n": n, **row} for n, row in enumerate(rows.values())])}  # type: ignore[dict-item]
    if kind.fixed:
        for row in loading.conn.execute(text(_differences(kind)), values):
            loading.refuse(
                (*places[row.n], _WORDS.get(row.name, row.name)), f"is kept as {row.kept}", fix=kind.why_fixed
            )
        loading.check()
    touched = [row.is_new for row in loading.conn.execute(text(_upsert(kind)), values)]
    new = sum(touched)
    loading.tally.add(kind.table, new=new, changed=len(touched) - new, same=len(rows) - len(touched))


#: Columns that a file calls by another word.
_WORDS: Mapping[str, str] = {
    "starts_at": "from", "ends_at": "to", "starts_on": "from", "ends_on": "to", "account_id": "account",
    "legal_entity_id": "legal_entity", "contract_id": "contract", "cycle_id": "cycle", "meter_id": "meter",
    "metric_id": "metric", "connection_id": "connection",
    "parent_id": "parent", "bill_to_id": "bill_to", "product_id": "product",
    "limit_quantity": "limit", "text_value": "value",
    "number_value": "value", "is_in_all": "amount_is", "expires_on": "expires",
}  # fmt: skip


def ids(loading: Loading, kind: Kind, names: Iterable[tuple[Place, str]], *, name: str, what: str) -> dict[str, Any]:
    """The ids by name of rows that the file names. Raises `MasterInvalid` with the place of each that is not there."""
    wanted = list(names)
    found: dict[str, Any] = {
        row.name: row.id
        for row in loading.conn.execute(
            text(f"select id, {name} as name from {kind.table} where {name} = any(cast(:names as text[]))"),
            {"names": sorted({each for _, each in wanted})},
        )
    }
    for place, each in wanted:
        if each not in found:
            loading.refuse_missing(place, what, each)
    loading.check()
    return found
