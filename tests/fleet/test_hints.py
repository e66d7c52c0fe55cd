"""Hints carry nothing and events count once: what is lost, doubled, sent twice or out of order changes no total."""

import random

import pytest
from month import calls, expected
from running_month import messages

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(420)]


def test_a_third_of_hints_lost_a_third_doubled_and_the_month_sent_twice_change_nothing(start):
    sums = expected(calls())
    once = calls()
    again = random.Random(7).sample(once, len(once))
    sent = messages(once) + messages(again, seed=2)
    random.Random(8).shuffle(sent)

    # A hint lost four times in a row is missed for half a minute: fewer receipts, fewer of those.
    lossy = {"module": "lossy_hints", "test_hints": "drop=0.3,double=0.3,seed=5"}
    with start(**lossy, intake_wait_s="0.5") as month:
        flow = month.flow(sent)
        flow.let(len(sent) // 2)
        month.publish_late_mapping()
        month.look()
        flow.finish()
        month.settle(sums.accepted.total())
        month.look()
        month.assert_usage(sums)
        assert month.value("select sum(duplicate) from receipt_counts") == sums.accepted.total()
        assert month.value("select sum(refused) from receipt_counts") == 2 * sums.refused.total()

        month.request()
        month.override_exceptions()
        month.wait_for("drafted")
        month.approve()
        month.wait_for("closed")

        month.look()
        month.assert_billed(sums)
        assert month.value("select count(*) from work where hints > 1") != 0  # the sweeper had to bring some back
