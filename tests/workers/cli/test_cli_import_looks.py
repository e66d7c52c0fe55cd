"""Looks at rows that are imported: they are undone, and keep neither usage nor whoever writes the audit log waiting."""

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from workers.cli import reach
from workers.store import acting, audit, fence, master, master_import
from workers.store.acting import Named
from workers.store.database import engine

MAPPINGS = """
mappings:
  - {source: /phones, subject: k2, subscription: S-1}
  - {source: /phones, subject: k3, subscription: S-9}
"""
HELD = "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"


@pytest.fixture
def looking(load):
    """A transaction that waits for no lock for long, and another one beside it."""
    with reach.database(), engine().connect() as conn, engine().connect() as other:
        acting.name(conn, Named("ann", "looks"))
        conn.execute(text("set local lock_timeout = '2s'"))
        yield conn, other


def document(load):
    return master.read(load.file(MAPPINGS.replace("S-9", "S-1")))


def sift(conn, load):
    rows = master_import.rows_of(master.read(load.file(MAPPINGS))[0])
    return master_import.sift(conn, Path("master.yaml"), rows, person="ann")


def test_rows_are_looked_at_while_usage_is_enriched(looking, load):
    conn, enrich = looking
    fence.share(enrich)

    found = sift(conn, load)

    assert (found.rows, [each.field for each in found.refused]) == (1, ["subscription"])


def test_usage_is_enriched_while_rows_are_looked_at(looking, load, monkeypatch):
    conn, enrich = looking
    shared = []

    def last(_loading):
        asked = text("select pg_try_advisory_xact_lock_shared(:key)")
        shared.append(enrich.execute(asked, {"key": fence.FENCE}).scalar_one())
        enrich.rollback()

    monkeypatch.setattr(master, "put_entitlements", last)

    sift(conn, load)

    assert shared == [True]


def test_no_lock_is_left_after_a_look(looking, load):
    conn, other = looking

    sift(conn, load)

    assert conn.execute(text(HELD)).scalar_one() == 0
    other.execute(text("set local lock_timeout = '2s'"))
    audit.hold(other)


@pytest.mark.parametrize("take", [fence.share, audit.hold])
def test_a_publication_waits_for_usage_and_for_whoever_writes_the_audit_log(looking, load, take):
    conn, other = looking
    take(other)

    with pytest.raises(OperationalError, match="lock timeout"):
        master.publish(conn, *document(load), person="ann")


def test_a_look_owes_nothing(looking, load):
    conn, _ = looking
    owed = "select count(*) from work"
    before = conn.execute(text(owed)).scalar_one()

    tally, hints = master.publish(conn, *document(load), person="ann", is_look=True)

    assert (tally.is_unchanged, hints, conn.execute(text(owed)).scalar_one()) == (False, [], before)
