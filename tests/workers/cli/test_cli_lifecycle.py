"""The life of contracts and subscriptions: terms that renew, phases such as a trial, cancellations with a reason."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from workers.store import acting
from workers.store.acting import Named
from workers.store.database import engine

OPEN = "superseded_at = '9999-12-31 00:00:00+00'"


def subscription(words):
    return f"subscriptions:\n  S-1: {{{words}}}\n"


def contract(words):
    return f"contracts:\n  C-1: {{{words}}}\n"


def attempt(statement):
    """Try it as the application, under a name; nothing of it stays."""
    with engine().connect() as conn:
        acting.name(conn, Named("eve", "to see whether it works"))
        conn.execute(text(statement))


# ----------------------------------------------------------------------------------------------- phases
PHASES = "phases: [{phase: trial, is_trial: true, from: 2026-01-01}, {phase: regular, from: 2026-02-01}]"


def test_a_subscription_goes_through_phases_and_the_same_twice_changes_nothing(load):
    load.done(subscription(PHASES))

    again = load.done(subscription(PHASES))

    assert (again["new"], again["changed"]) == ({}, {})
    found = load.operator.rows(
        f"select phase, is_trial, starts_on::text, ends_on::text from subscription_phases where {OPEN} order by 3"
    )
    assert found == [("trial", True, "2026-01-01", "2026-02-01"), ("regular", False, "2026-02-01", "9999-12-31")]


def test_a_trial_that_is_made_longer_keeps_what_was_known(load):
    load.done(subscription(PHASES))

    load.done(subscription("phases: [{phase: trial, is_trial: true, from: 2026-02-01, to: 2026-02-15}]"))

    assert load.operator.rows(f"select phase, starts_on::text from subscription_phases where {OPEN} order by 2") == [
        ("trial", "2026-01-01"), ("trial", "2026-02-01"), ("regular", "2026-02-15"),
    ]  # fmt: skip
    assert load.operator.one(f"select count(*) from subscription_phases where not {OPEN}") == 1


def test_a_subscription_knows_when_it_was_activated(load):
    load.done(subscription("activated: 2026-01-05"))
    load.done(subscription(PHASES))

    assert load.operator.one("select activated_on::text from subscriptions") == "2026-01-05"


# ----------------------------------------------------------------------------------------------- cancellations
CANCELLED = "cancellation: {on: 2026-07-01, reason: moved to another provider}"


def ends(load):
    return load.operator.one("select ends_at::text from subscriptions where ref = 'S-1'")


def test_a_cancellation_ends_the_subscription_for_a_reason(load):
    done = load.done(subscription(CANCELLED))

    assert done["new"] == {"subscription_cancellations": 1}
    assert ends(load) == "2026-07-01 04:00:00+00"  # the first instant of that day in New York
    assert load.operator.rows(f"select ends_on::text, reason from subscription_cancellations where {OPEN}") == [
        ("2026-07-01", "moved to another provider")
    ]


def test_the_same_cancellation_twice_changes_nothing_and_what_says_nothing_of_it_leaves_it(load):
    load.done(subscription(CANCELLED))

    again = load.done(subscription(CANCELLED))
    other = load.done(subscription("contract: C-1, cycle: us/month"))

    assert (again["new"], again["changed"]) == (other["new"], other["changed"]) == ({}, {})
    assert ends(load) == "2026-07-01 04:00:00+00"


def test_a_cancellation_may_move_and_be_taken_back(load):
    load.done(subscription(CANCELLED))

    moved = load.done(subscription(CANCELLED.replace("07-01", "08-01")))
    assert (moved["new"], moved["changed"]["subscription_cancellations"]) == ({"subscription_cancellations": 1}, 1)
    assert ends(load) == "2026-08-01 04:00:00+00"

    load.done(subscription("cancellation: null"))
    assert ends(load) == "9999-12-31 00:00:00+00"
    assert load.operator.one(f"select count(*) from subscription_cancellations where {OPEN}") == 0
    assert load.operator.one("select count(*) from subscription_cancellations") == 2


def test_a_cancellation_with_another_end_than_its_own_is_refused(load):
    says = load.refused(subscription(f"{CANCELLED}, to: 2026-09-01"))

    assert "subscriptions.S-1.to: is another end than that of the cancellation" in says
    assert ends(load) == "9999-12-31 00:00:00+00"


def test_a_cancellation_without_a_reason_is_refused(load):
    assert "subscriptions.S-1.cancellation.reason: field required" in load.refused(
        subscription("cancellation: {on: 2026-07-01}")
    )


def test_a_backdated_cancellation_before_usage_is_refused_until_the_usage_is_somebody_elses(load, lines):
    now = datetime.now(UTC)
    call = {
        "specversion": "1.0", "id": "e1", "source": "/phones", "type": "call.ended", "subject": "k1",
        "time": now.isoformat(), "data": {"minutes": "3"},
    }  # fmt: skip
    load.operator.json("send", lines(call), "--user", "phones")
    before = (now - timedelta(days=9)).date()

    says = load.refused(subscription(f"cancellation: {{on: {before}, reason: backdated}}"))

    assert "before usage that is attributed to it; let it end later, or map that usage to another first" in says
    assert ends(load) == "9999-12-31 00:00:00+00"


def test_the_database_keeps_one_cancellation_in_force_and_edits_none(load):
    load.done(subscription(CANCELLED))

    with pytest.raises(IntegrityError):
        attempt("""insert into subscription_cancellations (subscription_id, ends_on, reason, recorded_by)
          select id, '2026-09-01', 'x', 'eve' from subscriptions""")
    with pytest.raises(ProgrammingError):
        attempt("update subscription_cancellations set reason = 'x'")


# ----------------------------------------------------------------------------------------------- renewals
def renewal(starts, **changes):
    given = {"from": starts, "term_months": 12, "auto_renew": "true", "notice_days": 30} | changes
    return contract(f"renewals: [{{{', '.join(f'{name}: {value}' for name, value in given.items())}}}]")


def test_a_contract_whose_term_ends_soon_is_listed_with_the_last_day_for_notice(load):
    today = load.operator.one("select (now() at time zone 'UTC')::date")
    starts = (today.replace(day=1) + timedelta(days=40)).replace(day=1)  # the first of next month, some years ago
    load.done(renewal(starts.replace(year=starts.year - 2)))

    (due,) = load.operator.json("master", "renewals", "--within", 60)
    far = load.operator.json("master", "renewals", "--within", 1)

    assert due == {
        "contract": "C-1", "account": "A", "term_months": 12, "ends_on": str(starts),
        "notice_until": str(starts - timedelta(days=31)), "then": "renews",
    }  # fmt: skip
    assert far == [] or starts - today <= timedelta(days=1)


def test_a_contract_that_does_not_renew_ends(load):
    today = load.operator.one("select (now() at time zone 'UTC')::date")
    starts = (today.replace(day=1) + timedelta(days=40)).replace(day=1)
    load.done(renewal(starts.replace(year=starts.year - 1), auto_renew="false"))

    ran = load.operator("master", "renewals", "--within", 60)

    assert "ends" in ran.out
    assert str(starts) in ran.out


def test_terms_change_from_a_day_on_and_what_was_known_stays(load):
    load.done(renewal("2026-01-01"))
    load.done(renewal("2027-01-01", term_months=24))

    found = load.operator.rows(
        f"select term_months, starts_on::text, ends_on::text from contract_renewals where {OPEN} order by 2"
    )
    assert found == [(12, "2026-01-01", "2027-01-01"), (24, "2027-01-01", "9999-12-31")]


@pytest.mark.parametrize("changes", [{"term_months": 0}, {"term_months": 1201}, {"notice_days": -1}, {"auto_renew": 1}])
def test_terms_that_cannot_be_are_refused(load, changes):
    assert "contracts.C-1.renewals[0]" in load.refused(renewal("2026-01-01", **changes))
