"""The domain's tests: examples from published cases, and properties that hold for any input."""

from collections.abc import Iterator
from decimal import Inexact, localcontext

import pytest
from hypothesis import settings

settings.register_profile("domain", max_examples=25, deadline=None)
settings.load_profile("domain")


@pytest.fixture(autouse=True)
def _no_silent_rounding() -> Iterator[None]:
    """A sum, a product or a sign of decimals outside the contexts of `domain.money` raises where it is not exact."""
    with localcontext() as context:
        context.traps[Inexact] = True
        yield
