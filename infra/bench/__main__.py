"""`python -m infra.bench`: measures everything the README claims, and says whether it holds."""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from infra.bench import billing, entitlements, exceptions, growth, limit, machine, naive, prices, speed
from infra.bench.entitlements import WrongAnswer
from infra.bench.exceptions import NotAllGrouped
from infra.bench.figures import Figure
from infra.bench.growth import Sizes
from infra.bench.line import NotFinished
from infra.bench.publisher import NotConfirmed
from infra.bench.scratch import ServersMissing, named
from infra.stack.control import CONTROL_VARIABLE
from workers.embedded.supervised import NotStarted

EXIT_BELOW_FLOOR = 1
EXIT_NOT_MEASURED = 2
NAMES = ("limit", "batched", "single", "latency", "growth", "naive", "exceptions", "billing", "prices", "entitlements")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: events of each figure, seconds of paced runs, and how many of all else; repetitions."""

    events: int
    single_events: int
    naive_events: int
    paced_s: int
    growth: Sizes
    exceptions: int
    subscriptions: int
    aggregates: int
    entitled: int
    checks: int
    runs: int


FULL = Scale(
    1_000_000, 100_000, 3_000, 20, Sizes(500_000, 5_000_000, 700_000), 100_000, 100_000, 20_000, 1_000_000, 5_000, 3
)
#: Shows that everything works, and roughly how fast: starting and stopping weigh too much for a verdict.
QUICK = Scale(200_000, 20_000, 600, 8, Sizes(50_000, 200_000, 150_000), 20_000, 5_000, 5_000, 50_000, 1_000, 1)


class Bench:
    """The figures in their order; what is a rival of a later one is kept."""

    def __init__(self, scale: Scale, folder: Path) -> None:
        self._scale = scale
        self._folder = folder
        self._limits: list[Figure] = []
        self._lines: list[Figure] = []

    def measure(self, name: str) -> list[Figure]:
        """The figures of that name. Raises what its module does."""
        scale, folder = self._scale, self._folder
        acts: dict[str, Callable[[], list[Figure]]] = {
            "limit": lambda: limit.measure(scale.events, runs=scale.runs),
            "batched": lambda: speed.batched(folder, events=scale.events, runs=scale.runs, limits=self._limits),
            "single": lambda: speed.single(folder, events=scale.single_events, runs=scale.runs),
            "latency": lambda: speed.latency(folder, seconds=scale.paced_s),
            "growth": lambda: growth.measure(folder, scale.growth, runs=scale.runs),
            "naive": lambda: naive.measure(folder, events=scale.naive_events, runs=scale.runs, lines=self._lines),
            "exceptions": lambda: exceptions.measure(scale.exceptions, runs=scale.runs),
            "entitlements": lambda: entitlements.measure(scale.entitled, checks=scale.checks, runs=scale.runs),
            "billing": lambda: billing.measure(folder, subscriptions=scale.subscriptions, runs=scale.runs),
            "prices": lambda: prices.measure(scale.aggregates, runs=scale.runs),
        }
        figures = acts[name]()
        if name == "limit":
            self._limits = figures
        elif name in {"batched", "single"}:
            self._lines += figures
        return figures


def main() -> int:
    """0 if every floor holds, 1 if one does not, 2 if something could not be measured."""
    given = _parser().parse_args()
    if CONTROL_VARIABLE not in os.environ:
        _become_command_of_the_stack()
    scale = QUICK if given.quick else FULL
    if given.events:
        scale = replace(scale, events=given.events, single_events=max(1_000, given.events // 10))
    folder = Path(tempfile.mkdtemp(prefix="tallyline-bench-"))
    try:
        broken = _measure_all(Bench(scale, folder), given.only or NAMES)
    except (
        NotAllGrouped, NotConfirmed, NotFinished, NotStarted, ServersMissing, WrongAnswer, machine.SettingsUnfit,
    ) as failure:  # fmt: skip
        print(f"ERROR: {failure}", file=sys.stderr)
        return EXIT_NOT_MEASURED
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if given.quick:
        print("a quick run judges nothing: its floors are those of the full one")
        return 0
    print("every floor holds" if not broken else f"{broken} floors do NOT hold")
    return EXIT_BELOW_FLOOR if broken else 0


def _measure_all(bench: Bench, names: Sequence[str]) -> int:
    """Measure and print the figures; how many floors do not hold."""
    url = named("TALLYLINE_DATABASE_URL")
    machine.require_fit(url)
    print("\n".join(machine.description(url)), end="\n\n", flush=True)
    began_at = time.monotonic()
    broken = 0
    for name in names:
        for figure in bench.measure(name):
            print("\n".join(figure.lines()), flush=True)
            broken += sum(not floor.holds for floor in figure.floors)
    print(f"\nmeasured in {time.monotonic() - began_at:.0f} s")
    return broken


def _become_command_of_the_stack() -> None:
    """Start again inside a stack whose PostgreSQL runs as a deployment's would."""
    wanted = (f"{name}={value}" for name, value in machine.POSTGRES_OPTIONS.items())
    options = [word for option in wanted for word in ("--postgres-option", option)]
    own = [sys.executable, "-m", "infra.bench", *sys.argv[1:]]
    os.execv(sys.executable, [sys.executable, "-m", "infra.stack", *options, "--", *own])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under two minutes: does it work, and roughly how fast")
    parser.add_argument("--only", action="append", choices=NAMES, help="this figure and no other; repeatable")
    parser.add_argument("--events", type=int, help="events of a run in batches; a tenth of it one by one")
    return parser


if __name__ == "__main__":
    sys.exit(main())
