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
    told = ""
    while not named:
        named, sentence = _known()
        if not named:
            if sentence != told:
                log.info(sentence, again_s=AGAIN_S)
                told = sentence
            time.sleep(AGAIN_S)
    return named


def _known() -> tuple[list[str], str]:
    """The connections there are, and what is waited for if there is none."""
    try:
        with engine().connect() as conn:
            found = conn.execute(text("select id from erp_connections order by id")).scalars()
            return list(found), "waits for the first ERP connection in the master data"
    except DBAPIError:
        return [], "database away"
    finally:
        engine().dispose()


def main() -> None:
    """Become Dramatiq."""
    configure_logging()
    words = command(connections_of(os.environ), sys.argv[1:])
    os.execv(words[0], words)  # noqa: S606 -- words of ours, and no shell is wanted


if __name__ == "__main__":
    main()
