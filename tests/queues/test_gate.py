"""The gate: the same promises in one process and over Redis, also across processes that die."""

import threading
import time
from uuid import uuid4

import pytest

from queues.gate import (
    CONCURRENCY_AGAIN_S,
    Lease,
    LocalGate,
    Pace,
    RedisGate,
    Throttled,
    passage,
)

FAST = Pace(per_second=1_000, concurrency=2, lease_s=5)


@pytest.fixture
def key():
    return f"erp-{uuid4().hex}"


@pytest.fixture(params=["local", "redis"])
def new_gate(request):
    if request.param == "local":
        yield LocalGate
        return
    url, made = request.getfixturevalue("redis_url"), []

    def make(**options):
        made.append(RedisGate(url, **options))
        return made[-1]

    yield make
    for gate in made:
        gate.close()


@pytest.fixture
def gate(new_gate):
    return new_gate()


def test_calls_start_at_an_even_pace(gate, key):
    pace = Pace(per_second=20, concurrency=100, lease_s=5)
    started = time.monotonic()

    for _ in range(6):
        gate.acquire(key, pace, max_wait_s=2)

    assert 0.24 < time.monotonic() - started < 2


def test_a_burst_may_start_at_once_and_no_more(gate, key):
    pace = Pace(per_second=1, concurrency=100, lease_s=5, burst=3)

    for _ in range(3):
        gate.acquire(key, pace, max_wait_s=0)

    with pytest.raises(Throttled) as caught:
        gate.acquire(key, pace, max_wait_s=0)
    assert caught.value.why == "rate"
    assert 0.5 < caught.value.delay_s <= 1


def test_no_more_calls_are_under_way_than_the_partner_bears(gate, key):
    first = gate.acquire(key, FAST, max_wait_s=0.1)
    gate.acquire(key, FAST, max_wait_s=0.1)

    with pytest.raises(Throttled) as caught:
        gate.acquire(key, FAST, max_wait_s=0.1)
    assert (caught.value.why, caught.value.delay_s) == ("concurrency", CONCURRENCY_AGAIN_S)

    gate.release(first)
    gate.acquire(key, FAST, max_wait_s=0.1)


def test_who_waits_gets_the_place_that_becomes_free(gate, key):
    pace = Pace(per_second=1_000, concurrency=1, lease_s=5)
    held = gate.acquire(key, pace, max_wait_s=0)
    threading.Timer(0.3, gate.release, [held]).start()
    started = time.monotonic()

    gate.acquire(key, pace, max_wait_s=3)

    assert 0.25 < time.monotonic() - started < 2


def test_the_place_of_a_holder_that_never_comes_back_is_free_after_its_lease(gate, key):
    pace = Pace(per_second=1_000, concurrency=1, lease_s=0.4)
    gate.acquire(key, pace, max_wait_s=0)
    started = time.monotonic()

    gate.acquire(key, pace, max_wait_s=3)

    assert 0.3 < time.monotonic() - started < 2


def test_traffic_does_not_keep_a_dead_holders_place_taken(gate, key):
    pace = Pace(per_second=1_000, concurrency=2, lease_s=0.5)
    gate.acquire(key, pace, max_wait_s=0)
    ends = time.monotonic() + 0.6
    while time.monotonic() < ends:
        gate.release(gate.acquire(key, pace, max_wait_s=0.1))

    gate.acquire(key, pace, max_wait_s=0.1)
    gate.acquire(key, pace, max_wait_s=0.1)


def test_nobody_calls_a_partner_that_asked_for_silence(gate, key):
    gate.pause(key, 30)
    gate.pause(key, 0.1)

    with pytest.raises(Throttled) as caught:
        gate.acquire(key, FAST, max_wait_s=1)
    assert caught.value.why == "pause"
    assert 29 < caught.value.delay_s <= 30


def test_a_pause_ends(gate, key):
    gate.pause(key, 0.2)

    gate.acquire(key, FAST, max_wait_s=2)


def test_partners_do_not_share_a_gate(gate, key):
    gate.pause(key, 30)

    gate.acquire(f"{key}-other", FAST, max_wait_s=0)


def test_waiting_in_vain_is_not_waited(new_gate, key):
    slept = []
    gate = new_gate(sleep=slept.append)
    gate.pause(key, 30)

    with pytest.raises(Throttled):
        gate.acquire(key, FAST, max_wait_s=5)

    assert slept == []


def test_a_long_wait_is_slept_in_slices(new_gate, key):
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        time.sleep(seconds)

    gate = new_gate(sleep=sleep)
    gate.pause(key, 1.2)

    gate.acquire(key, FAST, max_wait_s=5)

    assert len(slept) >= 3
    assert max(slept) <= 0.5


def test_a_right_that_has_ended_can_be_given_back_without_harm(gate, key):
    gate.release(Lease(key, "never given"))

    gate.acquire(key, FAST, max_wait_s=0)


def test_a_passage_gives_its_right_back_also_after_an_error(gate, key):
    pace = Pace(per_second=1_000, concurrency=1, lease_s=30)

    with pytest.raises(KeyError), passage(gate, key, pace, max_wait_s=0):
        raise KeyError

    with passage(gate, key, pace, max_wait_s=1):
        pass


@pytest.mark.parametrize("wrong", [{"per_second": 0}, {"concurrency": 0}, {"burst": 0}, {"lease_s": 0}])
def test_a_pace_that_would_never_open_is_refused(wrong):
    with pytest.raises(AssertionError):
        Pace(**{"per_second": 1, "concurrency": 1, "burst": 1, "lease_s": 1, **wrong})
