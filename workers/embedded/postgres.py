"""Start a PostgreSQL of our own for the length of a `with` block, and leave nothing running afterwards."""

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from workers.embedded import binaries, cluster
from workers.embedded.binaries import is_reachable
from workers.embedded.cluster import Cluster
from workers.embedded.former import end_former_server, is_alive
from workers.embedded.supervised import Account, Program, Supervised

#: A former owner that died has its server stopped by the supervisor within this.
FORMER_RUN_S_MAX = 40.0
#: A killed process is still seen for a moment; an owner seen for longer than this lives.
DYING_S_MAX = 0.3
#: Where root keeps a durable database whose home folder the server's account may not enter.
ROOT_STATE = Path("/var/lib/tallyline")


class HomeInUse(Exception):
    """Another run uses this home folder's database right now."""


class DataOfAnotherVersion(Exception):
    """The data folder was written by another major version of PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running PostgreSQL: the address of the database `tallyline`, its port, data folder and log."""

    url: str
    port: int
    data: Path
    log_path: Path


@contextlib.contextmanager
def running_postgres(
    home: Path, *, durable: bool, options: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A PostgreSQL that runs while the block does, and stops when this process ends in any way.

    Durable: the data stays under `home/pg` and survives power failure (fsync is on). Else: the data lies in a new
    folder of the system's temporary folder, is not synced, and is removed.
    `options` are server settings that win over ours. `environment` may name the programs (TALLYLINE_PG_BINDIR).
    Raises `HomeInUse`, `DataOfAnotherVersion`, `PostgresNotFound`, or `NotStarted` with the server's own words.
    """
    found = binaries.located(os.environ if environment is None else environment)
    account = binaries.server_account()
    with _durable_place(home, account) if durable else _throw_away_place(account) as place:
        made = Cluster(
            binaries=binaries.reachable_copy(found, account=account, folder=place.folder),
            folder=place.folder,
            account=account,
            password=place.password,
            options=options or {},
            is_durable=durable,
        )
        if made.data.exists():
            _check_version(made)
            end_former_server(made.data)
        else:
            cluster.created(made)
        server, port = cluster.started(made, inherit=place.inherit)
        with server:
            yield Server(url=made.url(port), port=port, data=made.data, log_path=made.log_path)


@dataclass(frozen=True, slots=True)
class _Place:
    folder: Path
    password: str
    inherit: tuple[int, ...] = ()


@contextlib.contextmanager
def _throw_away_place(account: Account | None) -> Iterator[_Place]:
    with temporary_folder(account) as folder:
        yield _Place(folder=folder, password=cluster.new_password())


@contextlib.contextmanager
def temporary_folder(account: Account | None) -> Iterator[Path]:
    """A new folder that `account` may enter, removed when the block or this process ends, in whatever way."""
    base = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix="tly-", dir=base if is_reachable(Path(base), account) else "/tmp"))  # noqa: S108
    with Supervised(Program(argv=(), environment={}, folder=Path("/"), remove=(folder,))):
        folder.chmod(0o711 if account else 0o700)
        yield folder


@contextlib.contextmanager
def _durable_place(home: Path, account: Account | None) -> Iterator[_Place]:
    folder = home.absolute() / "pg"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711 if account else 0o700)
    with _locked(folder / "lock", home) as lock:
        yield _Place(
            folder=folder if is_reachable(folder, account) else _root_state(folder),
            password=_kept_password(folder / "password"),
            inherit=(lock,),
        )


def _root_state(folder: Path) -> Path:
    """A folder that stands in for `folder`, which lies where the server's account may not enter (such as /root)."""
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    elsewhere = ROOT_STATE / digest
    elsewhere.mkdir(parents=True, exist_ok=True)
    for made in (ROOT_STATE, elsewhere):
        made.chmod(0o711)
    pointer = folder / "elsewhere"
    if not pointer.is_symlink():
        pointer.symlink_to(elsewhere)
    return elsewhere


def _kept_password(path: Path) -> str:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(cluster.new_password())
    return path.read_text()


@contextlib.contextmanager
def _locked(path: Path, home: Path) -> Iterator[int]:
    """Hold the lock of a home folder; the server's supervisor holds it too, until the server is gone.

    A dead owner's server may need a moment to stop, and is waited for; a living owner is an error at once.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        began_at = time.monotonic()
        while not _has_taken(lock):
            owner = os.pread(lock, 20, 0).decode()
            patience_s = DYING_S_MAX if owner and is_alive(int(owner)) else FORMER_RUN_S_MAX
            if time.monotonic() - began_at > patience_s:
                raise HomeInUse(f"{home} is in use by process {owner}; wait for it, or set another TALLYLINE_HOME")
            time.sleep(0.1)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield lock
    finally:
        os.close(lock)


def _has_taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check_version(made: Cluster) -> None:
    major = (made.data / "PG_VERSION").read_text().strip()
    if major != str(made.binaries.major):
        raise DataOfAnotherVersion(
            f"{made.data} was written by PostgreSQL {major}, this is {made.binaries.major}: "
            f"set {binaries.BINDIR_VARIABLE} to the old one, or move the folder away"
        )
