"""A month on the whole fleet, undisturbed: every total is what plain Python says, down to the ledger."""

import pytest
from month import calls, expected
from running_month import messages

pytestmark = pytest.mark.fleet


def test_a_month_goes_from_rabbitmq_to_posted_documents(start):
    sums = expected(calls())
    with start() as month:
        flow = month.flow(messages(calls()))
        flow.let(40)
        month.look()
        month.publish_late_mapping()
        flow.finish()
        month.settle(sums.accepted.total())
        month.look()
        month.assert_usage(sums)

        month.request()
        month.override_exceptions()
        month.wait_for("drafted")
        month.look()
        month.approve()
        month.wait_for("closed")

        month.look()
        month.assert_billed(sums)
