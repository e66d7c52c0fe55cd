"""March is issued, and its ERP has refused a document."""

import sys
from pathlib import Path

import pytest

from workers.erp import registry
from workers.erp.ledger_file import LedgerFile
from workers.tax_engines import registry as tax_registry

sys.path.append(str(Path(__file__).parents[1] / "erp"))
from erp_faults import Faulty
from repairs_bench import DL, MARCH, UA, TaxTelephone


@pytest.fixture
def tax(monkeypatch):
    engine_ = TaxTelephone()
    monkeypatch.setitem(tax_registry.ENGINES, "table", lambda: engine_)
    return engine_


@pytest.fixture
def erp(month, monkeypatch):
    month.ledger.mkdir(parents=True)
    faulty = Faulty(LedgerFile(month.ledger))
    monkeypatch.setitem(registry.ADAPTERS, "ledger-file", lambda _connection: faulty)
    return faulty


@pytest.fixture
def refused(month, erp, tax):
    """March is issued; the ERP has refused United's document and confirmed Delta's."""
    month.use(*MARCH)
    erp.plan.append("refused")
    month.run = month.bill()
    assert [row[0:4] for row in month.documents(month.run)] == [
        ("dl", "invoice", "posted", DL),
        ("ua", "invoice", "issued", UA),
    ]
    return month
