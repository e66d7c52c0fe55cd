"""How tax engines learn that a document is issued, or void: intent before the call, outcome after it."""

from collections.abc import Sequence

from workers.erp.protocol import ErpDocument
from workers.store import tax_commitments
from workers.tax_engines.protocol import TaxDocument
from workers.tax_engines.registry import engine_named
from workers.unit import Errand


def commit(errand: Errand, invoice_id: int, asked: ErpDocument) -> None:
    """Let every engine that taxed a part of the document take note of it, before an ERP is asked to book it."""
    engines = sorted({part.evidence.engine for part in asked.document.parts})
    with errand.transaction() as unit:
        pending = tax_commitments.intend(unit.conn, invoice_id, engines)
    if not pending:
        return
    document = _told(asked)
    references = {name: engine_named(name).commit(document) for name in pending}
    with errand.transaction() as unit:
        tax_commitments.committed(unit.conn, invoice_id, references)


def void(asked: ErpDocument, engines: Sequence[str]) -> None:
    """Tell these engines that the document is void; the caller records it."""
    document = _told(asked)
    for name in engines:
        engine_named(name).void(document)


def _told(asked: ErpDocument) -> TaxDocument:
    document = asked.document
    return TaxDocument(asked.number, document.legal_entity_id, document.invoice_on, document.net, document.tax)
