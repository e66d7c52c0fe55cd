"""However events arrive, what is missing is what was sent less what came, and the open exceptions say exactly that."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.completeness import Gap, Rest, Run, Told, change, gaps, merged, received, runs_of

pytestmark = pytest.mark.fast

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
ALL_GAPS = 10_000


def at(minute: int) -> datetime:
    return EPOCH + timedelta(minutes=minute)


def run(first: int, last: int) -> Run:
    """A run whose events happened at the minutes of their numbers and were seen at once."""
    return Run(first, last, at(first), at(last), EPOCH)


def missing(found: list[Gap]) -> set[int]:
    """The numbers of gaps that were not put together."""
    return {number for gap in found for number in range(gap.first, gap.last + 1)}


def found_in(runs: list[Run], *, start: int = 1, gaps_max: int = ALL_GAPS) -> list[Gap]:
    return gaps(reversed(merged(runs)), start=start, gaps_max=gaps_max)


#: Claims of validate in the order in which they commit; each holds events in any order, some of them twice.
claims = st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5_000).map(at)), max_size=12), max_size=8)


@given(claims, st.integers(0, 5))
def test_what_is_missing_is_what_should_have_come_less_what_came(arrived, start):
    runs = [run for n, claim in enumerate(arrived) for run in runs_of(claim, seen_at=at(n))]

    came = {number for claim in arrived for number, _ in claim}
    assert missing(found_in(runs, start=start)) == set(range(start, max(came, default=0))) - came
    assert received(merged(runs), start=start) == len([number for number in came if number >= start])


@given(claims, st.randoms(use_true_random=False))
def test_in_which_order_and_parts_the_runs_are_joined_changes_nothing(arrived, chance):
    runs = [run for n, claim in enumerate(arrived) for run in runs_of(claim, seen_at=at(n))]

    shuffled = list(runs)
    chance.shuffle(shuffled)
    cut = chance.randint(0, len(shuffled))
    assert merged([*merged(shuffled[:cut]), *merged(shuffled[cut:])]) == merged(runs)


@given(claims.map(lambda arrived: [each for claim in arrived for each in claim]))
def test_the_runs_of_a_claim_are_those_of_its_events_one_by_one(events):
    assert runs_of(events, seen_at=EPOCH) == merged(Run(n, n, when, when, EPOCH) for n, when in events)


@given(claims)
def test_runs_neither_overlap_nor_touch(arrived):
    runs = merged(run for n, claim in enumerate(arrived) for run in runs_of(claim, seen_at=at(n)))

    assert all(low.last + 1 < high.first for low, high in pairwise(runs))


@given(claims, st.integers(0, 5))
def test_a_gap_lies_between_its_neighbours_and_is_as_old_as_the_first_number_seen_above_it(arrived, start):
    runs = [run for n, claim in enumerate(arrived) for run in runs_of(claim, seen_at=at(n))]
    times = {number: [when for claim in arrived for each, when in claim if each == number] for number in range(41)}
    seen = [(number, at(n)) for n, claim in enumerate(arrived) for number, _ in claim]

    for gap in found_in(runs, start=start):
        above = min(times[gap.last + 1])
        lower = [max(times[number]) for number in range(gap.first) if times[number]]
        below = lower[-1] if lower else above
        assert (gap.happened_at, gap.happened_until) == (min(below, above), max(below, above))
        assert gap.since == min(when for number, when in seen if number > gap.last)


@given(claims, st.integers(1, 4))
def test_of_a_source_whose_numbers_are_no_series_the_count_is_right_all_the_same(arrived, gaps_max):
    runs = [run for n, claim in enumerate(arrived) for run in runs_of(claim, seen_at=at(n))]
    every = found_in(runs)

    some = found_in(runs, gaps_max=gaps_max)

    assert len(some) == min(gaps_max, len(every))
    assert sum(gap.missing for gap in some) == len(missing(every))
    if some:
        assert min(gap.first for gap in some) == min(gap.first for gap in every)
        assert min(gap.happened_at for gap in some) == min(gap.happened_at for gap in every)
        assert max(gap.happened_until for gap in some) == max(gap.happened_until for gap in every)
        assert min(gap.since for gap in some) == min(gap.since for gap in every)


@given(claims, st.integers(0, 5), st.integers(2, 6))
def test_what_lies_below_the_runs_that_are_looked_at_is_counted_all_the_same(arrived, start, looked_at):
    runs = merged(run for n, claim in enumerate(arrived) for run in runs_of(claim, seen_at=at(n)))
    top, low = runs[-looked_at:], runs[:-looked_at]
    rest = Rest(
        received(low, start=start),
        min((min(run.first_at, run.last_at) for run in low), default=EPOCH),
        max((max(run.first_at, run.last_at) for run in low), default=EPOCH),
        min((run.seen_at for run in low), default=EPOCH),
    )
    every = found_in(runs, start=start, gaps_max=looked_at - 1)

    some = gaps(reversed(top), start=start, gaps_max=looked_at - 1, rest=rest if low else None)

    assert sum(gap.missing for gap in some) == sum(gap.missing for gap in every)
    assert len(some) == len(every)
    assert some[:-1] == every[:-1]
    for gap, exact in zip(some[-1:], every[-1:], strict=True):
        assert (gap.first <= exact.first, gap.last) == (True, exact.last)
        assert gap.happened_at <= exact.happened_at <= exact.happened_until <= gap.happened_until
        assert gap.since <= exact.since


def test_the_numbers_301_to_350_of_a_thousand_are_one_gap():
    (gap,) = found_in([run(1, 300), run(351, 1000)])

    assert gap == Gap(301, 350, 50, at(300), at(351), EPOCH)


def test_a_source_that_begins_elsewhere_misses_nothing_below():
    assert found_in([run(90, 99), run(100, 200)], start=100) == []
    assert missing(found_in([run(90, 99), run(103, 200)], start=100)) == {100, 101, 102}


@st.composite
def histories(draw: st.DrawFn) -> list[list[int]]:
    """Numbers in the parts in which they arrive."""
    order = draw(st.permutations(sorted(draw(st.sets(st.integers(1, 30), min_size=1)))))
    cuts = sorted(draw(st.sets(st.integers(0, len(order)), max_size=5)))
    return [list(order[a:b]) for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]


@given(histories(), st.data())
def test_open_exceptions_say_at_every_moment_exactly_what_is_missing_and_old_enough(arrived, data):
    runs: list[Run] = []
    told: dict[int, Told] = {}
    for n, part in enumerate(arrived):
        runs += runs_of(((number, at(number)) for number in part), seen_at=at(n))
        found = found_in(runs)
        seen_before = at(data.draw(st.integers(-1, n)))
        before = missing_of(told.values())

        changed = change(found, list(told.values()), seen_before=seen_before)

        for id_, reason in changed.to_close:
            gone = told.pop(id_)
            still = missing(found) & set(range(gone.first, gone.last + 1))
            assert reason.startswith("replaced" if still else "healed")
        for gap in changed.to_open:
            told[len(told) + 1_000 * n] = Told(len(told) + 1_000 * n, gap.first, gap.last, gap.missing, "open")
        old = {number for gap in found if gap.since <= seen_before for number in range(gap.first, gap.last + 1)}
        assert missing_of(told.values()) >= old | (before & missing(found))
        assert missing_of(told.values()) <= missing(found)
        assert sum(each.missing for each in told.values()) == len(missing_of(told.values()))
        assert change(found, list(told.values()), seen_before=seen_before) == type(changed)([], [])

    everything = change(found_in(runs), list(told.values()), seen_before=at(len(arrived)))
    for id_, _ in everything.to_close:
        del told[id_]
    opened = {number for gap in everything.to_open for number in range(gap.first, gap.last + 1)}
    assert missing_of(told.values()) | opened == missing(found_in(runs))


def missing_of(told) -> set[int]:
    return {number for each in told for number in range(each.first, each.last + 1)}


def test_what_a_person_has_dismissed_is_not_told_again_also_when_part_of_it_arrives():
    dismissed = Told(1, 301, 350, 50, "dismissed")

    whole = change(found_in([run(1, 300), run(351, 1000)]), [dismissed], seen_before=EPOCH)
    part = change(found_in([run(1, 300), run(310, 320), run(351, 1000)]), [dismissed], seen_before=EPOCH)
    other = change(found_in([run(1, 300), run(351, 400), run(402, 1000)]), [dismissed], seen_before=EPOCH)

    assert (whole.to_open, part.to_open) == ([], [])
    assert [(gap.first, gap.last) for gap in other.to_open] == [(401, 401)]


def test_a_gap_younger_than_the_grace_is_not_told():
    found = found_in([run(1, 300), run(351, 1000)])

    assert change(found, [], seen_before=EPOCH - timedelta(seconds=1)).to_open == []
    assert change(found, [], seen_before=EPOCH).to_open == found
