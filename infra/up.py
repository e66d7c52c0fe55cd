"""What `make up` runs within the stack: schema, topology, the Procfile's processes, and a short tour.

python -m infra.up [PROCESS TYPE]...
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
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
#: How long the last lines of the fleet may take to be printed once it has ended.
RELAYED_S_MAX = 5.0
#: What honcho says of signals, which may come before we have heard of the Ctrl-C.
SIGNALLED = re.compile(r"^\S+ system +\| (SIG[A-Z]+ received|sending SIG)")
#: What a line has that tells of something wrong.
WRONG = ('"level": "error"', '"level": "critical"', "Traceback")
POLL_S = 0.2


def main(types: Sequence[str]) -> int:
    """The exit code of honcho, which runs the process types of the Procfile (all, or those named).

    It is 128 + N when honcho ended by signal N.
    """
    environment = {**os.environ, "TALLYLINE_MODE": "fleet"}
    # The terminal's Ctrl-C reaches honcho as well: we wait until it has ended its processes. Caught, not ignored:
    # what is ignored would stay so in everything that we start.
    ending = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: ending.set())
    prepare(environment)
    # In a session of its own honcho would miss the Ctrl-C, so it stays in ours; only what it prints goes through us.
    fleet = subprocess.Popen(
        [sys.executable, "-m", "honcho", "start", *types], cwd=ROOT, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    shown = threading.Thread(target=relay, args=(fleet.stdout, ending), daemon=True)
    shown.start()
    try:
        if is_served(fleet, environment):
            (greet if environment.get(NAMED_VARIABLE) else give_tour)(environment)
        code = fleet.wait()
        shown.join(RELAYED_S_MAX)
    finally:
        ADDRESSES.unlink(missing_ok=True)
    return code if code >= 0 else 128 - code


def relay(lines: Iterable[str] | None, ending: threading.Event) -> None:
    """Print what the processes print. After Ctrl-C only what went wrong: how they end is no news to who ended them."""
    is_said = False
    for line in lines or ():
        if SIGNALLED.search(line):
            continue
        if ending.is_set() and not is_said:
            is_said = True
            print("[up] Ctrl-C: ending the processes, which give back what they have begun", flush=True)
        if not ending.is_set() or any(each in line for each in WRONG):
            print(line, end="", flush=True)


def prepare(environment: Mapping[str, str]) -> None:
    """Bring the database to the newest schema, and create on RabbitMQ what the topology asks for."""
    migrate(environment["TALLYLINE_DATABASE_URL"])
    api = _api(environment)
    api.import_definitions(definitions((), vhost=api.vhost))


def is_served(fleet: subprocess.Popen[str], environment: Mapping[str, str]) -> bool:
    """Wait until a worker serves the queue of the tour; False when the fleet ends, or has none within a minute."""
    deadline = time.monotonic() + SERVED_S_MAX
    while time.monotonic() < deadline and fleet.poll() is None:
        if any(queue["name"] == tour.PLANTED_QUEUE and queue.get("consumers") for queue in _api(environment).queues()):
            return True
        time.sleep(POLL_S)
    return False


def give_tour(environment: Mapping[str, str]) -> None:
    """Set the stage and say where to look. A tour that fails is said, and the fleet runs on without it."""
    print("[up] The processes run; now the demo's contracts are published and its usage is sent ...", flush=True)
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
