"""An operator at the command line: runs commands against one database, and knows what a departure looks like."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from domain.authority import ACTIONS
from workers.cli.app import app

#: The token of Ann, who may do everything, in a fleet.
TOKEN = "tally_ann"
#: One person may do everything: what takes two people has tests of its own.
ALONE = """
insert into approval_policies (action, role, needs, decided_by, recorded_by)
select action, role, 'nothing', 'approver', 'test' from unnest(array[{actions}]) action,
  unnest(array['operator', 'finance', 'approver', 'admin']) role
;
insert into people (id, name, created_by) values ('ann', 'Ann', 'test');
insert into person_roles (person_id, role, granted_by)
select 'ann', role, 'test' from unnest(array['operator', 'finance', 'approver', 'admin']) role;
insert into api_tokens (person_id, hash, scopes, created_by, expires_at)
values ('ann', sha256('{token}'), array['*'], 'test', now() + interval '1 day')
""".format(token=TOKEN, actions=", ".join(f"'{name}'" for name in ACTIONS))
DEMO = Path(__file__).resolve().parents[3] / "infra" / "demo"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Operator:
    """Runs commands against one database."""

    def __init__(self, url: str) -> None:
        self.owner = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))

    def __call__(self, *words: object, stdin: str = "") -> Ran:
        result = CliRunner().invoke(app, [str(word) for word in words], input=stdin, catch_exceptions=False)
        return Ran(result.exit_code, result.stdout, result.stderr)

    def json(self, *words: object) -> Any:
        """What a command prints as JSON; it must succeed."""
        ran = self(*words, "--json")
        assert ran.code == 0, ran.err
        return ran.json

    def rows(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        with self.owner.connect() as conn:
            return [tuple(row) for row in conn.execute(text(sql), values)]

    def one(self, sql: str, **values: object) -> Any:
        ((value,),) = self.rows(sql, **values)
        return value

    def empty(self) -> None:
        """Forget all rows, also those nothing may remove, and begin all numbers anew: faster than another database."""
        tables = self.one("""select string_agg(format('%I', relname), ', ') from pg_class
          where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
            and relname <> 'alembic_version'""")
        self.run(f"set local session_replication_role = replica; truncate {tables} restart identity cascade; {ALONE}")

    def run(self, sql: str, **values: object) -> None:
        with self.owner.begin() as conn:
            conn.execute(text(sql), values)


def departure(flight: int, **changes: Any) -> dict[str, Any]:
    """A departure of UA from Newark on the first of January 2013; a change of `data` replaces members of it."""
    data = {
        "flight": str(flight),
        "tail_number": f"N{flight}",
        "origin": "EWR",
        "destination": "IAH",
        "distance": 1400,
        "departed": "05:17",
        "air_time": 227,
        **changes.pop("data", {}),
    }
    return {
        "specversion": "1.0",
        "id": f"UA/{flight}",
        "source": "/ops/ewr",
        "type": "airport.departure",
        "subject": "UA",
        "time": "2013-01-01T10:15:00Z",
        "data": data,
        **changes,
    }
