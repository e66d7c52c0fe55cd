"""Which adapters there are, and the adapter of a connection."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from domain.errors import Rejection
from queues.settings import settings
from workers.erp.ledger_file import LedgerFile
from workers.erp.protocol import Erp


class ConnectionInvalid(Rejection):
    """The connection names an adapter that does not exist, or lacks a setting that its adapter needs."""

    code = "erp_unreadable"


@dataclass(frozen=True, slots=True)
class ErpConnection:
    """One ERP as the deployment names it; `settings` are its adapter's own and hold no secrets."""

    id: str
    adapter: str
    settings: Mapping[str, object]
    per_second: Decimal
    concurrency: int


def _ledger_file(connection: ErpConnection) -> Erp:
    """`folder`: where the ledger lies, relative to TALLYLINE_HOME; by default `ledgers/<connection>`."""
    folder = connection.settings.get("folder", f"ledgers/{connection.id}")
    if not isinstance(folder, str) or not folder:
        raise ConnectionInvalid(f"connection {connection.id}: `folder` is no path", connection=connection.id)
    return LedgerFile(settings().home / Path(folder))


#: One line for each adapter: its name in `erp_connections.adapter`, and what makes it for a connection.
ADAPTERS: Final[dict[str, Callable[[ErpConnection], Erp]]] = {
    "ledger-file": _ledger_file,
}


def connect(connection: ErpConnection) -> Erp:
    """The adapter of the connection. Raises `ConnectionInvalid`."""
    make = ADAPTERS.get(connection.adapter)
    if make is None:
        known = ", ".join(sorted(ADAPTERS))
        sentence = f"connection {connection.id}: there is no adapter {connection.adapter!r}, only {known}"
        raise ConnectionInvalid(sentence, connection=connection.id, adapter=connection.adapter)
    return make(connection)
