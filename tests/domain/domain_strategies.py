"""What the properties are tried on: quantities, prices, instants and JSON values of every shape we accept."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import strategies as st

from domain.canonical import Json
from domain.money import Currency
from domain.prices import Measured
from domain.prices.blocks import Blocks, BlockTier
from domain.prices.bucketed import Bucketed
from domain.prices.capacity import Capacity, CapacityTier
from domain.prices.converted import Converted
from domain.prices.dynamic import Dynamic
from domain.prices.flat import Flat
from domain.prices.graduated import Graduated
from domain.prices.graduated_percentage import GraduatedPercentage
from domain.prices.matrix import Matrix
from domain.prices.nested import Inner, OfOneQuantity
from domain.prices.package import Package
from domain.prices.per_unit import PerUnit
from domain.prices.percentage import Percentage
from domain.prices.price import Price
from domain.prices.stairstep import Stairstep
from domain.prices.tiers import Tier
from domain.prices.volume import Volume

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

#: What the usage of the properties is kept apart by, and which of its values are greatest.
DIMENSION = "region"
REGIONS = ("eu", "us", "asia")
PEAK, OTHER_PEAK = "cores", "memory"


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


def per_unit_prices_with_options() -> st.SearchStrategy[PerUnit]:
    return st.builds(
        PerUnit,
        unit_amount=decimals(highest="10000", places=6),
        per=st.one_of(st.none(), decimals(lowest="0.01", highest="5000", places=2)),
        cap_amount=st.one_of(st.none(), decimals(highest="100000", places=2)),
    )


@st.composite
def ladder_tiers(draw: st.DrawFn, *, is_capped: bool = False) -> tuple[Tier, ...]:
    bounds = sorted(draw(st.sets(decimals(lowest="0.01", highest="100000", places=2), max_size=4)))
    rates = decimals(highest="1000", places=4)
    flats = st.one_of(st.just(Decimal(0)), decimals(highest="500", places=2))
    caps = st.one_of(st.none(), decimals(highest="5000", places=2)) if is_capped else st.none()
    return tuple(Tier(bound, draw(rates), draw(flats), draw(caps)) for bound in (*bounds, None))


def zero_usages() -> st.SearchStrategy[str]:
    return st.sampled_from(["none", "first_tier_flat"])


def graduated_prices(*, is_capped: bool = False) -> st.SearchStrategy[Graduated]:
    return st.builds(Graduated, ladder_tiers(is_capped=is_capped), zero_usages())


def volume_prices() -> st.SearchStrategy[Volume]:
    return st.builds(Volume, ladder_tiers(), zero_usages(), bound=st.sampled_from(["included", "excluded"]))


def stairstep_prices() -> st.SearchStrategy[Stairstep]:
    stairs = ladder_tiers().map(lambda tiers: tuple(Tier(each.up_to, Decimal(0), each.flat_amount) for each in tiers))
    return st.builds(Stairstep, stairs, zero_usages(), bound=st.sampled_from(["included", "excluded"]))


def package_prices() -> st.SearchStrategy[Package]:
    amounts = decimals(highest="10000", places=4)
    free = st.one_of(st.just(Decimal(0)), decimals(highest="1000", places=2))
    return st.builds(
        Package,
        package_size=decimals(lowest="0.01", highest="5000", places=2),
        package_amount=amounts,
        free_units=free,
        rounding=st.sampled_from(["up", "down"]),
    )


def flat_prices() -> st.SearchStrategy[Flat]:
    return st.builds(Flat, decimals(highest="10000", places=2), st.sampled_from(["always", "when_used"]))


@st.composite
def block_prices(draw: st.DrawFn, charged: str) -> Blocks:
    tiers = [
        BlockTier(
            draw(decimals(lowest="0.01", highest="5000", places=2)), draw(decimals(highest="500", places=2)), most
        )
        for most in (*draw(st.lists(st.integers(1, 1000).map(Decimal), max_size=3)), None)
    ]
    return Blocks(charged, tuple(tiers))


@st.composite
def percentage_prices(draw: st.DrawFn) -> Percentage:
    amounts = decimals(lowest="0.01", highest="500", places=2)
    minimum, maximum = sorted((draw(amounts), draw(amounts)))
    return Percentage(
        draw(decimals(highest="100", places=3)),
        draw(st.one_of(st.just(Decimal(0)), amounts)),
        draw(st.one_of(st.none(), st.integers(1, 5))),
        draw(st.one_of(st.none(), amounts)),
        draw(st.sampled_from([None, minimum])),
        draw(st.sampled_from([None, maximum])),
    )


@st.composite
def capacity_prices(draw: st.DrawFn) -> Capacity:
    bounds = sorted(draw(st.sets(decimals(lowest="0.01", highest="100000", places=2), max_size=3)))
    limits = [*({PEAK: bound, OTHER_PEAK: bound * 2} for bound in bounds), {PEAK: None, OTHER_PEAK: None}]
    tiers = tuple(CapacityTier(draw(decimals(highest="500", places=2)), each) for each in limits)
    return Capacity(tiers, draw(zero_usages()))


def dynamic_prices() -> st.SearchStrategy[Dynamic]:
    return st.builds(Dynamic, decimals(highest="100", places=3))


def matrices(inner: st.SearchStrategy[Inner]) -> st.SearchStrategy[Matrix]:
    cells = st.dictionaries(st.sampled_from(REGIONS).map(lambda region: (region,)), inner, max_size=3)
    return st.builds(Matrix, st.just((DIMENSION,)), cells, inner)


def conversions(inner: st.SearchStrategy[Inner]) -> st.SearchStrategy[Converted]:
    return st.builds(Converted, st.just("credits"), decimals(lowest="0.001", highest="10", places=3), inner)


#: By model: prices under which more units never cost less.
_RISING_BY_QUANTITY: dict[str, st.SearchStrategy[OfOneQuantity]] = {
    "flat": flat_prices(),
    "per_unit": per_unit_prices_with_options(),
    "graduated": graduated_prices(is_capped=True),
    "graduated_percentage": st.builds(GraduatedPercentage, ladder_tiers(is_capped=True), zero_usages()),
    "package": package_prices(),
    "blocks": block_prices("all_tiers"),
}
_RISING: dict[str, st.SearchStrategy[Inner]] = {
    **_RISING_BY_QUANTITY,
    "percentage": percentage_prices(),
    "dynamic": dynamic_prices(),
}
RISING: dict[str, st.SearchStrategy[Price]] = {
    **_RISING,
    "matrix": matrices(st.one_of(*_RISING.values())),
    "bucketed": st.builds(Bucketed, st.one_of(*_RISING_BY_QUANTITY.values())),
    "converted": conversions(st.one_of(*_RISING.values())),
}
_ANY_BY_QUANTITY = st.one_of(
    *_RISING_BY_QUANTITY.values(), volume_prices(), stairstep_prices(), block_prices("top_tier")
)
#: By model: prices under which more units may cost less.
FALLING: dict[str, st.SearchStrategy[Price]] = {
    "volume": volume_prices(),
    "stairstep": stairstep_prices(),
    "blocks": block_prices("top_tier"),
    "capacity": capacity_prices(),
    "matrix": matrices(st.one_of(_ANY_BY_QUANTITY, capacity_prices())),
    "bucketed": st.builds(Bucketed, _ANY_BY_QUANTITY),
    "converted": conversions(st.one_of(_ANY_BY_QUANTITY, capacity_prices())),
}


def prices() -> st.SearchStrategy[OfOneQuantity]:
    """Those that a quantity alone tells the amount of, and under which more units never cost less."""
    return st.one_of(*_RISING_BY_QUANTITY.values())


def prices_of_quantity() -> st.SearchStrategy[OfOneQuantity]:
    """Prices that a quantity alone tells the amount of."""
    return _ANY_BY_QUANTITY


def all_prices() -> st.SearchStrategy[Price]:
    """Prices of every model and option."""
    return st.one_of(*RISING.values(), *FALLING.values())


def usage_of(events: Sequence[Decimal], region: str) -> Measured:
    """Usage of which everything was kept that a price may ask for."""
    quantity = sum(events, Decimal(0))
    return Measured(
        quantity,
        events=tuple(events),
        amount=quantity * 3,
        peaks={PEAK: quantity, OTHER_PEAK: quantity * 2},
        buckets=tuple(events),
        dimensions={DIMENSION: region},
    )


def usages() -> st.SearchStrategy[Measured]:
    return st.builds(usage_of, st.lists(quantities(), max_size=5), st.sampled_from(REGIONS))


@st.composite
def growing_usages(draw: st.DrawFn) -> tuple[Measured, Measured]:
    """Usage, and more of it: every event comes to as much or more, and others may follow."""
    events, region = draw(st.lists(quantities(), max_size=4)), draw(st.sampled_from(REGIONS))
    more = st.one_of(st.just(Decimal(0)), quantities())
    grown = [event + draw(more) for event in events]
    return usage_of(events, region), usage_of([*grown, *draw(st.lists(quantities(), max_size=2))], region)


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
