"""Starts the workers of `post` on the queues of their ERP connections: `python -m workers.posters --threads 2`.

Which connections: those named in POST_CONNECTIONS, separated by spaces, else all that the database has at this moment.
Other arguments are Dramatiq's. A connection that is added later is served after a restart; `doctor` names its queue.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from queues.telemetry import configure_logging
from queues.topology import queues_of
from workers.store.database import engine

log = structlog.get_logger(__name__)

AGAIN_S = 1.0


def command(connections: Sequence[str], options: Sequence[str]) -> list[str]:
    """Dramatiq's command for the queues of these connections. Raises `QueueUnknown` for a name that cannot be."""
    queues = queues_of("post", connections)
    return [sys.executable, "-m", "dramatiq", "workers.post", *options, "--queues", *queues]


def connections_of(environment: Mapping[str, str]) -> list[str]:
    """The connections named in the environment, else those of the database; waits until there is one."""
    named = environment.get("POST_CONNECTIONS", "").split()
    is_told = False
    while not named:
        named = _known()
        if not named:
            if not is_told:
                log.info("waits for the first ERP connection in the master data", again_s=AGAIN_S)
                is_told = True
            time.sleep(AGAIN_S)
    return named


def _known() -> list[str]:
    try:
        with engine().connect() as conn:
            return list(conn.execute(text("select id from erp_connections order by id")).scalars())
    except DBAPIError as error:
        log.warning("database away", reason=type(error).__name__)
        return []
    finally:
        engine().dispose()


def main() -> None:
    """Become Dramatiq."""
    configure_logging()
    words = command(connections_of(os.environ), sys.argv[1:])
    os.execv(words[0], words)  # noqa: S606 -- words of ours, and no shell is wanted


if __name__ == "__main__":
    main()
