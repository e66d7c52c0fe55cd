"""What intake holds and has not stored is never lost and never counted twice, however it ends."""

import pytest
from line import event
from line import line as running_line
from procfile import wait_until
from upstreams import batch
from wire import Wire

pytestmark = pytest.mark.fleet


def names(prefix):
    return [f"{prefix} {number}" for number in range(20)]


@pytest.fixture(scope="module")
def wire(region):
    relay = Wire(region.url)
    yield relay
    relay.close()


@pytest.fixture(scope="module")
def patient(region, wire, new_database, tmp_path_factory):
    """A line whose intake holds what it has for three seconds, and reaches RabbitMQ over a wire that can be cut."""
    held = {"intake_wait_s": "3", "intake_bodies_max": "5000", "amqp_url": wire.url}
    with running_line(region, new_database(), tmp_path_factory.mktemp("fleet"), **held) as started:
        yield started


def hold(line, ids):
    """Send events and wait until intake has all of them in hand and none is stored."""
    before = line.count("select count(*) from receipts")
    line.send(ids)
    wait_until(lambda: line.region.look("intake")[0] == 0, what="intake holds all")
    assert line.count("select count(*) from receipts") == before


def test_a_batch_held_on_a_lost_connection_is_delivered_again_and_counted_once(patient, wire):
    hold(patient, names("cut"))

    wire.cut()

    wait_until(lambda: patient.accepted() >= set(names("cut")))
    assert [lost["dropped"] for lost in patient.logged("channel lost")] == [20]
    assert patient.sums() == (20, 20, 0, 0)


def test_a_batch_held_by_a_killed_intake_is_delivered_again_and_counted_once(patient):
    before = patient.sums()[0]
    hold(patient, names("killed"))

    patient.fleet.kill("intake")

    wait_until(lambda: patient.accepted() >= set(names("killed")))
    assert patient.sums() == (before + 20, before + 20, 0, 0)


def test_an_intake_that_is_told_to_leave_stores_what_it_holds(patient):
    before = patient.sums()[0]
    intake = patient.fleet.processes["intake"]
    hold(patient, names("leaving"))

    starts = intake.starts
    intake.terminate()
    wait_until(lambda: intake.starts > starts)

    wait_until(lambda: patient.accepted() >= set(names("leaving")))
    assert patient.fleet.exits["intake"][-1] == 0
    assert patient.sums() == (before + 20, before + 20, 0, 0)


def test_a_queue_that_is_deleted_by_mistake_is_there_again(patient):
    patient.region.api.delete_queue("intake")
    wait_until(lambda: patient.region.look("intake", missing=-1)[1] == 1, what="intake consumes again")

    patient.phones.send(batch(event("after the mistake")))

    wait_until(lambda: "after the mistake" in patient.accepted())
