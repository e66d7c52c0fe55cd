"""Worker processes whose tax engine is away while a file exists: TALLYLINE_TEST_TAX_ENGINE names it."""

import os
from collections.abc import Sequence
from pathlib import Path

from domain.money import Currency
from domain.taxation import TaxableLine, Taxed
from queues.broker import broker
from workers.tax_engines.protocol import TaxEngineAway
from workers.tax_engines.table import TableEngine

AWAY = Path(os.environ["TALLYLINE_TEST_TAX_ENGINE"])
REST_S = 2.0

_taxed = TableEngine.taxed


def taxed(engine: TableEngine, lines: Sequence[TaxableLine], *, currency: Currency) -> Taxed:
    """What the table says, unless the engine is away."""
    if AWAY.exists():
        raise TaxEngineAway("503 Service Unavailable", delay_s=REST_S)
    return _taxed(engine, lines, currency=currency)


broker()  # Dramatiq's command asks the module it imports first which broker there is
TableEngine.taxed = taxed  # type: ignore[method-assign]
