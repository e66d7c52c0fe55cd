"""Which tax engines there are, by the name that stands in the evidence of a line."""

from collections.abc import Callable
from typing import Final

from domain.errors import Rejection
from domain.taxation import ENGINE, TaxTable
from workers.tax_engines.protocol import TaxEngine
from workers.tax_engines.table import TableEngine


class TaxEngineUnknown(Rejection):
    """The evidence of a line names an engine that this deployment does not have."""

    code = "tax_engine_unknown"


#: One line for each engine: its name, and what makes it for telling it about documents.
ENGINES: Final[dict[str, Callable[[], TaxEngine]]] = {
    ENGINE: lambda: TableEngine(TaxTable(())),
}


def engine_named(name: str) -> TaxEngine:
    """The engine of that name. Raises `TaxEngineUnknown`."""
    make = ENGINES.get(name)
    if make is None:
        raise TaxEngineUnknown(f"there is no tax engine {name!r}, only {', '.join(sorted(ENGINES))}", engine=name)
    return make()
