"""The audit log as a chain: whatever is changed in it afterwards shows, and names where."""

from dataclasses import fields, replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit import NO_HASH, Entry, Head, chain_hash, verify

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
ENTRIES = st.builds(
    Entry,
    no=st.just(0),
    prev_hash=st.just(NO_HASH),
    hash=st.just(NO_HASH),
    recorded_at=st.datetimes().map(lambda at: at.isoformat() + "Z"),
    person=TEXTS,
    token_id=st.none() | st.integers(1, 99).map(str),
    approval_id=st.none() | st.integers(1, 99).map(str),
    reason=TEXTS,
    action=TEXTS,
    subject=TEXTS,
    before=st.none() | TEXTS,
    after=st.none() | TEXTS,
)


def chained(entries):
    """The entries as the log would have recorded them one after the other."""
    made, prev_hash = [], NO_HASH
    for no, entry in enumerate(entries, start=1):
        placed = replace(entry, no=no, prev_hash=prev_hash)
        made.append(replace(placed, hash=chain_hash(placed)))
        prev_hash = made[-1].hash
    return made


CHAINS = st.lists(ENTRIES, min_size=3, max_size=6).map(chained)


def head_of(chain):
    return Head(chain[-1].no, chain[-1].hash)


def problems(chain, head, known=()):
    return [(each.no, each.kind) for each in verify(chain, head=lambda: head, known=known)]


def test_the_hash_is_of_the_former_hash_and_each_text_after_its_length_in_bytes():
    entry = Entry(1, NO_HASH, NO_HASH, "2026-01-01T00:00:00.000000Z", "ann", None, "12", "", "a", "ü", None, "{}")

    hashed = b"1:127:2026-01-01T00:00:00.000000Z3:ann-2:120:1:a2:\xc3\xbc-2:{}"
    assert chain_hash(entry) == sha256(bytes(32) + hashed).digest()


@given(CHAINS)
def test_a_chain_that_nobody_touched_is_whole(chain):
    told = [Head(entry.no, entry.hash) for entry in chain]

    assert problems(chain, head_of(chain), told) == []


@given(CHAINS, st.data())
def test_any_other_text_in_any_entry_shows_at_that_entry(chain, data):
    place = data.draw(st.integers(0, len(chain) - 1))
    name = data.draw(st.sampled_from(sorted({each.name for each in fields(Entry)} - {"no", "prev_hash", "hash"})))
    was = getattr(chain[place], name)
    other = data.draw((TEXTS if was is not None else TEXTS | st.none()).filter(lambda text: text != was))

    tampered = [*chain[:place], replace(chain[place], **{name: other}), *chain[place + 1 :]]

    assert problems(tampered, head_of(chain)) == [(place + 1, "tampered")]


@given(ENTRIES, st.data())
def test_no_text_can_move_into_its_neighbour_unseen(entry, data):
    at = data.draw(st.integers(0, len(entry.reason + entry.action)))
    both = entry.reason + entry.action
    moved = replace(entry, reason=both[:at], action=both[at:])

    assert (chain_hash(moved) == chain_hash(entry)) == (moved == entry)


@given(CHAINS, st.data())
def test_an_entry_that_is_rehashed_no_longer_leads_to_the_next(chain, data):
    place = data.draw(st.integers(0, len(chain) - 2))
    changed = replace(chain[place], person=chain[place].person + "x")
    rehashed = replace(changed, hash=chain_hash(changed))

    assert problems([*chain[:place], rehashed, *chain[place + 1 :]], head_of(chain)) == [(place + 2, "unlinked")]


@given(CHAINS, st.data())
def test_an_entry_that_is_gone_is_named_once(chain, data):
    place = data.draw(st.integers(0, len(chain) - 2))

    assert problems(chain[:place] + chain[place + 1 :], head_of(chain)) == [(place + 1, "missing")]


def test_a_stretch_that_is_gone_is_named_by_both_ends():
    chain = chained([_entry()] * 6)

    (problem,) = verify([chain[0], *chain[4:]], head=lambda: head_of(chain))

    assert (problem.no, problem.kind, problem.sentence) == (2, "missing", "entries 2 to 4 are missing")


@given(CHAINS, st.data())
def test_entries_that_changed_places_show(chain, data):
    place = data.draw(st.integers(0, len(chain) - 2))
    swapped = [*chain[:place], chain[place + 1], chain[place], *chain[place + 2 :]]

    assert ("disordered", place + 1) in [(kind, no) for no, kind in problems(swapped, head_of(chain))]


@given(CHAINS, st.data())
def test_entries_that_changed_numbers_show(chain, data):
    place = data.draw(st.integers(0, len(chain) - 2))
    one, two = chain[place : place + 2]
    swapped = [*chain[:place], replace(two, no=one.no), replace(one, no=two.no), *chain[place + 2 :]]

    found = problems(swapped, head_of(chain))

    assert {(one.no, "tampered"), (two.no, "tampered")} <= set(found)


@given(CHAINS)
def test_a_tail_that_was_cut_off_shows_by_the_head(chain):
    assert problems(chain[:-1], head_of(chain)) == [(len(chain), "truncated")]
    assert problems([], head_of(chain)) == [(1, "truncated")]


@given(CHAINS)
def test_a_head_that_says_something_else_is_forged(chain):
    assert problems(chain, head_of(chain[:-1])) == [(len(chain) - 1, "forged")]
    assert problems(chain, Head(len(chain), sha256(b"x").digest())) == [(len(chain), "forged")]


@given(CHAINS)
def test_a_log_without_a_head_may_have_lost_its_tail(chain):
    assert problems(chain, None) == [(len(chain), "headless")]
    assert problems([], None) == []


@given(CHAINS, st.data())
def test_a_chain_that_was_rewritten_whole_shows_by_what_was_told_outside(chain, data):
    place = data.draw(st.integers(0, len(chain) - 1))
    told = [Head(entry.no, entry.hash) for entry in chain]
    changed = replace(chain[place], person=chain[place].person + "x")
    rewritten = chained([*chain[:place], changed, *chain[place + 1 :]])

    assert problems(rewritten, head_of(rewritten)) == []
    assert problems(rewritten, head_of(rewritten), told) == [(entry.no, "forged") for entry in chain[place:]]


@given(CHAINS)
def test_a_tail_that_was_cut_off_with_its_head_shows_by_what_was_told_outside(chain):
    short = chain[:-1]

    assert problems(short, head_of(short)) == []
    assert problems(short, head_of(short), [head_of(chain)]) == [(len(chain), "truncated")]


@pytest.mark.parametrize("name", ["token_id", "approval_id", "before", "after"])
def test_nothing_is_another_text_than_no_text(name):
    assert chain_hash(replace(_entry(), **{name: ""})) != chain_hash(replace(_entry(), **{name: None}))


def _entry():
    return Entry(1, NO_HASH, NO_HASH, "2026-01-01T00:00:00.000000Z", "ann", None, None, "", "a", "s", None, None)
