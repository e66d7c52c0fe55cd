"""kill -9 of everything while the month flows and while it is billed: no total changes, the identity holds throughout.

A worker is killed in the middle of a transaction: a table lock of ours holds it there.
"""

import pytest
from month import calls, expected
from running_month import messages
from stack_control import away

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(420)]

#: Who is killed, and what it is about to do at that moment.
ON_THE_WAY = (
    ("intake", "insert on receipts"),
    ("validate", "insert on receipt_counts"),
    ("enrich", "insert on attributions"),
    ("aggregate", "insert on aggregates"),
    ("notify", "update on notices"),
)
IN_BILLING = (("close", "insert on lots"), ("rate", "insert on rated_usages"), ("tax", "insert on invoice_lines"))
SERVERS = ("redis", "rabbitmq", "postgres")


def test_a_month_in_which_everything_is_killed_ends_with_the_same_totals(start):
    sums = expected(calls())
    with start() as month:
        flow = month.flow(messages(calls()))
        for name, act in ON_THE_WAY:
            flow.let(8)
            month.kill_within(name, act)
            month.look()
        flow.let(8)
        month.fleet.kill("scheduler")
        month.publish_late_mapping()
        for server in SERVERS:
            flow.let(15)
            with away(server):
                flow.let(10)
            month.look()
        flow.finish()
        month.settle(sums.accepted.total())
        month.look()
        month.assert_usage(sums)

        month.request()
        month.override_exceptions()
        for name, act in IN_BILLING:
            month.kill_within(name, act)
            month.look()
        month.fleet.kill("scheduler")
        month.wait_for("drafted")
        month.approve()
        month.kill_within("post", "insert on erp_attempts", when="new.outcome = 'sending'")
        month.kill_within("post", "insert on erp_attempts", when="new.outcome = 'posted'")
        for server in SERVERS:
            with away(server):
                pass
            month.look()
        month.wait_for("closed")

        month.look()
        month.assert_usage(sums)
        month.assert_billed(sums)
        assert month.rows("select step, subject, outcome, error from work where state = 'dead'") == []
