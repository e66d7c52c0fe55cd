"""One leader among all processes of a kind, chosen by a session lock of PostgreSQL."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Event

import psycopg
import structlog
from psycopg import Connection

log = structlog.get_logger(__name__)

#: How often a leader makes sure that its session lives, and the others ask for the lock.
LOOK_EVERY_S = 0.5
#: A peer that vanished without a word is noticed after about this long, by the server as well as by us; else a machine
#: that lost its network would hold the lock for as long as the server's kernel likes, usually two hours.
SILENCE_S_MAX = 10

_SERVER_KEEPALIVES = (
    "-c tcp_keepalives_idle=4 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
    f" -c tcp_user_timeout={SILENCE_S_MAX * 1000}"
)


def lead(database_url: str, role: str, *, stop: Event, office: Callable[[], AbstractContextManager[object]]) -> None:
    """Until `stop`: wait to be the only leader of `role`, hold `office()` as long as the lock lives, and start again.

    For about `SILENCE_S_MAX` two processes may both hold office, if the network parts them; what an office does must be
    harmless when done twice. The session must be a real one: no pooler that shares sessions between transactions.
    """
    is_told = False
    while not stop.is_set():
        try:
            with _session(database_url, role) as session:
                is_told = False
                _serve(session, role, stop=stop, office=office)
        except psycopg.OperationalError as error:
            if not is_told:
                log.warning("no session to lead by", role=role, reason=type(error).__name__)
                is_told = True
            stop.wait(LOOK_EVERY_S)


def _session(database_url: str, role: str) -> Connection[tuple[object, ...]]:
    return psycopg.connect(
        database_url,
        autocommit=True,
        application_name=f"tallyline {role}",
        options=_SERVER_KEEPALIVES,
        connect_timeout=SILENCE_S_MAX,
        keepalives_idle=4,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=SILENCE_S_MAX * 1000,
    )


def _serve(
    session: Connection[tuple[object, ...]],
    role: str,
    *,
    stop: Event,
    office: Callable[[], AbstractContextManager[object]],
) -> None:
    while not _is_leader(session, role):
        if stop.wait(LOOK_EVERY_S):
            return
    log.info("leads", role=role)
    try:
        with office():
            while not stop.wait(LOOK_EVERY_S):
                session.execute("select 1")
    finally:
        log.info("leads no more", role=role)


def _is_leader(session: Connection[tuple[object, ...]], role: str) -> bool:
    lock = f"tallyline leader {role}"
    return session.execute("select pg_try_advisory_lock(hashtextextended(%s, 0))", [lock]).fetchone() == (True,)
