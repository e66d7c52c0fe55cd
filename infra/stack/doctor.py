"""Tells which server programs the stack would use here, and where it would get the missing ones."""

import os
import shutil

from infra.stack import apt, compose, programs, providers
from workers.embedded import binaries


def findings() -> dict[str, str]:
    """What is there, in words, by name."""
    return {
        "postgres": _postgres(),
        **{name: _program(name) for name in providers.FINDERS},
        "apt": "can fetch without root" if apt.is_available() else "not here",
        "homebrew": shutil.which("brew") or "not here",
        "docker": "an engine answers" if compose.engine_answers() else "no engine answers",
        "named": ", ".join(name for name in providers.ADDRESS_VARIABLES if os.environ.get(name)) or "none",
    }


def _postgres() -> str:
    try:
        found = binaries.located(os.environ)
    except binaries.PostgresNotFound as missing:
        return str(missing)
    return f"PostgreSQL {found.major} in {found.root}"


def _program(name: str) -> str:
    finder = providers.FINDERS[name]
    roots = (programs.MACHINE, *([apt.tree(providers.STATE)] if apt.is_available() else []))
    return next((found.path for root in roots if (found := finder(root))), "not here")


if __name__ == "__main__":
    for what, words in findings().items():
        print(f"  {what:<10} {words}")
