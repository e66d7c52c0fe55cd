"""Worker processes that die of certain bodies as they would of a crash in a library: at once, without a word."""

import os
import signal
from collections.abc import Sequence

from sqlalchemy import Connection

from queues.broker import broker
from workers.store import receipts
from workers.store.receipts import Receipt

DEADLY = b"deadly"

_load = receipts.load


def _load_or_die(conn: Connection, ids: Sequence[int]) -> list[Receipt]:
    found = _load(conn, ids)
    if any(DEADLY in delivery.body for receipt in found for delivery in receipt.deliveries):
        os.kill(os.getpid(), signal.SIGKILL)
    return found


broker()  # Dramatiq's command asks the module it imports first which broker there is
receipts.load = _load_or_die
