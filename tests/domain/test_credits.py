from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from domain_strategies import decimals
from hypothesis import given
from hypothesis import strategies as st

from domain.credits import CreditInvalid, Ended, Entry, Grant, Rollover, balance, drawn, ended, opened, returned
from domain.money import CurrenciesMixed, Currency, Money, total

pytestmark = pytest.mark.fast

USD = Currency("USD")
NONE = Money.zero(USD)


def day(number: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)


def usd(amount) -> Money:
    return Money.of(amount, USD)


def money() -> st.SearchStrategy[Money]:
    return decimals(lowest="0.01", highest="1000", places=2).map(usd)


@st.composite
def books(draw: st.DrawFn) -> list[Grant]:
    """Some grants of one account."""
    found = []
    for number in range(draw(st.integers(1, 5))):
        begins, lasts = draw(st.integers(0, 20)), draw(st.none() | st.integers(1, 20))
        ends = None if lasts is None else day(begins + lasts)
        percent = decimals(lowest="1", highest="100", places=1)
        rollover = draw(st.none() | st.builds(Rollover, st.integers(1, 20), percent, st.none() | money()))
        priority = draw(st.integers(0, 2))
        found.append(Grant(f"g{number}", draw(money()), day(begins), ends, priority, rollover if ends else None))
    return found


def everything(grants, entries):
    return balance_of_all(grants, entries, [day(n) for n in range(90)])


def balance_of_all(grants, entries, instants):
    """What each grant holds at each instant, whether it is valid or not."""
    return [
        total((entry.amount for entry in entries if entry.grant == grant.id and entry.at <= at), USD)
        for grant in grants
        for at in instants
    ]


#: (what happens, on which day, of how much)
ACTS = st.lists(st.tuples(st.sampled_from(["draw", "return", "end"]), st.integers(0, 45), money()), max_size=12)


@given(books(), ACTS)
def test_no_grant_is_ever_negative_in_whatever_order_of_time_things_are_booked(grants, acts):
    entries = [opened(grant) for grant in grants]
    for number, (act, on, amount) in enumerate(acts):
        if act == "draw":
            entries += drawn(grants, entries, amount, at=day(on), reference=f"d{number}")
        elif act == "return":
            entries += returned(entries, amount, reference=f"d{number - 1}")
        else:
            end = ended(grants, entries, at=day(on))
            grants, entries = [*grants, *end.carried], [*entries, *end.entries]

    assert all(not held.is_negative for held in everything(grants, entries))


@given(books(), money(), st.integers(0, 40))
def test_what_is_drawn_is_the_lesser_of_what_is_due_and_what_is_there(grants, due, on):
    entries = [opened(grant) for grant in grants]

    found = drawn(grants, entries, due, at=day(on), reference="d1")

    there = balance(grants, entries, at=day(on), currency=USD)
    assert -total((entry.amount for entry in found), USD) == min(due, there)
    assert balance(grants, [*entries, *found], at=day(on), currency=USD) == there - min(due, there)


@given(books(), money(), money(), st.randoms(use_true_random=False))
def test_the_order_in_which_grants_and_entries_are_given_changes_nothing(grants, first, second, chance):
    entries = [opened(grant) for grant in grants]
    entries += drawn(grants, entries, first, at=day(15), reference="d1")
    shuffled, mixed = chance.sample(grants, len(grants)), list(reversed(entries))

    assert drawn(grants, entries, second, at=day(16), reference="d2") == drawn(
        shuffled, mixed, second, at=day(16), reference="d2"
    )
    assert ended(grants, entries, at=day(60)) == ended(shuffled, mixed, at=day(60))


@given(books(), money())
def test_the_end_of_all_grants_leaves_nothing_and_is_told_once(grants, due):
    entries = [opened(grant) for grant in grants]
    entries += drawn(grants, entries, due, at=day(15), reference="d1")

    first = ended(grants, entries, at=day(400))
    grants, entries = [*grants, *first.carried], [*entries, *first.entries]
    second = ended(grants, entries, at=day(400))
    grants, entries = [*grants, *second.carried], [*entries, *second.entries]

    assert ended(grants, entries, at=day(400)).entries == ()
    assert second.carried == ()
    held = balance_of_all([grant for grant in grants if grant.expires_at], entries, [day(400)])
    assert all(amount == NONE for amount in held)


@given(books(), money(), money())
def test_what_is_given_back_was_drawn_and_no_more_of_it(grants, due, back):
    entries = [opened(grant) for grant in grants]
    entries += drawn(grants, entries, due, at=day(15), reference="d1")
    out = -total((entry.amount for entry in entries if entry.kind == "drawn"), USD)

    found = returned(entries, back, reference="d1")
    again = returned([*entries, *found], out, reference="d1")

    assert total((entry.amount for entry in found), USD) == min(back, out)
    assert total((entry.amount for entry in (*found, *again)), USD) == out
    assert returned(entries, back, reference="d2") == ()
    there = balance(grants, [entry for entry in entries if entry.kind == "granted"], at=day(15), currency=USD)
    assert balance(grants, [*entries, *found, *again], at=day(15), currency=USD) == there


def test_grants_are_drawn_by_priority_then_the_one_that_ends_first_then_the_oldest():
    grants = [
        Grant("for ever", usd("1"), day(0)),
        Grant("oldest", usd("1"), day(0), day(30)),
        Grant("newer", usd("1"), day(1), day(30)),
        Grant("ends first", usd("1"), day(1), day(20)),
        Grant("preferred", usd("1"), day(1), day(40), priority=-1),
        Grant("not yet", usd("1"), day(9), day(10)),
        Grant("no more", usd("1"), day(0), day(2)),
        Grant("euros", Money.of("1", "EUR"), day(0)),
    ]
    entries = [opened(grant) for grant in grants]

    found = drawn(grants, entries, usd("4.50"), at=day(2), reference="d1")

    assert [(entry.grant, -entry.amount) for entry in found] == [
        ("preferred", usd("1")), ("ends first", usd("1")), ("oldest", usd("1")), ("newer", usd("1")),
        ("for ever", usd("0.50")),
    ]  # fmt: skip
    assert drawn(grants, entries, NONE, at=day(2), reference="d1") == ()
    assert drawn(grants, entries, usd("-3"), at=day(2), reference="d1") == ()


def test_a_rest_is_carried_into_a_new_grant_up_to_its_share_and_amount_and_expires_beyond():
    grant = Grant("jan", usd("100"), day(0), day(31), 1, Rollover(28, Decimal(50), usd("30")))
    entries = [opened(grant), *drawn([grant], [opened(grant)], usd("20"), at=day(3), reference="d1")]

    end = ended([grant], entries, at=day(31))

    assert end.carried == (Grant("jan+", usd("30"), day(31), day(59), 1, carried_from="jan"),)
    assert end.entries == (
        Entry("jan", "carried", usd("-30"), day(31), "jan+"), Entry("jan+", "granted", usd("30"), day(31)),
        Entry("jan", "expired", usd("-50"), day(31)),
    )  # fmt: skip
    assert ended([grant], entries, at=day(30)).entries == ()


def test_what_comes_back_to_a_grant_that_has_ended_ends_as_if_it_had_never_been_drawn():
    grant = Grant("jan", usd("100"), day(0), day(31), rollover=Rollover(28, amount=usd("30")))
    drawn_all = [opened(grant), *drawn([grant], [opened(grant)], usd("100"), at=day(3), reference="d1")]
    drawn_part = [opened(grant), *drawn([grant], [opened(grant)], usd("90"), at=day(3), reference="d1")]
    assert ended([grant], drawn_all, at=day(31)).entries == ()
    first = ended([grant], drawn_part, at=day(31))
    drawn_part += first.entries

    late = [*drawn_all, *returned(drawn_all, usd("40"), reference="d1")]
    later = [*drawn_part, *returned(drawn_part, usd("40"), reference="d1")]

    assert [(each.kind, each.amount) for each in ended([grant], late, at=day(36)).entries] == [
        ("carried", usd("-30")), ("granted", usd("30")), ("expired", usd("-10")),
    ]  # fmt: skip
    assert ended([grant, *first.carried], later, at=day(36)).entries == (
        Entry("jan", "carried", usd("-20"), day(31), "jan+"), Entry("jan+", "carried", usd("20"), day(31), "jan"),
        Entry("jan", "expired", usd("-20"), day(31)),
    )  # fmt: skip


ENDING = st.lists(st.tuples(st.sampled_from(["draw", "return", "end"]), st.integers(0, 29), money()), max_size=12)
PERCENTS = decimals(lowest="1", highest="100", places=1)
ROLLOVERS = st.none() | st.builds(Rollover, st.integers(1, 20), PERCENTS, st.none() | money())


@given(money(), ROLLOVERS, ENDING)
def test_when_an_end_is_booked_changes_nothing(amount, rollover, acts):
    grant = Grant("jan", amount, day(0), day(30), rollover=rollover)

    def play(acts):
        grants, entries, documents = [grant], [opened(grant)], []
        for number, (act, on, due) in enumerate([*acts, ("end", 0, NONE)]):
            if act == "draw":
                documents.append(f"d{number}")
                entries += drawn(grants, entries, due, at=day(on), reference=documents[-1])
            elif act == "return":
                entries += returned(entries, due, reference=documents[0]) if documents else ()
            else:
                end = ended(grants, entries, at=day(99))
                grants, entries = [*grants, *end.carried], [*entries, *end.entries]
                assert ended(grants, entries, at=day(99)) == Ended((), ())
        return totals(entries)

    assert play(acts) == play([each for each in acts if each[0] != "end"])


def totals(entries):
    """By grant and kind, what is booked; what comes into a grant of another's rest is granted."""
    found = {}
    for each in entries:
        kind = "granted" if each.grant.endswith("+") and each.kind == "carried" else each.kind
        key = each.grant, "drawn" if kind == "returned" else kind
        found[key] = found.get(key, NONE) + each.amount
    return {key: amount for key, amount in found.items() if amount != NONE}


def test_what_was_drawn_of_the_rest_that_was_carried_on_stays_paid_when_a_late_document_draws_the_grant():
    grant = Grant("jan", usd("100"), day(0), day(30), rollover=Rollover(30, amount=usd("30")))
    first = ended([grant], [opened(grant)], at=day(30))
    grants, entries = [grant, *first.carried], [opened(grant), *first.entries]
    entries += drawn(grants, entries, usd("20"), at=day(35), reference="feb")

    entries += drawn(grants, entries, usd("500"), at=day(20), reference="jan")

    # Twenty of the thirty that were carried on had been drawn: so much of the rest stays, and the other ten come back.
    assert totals(entries) == {
        ("jan", "granted"): usd("100"), ("jan", "drawn"): usd("-80"), ("jan", "carried"): usd("-20"),
        ("jan+", "granted"): usd("20"), ("jan+", "drawn"): usd("-20"),
    }  # fmt: skip
    assert drawn(grants, entries, usd("500"), at=day(20), reference="more") == ()


def test_what_is_booked_for_later_is_not_spent_twice():
    grant = Grant("jan", usd("100"), day(0))
    entries = [opened(grant), *drawn([grant], [opened(grant)], usd("80"), at=day(10), reference="d1")]

    (early,) = drawn([grant], entries, usd("90"), at=day(5), reference="d2")

    assert early.amount == usd("-20")


def test_what_came_back_may_be_drawn_for_the_same_service_again():
    grant = Grant("jan", usd("100"), day(0), day(31))
    entries = [opened(grant), *drawn([grant], [opened(grant)], usd("80"), at=day(10), reference="d1")]
    entries += returned(entries, usd("80"), reference="d1")

    (again,) = drawn([grant], entries, usd("90"), at=day(10), reference="d2")

    assert again.amount == usd("-90")


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Grant("g", NONE, day(0)), "amount"),
        (lambda: Grant("g", usd("0.001"), day(0)), "amount"),
        (lambda: Grant("g", usd("1"), day(1), day(1)), "expires_at"),
        (lambda: Grant("g", usd("1"), day(1), rollover=Rollover(3)), "rollover"),
        (lambda: Rollover(0), "rollover.days"),
        (lambda: Rollover(1, Decimal(0)), "rollover.percent"),
        (lambda: Rollover(1, amount=usd("-1")), "rollover.amount"),
    ],
)
def test_a_grant_that_makes_no_sense_is_refused_by_field_with_a_fix(make, field):
    with pytest.raises(CreditInvalid) as refused:
        make()

    assert (refused.value.code, refused.value.field) == ("credit_invalid", field)
    assert refused.value.fix


def test_a_grant_carries_on_no_other_currency_than_its_own():
    with pytest.raises(CurrenciesMixed):
        Grant("g", usd("1"), day(0), day(1), rollover=Rollover(3, amount=Money.of("1", "EUR")))
