"""Whom the ERP is told a document is asked of: what it calls the account, never a guess."""

from dataclasses import replace

from domain.errors import Rejection
from workers.posting_call import Delivery
from workers.store import debtors


class DebtorUnknown(Rejection):
    """The connection sends no document without the ERP's own name of the account, and there is none, or several."""

    code = "debtor_unknown"


def addressed(delivery: Delivery) -> Delivery:
    """The delivery with what the ERP calls the account on the day of the document, as it is known now.

    Raises `DebtorUnknown` where the connection needs one and there is not exactly one.
    """
    with delivery.errand.transaction() as unit:
        found = debtors.of_posting(unit.conn, delivery.posting.id)
    is_clear = len(found.names) == 1
    if found.is_needed and not is_clear:
        has = f"{len(found.names)} identities" if found.names else "no identity"
        sentence = f"account {found.account} has {has} of kind {found.kind} in {found.system} on {found.on}"
        facts = {"account": found.account, "system": found.system, "kind": found.kind, "on": found.on.isoformat()}
        raise DebtorUnknown(sentence, **delivery.facts, **facts)
    asked = replace(delivery.asked, debtor=found.names[0] if is_clear else None)
    return replace(delivery, posting=replace(delivery.posting, asked=asked))
