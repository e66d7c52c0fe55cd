"""What was parked and is owed no more keeps no run from its close."""

import pytest
from billing_month import EMPTY
from test_fees_and_seats import SET_UP
from test_parked_accounts import holds, states

from workers.store import breakers
from workers.store.database import engine


@pytest.fixture
def fee(month):
    """United owes a fee and uses nothing; Delta has a departure. Any line is too many."""
    for statement in SET_UP:
        month.bound.run(statement)
    month.use(("d1", "DL", "N3", 500))
    month.bound.run("""update legal_entities set breakers = '{"lines_max": 0}' where id = 'pony'""")
    yield month
    month.bound.run("update legal_entities set breakers = '{}'")
    month.bound.run("update subscriptions set starts_at = '2000-01-01 00:00Z' where ref = 's-ua'")
    month.bound.run(EMPTY)
    month.bound.run("delete from metrics where meter_id is null")


def test_a_fee_that_is_owed_no_more_is_no_longer_parked(fee):
    first = fee.request()
    assert {each[0] for each in holds(fee)} == {"dl", "ua"}
    fee.approve(first)
    fee.bound.run("update legal_entities set breakers = '{}'")
    fee.bound.run("update subscriptions set starts_at = '2026-04-01 05:00Z' where ref = 's-ua'")

    second = fee.bill()
    fee.let_time_pass()
    fee.work()

    assert states(fee, second) == [("dl", "posted")]
    assert (fee.stage(second), fee.stage(first)) == ("closed", "closed")
    with engine().begin() as conn:
        assert breakers.listed(conn) == []
