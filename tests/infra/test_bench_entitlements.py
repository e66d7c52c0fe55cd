"""The bench of entitlement checks measures answers that are right, and says so if one is not."""

import pytest

from infra.bench import entitlements
from workers.store.database import make_engine


@pytest.mark.usefixtures("postgres_url", "amqp_url")
def test_checks_are_measured_beside_bare_look_ups():
    bare50, check50, measured50, bare99, check99, measured99 = entitlements.measure(300, checks=20, runs=2)

    assert len(check99.runs) == 2
    assert 0 < bare50.median <= bare99.median
    assert 0 < check50.median <= check99.median
    assert 0 < measured50.median <= measured99.median
    for each in (check99, measured99):
        assert (each.floors[0].bound, each.floors[0].is_ceiling) == (5.0, True)


def test_an_answer_that_is_wrong_is_no_figure(database_url):
    engine = make_engine(database_url)

    with pytest.raises(entitlements.WrongAnswer, match="subscription 7"):
        list(entitlements._each(engine, lambda _conn, _number: False, [7]))
    engine.dispose()
