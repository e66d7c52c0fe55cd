#!/usr/bin/env python3
"""What `make` runs: one function a target. Standard library only, so that it works on a bare machine."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from infra import bootstrap
from infra.bootstrap import PYTHON, ROOT, STATE, VENV

EXIT_UNKNOWN_TARGET = 2
#: What the tools leave in the checkout.
CACHES = (".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".import_linter_cache")


def demo(*words: str) -> NoReturn:
    """Bill a month of real usage on this machine: no server, no root."""
    bootstrap.environment("run")
    # Without our tools on the search path: the demo tells which commands to try, as the user's shell finds them.
    _become("-m", "workers", "demo", *words, environment={**os.environ, "PYTHONPATH": str(ROOT)})


def test(*words: str) -> NoReturn:
    """Run all tests on private RabbitMQ, Redis and PostgreSQL; ARGS="-k words" for some of them."""
    bootstrap.environment("dev")
    os.environ.update(bootstrap.node() | bootstrap.rules())
    _become("-m", "infra.stack", "--hledger", "--", str(PYTHON), "-m", "pytest", *words)


def up(*words: str) -> NoReturn:
    """Run the fleet of the Procfile with private servers (or those named by TALLYLINE_*_URL)."""
    bootstrap.environment("run")
    _become("-m", "infra.stack", "--", str(PYTHON), "-m", "infra.up", *words)


def bench(*words: str) -> NoReturn:
    """Measure the speed on private servers that sync to disk; ARGS="--quick" for a first look."""
    bootstrap.environment("run")
    _become("-m", "infra.bench", *words)


def check() -> int:
    """Run linter, formatter, types, import contracts and the fast tests; needs no server."""
    bootstrap.environment("dev")
    results = [_tool(*command) for command in _CHECKS]
    return max(results)


_CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports",),
    ("pytest", "-q", "-m", "fast and not brought"),
)


def lock() -> None:
    """Resolve the newest versions and write the hash-pinned locks."""
    bootstrap.lock()


def doctor() -> NoReturn:
    """Tell which server programs the other targets would use."""
    bootstrap.environment("run")
    _become("-m", "infra.stack.doctor")


def clean() -> None:
    """Remove .venv, .dev and the tools' caches; the data of the embedded run (.tallyline) stays."""
    for folder in (VENV, STATE, *(ROOT / name for name in CACHES)):
        shutil.rmtree(folder, ignore_errors=True)


def help() -> None:  # noqa: A001  (the target's name)
    """List the targets."""
    for name, target in TARGETS.items():
        print(f"  make {name:<8} {(target.__doc__ or '').strip().splitlines()[0]}")


TARGETS = {target.__name__: target for target in (help, demo, test, up, bench, check, lock, doctor, clean)}


def _become(*words: str, environment: dict[str, str] | None = None) -> NoReturn:
    """Replace this process, so that signals and exit codes pass straight through."""
    os.chdir(ROOT)
    os.execve(PYTHON, [str(PYTHON), *words], environment or _environment())


def _tool(*command: str) -> int:
    print(f"[check] {' '.join(command)}", file=sys.stderr, flush=True)
    program = str(VENV / "bin" / command[0])
    return subprocess.run([program, *command[1:]], cwd=ROOT, env=_environment(), check=False).returncode


def _environment() -> dict[str, str]:
    path = f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def main() -> int:
    """The exit code of the target named by the first word."""
    name, words = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("help", [])
    target = TARGETS.get(name)
    if target is None:
        print(f"no target {name}; there are:", file=sys.stderr)
        help()
        return EXIT_UNKNOWN_TARGET
    if words and not inspect.signature(target).parameters:
        print(f"make {name} takes no ARGS", file=sys.stderr)
        return EXIT_UNKNOWN_TARGET
    bootstrap.prefer_newer_python()
    return target(*words) or 0


if __name__ == "__main__":
    sys.exit(main())
