"""Repairs of documents: what each system holds, the plan that was asked for, and which of its acts are done."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from domain.repairs import Act, Books, ErpHolds, Holdings, Kind, RepairRefused, TaxHolds, planned
from queues import work
from queues.work import Hintable, NewWork
from workers.store import acting, audit, documents
from workers.store.acting import Named

_encode = msgspec.json.Encoder(decimal_format="string", order="sorted", enc_hook=str).encode


class DocumentNotFound(RepairRefused):
    """There is no document of that number, or several entities have one."""

    is_unknown = True


@dataclass(frozen=True, slots=True)
class Case:
    """A document that may need a repair, with what each system holds of it."""

    invoice_id: int
    billing_period_id: int
    posting_id: int | None
    connection_id: str | None
    account_id: str
    gross: Decimal
    currency: str
    holdings: Holdings


_CASE = text("""
select i.id, r.billing_period_id, i.number_text, i.state, i.account_id, i.gross, i.currency, p.id as posting_id,
  p.connection_id, p.state as erp_state, p.code as erp_code, p.draft_ref,
  exists (select from journal_entries j where j.invoice_id = i.id and j.kind = 'document') as has_entry,
  exists (select from journal_entries j where j.invoice_id = i.id and j.kind = 'reversal') as is_reversed,
  (select a.answer -> 'names' = '["entry"]' from erp_attempts a where a.erp_posting_id = p.id
    and a.call = 'read_back' and a.outcome = 'differs' order by a.id desc limit 1) as is_without_journal,
  (select string_agg(distinct t.state, ',') from tax_commitments t where t.invoice_id = i.id) as tax_states,
  (select coalesce(n.number_text, 'draft ' || n.id) from invoices n join billing_runs o on o.id = n.billing_run_id
    where n.contract_id = i.contract_id and o.billing_period_id = r.billing_period_id and o.lot > r.lot
      and n.state not in ('void', 'empty') order by o.lot limit 1) as later
from invoices i join billing_runs r on r.id = i.billing_run_id
left join lateral (select * from erp_postings q where q.invoice_id = i.id order by q.id desc limit 1) p on true
where i.id = any(cast(:ids as bigint[])) order by i.id
""")


def case(conn: Connection, number: str, *, entity: str | None = None) -> Case:
    """The document of that number. Raises `DocumentNotFound`."""
    found = conn.execute(_CASE, {"ids": documents.numbered(conn, number, entity=entity)}).all()
    if len(found) != 1:
        many = f"{len(found)} legal entities have a document" if found else "there is no document"
        fix = "name one with --entity" if found else "`tallyline trace SOURCE ID` names the documents of an event"
        raise DocumentNotFound(f"{many} {number!r}", number=number, fix=fix)
    return _case(found[0])


def _case(row: Any) -> Case:  # noqa: ANN401 -- a row of the question above
    holdings = Holdings(
        number=row.number_text,
        books=_books(row.state),
        has_entry=row.has_entry,
        is_reversed=row.is_reversed,
        erp=_erp(row.erp_state, row.erp_code, row.draft_ref, is_without_journal=bool(row.is_without_journal)),
        tax=_tax(row.tax_states or ""),
        later=row.later,
    )
    return Case(
        row.id, row.billing_period_id, row.posting_id, row.connection_id, row.account_id, row.gross, row.currency,
        holdings,
    )  # fmt: skip


def _books(state: str) -> Books:
    if state == "void":
        return "void"
    return "issued" if state in ("issued", "posted") else "not_issued"


def _erp(state: str | None, code: str | None, draft_ref: str | None, *, is_without_journal: bool) -> ErpHolds:
    if state == "confirmed":
        return "document"
    if code == "posting_differs":
        return "document_without_journal" if is_without_journal else "other_document"
    if state in ("sending", "unknown"):
        return "unknown"
    return "draft" if draft_ref is not None and state != "superseded" else "nothing"


def _tax(states: str) -> TaxHolds:
    if "committing" in states:
        return "maybe_committed"
    if "committed" in states:
        return "committed"
    return "void" if states else "nothing"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks for: this repair of this document, and why."""

    number: str
    kind: Kind
    person: str
    reason: str
    approval_id: int | None = None
    entity: str | None = None


@dataclass(frozen=True, slots=True)
class Requested:
    """A repair that is under way, and the work that does it."""

    id: int
    acts: Sequence[str]
    hints: Sequence[Hintable]


_INSERT = text("""
insert into repairs (invoice_id, erp_posting_id, exception_id, kind, acts, holdings, requested_by, reason, approval_id)
values (:invoice, :posting, (select x.id from exceptions x join work w on w.id = x.work_id
    where x.state = 'open' and w.step = 'post' and w.subject = 'erp_posting/' || cast(:posting as bigint)
    order by x.id desc limit 1),
  :kind, cast(:acts as text[]), cast(:holdings as jsonb), :person, :reason, :approval)
returning id
""")


def request(conn: Connection, wanted: Wanted) -> Requested:
    """Plan the repair and owe it to the poster of the document's ERP; asked twice, it is one repair.

    Raises `RepairRefused` where it is not safe now, or where another one is under way.
    """
    acting.name(conn, Named(wanted.person, wanted.reason, wanted.approval_id))
    audit.hold(conn)
    found = case(conn, wanted.number, entity=wanted.entity)
    # A run that makes drafts of the period waits for us, or we see its drafts.
    conn.execute(
        text("select 1 from billing_periods where id = :id for no key update"), {"id": found.billing_period_id}
    )
    conn.execute(text("select 1 from invoices where id = :id for no key update"), {"id": found.invoice_id})
    found = case(conn, wanted.number, entity=wanted.entity)
    under_way = conn.execute(
        text("select id, kind, acts from repairs where invoice_id = :id and state = 'planned'"),
        {"id": found.invoice_id},
    ).one_or_none()
    if under_way is not None:
        if under_way.kind != wanted.kind:
            sentence = f"repair {under_way.id} ({under_way.kind}) of {wanted.number} is under way"
            raise RepairRefused(sentence, number=wanted.number)
        return Requested(under_way.id, under_way.acts, ())
    plan = planned(wanted.kind, found.holdings)
    assert found.connection_id is not None, "an issued document is on its way to an ERP"
    values = {"invoice": found.invoice_id, "posting": found.posting_id, "kind": plan.kind, "acts": list(plan.acts)}
    repair_id = conn.execute(
        _INSERT,
        {
            **values,
            "holdings": _encode(asdict(found.holdings)).decode(),
            "person": wanted.person,
            "reason": wanted.reason,
            "approval": wanted.approval_id,
        },
    ).scalar_one()
    row = NewWork("post", f"repair/{repair_id}", f"repair-{repair_id}", lane="close", connection_id=found.connection_id)
    return Requested(repair_id, plan.acts, work.insert(conn, [row]))


@dataclass(frozen=True, slots=True)
class Repair:
    """A repair as its work goes on: the acts in order, and the places of those that are done."""

    id: int
    invoice_id: int
    posting_id: int
    acts: Sequence[Act]
    done: frozenset[int]
    state: str
    person: str
    reason: str

    @property
    def next_act(self) -> tuple[int, Act] | None:
        """The first act that is not done, and its place, from one."""
        left = ((place, act) for place, act in enumerate(self.acts, start=1) if place not in self.done)
        return next(left, None)


def load(conn: Connection, repair_id: int) -> Repair:
    """The repair as this moment shows it."""
    row = conn.execute(
        text("""select r.*, array(select h.position from repair_history h where h.repair_id = r.id
             and h.outcome = 'done') as done from repairs r where r.id = :id"""),
        {"id": repair_id},
    ).one()
    return Repair(
        row.id, row.invoice_id, row.erp_posting_id, row.acts, frozenset(row.done), row.state, row.requested_by,
        row.reason,
    )  # fmt: skip


def record(conn: Connection, repair: Repair, outcome: str, answer: Mapping[str, object]) -> None:
    """Append what became of the next act; the database takes a second `done` of the same act for an error."""
    assert repair.next_act is not None, repair.id
    position, act = repair.next_act
    conn.execute(
        text("""insert into repair_history (repair_id, position, act, outcome, answer)
             values (:id, :position, :act, :outcome, cast(:answer as jsonb))"""),
        {"id": repair.id, "position": position, "act": act, "outcome": outcome, "answer": _encode(answer).decode()},
    )


def finish(conn: Connection, repair_id: int, *, state: str) -> None:
    """All acts are done, or one of them found out that the repair would not be safe."""
    conn.execute(
        text("update repairs set state = :state, finished_at = now() where id = :id and state = 'planned'"),
        {"id": repair_id, "state": state},
    )


def history(conn: Connection, invoice_id: int, *, rows: int = 50) -> Sequence[Mapping[str, Any]]:
    """The newest repairs of a document with each try of each act, oldest first."""
    found = conn.execute(
        text("""select r.id, r.kind, r.state, r.requested_by, r.reason, r.requested_at, r.finished_at, r.acts,
             coalesce((select jsonb_agg(jsonb_build_object('act', h.act, 'outcome', h.outcome, 'answer', h.answer,
               'acted_at', h.acted_at) order by h.id) from repair_history h where h.repair_id = r.id), '[]') as tries
             from repairs r where r.invoice_id = :id order by r.id desc limit :rows"""),
        {"id": invoice_id, "rows": rows},
    )
    return [row._asdict() for row in found][::-1]
