"""The line as the Procfile starts it: intake, the workers of three steps, and the scheduler that looks after them."""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

import pika

from infra.bench.scratch import Place
from queues.topology import Step, queues_of
from workers.embedded.supervised import NotStarted, Program, Supervised

ROOT = Path(__file__).resolve().parents[2]
READY_S_MAX = 60.0
STOP_S_MAX = 20.0
#: The process types of the Procfile that usage passes; each consumes a queue.
LINE = ("intake", "validate", "enrich", "aggregate")
#: What this machine is given; the Procfile's own counts are for one core less.
COUNTS: Mapping[str, str] = {"VALIDATE_PROCESSES": "2", "ENRICH_THREADS": "1", "AGGREGATE_THREADS": "1"}


def commands() -> dict[str, str]:
    """The command of each process type in the Procfile."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    pairs = (line.split(":", 1) for line in lines if line and not line.startswith("#"))
    return {name: command.strip() for name, command in pairs}


@contextmanager
def fleet(
    place: Place, *, folder: Path, steps: Sequence[str] = LINE, counts: Mapping[str, str] = COUNTS
) -> Iterator[dict[str, int]]:
    """The running steps, ready to work; yields the pid of each process type. Raises `NotStarted`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**counts, **os.environ, **place.environment, "PATH": path, "PYTHONPATH": str(ROOT)}
    wanted = commands()
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(Supervised(_program(name, wanted[name], environment=environment, folder=folder)))
            for name in (*steps, "scheduler")
        }
        _wait_for_consumers(place, running, steps, environment)
        yield {name: each.pid for name, each in running.items()}
        for name, each in running.items():
            if not each.is_running():
                raise NotStarted(f"{name} ended by itself:\n{each.log_end()}")
        for each in running.values():
            each.ask_to_end()  # side by side


def _program(name: str, command: str, *, environment: Mapping[str, str], folder: Path) -> Program:
    return Program(
        argv=("/bin/sh", "-c", command),
        environment=environment,
        folder=ROOT,
        log_path=folder / f"{name}.log",
        signals_group=False,  # a Dramatiq master stops its own children
        grace_s=STOP_S_MAX,
    )


def _wait_for_consumers(
    place: Place, running: Mapping[str, Supervised], steps: Sequence[str], counts: Mapping[str, str]
) -> None:
    deadline = time.monotonic() + READY_S_MAX
    connection = pika.BlockingConnection(pika.URLParameters(place.amqp_url))
    channel = connection.channel()
    missing = {name: "intake" if name == "intake" else queues_of(cast("Step", name))[0] for name in steps}
    while missing:
        for name, queue in list(missing.items()):
            consumers = channel.queue_declare(queue, passive=True).method.consumer_count
            if consumers >= int(counts.get(f"{name.upper()}_PROCESSES", "1")):
                del missing[name]
            elif not running[name].is_running() or time.monotonic() > deadline:
                raise NotStarted(f"{name} does not consume:\n{running[name].log_end()}")
        time.sleep(0.05)
    connection.close()
