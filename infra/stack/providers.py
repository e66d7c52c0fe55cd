"""Where the servers of a stack come from, tried in order, and what to tell when nothing is left to try."""

import os
import platform
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.stack import apt, compose, programs, rabbitmq, redis
from infra.stack.household import CommandFailed, Household, say
from infra.stack.postgres import Postgres
from infra.stack.programs import MACHINE, Installed
from infra.stack.servers import NamedServer, Server
from workers.embedded import binaries, cluster

#: auto | private (only the apt tree) | docker (only containers) | none (fetch nothing)
FETCH_VARIABLE = "TALLYLINE_STACK_FETCH"
#: Which servers are somebody else's: nothing that is only for show is put on them.
NAMED_VARIABLE = "TALLYLINE_STACK_NAMED"
SERVER_NAMES = ("postgres", "rabbitmq", "redis")
#: Below the checkout, never committed.
STATE = Path(__file__).resolve().parents[2] / ".dev"

FINDERS: Mapping[str, Callable[[Path], Installed | None]] = {
    "rabbitmq": programs.rabbitmq,
    "redis": programs.redis,
    "hledger": programs.hledger,
}
_APT_NAMES = {"rabbitmq": "rabbitmq-server", "redis": "redis-server", "hledger": "hledger"}
#: Variables that name a server somebody else runs.
_NAMED: Mapping[str, tuple[str, ...]] = {
    "postgres": ("TALLYLINE_DATABASE_URL",),
    "rabbitmq": ("TALLYLINE_AMQP_URL", "TALLYLINE_RABBIT_API_URL"),
    "redis": ("TALLYLINE_REDIS_URL",),
}
ADDRESS_VARIABLES = tuple(variable for variables in _NAMED.values() for variable in variables)

CHOICES = """\
Any one of these is enough:
  - Debian, Ubuntu:  nothing to install: they are fetched without root (needs apt-get and the network)
  - macOS:           brew install rabbitmq redis hledger
  - Docker:          start the engine (`docker info` must answer) and try again
  - your own:        export TALLYLINE_AMQP_URL=... TALLYLINE_RABBIT_API_URL=... TALLYLINE_REDIS_URL=...
                     and TALLYLINE_DATABASE_URL=... (each server alone, if you like)
  - installed:       any rabbitmq-server, redis-server and hledger that the search path leads to"""


class ServersMissing(Exception):
    """The stack can get some server nowhere; the text says which, why, and lists the choices."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a run needs: servers by name, hledger or not, and settings of PostgreSQL that win over ours."""

    servers: tuple[str, ...] = SERVER_NAMES
    needs_hledger: bool = False
    postgres_options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Provision:
    """The servers, not started yet, and variables that name other programs."""

    servers: tuple[Server, ...]
    environment: Mapping[str, str]


def provided(request: Request, *, environment: Mapping[str, str], household: Household) -> Provision:
    """The servers of `request`: those named in the environment, else ones of our own.

    Raises `ServersMissing`.
    """
    mode = environment.get(FETCH_VARIABLE, "auto")
    named = {name: server for name in request.servers if (server := _named(name, environment))}
    ours = set(request.servers) - named.keys()
    wanted = (ours - {"postgres"}) | ({"hledger"} if request.needs_hledger else set())
    found, problems = _found(wanted, mode, household)
    lacking = (wanted - found.keys()) | (ours & {"postgres"} if _lacks_postgres(mode, problems) else set())
    contained = lacking & set(SERVER_NAMES) if lacking and _has_engine(mode) else set()
    if lacking - contained:
        raise ServersMissing(_words(sorted(lacking - contained), problems))
    project = compose.Project(household, request.postgres_options) if contained else None
    made: dict[str, Server] = {**named}
    for name in ours:
        if project and name in contained:
            made[name] = compose.composed(name, project)
        else:
            made[name] = _own(name, found, household, request)
    tools = {"TALLYLINE_HLEDGER": found["hledger"].path} if "hledger" in found else {}
    if named:
        tools = {**tools, NAMED_VARIABLE: " ".join(sorted(named))}
    return Provision(servers=tuple(made[name] for name in request.servers), environment=tools)


def _named(name: str, environment: Mapping[str, str]) -> Server | None:
    variables = _NAMED[name]
    given = {variable: environment[variable] for variable in variables if environment.get(variable)}
    if not given:
        return None
    if len(given) != len(variables):
        raise ServersMissing(f"{name} is named by {' and '.join(variables)} together; only {' '.join(given)} is set")
    return NamedServer(name=name, variables=given, probe=lambda: _answers(name, given))


def _answers(name: str, given: Mapping[str, str]) -> bool:
    if name == "postgres":
        return cluster.answers(given["TALLYLINE_DATABASE_URL"])
    return rabbitmq.all_answer(given) if name == "rabbitmq" else redis.answers(given["TALLYLINE_REDIS_URL"])


def _found(wanted: set[str], mode: str, household: Household) -> tuple[dict[str, Installed], list[str]]:
    """The programs, by the first source that has each, and why a source had nothing."""
    sources: Mapping[str, tuple[Callable[[set[str], Household], dict[str, Installed]], ...]] = {
        "auto": (_installed, _from_apt, _from_homebrew),
        "private": (_from_apt,),
        "docker": (_installed,),
        "none": (_installed,),
    }
    if mode not in sources:
        raise ServersMissing(f"{FETCH_VARIABLE}={mode}: choose one of {', '.join(sources)}")
    if mode == "docker":
        wanted = wanted & {"hledger"}
    found: dict[str, Installed] = {}
    problems: list[str] = []
    for source in sources[mode]:
        if missing := wanted - found.keys():
            try:
                found |= source(missing, household)
            except (CommandFailed, apt.AptMissing) as failure:
                problems.append(str(failure))
    return found, problems


def _below(root: Path, names: Iterable[str]) -> dict[str, Installed]:
    return {name: program for name in names if (program := FINDERS[name](root))}


def _installed(names: set[str], _household: Household) -> dict[str, Installed]:
    return _below(MACHINE, names)


def _from_apt(names: set[str], household: Household) -> dict[str, Installed]:
    root = apt.fetched(tuple(sorted(_APT_NAMES[name] for name in names)), state=STATE, household=household)
    return _below(root, names)


def _from_homebrew(names: set[str], household: Household) -> dict[str, Installed]:
    brew = shutil.which("brew")
    if not brew:
        return {}
    say(f"brew install {' '.join(sorted(names))} (no service is started)")
    household.run([brew, "install", "-q", *sorted(names)], environment=os.environ, folder=Path("/"))
    return _below(MACHINE, names)


def _lacks_postgres(mode: str, problems: list[str]) -> bool:
    if mode == "docker":
        return True
    try:
        binaries.located(os.environ)
        binaries.server_account()
    except binaries.PostgresNotFound as failure:
        problems.append(str(failure))
        return True
    return False


def _has_engine(mode: str) -> bool:
    return mode in ("auto", "docker") and compose.engine_answers()


def _own(name: str, found: Mapping[str, Installed], household: Household, request: Request) -> Server:
    if name == "postgres":
        return Postgres(household, request.postgres_options)
    return rabbitmq.RabbitMQ(household, found[name]) if name == "rabbitmq" else redis.Redis(household, found[name])


def _words(names: list[str], problems: list[str]) -> str:
    reasons = "".join(f"\n  {problem.strip()}" for problem in problems)
    return f"{' and '.join(names)} not found on this {platform.system()} machine.{reasons}\n{CHOICES}"
