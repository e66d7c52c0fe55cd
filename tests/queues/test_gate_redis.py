"""The gate of a fleet: across processes that die, and when Redis is away."""

import multiprocessing
import os
import signal
import socket
import time
from uuid import uuid4

import pytest
from rabbit import wait_until

from queues.gate import (
    CLOSED_S,
    GateClosed,
    Lease,
    LocalGate,
    Pace,
    RedisGate,
    Throttled,
    build_gate,
)
from queues.settings import Settings

FAST = Pace(per_second=1_000, concurrency=2, lease_s=5)


@pytest.fixture
def key():
    return f"erp-{uuid4().hex}"


def test_an_answer_that_was_lost_and_asked_for_again_gives_one_right(redis_url, key):
    gate, pace, lease = RedisGate(redis_url), Pace(per_second=1, concurrency=1, lease_s=30), Lease(key, "token")

    assert [gate._ask(lease, pace).why for _ in range(2)] == ["open", "open"]

    gate.close()


def _call_again_and_again(url, key, are_all_ready, log):
    gate = RedisGate(url)
    pace = Pace(per_second=20, concurrency=3, lease_s=5)
    moments = []
    are_all_ready.wait(60)
    ends = time.time() + 3
    while time.time() < ends:
        try:
            lease = gate.acquire(key, pace, max_wait_s=1)
        except Throttled:
            continue
        moments.append((time.time(), 1))
        time.sleep(0.1)
        moments.append((time.time(), -1))
        gate.release(lease)
    gate.close()
    log.put(moments)


def test_many_processes_together_keep_the_pace(redis_url, key):
    spawn = multiprocessing.get_context("spawn")
    log, are_all_ready = spawn.Queue(), spawn.Barrier(4)
    what = (redis_url, key, are_all_ready, log)
    processes = [spawn.Process(target=_call_again_and_again, args=what) for _ in range(4)]
    for process in processes:
        process.start()
    moments = sorted(moment for _ in processes for moment in log.get(timeout=90))
    for process in processes:
        process.join()

    starts = [at for at, change in moments if change > 0]
    under_way = busiest = 0
    for _, change in moments:
        under_way += change
        busiest = max(busiest, under_way)
    # A start is noted a moment after Redis counted it, so one more may fall into a second.
    assert max(sum(1 for start in starts if at <= start < at + 1) for at in starts) <= 21
    assert 1 < busiest <= 3
    assert len(starts) > 10


def _hold_forever(url, key, pace, is_held):
    RedisGate(url).acquire(key, pace, max_wait_s=5)
    is_held.set()
    time.sleep(60)


def test_the_place_of_a_killed_process_is_free_after_its_lease(redis_url, key):
    spawn = multiprocessing.get_context("spawn")
    pace, is_held = Pace(per_second=1_000, concurrency=1, lease_s=2), spawn.Event()
    holder = spawn.Process(target=_hold_forever, args=(redis_url, key, pace, is_held))
    holder.start()
    assert is_held.wait(20)
    gate = RedisGate(redis_url)
    with pytest.raises(Throttled):
        gate.acquire(key, pace, max_wait_s=0)

    os.kill(holder.pid, signal.SIGKILL)
    holder.join()

    gate.acquire(key, pace, max_wait_s=4)
    gate.close()


def test_without_redis_no_call_starts_and_nobody_waits_long(key):
    gate = RedisGate("redis://127.0.0.1:1/0")
    started = time.monotonic()

    with pytest.raises(GateClosed) as caught:
        gate.acquire(key, FAST, max_wait_s=60)
    with pytest.raises(GateClosed):
        gate.pause(key, 1)
    with pytest.raises(GateClosed):
        gate.ping()

    assert caught.value.delay_s == CLOSED_S
    assert time.monotonic() - started < 8
    gate.close()


def test_a_redis_that_accepts_and_never_answers_is_away(key):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        gate = RedisGate(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        started = time.monotonic()

        with pytest.raises(GateClosed):
            gate.acquire(key, FAST, max_wait_s=60)

        assert time.monotonic() - started < 8
        gate.close()


def test_a_call_that_has_ended_does_not_fail_because_redis_is_away(key):
    gate = RedisGate("redis://127.0.0.1:1/0")

    gate.release(Lease(key, "token"))

    gate.close()


def test_a_gate_opens_again_when_redis_is_back_with_an_empty_memory(redis_url, key):
    gate = RedisGate(redis_url)
    gate.acquire(key, FAST, max_wait_s=0)

    gate._redis.script_flush()
    gate._redis.delete(*[f"tallyline:gate:{{{key}}}:{part}" for part in ("due", "leases", "pause")])
    for client in gate._redis.client_list():
        if int(client["id"]) == gate._redis.client_id():
            gate._redis.client_kill_filter(_id=client["id"], skipme=False)

    wait_until(lambda: gate.acquire(key, FAST, max_wait_s=1))
    gate.close()


def test_the_gate_of_a_fleet_is_in_redis_and_that_of_an_embedded_run_in_memory(redis_url):
    assert isinstance(build_gate(Settings(mode="embedded")), LocalGate)
    fleet = build_gate(Settings(mode="fleet", redis_url=redis_url))
    assert isinstance(fleet, RedisGate)
    fleet.close()
    with pytest.raises(ValueError, match="TALLYLINE_REDIS_URL"):
        build_gate(Settings(mode="fleet", redis_url=None))
