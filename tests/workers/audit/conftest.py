"""Each test of the audit log begins with an empty one."""

import pytest
from audit_bench import as_ann


@pytest.fixture(autouse=True)
def _new(bound):
    """Each test begins with an empty log and no master data, its triggers on."""
    bound.run("""set local session_replication_role = replica;
      truncate audit_log, audit_head, work, notices, erp_connections, accounts, sources, meters, dimensions, tax_rates,
        people, approval_policies restart identity cascade""")


@pytest.fixture
def three(bound):
    """Three entries of the log."""
    as_ann(*(f"insert into accounts values ('{name}', 'Account {name}')" for name in "abc"))
    return bound
