"""The benchmark of prices measures every model, each on usage that it charges something for."""

import pytest

from domain.prices import parse_price
from domain.prices.price import MODELS
from infra.bench import prices

pytestmark = pytest.mark.fast


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_measured_on_usage_that_costs_something(model):
    price = parse_price({"model": model, **prices.TERMS[model]})

    assert all(price.price(prices._usage(number)).amount > 0 for number in range(300))


def test_a_figure_is_beside_the_bare_multiplication_of_its_own_run():
    bare, *rated = prices.measure(200, runs=3)

    assert [figure.name.split(": ")[1].split(",")[0] for figure in rated] == list(MODELS)
    assert all(len(figure.runs) == 3 for figure in (bare, *rated))
    assert all(figure.notes[0].endswith("of the bare multiplication") for figure in rated)
    assert all(figure.median < bare.median for figure in rated)
