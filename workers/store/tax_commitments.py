"""What tax engines were told of documents: that they will be asked, that they have committed, that all is void."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text


def intend(conn: Connection, invoice_id: int, engines: Sequence[str]) -> list[str]:
    """Record that these engines are asked to commit the document; returns those that have not answered yet."""
    conn.execute(
        text("""insert into tax_commitments (invoice_id, engine, state)
             select :id, name, 'committing' from unnest(cast(:engines as text[])) name order by name
             on conflict (invoice_id, engine) do nothing"""),
        {"id": invoice_id, "engines": list(engines)},
    )
    return _in_state(conn, invoice_id, ("committing",))


def committed(conn: Connection, invoice_id: int, references: Mapping[str, str]) -> None:
    """Record the engines' references; what is void meanwhile stays so."""
    conn.execute(
        text("""update tax_commitments t set state = 'committed', reference = r.reference, updated_at = now()
             from unnest(cast(:engines as text[]), cast(:references as text[])) as r (engine, reference)
             where t.invoice_id = :id and t.engine = r.engine and t.state = 'committing'"""),
        {"id": invoice_id, "engines": list(references), "references": list(references.values())},
    )


def to_void(conn: Connection, invoice_id: int) -> list[str]:
    """The engines that have committed the document, or may have."""
    return _in_state(conn, invoice_id, ("committing", "committed"))


def voided(conn: Connection, invoice_id: int) -> None:
    """Record that no engine holds the document any more."""
    conn.execute(
        text("update tax_commitments set state = 'void', updated_at = now() where invoice_id = :id"), {"id": invoice_id}
    )


def _in_state(conn: Connection, invoice_id: int, states: Sequence[str]) -> list[str]:
    found = conn.execute(
        text("""select engine from tax_commitments where invoice_id = :id and state = any(cast(:states as text[]))
             order by engine"""),
        {"id": invoice_id, "states": list(states)},
    )
    return list(found.scalars())
