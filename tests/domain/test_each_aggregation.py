"""Every aggregation against figures worked out by hand, and against itself in any order with corrections."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from domain_strategies import decimals
from hypothesis import given
from hypothesis import strategies as st

from domain.metrics import Kept, Metric, Observation, Span, metric_json, parse_metric
from domain.metrics.aggregation import QuantityInvalid
from domain.metrics.metric import QuantityMissing
from domain.metrics.parsing import AGGREGATIONS
from domain.metrics.register import ReadingDoubtful
from domain.periods import MonthlyCycle
from domain.prices import Measured

pytestmark = pytest.mark.fast

STARTS_AT = datetime(2026, 6, 1, tzinfo=UTC)
JUNE = Span.whole(MonthlyCycle("UTC").period_at(STARTS_AT))
#: What each aggregation needs besides its property; those that are not here need nothing.
NEEDED: dict[str, dict[str, Any]] = {
    "count": {"property": None},
    "percentile": {"percent": "95"},
    "charged": {"amount": "money"},
    "peaks": {"by": "who"},
}


def metric(aggregation: str, **options: Any) -> Metric:
    fields = {"name": "m", "meter": "m", "aggregation": aggregation, "property": "n", "unit": "u"}
    return parse_metric({**fields, **NEEDED.get(aggregation, {}), **options})


def day(number: float) -> datetime:
    return STARTS_AT + timedelta(days=number - 1)


def measure(of: Metric, *events: tuple[float, dict[str, Any]], span: Span = JUNE) -> Measured:
    """What the events, each with the day of June on which it happened, come to."""
    kept = Kept.of((of.contribution(data, happened_at=day(on)), 1) for on, data in events)
    return of.measured([kept], span)


def numbers(*values: object) -> list[tuple[float, dict[str, Any]]]:
    return [(on, {"n": value}) for on, value in enumerate(values, start=1)]


@pytest.mark.parametrize(
    ("aggregation", "quantity"),
    [("count", 4), ("sum", 8), ("min", -3), ("max", 7), ("latest", -1 + 1 + 1), ("average", 2), ("each", 8)],
)
def test_four_events_come_to(aggregation, quantity):
    assert measure(metric(aggregation), *numbers(7, "-3", "3.0", 1)).quantity == quantity


@pytest.mark.parametrize("aggregation", sorted(set(AGGREGATIONS)))
def test_nothing_comes_to_nothing(aggregation):
    assert metric(aggregation).measured([Kept()], JUNE).quantity == 0


@pytest.mark.parametrize(
    ("percent", "quantity"),
    [("1", 1), ("10", 1), ("10.1", 2), ("50", 5), ("95", 10), ("90", 9), ("100", 10), (f"50.{'0' * 34}1", 6)],
)
def test_a_percentile_is_the_number_at_the_rank_rounded_up(percent, quantity):
    assert measure(metric("percentile", percent=percent), *numbers(*range(10, 0, -1))).quantity == quantity


def test_burstable_bandwidth_leaves_out_the_top_thirty_six_hours_of_a_month():
    samples = [(1 + n / 288, {"n": 900 if n < 432 else 100 + n % 7}) for n in range(8640)]

    assert measure(metric("percentile"), *samples).quantity == 106
    assert measure(metric("percentile"), *samples, (30.9, {"n": 900})).quantity == 900


def test_of_several_at_one_instant_the_greatest_is_the_latest():
    assert measure(metric("latest"), (2, {"n": 5}), (2, {"n": 8}), (2, {"n": 7}), (1, {"n": 99})).quantity == 8


def test_storage_weighs_each_level_by_its_time():
    stored = metric("weighted_sum")

    assert measure(stored, (1, {"n": 400}), (11, {"n": 600})).quantity == 800
    assert measure(stored, (0, {"n": 400}), (11, {"n": 600})).quantity == 800


def test_a_level_of_the_last_microsecond_weighs_a_microsecond():
    of = metric("weighted_sum")
    last = JUNE.period.ends_at - timedelta(microseconds=1)
    kept = Kept.of([(of.contribution({"n": 30 * 86_400_000_000}, happened_at=last), 1)])

    assert of.measured([kept], JUNE).quantity == 1


def test_a_level_ends_with_its_subscription():
    ends = Span(JUNE.billing, day(11))

    assert measure(metric("weighted_sum"), (1, {"n": 30}), (12, {"n": 300}), span=ends).quantity == 10


@given(st.lists(st.tuples(st.integers(0, 30 * 86_400_000_000 - 1), decimals(lowest="-1000")), max_size=8))
def test_a_weighted_sum_is_the_integral_of_the_level(changes):
    events = [(STARTS_AT + timedelta(microseconds=at), number) for at, number in changes]
    of = metric("weighted_sum")
    kept = Kept.of((of.contribution({"n": number}, happened_at=at), 1) for at, number in events)

    whole = 30 * 86_400_000_000
    integral = sum((Fraction(number) * (whole - at) / whole for at, number in changes), Fraction(0))
    assert abs(Fraction(of.measured([kept], JUNE).quantity) - integral) < Fraction(1, 10**30)


def test_a_register_counts_from_the_last_reading_before_the_period():
    read = metric("register")

    assert measure(read, (-3, {"n": 50}), (0, {"n": 100}), (10, {"n": 130}), (20, {"n": 130})).quantity == 30
    assert measure(read, (10, {"n": 130}), (20, {"n": 150})).quantity == 20


def test_a_lower_reading_counts_from_zero_only_where_it_is_said_to_be_a_reset():
    events = numbers(100, 130, 20, 25)
    marked = [(on, data | ({"reset": "true"} if data["n"] == 20 else {"reset": False})) for on, data in events]

    assert measure(metric("register", resets="allowed"), *events).quantity == 30 + 20 + 5
    assert measure(metric("register", reset="reset"), *marked).quantity == 30 + 20 + 5
    with pytest.raises(ReadingDoubtful) as refused:
        measure(metric("register", reset="reset"), *events)
    assert refused.value.code == "register_reading_ambiguous"
    assert refused.value.facts == {"reading": "20", "at": "2026-06-03T00:00:00+00:00"}


def test_a_wrong_reading_of_an_earlier_period_is_not_counted_from():
    read = metric("register")

    assert measure(read, (-9, {"n": 90}), (-5, {"n": 0}), (-1, {"n": 100}), (3, {"n": 130})).quantity == 30


def test_a_register_that_runs_over_counts_on_and_one_that_nobody_can_explain_is_doubted():
    read = metric("register", roll_over_at="100000")

    assert measure(read, *numbers(99_900, 40)).quantity == 140
    assert measure(metric("register", roll_over_at="100000", resets="allowed"), *numbers(100, 40)).quantity == 40
    for readings in ((100, 40), (100_001,), (-1,), (99_900, 99_900, 40, 60_000, 20_000)):
        with pytest.raises(ReadingDoubtful):
            measure(read, *numbers(*readings))


def test_two_readings_at_one_instant_that_differ_are_doubted_unless_one_is_after_a_reset():
    read = metric("register", reset="reset")
    both = [(1, {"n": 5}), (2, {"n": 9}), (2, {"n": 2, "reset": True}), (3, {"n": 3})]

    assert measure(read, *both).quantity == 4 + 2 + 1
    with pytest.raises(ReadingDoubtful) as refused:
        measure(read, (1, {"n": 5}), (2, {"n": 9}), (2, {"n": 8}))
    assert refused.value.code == "register_readings_conflict"


def test_more_than_may_be_used_between_two_readings_is_doubted():
    with pytest.raises(ReadingDoubtful) as refused:
        measure(metric("register", jump_max="50"), *numbers(100, 151))
    assert refused.value.code == "register_reading_implausible"


@pytest.mark.parametrize("word", ["yes", 1, ""])
def test_what_says_neither_true_nor_false_of_a_reset_is_no_reading(word):
    with pytest.raises(QuantityInvalid):
        metric("register", reset="reset").contribution({"n": 1, "reset": word}, happened_at=STARTS_AT)


def test_each_keeps_the_events_in_order_of_their_times():
    found = measure(metric("each"), (3, {"n": 3}), (1, {"n": 9}), (3, {"n": 1}), (3, {"n": 1}))

    assert found == Measured(Decimal(14), events=(Decimal(9), Decimal(1), Decimal(1), Decimal(3)))


def test_each_event_is_rounded_to_the_unit_by_itself():
    minutes = metric("each", convert={"divisor": "60", "rounding": "up", "scale": 0})

    assert measure(minutes, *numbers(1, 60, 61)) == Measured(Decimal(4), events=tuple(map(Decimal, (1, 1, 2))))


def test_charged_sums_units_and_the_money_they_came_with():
    events = [(1, {"n": "1.5", "money": "0.30"}), (2, {"n": 2, "money": 1}), (3, {"n": 2, "money": 1})]

    assert measure(metric("charged"), *events) == Measured(Decimal("5.5"), amount=Decimal("2.3"))


def test_peaks_are_the_greatest_by_name():
    events = [(1, {"n": 4, "who": "ram gb"}), (2, {"n": 2, "who": "cpu"}), (3, {"n": 3, "who": "cpu"})]
    halved = metric("peaks", convert={"divisor": "2"})

    assert measure(metric("peaks"), *events) == Measured(Decimal(4), peaks={"cpu": Decimal(3), "ram gb": Decimal(4)})
    assert measure(halved, *events).peaks == {"cpu": Decimal("1.5"), "ram gb": Decimal(2)}


def test_members_count_that_were_added_and_not_removed():
    members = metric("unique_count", operation="op")
    events = [
        *((1, {"n": who}) for who in ("ann", "bob c", "dan")),
        *((2, {"n": "ann", "op": "remove"}), (3, {"n": "ann", "op": "add"})),
        *((4, {"n": "dan", "op": "add"}), (4, {"n": "dan", "op": "remove"})),
        (5, {"n": "nobody", "op": "remove"}),
    ]

    assert measure(members, *events).quantity == 2


@pytest.mark.parametrize("word", ["removed", "", 1, True])
def test_an_operation_that_is_none_is_refused(word):
    with pytest.raises(QuantityInvalid):
        metric("unique_count", operation="op").contribution({"n": "ann", "op": word}, happened_at=STARTS_AT)


@pytest.mark.parametrize(
    "aggregation", ["min", "max", "latest", "average", "weighted_sum", "percentile", "register", "each", "peaks"]
)
def test_what_is_no_number_is_not_aggregated(aggregation):
    with pytest.raises(QuantityInvalid):
        metric(aggregation).contribution({"n": "foo_bar", "who": "x"}, happened_at=STARTS_AT)


def test_an_amount_that_is_missing_or_no_number_is_no_quantity():
    with pytest.raises(QuantityMissing):
        metric("charged").contribution({"n": 1}, happened_at=STARTS_AT)
    with pytest.raises(QuantityInvalid):
        metric("charged").contribution({"n": 1, "money": "much"}, happened_at=STARTS_AT)


def test_a_quantity_below_zero_is_kept_or_is_none():
    assert measure(metric("latest"), *numbers(5, -3)).quantity == -3
    assert measure(metric("latest", negative="zero"), *numbers(5, -3)).quantity == 0


def test_a_peak_below_zero_is_none_where_the_metric_says_so():
    found = measure(metric("peaks", negative="zero"), (1, {"n": -3, "who": "cpu"}), (2, {"n": 8, "who": "disk"}))

    assert found.peaks == {"cpu": 0, "disk": 8}


def test_a_quantity_is_told_in_the_unit_of_the_metric():
    megabytes = metric("sum", convert={"divisor": "1000", "rounding": "ceiling", "scale": 0})

    assert measure(megabytes, *numbers(1000, 247)).quantity == 2


def test_buckets_are_converted_each_by_itself():
    hours = metric("sum", bucket="hour", convert={"divisor": "60", "rounding": "up", "scale": 0})
    kept = [Kept.of([(hours.contribution({"n": number}, happened_at=STARTS_AT), 1)]) for number in (30, 61)]

    assert hours.measured(kept, JUNE) == Measured(Decimal(3), buckets=(Decimal(1), Decimal(2)))


@pytest.mark.parametrize(
    ("properties", "is_taken"),
    [
        ({"region": "europe", "level": 1}, True),
        ({"region": "asia", "level": "2"}, True),
        ({"region": "europe", "level": 3}, False),
        ({"region": "africa", "level": 1}, False),
        ({"region": None, "level": 1}, False),
        ({"level": 1}, False),
    ],
)
def test_a_metric_takes_what_its_filter_allows(properties, is_taken):
    of = metric("count", filter={"region": ["europe", "asia"], "level": [1, "2"]})

    assert of.takes(properties) is is_taken


ALL = [
    *(metric(name) for name in AGGREGATIONS),
    metric("unique_count", operation="op", recurring=True),
    metric("register", roll_over_at="99999.5", jump_max="7.5", reset="op", resets="allowed"),
    metric("percentile", percent="99.9", bucket="month", filter={"op": ["add", "true"]}),
    metric("sum", recurring=True, negative="zero", convert={"factor": "2", "divisor": "3"}),
]


@pytest.mark.parametrize("of", ALL, ids=str)
def test_a_definition_is_printed_and_read_as_the_same_metric(of):
    assert parse_metric(metric_json(of)) == of


@pytest.mark.parametrize("of", ALL, ids=str)
@given(data=st.data())
def test_any_order_with_what_is_taken_back_gives_what_is_left(of, data):
    drawn = st.tuples(
        st.integers(-5, 29), st.integers(-9, 9), st.sampled_from(["a", "b c"]), st.booleans(), st.booleans()
    )
    left, signed = [], []
    for on, number, who, is_removed, is_taken_back in data.draw(st.lists(drawn, max_size=12)):
        properties = {"n": number, "money": number, "who": who, "op": "remove" if is_removed else "add"}
        properties |= {"op": is_removed} if of.aggregation.name == "register" else {}
        contribution = of.contribution(properties, happened_at=day(on))
        signed += [(contribution, 1), (contribution, -1)] if is_taken_back else [(contribution, 1)]
        left += [] if is_taken_back else [(contribution, 1)]
    shuffled = data.draw(st.permutations(signed))
    middle = len(shuffled) // 2

    kept = Kept.of(shuffled[:middle]) + Kept.of(shuffled[middle:])

    assert outcome(of, kept) == outcome(of, Kept.of(left))


def outcome(of: Metric, kept: Kept) -> object:
    """What was measured, or why it cannot be: a reading that cannot be counted."""
    try:
        return of.measured([kept], JUNE)
    except ReadingDoubtful as doubtful:
        return doubtful.code, doubtful.facts


def test_an_instant_is_kept_to_the_microsecond_and_in_utc():
    at = datetime.fromisoformat("2026-06-01T02:00:00.000001+02:00")

    assert metric("latest").contribution({"n": "1.50"}, happened_at=at) == Observation(
        "2026-06-01T00:00:00.000001Z 1.5"
    )
