"""Postings into an ERP: where each stands, who holds it, and every call that was made about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec
from sqlalchemy import Connection, text

from domain.documents import external_key
from workers.erp.moves import Standing, State
from workers.erp.protocol import ErpDocument, ReadBack, Totals
from workers.erp.registry import ErpConnection
from workers.store import invoices, journal

_encode = msgspec.json.Encoder(decimal_format="string", order="sorted").encode


@dataclass(frozen=True, slots=True)
class Posting:
    """One document on its way into one ERP, as one moment shows it.

    `billed` is net, tax and gross as they were approved; the document is put together from its lines and taxes.
    """

    id: int
    invoice_id: int
    standing: Standing
    erp_ref: str | None
    connection: ErpConnection
    asked: ErpDocument
    billed: tuple[Decimal, Decimal, Decimal]


_LOAD = text("""
select p.id, p.invoice_id, p.external_key, p.state, p.draft_ref, p.erp_ref, p.not_found,
  coalesce(extract(epoch from p.lease_until - clock_timestamp())::float8, 0) as quiet_s,
  c.id as connection_id, c.adapter, c.settings, c.per_second, c.concurrency, i.number_text, i.net, i.tax, i.gross,
  a.name as account_name, p.debtor
from erp_postings p join erp_connections c on c.id = p.connection_id
join invoices i on i.id = p.invoice_id join accounts a on a.id = i.account_id
where p.id = :id
""")


def load(conn: Connection, posting_id: int) -> Posting:
    """The posting with its document and connection."""
    row = conn.execute(_LOAD, {"id": posting_id}).one()
    return Posting(
        id=row.id,
        invoice_id=row.invoice_id,
        standing=Standing(row.state, row.quiet_s, row.draft_ref, row.not_found),
        erp_ref=row.erp_ref,
        connection=ErpConnection(row.connection_id, row.adapter, row.settings, row.per_second, row.concurrency),
        asked=ErpDocument(
            key=row.external_key,
            number=row.number_text,
            account_name=row.account_name,
            document=invoices.documents(conn, [row.invoice_id])[row.invoice_id],
            entry=journal.entry_of(conn, row.invoice_id),
            debtor=row.debtor,
        ),
        billed=(row.net, row.tax, row.gross),
    )


def connection(conn: Connection, connection_id: str) -> ErpConnection:
    """The connection of that name, as it is set up now."""
    row = conn.execute(
        text("select id, adapter, settings, per_second, concurrency from erp_connections where id = :id"),
        {"id": connection_id},
    ).one()
    return ErpConnection(*row)


@dataclass(frozen=True, slots=True)
class Planned:
    """A posting that is owed to an ERP."""

    id: int
    connection_id: str


_IDENTITIES = text("""
select i.id, i.legal_entity_id, e.connection_id, c.ref as contract_ref, y.name as cycle, p.starts_on, r.lot
from invoices i join legal_entities e on e.id = i.legal_entity_id join contracts c on c.id = i.contract_id
join billing_runs r on r.id = i.billing_run_id join billing_periods p on p.id = r.billing_period_id
join billing_cycles y on y.id = p.cycle_id where i.id = any(cast(:ids as bigint[])) order by i.id
""")
_PLAN = text("""
insert into erp_postings (invoice_id, connection_id, external_key)
select * from unnest(cast(:invoices as bigint[]), cast(:connections as text[]), cast(:keys as text[]))
order by 2, 3 returning id, connection_id
""")


def plan(conn: Connection, invoice_ids: Sequence[int]) -> list[Planned]:
    """Plan a posting for each invoice in the ERP of its legal entity.

    The key says what is billed, not which row it is: a database that was set up anew finds what it posted before.
    """
    rows = conn.execute(_IDENTITIES, {"ids": list(invoice_ids)}).all()
    keys = [
        external_key(row.legal_entity_id, row.contract_ref, row.cycle, row.starts_on.isoformat(), f"lot {row.lot}")
        for row in rows
    ]
    found = conn.execute(
        _PLAN,
        {"invoices": [row.id for row in rows], "connections": [row.connection_id for row in rows], "keys": keys},
    )
    return [Planned(row.id, row.connection_id) for row in found]


def of_run(conn: Connection, run_id: int) -> list[Planned]:
    """The postings of a billing run that are in force."""
    found = conn.execute(
        text("""select p.id, p.connection_id from erp_postings p join invoices i on i.id = p.invoice_id
             where i.billing_run_id = :run and p.state <> 'superseded' order by p.id"""),
        {"run": run_id},
    )
    return [Planned(row.id, row.connection_id) for row in found]


def begin(conn: Connection, posting_id: int, *, lease_s: float, debtor: str | None) -> int | None:
    """Become the one poster of the document for `lease_s` seconds: the number of the lease, or None if it is held.

    What the ERP is told to ask the document of is kept: whoever looks it up later compares with that.
    """
    found = conn.execute(
        text("""update erp_postings set state = 'sending', lease_no = lease_no + 1, not_found = 0, code = null,
             debtor = :debtor, lease_until = clock_timestamp() + make_interval(secs => :lease_s), updated_at = now()
             where id = :id and state in ('planned', 'sending', 'unknown', 'rejected')
               and (lease_until is null or lease_until < clock_timestamp()) returning lease_no"""),
        {"id": posting_id, "lease_s": lease_s, "debtor": debtor},
    )
    return found.scalar_one_or_none()


def seize(conn: Connection, posting_id: int, *, lease_s: float) -> int | None:
    """Keep everybody from sending a document that the ERP does not hold: the lease's number, None if it is held.

    Only where nothing is in the air: planned, or refused for good.
    """
    found = conn.execute(
        text("""update erp_postings set lease_no = lease_no + 1, updated_at = now(),
             lease_until = clock_timestamp() + make_interval(secs => :lease_s)
             where id = :id and state in ('planned', 'rejected')
               and (lease_until is null or lease_until < clock_timestamp()) returning lease_no"""),
        {"id": posting_id, "lease_s": lease_s},
    )
    return found.scalar_one_or_none()


def leave(conn: Connection, posting_id: int, *, lease_no: int, is_withdrawn: bool) -> bool:
    """End a lease that was seized: the document is withdrawn for good, or may be sent again; false if it was lost."""
    found = conn.execute(
        text("""update erp_postings set state = case when :is_withdrawn then 'superseded' else state end,
             lease_until = null, updated_at = now()
             where id = :id and lease_no = :lease_no and state in ('planned', 'rejected') returning id"""),
        {"id": posting_id, "lease_no": lease_no, "is_withdrawn": is_withdrawn},
    )
    return found.one_or_none() is not None


def keep_draft(conn: Connection, posting_id: int, *, lease_no: int, draft_ref: str) -> bool:
    """Store the id of a draft before it is asked to be posted; false if the lease is no longer ours."""
    found = conn.execute(
        text("""update erp_postings set draft_ref = :draft_ref, updated_at = now()
             where id = :id and lease_no = :lease_no and state = 'sending' returning id"""),
        {"id": posting_id, "lease_no": lease_no, "draft_ref": draft_ref},
    )
    return found.one_or_none() is not None


def settle(  # noqa: PLR0913 - the outcome of a call is this wide
    conn: Connection,
    posting_id: int,
    *,
    lease_no: int,
    state: State,
    code: str | None = None,
    erp_ref: str | None = None,
) -> bool:
    """Write the outcome of a call that was begun under `lease_no`; false if the lease is no longer ours.

    The lease of an unknown outcome runs on: its end is the end of the quiet time. Else it ends here.
    """
    found = conn.execute(
        text("""update erp_postings set state = :state, code = :code, erp_ref = coalesce(:erp_ref, erp_ref),
             lease_until = case when :state = 'unknown' and cast(:erp_ref as text) is null then lease_until end,
             updated_at = now()
             where id = :id and lease_no = :lease_no and state = 'sending' returning id"""),
        {"id": posting_id, "lease_no": lease_no, "state": state, "code": code, "erp_ref": erp_ref},
    )
    return found.one_or_none() is not None


def count_not_found(conn: Connection, posting_id: int) -> None:
    """One more look-up after the quiet time found nothing."""
    conn.execute(
        text("""update erp_postings set state = 'unknown', not_found = not_found + 1, updated_at = now()
             where id = :id and state in ('sending', 'unknown')"""),
        {"id": posting_id},
    )


def differs(conn: Connection, posting_id: int, back: ReadBack) -> None:
    """The ERP holds something else than the document under our key: what it said is kept for whoever compares."""
    conn.execute(
        text("""update erp_postings set code = 'posting_differs', erp_ref = :ref, erp_number = :number, read_net = :net,
             read_tax = :tax, read_gross = :gross, read_lines = :lines, lease_until = null, updated_at = now(),
             state = case when state = 'confirmed' then state else 'unknown' end where id = :id"""),
        {"id": posting_id, **_read(back)},
    )


def confirm(conn: Connection, posting_id: int, back: ReadBack) -> bool:
    """The ERP holds the document, read back and equal; false if that was confirmed before."""
    found = conn.execute(
        text("""update erp_postings set state = 'confirmed', confirmed_at = now(), code = null, erp_ref = :ref,
             erp_number = :number, read_net = :net, read_tax = :tax, read_gross = :gross, read_lines = :lines,
             lease_until = null, updated_at = now()
             where id = :id and state not in ('confirmed', 'superseded') returning invoice_id"""),
        {"id": posting_id, **_read(back)},
    )
    invoice_id = found.scalar_one_or_none()
    if invoice_id is not None:
        conn.execute(
            text("update invoices set state = 'posted' where id = :id and state = 'issued'"), {"id": invoice_id}
        )
    return invoice_id is not None


def reconcile(conn: Connection, posting_id: int) -> None:
    """A confirmed document was read back once more and was still equal."""
    conn.execute(
        text("update erp_postings set reconciled_at = now(), code = null, updated_at = now() where id = :id"),
        {"id": posting_id},
    )


def _read(back: ReadBack) -> dict[str, object]:
    totals = back.totals
    return {
        "ref": back.ref,
        "number": back.number,
        "net": totals.net.amount,
        "tax": totals.tax.amount,
        "gross": totals.gross.amount,
        "lines": totals.lines,
    }


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to an ERP and what came back; secrets are no part of either."""

    call: str
    outcome: str
    request: Mapping[str, object]
    answer: Mapping[str, object]
    lease_no: int = 0
    is_stale: bool = False


def log_attempt(conn: Connection, posting_id: int, attempt: Attempt) -> None:
    """Append to the log of calls, which is never changed."""
    conn.execute(
        text("""insert into erp_attempts (erp_posting_id, lease_no, call, outcome, request, answer, is_stale)
             values (:id, :lease_no, :call, :outcome, cast(:request as jsonb), cast(:answer as jsonb), :is_stale)"""),
        {
            "id": posting_id,
            "lease_no": attempt.lease_no,
            "call": attempt.call,
            "outcome": attempt.outcome,
            "request": _encode(attempt.request).decode(),
            "answer": _encode(attempt.answer).decode(),
            "is_stale": attempt.is_stale,
        },
    )


def amounts(totals: Totals) -> dict[str, Decimal | str | int]:
    """The totals as a log or a notice shows them."""
    return {
        "net": totals.net.amount,
        "tax": totals.tax.amount,
        "gross": totals.gross.amount,
        "currency": totals.gross.currency.code,
        "lines": totals.lines,
    }
