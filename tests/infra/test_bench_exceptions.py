"""The bench of the list of exceptions groups what it was given, and says so if it did not."""

import pytest

from infra.bench import exceptions
from workers.store.database import make_engine


@pytest.mark.usefixtures("postgres_url", "amqp_url")
def test_the_exceptions_of_a_run_are_all_grouped_and_priced():
    grouped, priced = exceptions.measure(2_000, runs=1)

    assert grouped.floors[0].holds
    assert priced.runs[0] > 0


def test_a_list_that_lacks_something_is_no_figure(database_url):
    engine = make_engine(database_url)

    with pytest.raises(exceptions.NotAllGrouped, match="0 of 5"):
        exceptions._grouped(engine, 5)
    engine.dispose()
