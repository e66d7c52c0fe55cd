"""A tax engine far away, and what a repair left behind in each system."""

from dataclasses import dataclass, field

from workers.store import repairs
from workers.store.database import engine
from workers.store.repairs import Wanted

MARCH = (("u1", "UA", "N1", 1400), ("u2", "UA", "N1", 1400), ("d1", "DL", "N3", 500))


UA, DL = "PONY-000001", "PONY-000002"


@dataclass
class TaxTelephone:
    """An engine far away that remembers what it was told; each fault is raised once."""

    held: dict[str, str] = field(default_factory=dict)
    faults: list[Exception] = field(default_factory=list)

    def commit(self, document):
        if self.faults:
            raise self.faults.pop(0)
        self.held[document.number] = "committed"
        return f"tax-{document.number}"

    def void(self, document):
        if self.faults:
            raise self.faults.pop(0)
        self.held[document.number] = "void"


def ask(kind, number=UA, **more):
    with engine().begin() as conn:
        return repairs.request(conn, Wanted(number, kind, "ann", "the customer was wrong", **more))


def case(number=UA):
    with engine().begin() as conn:
        return repairs.case(conn, number)


def tries(month):
    return [tuple(row) for row in month.bound.rows("select act, outcome from repair_history order by id")]


def receivable(month):
    """What our journal says that accounts owe."""
    return month.bound.one("select coalesce(sum(amount), 0) from postings where ledger_account = 'assets:receivable'")


def confirmed(month):
    return month.bound.one("select coalesce(sum(read_gross), 0) from erp_postings where state = 'confirmed'")
