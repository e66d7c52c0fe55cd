"""What the properties are tried on: quantities, prices, instants and JSON values of every shape we accept."""

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import strategies as st

from domain.canonical import Json
from domain.money import Currency
from domain.prices.graduated import Graduated
from domain.prices.package import Package
from domain.prices.per_unit import PerUnit
from domain.prices.price import Price
from domain.prices.tiers import Tier

ZONES = (
    "America/New_York",
    "America/Sao_Paulo",  # put its clocks forward at midnight
    "America/St_Johns",  # changed its clocks at a minute past midnight
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kathmandu",  # 5:45 ahead
    "Australia/Lord_Howe",  # half an hour of daylight saving
    "Europe/Berlin",
    "Pacific/Apia",  # left out a day
    "Pacific/Kiritimati",
    "UTC",
)


def decimals(*, lowest: str = "0", highest: str = "1000000000", places: int = 9) -> st.SearchStrategy[Decimal]:
    return st.decimals(
        min_value=Decimal(lowest), max_value=Decimal(highest), places=places, allow_nan=False, allow_infinity=False
    )


def quantities() -> st.SearchStrategy[Decimal]:
    return st.one_of(st.integers(0, 10**9).map(Decimal), decimals())


def currencies() -> st.SearchStrategy[Currency]:
    return st.sampled_from(["EUR", "USD", "JPY", "KWD", "CLF"]).map(Currency)


def per_unit_prices() -> st.SearchStrategy[PerUnit]:
    return st.builds(PerUnit, unit_amount=decimals(highest="10000", places=6))


@st.composite
def graduated_prices(draw: st.DrawFn) -> Graduated:
    bounds = sorted(draw(st.sets(decimals(lowest="0.01", highest="100000", places=2), max_size=4)))
    rates = decimals(highest="1000", places=4)
    flats = st.one_of(st.just(Decimal(0)), decimals(highest="500", places=2))
    tiers = tuple(Tier(bound, draw(rates), draw(flats)) for bound in (*bounds, None))
    return Graduated(tiers, draw(st.sampled_from(["none", "first_tier_flat"])))


def package_prices() -> st.SearchStrategy[Package]:
    amounts = decimals(highest="10000", places=4)
    free = st.one_of(st.just(Decimal(0)), decimals(highest="1000", places=2))
    return st.builds(
        Package, package_size=decimals(lowest="0.01", highest="5000", places=2), package_amount=amounts, free_units=free
    )


def prices() -> st.SearchStrategy[Price]:
    """Those under which more units never cost less."""
    return st.one_of(per_unit_prices(), graduated_prices(), package_prices())


def instants(first_year: int = 1980, last_year: int = 2040) -> st.SearchStrategy[datetime]:
    return st.datetimes(datetime(first_year, 1, 1), datetime(last_year, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


def texts() -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def numbers() -> st.SearchStrategy[int | Decimal]:
    fractions = st.decimals(
        min_value=Decimal(-(10**9)), max_value=Decimal(10**9), places=12, allow_nan=False, allow_infinity=False
    )
    return st.one_of(st.integers(-(10**18), 10**18), fractions)


def json_values() -> st.SearchStrategy[Json]:
    leaves = st.one_of(st.none(), st.booleans(), numbers(), texts())
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3), max_leaves=12
    )
