"""A row that kills its worker each time is found out, alone, and shown to on-call; its neighbours go on."""

import json

import pytest
from month import calls
from procfile import wait_until
from upstreams import structured

from queues.topology import dead_queue_name

pytestmark = pytest.mark.fleet


def test_a_receipt_that_kills_its_worker_is_dead_after_the_named_number_of_starts(start):
    good = [json.loads(call.text()) for call in calls() if not call.fault and call.company.name == "pony"][:6]
    bodies = [*good[:3], {**good[3], "id": "deadly"}, *good[4:]]
    with start(module="deadly_bodies", starts_max="2") as month:
        for number, body in enumerate(bodies, start=1):  # a receipt each
            month.region.producers["pony"].send(structured(body))
            wait_until(lambda number=number: month.value("select count(*) from receipts") == number)

        wait_until(lambda: month.rows("select 1 from work where state = 'dead'"), for_s=90, what="the row is dead")
        month.settle(len(bodies) - 1)

        assert month.rows("select step, subject, outcome, starts from work where state = 'dead'") == [
            ("validate", "receipt/4", "poison", 3)
        ]
        assert month.rows("select step, code from exceptions where code = 'poison'") == [("validate", "poison")]
        assert month.value("select count(distinct event_id) from usage_events") == len(bodies) - 1
        dead = dead_queue_name("validate")
        wait_until(lambda: month.region.look(dead)[0] == 1, what="on-call sees it in the console")
        (shown,) = month.region.api.peek(dead)
        assert shown["properties"]["headers"]["code"] == "poison"
        month.look()
