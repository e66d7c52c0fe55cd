"""Where the server programs are: installed on the machine, or unpacked into a private tree."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: Where Homebrew keeps what it installs, on either kind of Mac.
_BREW = (Path("/opt/homebrew"), Path("/usr/local"))
MACHINE = Path("/")


@dataclass(frozen=True, slots=True)
class Installed:
    """A program, the variables it needs to run from where it lies, and folders its own programs are in."""

    path: str
    environment: Mapping[str, str] = field(default_factory=dict)
    search_path: tuple[str, ...] = ()


def redis(root: Path) -> Installed | None:
    """The Redis below `root`; Valkey, its free successor, is as good."""
    return _program(root, ("redis-server", "valkey-server"))


def hledger(root: Path) -> Installed | None:
    """The plain-text accounting program that checks our ledger files in tests, ready to run without any variable."""
    found = _program(root, ("hledger",))
    if found is None or root == MACHINE:
        return found
    return Installed(path=_wrapper(root, "hledger", [_exports(found.environment), f'exec "{found.path}" "$@"']))


def rabbitmq(root: Path) -> Installed | None:
    """The RabbitMQ below `root` with its Erlang.

    The script in `lib` is meant, not the one on the search path: Debian's wrapper there changes the user.
    """
    scripts: list[Path] = sorted(root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))
    if root == MACHINE:
        brewed = [brew / "opt/rabbitmq/sbin/rabbitmq-server" for brew in _BREW]
        scripts += [script for script in brewed if script.exists()]
        generic = shutil.which("rabbitmq-server")
        scripts += [Path(generic)] if generic and not scripts else []
    if not scripts:
        return None
    if root == MACHINE:
        search = tuple(str(brew / "bin") for brew in _BREW) + tuple(os.environ.get("PATH", os.defpath).split(":"))
        found = shutil.which("erl", path=":".join(search)) and shutil.which("epmd", path=":".join(search))
        return Installed(path=str(scripts[-1]), search_path=search) if found else None
    erlang = sorted(root.glob("usr/lib/erlang/erts-*/bin"))
    if not erlang:
        return None
    # Debian's own `erl` has its place written into it; this one runs from where it lies.
    erts = erlang[-1]
    place = {"ROOTDIR": str(erts.parent.parent), "BINDIR": str(erts), "EMU": "beam", "PROGNAME": "erl"}
    wrapper = _wrapper(root, "erl", [_exports(place), f'exec "{erts}/erlexec" "$@"'])
    return Installed(
        path=str(scripts[-1]),
        environment=_library_path(root),
        search_path=(str(Path(wrapper).parent), str(erts)),
    )


def _program(root: Path, names: tuple[str, ...]) -> Installed | None:
    if root == MACHINE:
        search = ":".join([os.environ.get("PATH", os.defpath), *(str(brew / "bin") for brew in _BREW)])
        found = next((path for name in names if (path := shutil.which(name, path=search))), None)
        return Installed(path=found, environment={"PATH": os.defpath}) if found else None
    for name in names:
        unpacked = root / "usr/bin" / name
        if unpacked.exists():
            return Installed(path=str(unpacked), environment={"PATH": os.defpath, **_library_path(root)})
    return None


def _library_path(root: Path) -> dict[str, str]:
    patterns = ("usr/lib/*-linux-gnu*/*.so*", "lib/*-linux-gnu*/*.so*")
    folders = {str(path.parent) for pattern in patterns for path in root.glob(pattern)}
    return {"LD_LIBRARY_PATH": ":".join(sorted(folders))}


def _exports(variables: Mapping[str, str]) -> str:
    return "export " + " ".join(f'{name}="{value}"' for name, value in variables.items())


def _wrapper(root: Path, name: str, lines: list[str]) -> str:
    """The path of a shell script of that name below `root`; written so that two runs may write it at once."""
    folder = root / "wrappers"
    folder.mkdir(exist_ok=True)
    fresh = folder / f"{name}.{os.getpid()}"
    fresh.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    fresh.chmod(0o755)
    return str(fresh.rename(folder / name))
