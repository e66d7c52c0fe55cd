"""A worker whose step fails again and again, with Sentry at the address given: prints how long that took, and ends."""

import sys
import time

from rabbit import actor, wait_until, working

from queues.broker import build_broker
from queues.settings import Settings
from queues.telemetry import configure_logging

#: More than Sentry's queue holds.
FAILURES = 150

configure_logging()
broker = build_broker(Settings(mode="embedded", sentry_dsn=sys.argv[1]))
ended = []


def fail(ids: list[int]) -> None:
    try:
        raise ValueError(
            f"no account of 'Max Mustermann', DE89 3704 0044 0532 0130 00, max@example.com in row {ids[0]}"
        )
    finally:
        ended.append(ids)


actor(broker, fail, name="rate")
started = time.monotonic()
with working(broker):
    for number in range(1, FAILURES + 1):
        broker.get_actor("rate").send([number])
    wait_until(lambda: len(ended) >= FAILURES)
sys.stdout.write(f"{time.monotonic() - started}\n")
