"""The short tour of `make up`: real master data, a few real events, one that is wrong, and a planted dead letter."""

import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import pika

from infra.stack.providers import NAMED_VARIABLE
from queues.definitions import definitions
from queues.rabbit_api import RabbitApi
from queues.topology import Upstream, dead_queue_name, queue_name
from workers.cli import flights
from workers.cli.console import AWAITS

ROOT = Path(__file__).resolve().parent.parent
MASTER = ROOT / "infra" / "demo" / "master.yaml"
#: The address by which the upstream system of the demo sends: a user that may write to `usage` and nothing else.
UPSTREAM_VARIABLE = "TALLYLINE_UPSTREAM_URL"
#: By whom commands in other terminals are given, and the token of who grants what they ask for.
TOKEN_VARIABLE = "TALLYLINE_TOKEN"  # noqa: S105 -- the name of a variable
APPROVER_VARIABLE = "TALLYLINE_APPROVER_TOKEN"
PEOPLE = {"finance": ("operator", "finance"), "approver": ("approver",)}
#: By the master data this user may claim the airports as its sources.
UPSTREAM_USER = "demo"
EVENTS = 50

PLANTED_QUEUE = queue_name("validate")
#: A usage event sent where only hints belong, as a producer with too wide rights and a wrong target would.
PLANTED_BODY = b'{"specversion":"1.0","id":"planted","source":"/a/tour","type":"a.usage.event","data":{}}'

WORDS = """
[up] The fleet runs. A short tour:

  1  RabbitMQ console  {console}
     user {user}, password {password}
  2  {events} scheduled departures were sent by the upstream user `{upstream}`, one without its flight number.
     `tallyline status` counts them, `tallyline exceptions` has the wrong one.
  3  A dead letter was planted: a usage event that somebody sent to the work queue `{queue}`.
     Queues > {dead} > Get messages: the headers say what is wrong with it, and
     infra/runbooks/hint_unreadable.md what to do. Nothing stopped because of it.
  4  In another terminal:

       set -a; . {addresses}; set +a; PATH=.venv/bin:$PATH
       tallyline doctor       checks every address, queue, migration and clock
       tallyline status       what came in, what is billed, due and in exception
       TALLYLINE_AMQP_URL=${variable} tallyline send infra/demo/flights-2013-01.csv.gz

     There you act as `finance`. Who grants what that one asks for is somebody else:
       TALLYLINE_TOKEN=${approver} tallyline approve

  Ctrl-C ends the processes, the servers and their data.
"""

#: What is said where servers are named in the environment: they may hold real usage, so there is no tour.
GREETING = """
[up] The fleet runs on the servers that the environment names ({named}). Nothing was loaded, sent or planted there.

     RabbitMQ console  {console}
     In another terminal:  set -a; . {addresses}; set +a; PATH=.venv/bin:$PATH
                           tallyline doctor; tallyline master load FILE; tallyline status

  Ctrl-C ends the processes; servers that are named in the environment stay as they are.
"""


def set_the_stage(environment: Mapping[str, str]) -> dict[str, str]:
    """Register people, publish the demo's master data, and send events as its upstream.

    Returns what other terminals need: the address by which the upstream sends, and the tokens of the people.
    Raises `subprocess.CalledProcessError` when a command fails; it has said why.
    """
    tokens = _register(environment)
    finance, approver = ({**environment, TOKEN_VARIABLE: tokens[person]} for person in PEOPLE)
    asked = json.loads(_tallyline(finance, "master", "load", str(MASTER), "--json", code=AWAITS))
    _tallyline(approver, "approve", str(asked["request"]), "--note", "the tour's")
    upstream_url = _upstream_url(environment["TALLYLINE_AMQP_URL"], environment["TALLYLINE_RABBIT_API_URL"])
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.write("\n".join(json.dumps(event) for event in events()))
        file.flush()
        _tallyline({**environment, "TALLYLINE_AMQP_URL": upstream_url}, "send", file.name)
    return {
        UPSTREAM_VARIABLE: upstream_url,
        TOKEN_VARIABLE: tokens["finance"],
        APPROVER_VARIABLE: tokens["approver"],
    }


def _register(environment: Mapping[str, str]) -> dict[str, str]:
    """Register the people of the tour, as the first admin of a deployment would; their tokens."""
    first = json.loads(_tallyline(environment, "people", "bootstrap", "admin", "--json"))
    admin, tokens = {**environment, TOKEN_VARIABLE: first["token"]}, {}
    for person, roles in PEOPLE.items():
        options = [word for role in roles for word in ("--role", role)]
        _tallyline(admin, "people", "add", person, *options)
        made = json.loads(_tallyline(admin, "people", "token", person, "--scope", "*", "--json"))
        tokens[person] = made["token"]
    return tokens


def vhost_of(amqp_url: str) -> str:
    """The vhost that an AMQP address names."""
    return unquote(urlsplit(amqp_url).path[1:]) or "/"


def _upstream_url(amqp_url: str, api_url: str) -> str:
    """Make the upstream's user, with its rights and its queue of refusals; the address by which it sends."""
    parts, upstream, password = urlsplit(amqp_url), Upstream(UPSTREAM_USER), secrets.token_urlsafe()
    api = RabbitApi(api_url, vhost=vhost_of(amqp_url))
    api.put_upstream(upstream, password=password)
    api.import_definitions(definitions((), (upstream,), vhost=api.vhost))
    return urlunsplit(parts._replace(netloc=f"{upstream.user}:{password}@{parts.hostname}:{parts.port}"))


def events() -> list[dict[str, object]]:
    """The first scheduled departures of the demo's month; the last of them lacks its flight number."""
    chosen = list(islice(flights.events(flights.FLIGHTS), EVENTS))
    data = dict(chosen[-1]["data"])  # type: ignore[call-overload]
    del data["flight"]
    return [*chosen[:-1], {**chosen[-1], "data": data}]


def plant(amqp_url: str) -> None:
    """Send the dead letter of the tour; it is on its way when this returns."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", PLANTED_QUEUE, PLANTED_BODY, pika.BasicProperties(delivery_mode=2), mandatory=True)
    finally:
        connection.close()


def words(environment: Mapping[str, str], *, addresses: str) -> str:
    """The tour in words; `addresses` is the file that other terminals read."""
    console = urlsplit(environment["TALLYLINE_RABBIT_API_URL"])
    return WORDS.format(
        console=f"{console.scheme}://{console.hostname}:{console.port}",
        user=console.username,
        password=console.password,
        events=EVENTS,
        upstream=UPSTREAM_USER,
        queue=PLANTED_QUEUE,
        dead=dead_queue_name(PLANTED_QUEUE),
        addresses=addresses,
        variable=UPSTREAM_VARIABLE,
        approver=APPROVER_VARIABLE,
    )


def greeting(environment: Mapping[str, str], *, addresses: str) -> str:
    """What is said instead of a tour; no password is printed, since whoever named the servers knows them."""
    console = urlsplit(environment["TALLYLINE_RABBIT_API_URL"])
    return GREETING.format(
        named=environment[NAMED_VARIABLE],
        console=f"{console.scheme}://{console.hostname}:{console.port}",
        addresses=addresses,
    )


def _tallyline(environment: Mapping[str, str], *command: str, code: int = 0) -> str:
    """What a command prints. Raises `subprocess.CalledProcessError` if it ends with another code than is expected."""
    program = [sys.executable, "-m", "workers", *command]
    ran = subprocess.run(program, cwd=ROOT, env=dict(environment), stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode != code:
        raise subprocess.CalledProcessError(ran.returncode, program, ran.stdout)
    return ran.stdout
