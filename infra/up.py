"""What `make up` runs within the stack: schema, topology, the Procfile's processes, and a short tour.

python -m infra.up [PROCESS TYPE]...
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pika

from queues.definitions import definitions
from queues.rabbit_api import RabbitApi
from queues.topology import dead_queue_name, queue_name
from workers.store.database import migrate

ROOT = Path(__file__).resolve().parent.parent
#: The addresses of the running fleet, for other terminals.
ADDRESSES = ROOT / ".dev" / "up.env"
#: What others need to reach the same servers.
VARIABLES = ("TALLYLINE_DATABASE_URL", "TALLYLINE_AMQP_URL", "TALLYLINE_RABBIT_API_URL", "TALLYLINE_REDIS_URL")
SERVED_S_MAX = 60.0
POLL_S = 0.2
PLANTED_QUEUE = queue_name("validate")
#: A usage event sent where only hints belong, as a producer with too wide rights and a wrong target would.
PLANTED_BODY = b'{"specversion":"1.0","id":"planted","source":"/a/tour","type":"a.usage.event","data":{}}'

TOUR = """
[up] The fleet runs. A short tour:

  1  RabbitMQ console  {console}
     user {user}, password {password}
  2  A dead letter was planted: a usage event that somebody sent to the work queue `{queue}`.
     Queues > {dead} > Get messages: the headers say what is wrong with it, and
     infra/runbooks/hint_unreadable.md what to do. Nothing stopped because of it.
  3  In another terminal:

       set -a; . {addresses}; set +a
       .venv/bin/tallyline doctor      checks every address, queue, migration and clock
       .venv/bin/tallyline status      what came in, what is billed, due and in exception
       .venv/bin/tallyline send FILE   sends usage

  Ctrl-C ends the processes, the servers and their data.
"""


def main(types: Sequence[str]) -> int:
    """The exit code of honcho, which runs the process types of the Procfile (all, or those named).

    It is 128 + N when honcho ended by signal N.
    """
    environment = {**os.environ, "TALLYLINE_MODE": "fleet"}
    # The terminal's Ctrl-C reaches honcho as well: we wait until it has ended its processes. Caught, not ignored:
    # what is ignored would stay so in everything that we start.
    signal.signal(signal.SIGINT, lambda *_: None)
    prepare(environment)
    write_addresses(environment)
    fleet = subprocess.Popen([sys.executable, "-m", "honcho", "start", *types], cwd=ROOT, env=environment)
    try:
        if is_served(fleet, environment):
            plant(environment["TALLYLINE_AMQP_URL"])
            print(tour(environment), flush=True)
        code = fleet.wait()
    finally:
        ADDRESSES.unlink(missing_ok=True)
    return code if code >= 0 else 128 - code


def prepare(environment: Mapping[str, str]) -> None:
    """Bring the database to the newest schema, and create on RabbitMQ what the topology asks for."""
    migrate(environment["TALLYLINE_DATABASE_URL"])
    _api(environment).import_definitions(definitions((), vhost=_vhost(environment)))


def is_served(fleet: subprocess.Popen[bytes], environment: Mapping[str, str]) -> bool:
    """Wait until a worker serves the queue of the tour; False when the fleet ends, or has none within a minute."""
    deadline = time.monotonic() + SERVED_S_MAX
    while time.monotonic() < deadline and fleet.poll() is None:
        if any(queue["name"] == PLANTED_QUEUE and queue.get("consumers") for queue in _api(environment).queues()):
            return True
        time.sleep(POLL_S)
    return False


def plant(amqp_url: str) -> None:
    """Send the dead letter of the tour; it is on its way when this returns."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", PLANTED_QUEUE, PLANTED_BODY, pika.BasicProperties(delivery_mode=2), mandatory=True)
    finally:
        connection.close()


def write_addresses(environment: Mapping[str, str]) -> None:
    """Leave the addresses for other terminals in a file that only this user can read."""
    ADDRESSES.parent.mkdir(exist_ok=True)
    ADDRESSES.touch(mode=0o600)
    lines = [f"{name}='{environment[name]}'\n" for name in ("TALLYLINE_MODE", *VARIABLES)]
    ADDRESSES.write_text("".join(lines))


def tour(environment: Mapping[str, str]) -> str:
    """The tour in words."""
    console = urlsplit(environment["TALLYLINE_RABBIT_API_URL"])
    return TOUR.format(
        console=f"{console.scheme}://{console.hostname}:{console.port}",
        user=console.username,
        password=console.password,
        queue=PLANTED_QUEUE,
        dead=dead_queue_name(PLANTED_QUEUE),
        addresses=ADDRESSES.relative_to(ROOT),
    )


def _api(environment: Mapping[str, str]) -> RabbitApi:
    return RabbitApi(environment["TALLYLINE_RABBIT_API_URL"], vhost=_vhost(environment))


def _vhost(environment: Mapping[str, str]) -> str:
    return unquote(urlsplit(environment["TALLYLINE_AMQP_URL"]).path[1:]) or "/"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
