"""A deployment with people in every role and the policies it begins with, at the command line."""

import re
from pathlib import Path

from operator_bench import Operator, Ran

from domain.authority import ROLES

_SQL = Path(__file__).resolve().parents[3] / "infra" / "migrations" / "versions" / "0002_authority.sql"
#: The policies that a new deployment begins with, as the migration inserts them.
POLICIES = re.findall(r"insert into approval_policies.*?;", _SQL.read_text(), re.DOTALL)


def begin(operator: Operator) -> None:
    """Put the first policies in force, and register a person for each role, called by it."""
    operator.run("delete from approval_policies")
    operator.run("truncate people, person_roles, api_tokens restart identity cascade")
    for statement in POLICIES:
        with operator.owner.begin() as conn:
            conn.exec_driver_sql(statement)
    for role in ROLES:
        operator.run("insert into people (id, name, created_by) values (:id, :id, 'test')", id=role)
        operator.run("insert into person_roles (person_id, role, granted_by) values (:id, :id, 'test')", id=role)


def request_of(ran: Ran) -> int:
    """The number of the request that a command ended with."""
    assert ran.code == 4, (ran.out, ran.err)
    found = re.search(r"request (\d+) waits", ran.out)
    assert found is not None, ran.out
    return int(found[1])
