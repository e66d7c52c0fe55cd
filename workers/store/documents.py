"""Finds documents by what people call them: the number of one that was issued, the id of any."""

import re

from sqlalchemy import Connection, text

#: How an id is written.
_ID = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
#: By the numbers of each legal entity, which are what documents are found by without reading all of them.
_NUMBERED = text("""
select i.id from legal_entities n join invoices i on i.legal_entity_id = n.id and i.number_text = :number
where cast(:entity as text) is null or n.id = :entity order by i.id
""")
_IDENTIFIED = text("select id from invoices where id = :id and (number_text is null or not :only_drafts)")


def numbered(conn: Connection, number: str, *, entity: str | None = None) -> list[int]:
    """The ids of the documents with that number, of one legal entity or of each."""
    return list(conn.execute(_NUMBERED, {"number": number, "entity": entity}).scalars())


def called(conn: Connection, name: str, *, only_drafts: bool) -> list[int]:
    """The ids of the documents with that number, and the one with that id, `only_drafts` if it has no number yet."""
    found = numbered(conn, name)
    if _ID.fullmatch(name):
        found += conn.execute(_IDENTIFIED, {"id": int(name), "only_drafts": only_drafts}).scalars()
    return found
