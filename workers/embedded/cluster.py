"""One PostgreSQL data folder: made once, started and stopped any number of times on a port of its own."""

import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from workers.embedded.binaries import Binaries
from workers.embedded.ports import LOOPBACK, free_port
from workers.embedded.supervised import Account, NotStarted, Program, Supervise, Supervised

USER = "tallyline"
DATABASE = "tallyline"
START_S_MAX = 60.0
PORT_TRIES_MAX = 5
LOG_BYTES_MAX = 10 * 2**20
#: Of postmaster.pid, counted from 0 (LOCK_FILE_LINE_PM_STATUS in PostgreSQL's pidfile.h).
_STATUS_LINE = 7

#: What every server of ours runs with. A caller's options come last and win.
OPTIONS: Mapping[str, str] = {
    "shared_buffers": "256MB",
    "max_connections": "200",
    "max_wal_size": "4GB",  # a month of usage is written in one go: no checkpoint storms
    "checkpoint_timeout": "15min",
    "deadlock_timeout": "100ms",
    "jit": "off",  # compiling costs more than our short statements take
    "timezone": "UTC",
    "log_timezone": "UTC",
    "unix_socket_directories": "",  # one way in: loopback, with the password
    "listen_addresses": LOOPBACK,
    "password_encryption": "scram-sha-256",
}
#: For data that nobody wants after the run: a crash of the machine may lose it, a kill -9 of the server does not.
THROW_AWAY_OPTIONS: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A data folder below `folder`, and what its server runs with; `folder` is ours and `account` may enter it."""

    binaries: Binaries
    folder: Path
    account: Account | None
    password: str
    options: Mapping[str, str]
    is_durable: bool
    supervise: Supervise = field(default=Supervised)

    @property
    def home(self) -> Path:
        """The folder that belongs to `account` alone."""
        return self.folder / "server"

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.home / "data"

    @property
    def log_path(self) -> Path:
        """The server's log."""
        return self.folder / "postgres.log"

    def url(self, port: int, database: str = DATABASE) -> str:
        """The address of a database of this server."""
        # The wheel's programs know no TLS, and a PGSSLMODE of the user's must not ask for it.
        return f"postgresql://{USER}:{self.password}@{LOOPBACK}:{port}/{database}?sslmode=disable"


def created(cluster: Cluster) -> None:
    """Make the data folder, all or nothing: a run killed half-way leaves no half-made database.

    Raises `NotStarted` with initdb's own words.
    """
    cluster.home.mkdir(mode=0o700, exist_ok=True)
    password_file = cluster.folder / "password.new"
    password_file.touch(mode=0o600)
    password_file.write_text(cluster.password)
    for path in (cluster.home, password_file):
        _give(path, cluster.account)
    fresh = cluster.home / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    command = [cluster.binaries.program("initdb"), "-D", str(fresh), "-U", USER, "--auth=scram-sha-256"]
    command += [f"--pwfile={password_file}", "--encoding=UTF8", "--no-locale", "--no-instructions"]
    command += [] if cluster.is_durable else ["--no-sync"]
    try:
        with cluster.supervise(_program(cluster, tuple(command))) as initdb:
            if initdb.wait(timeout_s=START_S_MAX) != 0:
                raise NotStarted(f"initdb failed:\n{initdb.log_end()}")
    finally:
        password_file.unlink()
    fresh.rename(cluster.data)


def started(cluster: Cluster, *, port: int | None = None, inherit: tuple[int, ...] = ()) -> tuple[Supervised, int]:
    """The running server and its port: the given one, or a free one (another is tried if it is taken meanwhile).

    The database `tallyline` exists when it returns. Raises `NotStarted` with the end of the server's log.
    """
    for attempt in range(1, PORT_TRIES_MAX + 1):
        chosen = port or free_port()
        server = cluster.supervise(_program(cluster, _server_command(cluster, chosen)), inherit=inherit)
        try:
            wait_until(lambda chosen=chosen: _ensure_database(cluster, chosen), server, timeout_s=START_S_MAX)  # type: ignore[misc]
        except NotStarted as failure:
            server.end()
            if port is None and attempt < PORT_TRIES_MAX and "could not bind" in str(failure):
                continue
            raise
        except BaseException:
            server.end()
            raise
        return server, chosen
    raise AssertionError("the last attempt either returns or raises")


def wait_until(is_ready: Callable[[], bool], server: Supervised, *, timeout_s: float) -> None:
    """Return once `is_ready()`; raises `NotStarted` when the server ends before that or takes longer."""
    deadline = time.monotonic() + timeout_s
    while not is_ready():
        if not server.is_running():
            raise NotStarted(f"{server.program.argv[0]} ended:\n{server.log_end()}")
        if time.monotonic() > deadline:
            raise NotStarted(f"{server.program.argv[0]} was not ready after {timeout_s:g} s:\n{server.log_end()}")
        time.sleep(0.05)


def answers(url: str) -> bool:
    """Whether the PostgreSQL at `url` lets us log in."""
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def new_password() -> str:
    """A random password of letters and digits, so that it needs no quoting in an address."""
    return secrets.token_hex(16)


def _server_command(cluster: Cluster, port: int) -> tuple[str, ...]:
    kept = {} if cluster.is_durable else THROW_AWAY_OPTIONS
    options = {**OPTIONS, **kept, **cluster.options, "port": str(port)}
    settings = (word for name, value in options.items() for word in ("-c", f"{name}={value}"))
    return (cluster.binaries.program("postgres"), "-D", str(cluster.data), *settings)


def _program(cluster: Cluster, command: tuple[str, ...]) -> Program:
    if cluster.log_path.exists() and cluster.log_path.stat().st_size > LOG_BYTES_MAX:
        cluster.log_path.unlink()
    return Program(
        argv=command,
        environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": str(cluster.home), "TZ": "UTC"},
        folder=Path("/"),
        log_path=cluster.log_path,
        account=cluster.account,
        # Backends leave the group, and the main process ends them by itself: fast (SIGINT), or at once (SIGQUIT).
        signals_group=False,
        stop_signals=(signal.SIGINT, signal.SIGQUIT) if cluster.is_durable else (signal.SIGQUIT,),
        grace_s=20.0,
    )


def _says_ready(cluster: Cluster) -> bool:
    """Whether our own server says so in its pid file: on its port another one may answer."""
    pid_file = cluster.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines() if pid_file.exists() else []
    return len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"


def _ensure_database(cluster: Cluster, port: int) -> bool:
    if not _says_ready(cluster):
        return False
    try:
        with psycopg.connect(cluster.url(port, "postgres"), connect_timeout=3, autocommit=True) as conn:
            found = conn.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone()
            if not found:
                conn.execute(f'create database "{DATABASE}"')
    except psycopg.OperationalError as failure:
        if "password authentication failed" in str(failure):  # waiting longer does not help
            raise NotStarted(f"the password kept for {cluster.data} is not the one of its database") from failure
        return False
    return True


def _give(path: Path, account: Account | None) -> None:
    if account:
        os.chown(path, account.uid, account.gid)
