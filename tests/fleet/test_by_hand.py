"""What on-call does by hand in the RabbitMQ console while a month flows and is billed changes no total."""

import signal
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote
from uuid import uuid4

import pytest
from month import calls, expected
from procfile import wait_until
from running_month import RunningMonth, messages

from queues.topology import dead_queue_name
from workers.store import replays
from workers.store.replay_selection import Selection
from workers.store.replays import Wanted

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(420)]


@dataclass
class Hand:
    """Somebody at the console, who may do everything there."""

    month: RunningMonth

    @property
    def _vhost(self) -> str:
        return quote(self.month.region.api.vhost, safe="")

    def _ask(self, method, path, body=None):
        return self.month.region.api._ask(method, path, body)

    def ready(self, queue):
        return self.month.region.look(queue)[0]

    def purge(self, queue):
        self._ask("DELETE", f"/queues/{self._vhost}/{queue}/contents")

    def look(self, queue):
        """Get and put back."""
        return self.month.region.api.peek(queue)

    def take(self, queue, count=5):
        """Get without putting back."""
        question = {"count": count, "ackmode": "ack_requeue_false", "encoding": "auto"}
        return self._ask("POST", f"/queues/{self._vhost}/{queue}/get", question)

    def publish(self, queue, copy):
        """Publish a copy of a message."""
        body = {name: copy[name] for name in ("properties", "payload", "payload_encoding")} | {"routing_key": queue}
        assert self._ask("POST", f"/exchanges/{self._vhost}/amq.default/publish", body) == {"routed": True}

    def move(self, queue, to):
        """The console's "Move messages": a shovel until the queue is empty."""
        name, url = f"hand-{uuid4().hex[:8]}", self.month.region.url
        value = {
            "src-uri": url,
            "src-queue": queue,
            "dest-uri": url,
            "dest-queue": to,
            "src-delete-after": "queue-length",
        }
        self._ask("PUT", f"/parameters/shovel/{self._vhost}/{name}", {"value": value})
        shovels = f"/parameters/shovel/{self._vhost}"
        wait_until(lambda: name not in {each["name"] for each in self._ask("GET", shovels)}, for_s=60, what=name)

    @contextmanager
    def held(self, *names):
        """These workers do nothing meanwhile, so that something lies in their queues."""
        running = [self.month.fleet.processes[name].running for name in names]
        for each in running:
            each.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for each in running:
                each.signal(signal.SIGCONT)


def test_nothing_done_by_hand_changes_a_total(start):
    sums = expected(calls())
    with start() as month:
        hand = Hand(month)
        flow = month.flow(messages(calls()))
        flow.let(8)
        for queue in ("validate", "enrich", "aggregate", "notify"):
            with hand.held(queue):
                flow.let(12)
                wait_until(lambda queue=queue: hand.ready(queue) > 0, for_s=60, what=f"hints lie in {queue}")
                hand.look(queue)
                copies = hand.take(queue)
                for copy in (*copies, *copies):
                    hand.publish(queue, copy)
                hand.move(queue, dead_queue_name(queue))
                hand.move(dead_queue_name(queue), queue)
                hand.purge(queue)
            month.look()
        hand.look("intake")
        month.publish_late_mapping()
        _die_and_come_back(month, hand, flow)
        flow.finish()
        month.settle(sums.accepted.total())
        month.look()
        month.assert_usage(sums)

        month.request()
        month.override_exceptions()
        for queue in ("close", "rate.close", "tax.close"):
            hand.purge(queue)
        month.wait_for("drafted")
        month.approve()
        for queue in ("close", "post.books-pony.close", "post.books-elbe.close"):
            for copy in hand.look(queue):
                hand.publish(queue, copy)
            hand.purge(queue)
        month.wait_for("closed")
        month.look()
        month.assert_billed(sums)


def _die_and_come_back(month, hand, flow):
    """A receipt dies; its body is published back, moved and purged, which does nothing; a replay does it."""
    with hand.held("validate"):
        flow.let(3)
        wait_until(lambda: month.value("select count(*) from work where step = 'validate' and state = 'ready'"))
        with month.engine.begin() as conn:
            conn.exec_driver_sql("""with gone as (update work set state = 'dead', outcome = 'poison', done_at = now()
                where step = 'validate' and state = 'ready' returning id, subject)
              insert into exceptions (step, code, key16, hash, work_id, subject, sentence)
              select 'validate', 'poison', gen_random_uuid(), '', id, subject, 'it kills' from gone""")
    dead = month.value("select count(*) from work where state = 'dead'")
    wait_until(lambda: hand.ready("validate.XQ") >= dead, for_s=60, what="on-call sees it")
    shown = hand.look("validate.XQ")
    for copy in (*shown, *shown):
        hand.publish("validate", copy)
    hand.move("validate.XQ", "validate")
    wait_until(lambda: hand.ready("validate") == 0, for_s=60, what="they are consumed")
    assert month.value("select count(*) from work where state = 'dead'") == dead
    month.look()
    with month.engine.begin() as conn:
        replay = replays.plan(conn, Wanted("replay", Selection(code="poison"), "ann", "the worker is put right"))
        replays.control(conn, replay, "start")
    for name in ("scheduler", "validate"):
        month.fleet.kill(name)
    state = "select state from replays where id = :id"
    wait_until(lambda: month.value(state, id=replay) == "done", for_s=90, what="the replay is done")
    assert month.value("select count(*) from replay_items where state = 'done'") == dead
