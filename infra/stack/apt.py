"""Server programs for Debian and Ubuntu without root: downloaded by apt, unpacked below `.dev`, not installed.

apt checks the signatures of this machine's own sources. No service starts, no user is made, nothing changes outside
the checkout.
"""

import fcntl
import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.stack.household import CommandFailed, Household, say

_STATUS = Path("/var/lib/dpkg/status")
#: Taken from the tree even where they are installed, together with Erlang: a tree is whole or it is nothing.
_OURS = ("rabbitmq-server", "redis-server", "redis-tools", "hledger")


class AptMissing(Exception):
    """There is no apt on this machine."""


def is_available() -> bool:
    """Whether this is a machine with apt."""
    return _STATUS.exists() and bool(shutil.which("apt-get")) and bool(shutil.which("dpkg-deb"))


def tree(state: Path) -> Path:
    """The folder of the private tree of this system and processor below `state` (a checkout may serve several)."""
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    name = f"{release.get('ID', 'linux')}-{release.get('VERSION_ID', '0')}-{platform.machine()}"
    return state / "servers" / name


def fetched(packages: tuple[str, ...], *, state: Path, household: Household) -> Path:
    """The root of a tree that holds `packages` and what they need; fetched once, by one run at a time.

    Raises `CommandFailed` with apt's own words, or `AptMissing`.
    """
    if not is_available():
        raise AptMissing("no apt-get and dpkg-deb here")
    root = tree(state)
    stamp = root / "packages"
    with _locked(root.with_suffix(".lock")):
        if stamp.exists() and set(packages) <= set(stamp.read_text().split()):
            return root
        say(f"fetching {', '.join(packages)} from this machine's apt sources into .dev (nothing is installed)")
        fresh = root.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        _download_and_unpack(packages, into=fresh, household=household)
        (fresh / "packages").write_text("\n".join(packages))
        shutil.rmtree(root, ignore_errors=True)
        fresh.rename(root)
    return root


def _download_and_unpack(packages: tuple[str, ...], *, into: Path, household: Household) -> None:
    scratch = into / "apt"
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (scratch / folder).mkdir(parents=True)
    (scratch / "status").write_text(_without_ours(_STATUS.read_text()))
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}

    def run(*command: str) -> None:
        household.run(list(command), environment=environment, folder=scratch)

    apt = ("apt-get", "-q", *_options(scratch))
    run(*apt, "update")
    run(*apt, "-y", "--no-install-recommends", "--download-only", "install", *packages)
    archives = sorted((scratch / "cache/archives").glob("*.deb"))
    if not archives:
        raise CommandFailed(f"apt-get downloaded nothing for {', '.join(packages)}")
    for archive in archives:
        run("dpkg-deb", "-x", str(archive), str(into))
    shutil.rmtree(scratch)


def _options(scratch: Path) -> list[str]:
    settings = {
        "Dir::State": f"{scratch}/state",
        "Dir::Cache": f"{scratch}/cache",
        "Dir::State::status": f"{scratch}/status",
        "Debug::NoLocking": "1",
        # As root apt drops to an account that may not write below a closed home folder.
        "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
        "Acquire::Retries": "3",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _without_ours(status: str) -> str:
    """What apt may take as installed: all but our packages and what needs them, so that the tree brings its own."""
    stanzas = {_name(stanza): stanza for stanza in status.split("\n\n") if stanza.strip()}
    gone = {name for name in stanzas if name in _OURS or name.startswith("erlang-")}
    while more := {name for name, stanza in stanzas.items() if name not in gone and gone & _needs(stanza)}:
        gone |= more
    return "".join(f"{stanza.strip()}\n\n" for name, stanza in stanzas.items() if name not in gone)


def _name(stanza: str) -> str:
    return stanza.strip().partition("\n")[0].removeprefix("Package: ")


def _needs(stanza: str) -> set[str]:
    lines = [line for line in stanza.splitlines() if line.startswith(("Depends:", "Pre-Depends:"))]
    return set(re.findall(r"[a-z0-9][a-z0-9+.-]+", " ".join(lines)))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
