"""How fast the line is: in batches, one event a message, and how long one event takes when it is not the limit."""

from pathlib import Path
from statistics import median

from infra.bench import line, scratch
from infra.bench.figures import Figure, Floor, quantile
from infra.bench.line import Run
from infra.bench.workload import Workload

BATCH_EVENTS = 500
BATCHED_PER_S_MIN = 30_000
SHARE_OF_LIMIT_MIN = 0.25
SINGLE_PER_S_MIN = 6_000
OFFERED_PER_S = 5_000
P99_S_MAX = 2.0
#: Left out of latencies: the first events meet processes that have prepared nothing yet.
WARM_UP_S = 3.0


def batched(folder: Path, *, events: int, runs: int, limits: list[Figure]) -> list[Figure]:
    """Events in batches, from the first body sent to the last event in its window, beside the bare limits."""
    found = []
    for metrics in (1, 3):
        each = [_run(folder, Workload(events, BATCH_EVENTS, metrics)) for _ in range(runs)]
        rates = [run.events_per_s for run in each]
        name = f"line: batches of {BATCH_EVENTS}, {metrics} metric{'s' if metrics > 1 else ''}, published to aggregated"
        floors = [Floor("events/s", median(rates), BATCHED_PER_S_MIN)] if metrics == 1 else []
        notes = [f"{median(rates) / limit.median:.2f} of {limit.name}" for limit in limits]
        if metrics == 1 and limits:
            floors.append(Floor(f"share of {limits[0].name}", median(rates) / limits[0].median, SHARE_OF_LIMIT_MIN))
        found.append(Figure(name, "events/s", rates, floors, [*notes, each[-1].processor_line()]))
    return found


def single(folder: Path, *, events: int, runs: int) -> list[Figure]:
    """One event a message through one intake process: to the stored receipt, and to its window."""
    each = [_run(folder, Workload(events, 1)) for _ in range(runs)]
    stored = [run.stored_per_s for run in each]
    floor = Floor("events/s", median(stored), SINGLE_PER_S_MIN)
    return [
        Figure("one event a message: published to receipts committed", "events/s", stored, [floor]),
        Figure(
            "one event a message: published to aggregated",
            "events/s",
            [run.events_per_s for run in each],
            notes=[each[-1].processor_line()],
        ),
    ]


def latency(folder: Path, *, seconds: int) -> list[Figure]:
    """Seconds from sending a body to the commit that makes its events visible, at a steady pace, event by event."""
    found = []
    for per_body in (BATCH_EVENTS, 1):
        workload = Workload(OFFERED_PER_S * seconds, per_body)
        run = _run(folder, workload, bodies_per_s=OFFERED_PER_S / per_body)
        times = sorted(run.latencies_s[int(WARM_UP_S * OFFERED_PER_S) :])
        p99 = quantile(times, 0.99)
        what = f"batches of {per_body}" if per_body > 1 else "one event a message"
        floor = Floor("seconds", p99, P99_S_MAX, is_ceiling=True)
        notes = [f"median {quantile(times, 0.5):.2f} s, longest {times[-1]:.2f} s, {len(times):,} events"]
        name = f"{OFFERED_PER_S:,} events/s offered, {what}: published to visible, p99"
        found.append(Figure(name, "s", [p99], [floor], notes))
    return found


def _run(folder: Path, workload: Workload, *, bodies_per_s: float | None = None) -> Run:
    with scratch.place(metrics=workload.metrics) as place:
        return line.run(workload, place, folder=folder, bodies_per_s=bodies_per_s)
