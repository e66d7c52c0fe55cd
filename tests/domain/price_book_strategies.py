"""Price books of every shape: plans with prices of every model."""

import string
from datetime import date

from domain_strategies import all_prices, currencies, prices
from hypothesis import strategies as st
from test_adjustments import adjustments

from domain.contracts import PriceTerms
from domain.price_books import Plan, PriceBook
from domain.prices import Adjusted, Adjustments, Price


def terms() -> st.SearchStrategy[Price]:
    """Prices of every model, as they are and with what a contract changes about them."""
    changed = adjustments().filter(lambda each: each != Adjustments())
    return st.one_of(all_prices(), st.builds(Adjusted, prices(), changed))


def slugs() -> st.SearchStrategy[str]:
    letters = st.text(string.ascii_lowercase + string.digits + "-", max_size=9)
    return st.builds(str.__add__, st.sampled_from(string.ascii_lowercase), letters)


def names(max_size: int = 64) -> st.SearchStrategy[str]:
    """Texts with whatever YAML might read as something else."""
    odd = st.sampled_from(
        ["null", "~", "true", "NO", "1", "1.50", "0x1F", "2014-01-01", "- a", "a: b", "#a", "'", '"', "\\", "=", "<<"]
    )
    anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=max_size)
    return st.one_of(odd, anything)


def charges() -> st.SearchStrategy[PriceTerms]:
    return st.builds(PriceTerms, names(), terms(), names(), names(255))


@st.composite
def price_books(draw: st.DrawFn) -> PriceBook:
    plans = st.builds(
        Plan,
        names(255),
        st.lists(charges(), min_size=1, max_size=3, unique_by=lambda each: each.metric).map(
            lambda each: tuple(sorted(each, key=lambda charge: charge.metric))
        ),
    )
    drawn = draw(st.dictionaries(slugs(), plans, min_size=1, max_size=3))
    valid_from = draw(st.dates(date(1, 1, 1), date(9999, 12, 31)))
    return PriceBook(draw(slugs()), draw(currencies()), valid_from, dict(sorted(drawn.items())))
