"""Documents are found by number or id, in each legal entity or in one, and never by reading all of them."""

import pytest
from sqlalchemy import text

from workers.store import documents
from workers.store.database import snapshot


@pytest.fixture
def billed(month):
    """Documents of two accounts, one of them still a draft."""
    month.use(("u1", "UA", "N1", 1400), ("d1", "DL", "N3", 500))
    month.bill()
    return month.bound


def test_a_document_is_found_by_its_number_and_by_its_id_unless_only_drafts_are_asked_for(billed):
    issued = billed.rows("select id, number_text, legal_entity_id from invoices where number is not null")
    assert len(issued) == 2

    with snapshot() as conn:
        for id_, number, entity in issued:
            assert documents.numbered(conn, number) == [id_]
            assert documents.numbered(conn, number, entity=entity) == [id_]
            assert documents.numbered(conn, number, entity="nobody") == []
            assert documents.called(conn, number, only_drafts=True) == [id_]
            assert documents.called(conn, str(id_), only_drafts=False) == [id_]
            assert documents.called(conn, str(id_), only_drafts=True) == []


@pytest.mark.parametrize("name", ["", "0", "-1", "N-1", "1" * 19, "\u0661"])
def test_what_names_no_document_finds_none(billed, name):
    with snapshot() as conn:
        assert documents.called(conn, name, only_drafts=False) == []


def test_no_look_up_reads_all_documents(billed):
    with snapshot() as conn:
        conn.execute(text("set local enable_seqscan = off"))
        for asked, values in (
            (documents._NUMBERED, {"number": "N", "entity": None}),
            (documents._IDENTIFIED, {"id": 1, "only_drafts": False}),
        ):
            plan = "\n".join(conn.execute(text(f"explain {asked.text}"), values).scalars())
            assert "Seq Scan on invoices" not in plan
            assert "Index" in plan
