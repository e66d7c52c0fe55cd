"""The stack from the command line.

python -m infra.stack [--only NAME]... [--hledger] [--postgres-option NAME=VALUE]... -- COMMAND ...
python -m infra.stack control kill|start|status NAME     (within a stack)
"""

import argparse
import os
import sys

from infra.stack.control import Control, ControlFailed
from infra.stack.household import Household, say
from infra.stack.providers import SERVER_NAMES, Request, ServersMissing, provided
from infra.stack.session import Interrupted, Session
from workers.embedded.binaries import PostgresNotFound, server_account
from workers.embedded.postgres import temporary_folder
from workers.embedded.supervised import Account, NotStarted

#: Nothing was run, because some server is nowhere to be had.
EXIT_SERVERS_MISSING = 2


def main() -> int:
    """The command's exit code; 128 + N after signal N; 2 when a server is missing or does not start."""
    words = sys.argv[1:]
    if words[:1] == ["control"]:
        return _control(words[1:])
    own, command = _split(words)
    given = _parser().parse_args(own)
    request = Request(
        servers=tuple(given.only or SERVER_NAMES),
        needs_hledger=given.hledger,
        postgres_options=dict(option.split("=", 1) for option in given.postgres_option),
    )
    with temporary_folder(_account()) as folder:
        return _run(request, command, household=Household(folder))


def _run(request: Request, command: list[str], *, household: Household) -> int:
    session = Session(household)
    try:
        session.listen()
        provision = provided(request, environment=os.environ, household=household)
        os.environ.update(provision.environment)
        session.start(provision.servers)
        code = session.run(command, provision.servers)
    except Interrupted as interrupt:
        code = 128 + interrupt.number
    except (ServersMissing, NotStarted) as failure:
        say(f"ERROR: {failure}")
        code = EXIT_SERVERS_MISSING
    finally:
        session.end()
    return code


def _account() -> Account | None:
    try:
        return server_account()
    except PostgresNotFound:  # a container may still serve
        return None


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in words or words[-1] == "--":
        _parser().error("name a command after --")
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.stack", description=__doc__)
    parser.add_argument("--only", action="append", choices=SERVER_NAMES, help="this server and no other; repeatable")
    parser.add_argument("--hledger", action="store_true", help="make sure of hledger too")
    parser.add_argument("--postgres-option", action="append", default=[], metavar="NAME=VALUE")
    return parser


def _control(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.stack control")
    parser.add_argument("verb", choices=("kill", "start", "status"))
    parser.add_argument("name", choices=SERVER_NAMES)
    given = parser.parse_args(words)
    try:
        control = Control.from_environment()
        if given.verb == "status":
            print("running" if control.is_running(given.name) else "stopped")
        else:
            (control.kill if given.verb == "kill" else control.start)(given.name)
    except ControlFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
