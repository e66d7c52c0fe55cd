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

from infra import tour
from infra.stack.providers import NAMED_VARIABLE
from queues.definitions import definitions
from queues.rabbit_api import RabbitApi
from workers.store.database import migrate

ROOT = Path(__file__).resolve().parent.parent
#: The addresses of the running fleet, for other terminals.
ADDRESSES = ROOT / ".dev" / "up.env"
#: What others need to reach the same servers.
VARIABLES = ("TALLYLINE_DATABASE_URL", "TALLYLINE_AMQP_URL", "TALLYLINE_RABBIT_API_URL", "TALLYLINE_REDIS_URL")
SERVED_S_MAX = 60.0
POLL_S = 0.2


def main(types: Sequence[str]) -> int:
    """The exit code of honcho, which runs the process types of the Procfile (all, or those named).

    It is 128 + N when honcho ended by signal N.
    """
    environment = {**os.environ, "TALLYLINE_MODE": "fleet"}
    # The terminal's Ctrl-C reaches honcho as well: we wait until it has ended its processes. Caught, not ignored:
    # what is ignored would stay so in everything that we start.
    signal.signal(signal.SIGINT, lambda *_: None)
    prepare(environment)
    fleet = subprocess.Popen([sys.executable, "-m", "honcho", "start", *types], cwd=ROOT, env=environment)
    try:
        if is_served(fleet, environment):
            (greet if environment.get(NAMED_VARIABLE) else give_tour)(environment)
        code = fleet.wait()
    finally:
        ADDRESSES.unlink(missing_ok=True)
    return code if code >= 0 else 128 - code


def prepare(environment: Mapping[str, str]) -> None:
    """Bring the database to the newest schema, and create on RabbitMQ what the topology asks for."""
    migrate(environment["TALLYLINE_DATABASE_URL"])
    api = _api(environment)
    api.import_definitions(definitions((), vhost=api.vhost))


def is_served(fleet: subprocess.Popen[bytes], environment: Mapping[str, str]) -> bool:
    """Wait until a worker serves the queue of the tour; False when the fleet ends, or has none within a minute."""
    deadline = time.monotonic() + SERVED_S_MAX
    while time.monotonic() < deadline and fleet.poll() is None:
        if any(queue["name"] == tour.PLANTED_QUEUE and queue.get("consumers") for queue in _api(environment).queues()):
            return True
        time.sleep(POLL_S)
    return False


def give_tour(environment: Mapping[str, str]) -> None:
    """Set the stage and say where to look. A tour that fails is said, and the fleet runs on without it."""
    try:
        made = tour.set_the_stage(environment)
    except subprocess.CalledProcessError as failure:
        print(f"[up] The fleet runs, without a tour: {failure}", flush=True)
        return
    tour.plant(environment["TALLYLINE_AMQP_URL"])
    write_addresses({**environment, **made})
    print(tour.words(environment, addresses=str(ADDRESSES.relative_to(ROOT))), flush=True)


def greet(environment: Mapping[str, str]) -> None:
    """Say that the fleet runs on servers of somebody else's: nothing is loaded, sent or planted there for show."""
    write_addresses(environment)
    print(tour.greeting(environment, addresses=str(ADDRESSES.relative_to(ROOT))), flush=True)


def write_addresses(environment: Mapping[str, str]) -> None:
    """Leave the addresses for other terminals in a file that only this user can read."""
    ADDRESSES.parent.mkdir(exist_ok=True)
    ADDRESSES.touch(mode=0o600)
    names = ("TALLYLINE_MODE", *VARIABLES, tour.UPSTREAM_VARIABLE, tour.TOKEN_VARIABLE, tour.APPROVER_VARIABLE)
    lines = [f"{name}='{environment[name]}'\n" for name in names if name in environment]
    ADDRESSES.write_text("".join(lines))


def _api(environment: Mapping[str, str]) -> RabbitApi:
    return RabbitApi(environment["TALLYLINE_RABBIT_API_URL"], vhost=tour.vhost_of(environment["TALLYLINE_AMQP_URL"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
