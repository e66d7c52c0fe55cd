"""Numbers of a source on a real PostgreSQL: what came is marked without waiting, what is missing is told."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from line_bench import HAPPENED_AT, SOURCE, batch
from line_bench import event as departure
from sqlalchemy.exc import IntegrityError, ProgrammingError
from usage_line import event

from domain.completeness import GAP, Run, merged, runs_of
from workers import gaps, step
from workers.store import losses, sequences
from workers.store.database import engine


@pytest.fixture(autouse=True)
def _empty(request):
    if "register" in request.fixturenames:
        request.getfixturevalue("register").run("""truncate receipts, receipt_counts, event_keys, usage_events, batches,
          attributions, exclusions, aggregates, aggregate_values, control_totals, work, exceptions, notices,
          source_hours, exclusion_rules, lots, prices, sequence_marks, sequence_runs cascade;
          update sources set sequence_start = null, gap_grace_s = null""")


def numbered(*numbers, prefix="n", **changes):
    """Events with these numbers, an id for each, a minute apart."""
    return [
        departure(
            f"{prefix}{number}",
            sequence=str(number),
            time=(HAPPENED_AT + timedelta(minutes=number)).isoformat(),
            **changes,
        )
        for number in numbers
    ]


def at(number):
    return HAPPENED_AT + timedelta(minutes=number)


def runs(bound):
    return [tuple(row) for row in bound.rows("select first, last from sequence_runs order by source_id, first")]


def told(bound, state="open"):
    """(from, to, missing) of the exceptions about gaps."""
    found = bound.rows(
        """select (facts ->> 'from')::int, (facts ->> 'to')::int, quantity::int from exceptions
           where code = 'sequence_gap' and state = :state order by 1""",
        state=state,
    )
    return [tuple(row) for row in found]


def test_a_gap_is_an_exception_that_says_what_is_missing_and_between_which_events(register, receive, drain):
    receive(batch(*numbered(*range(1, 31), *range(36, 41))))
    drain("validate")

    gaps.look_now()

    ((step_, sentence, quantity, source, happened_at, until, state),) = register.rows(
        """select step, sentence, quantity, source, happened_at, happened_until, state from exceptions"""
    )
    assert (step_, sentence) == ("validate", f"5 events are missing: numbers 31 to 35 of {SOURCE}")
    assert (quantity, source, state) == (5, SOURCE, "open")
    assert (happened_at, until) == (at(30), at(36))


def test_one_missing_event_is_told_in_the_singular(register, receive, drain):
    receive(batch(*numbered(1, 3)))
    drain("validate")

    gaps.look_now()

    assert register.one("select sentence from exceptions") == f"1 event is missing: number 2 of {SOURCE}"


def test_whatever_arrives_in_whatever_order_the_exceptions_are_what_is_missing(register, receive, drain):
    chance = Random(7)
    order = list(range(1, 61))
    chance.shuffle(order)

    came = set()
    for start in range(0, 60, 7):
        part = order[start : start + 7]
        receive(batch(*numbered(*part)))
        drain("validate")
        gaps.look_now()
        came |= set(part)
        missing = {n for first, last, _ in told(register) for n in range(first, last + 1)}
        assert missing == set(range(1, max(came))) - came
        assert sum(each[2] for each in told(register)) == len(missing)

    assert runs(register) == [(1, 60)]
    assert told(register) == []
    reasons = register.rows("select distinct split_part(reason, ':', 1), closed_by from exceptions order by 1")
    assert [tuple(row) for row in reasons] == [("healed", "tallyline"), ("replaced", "tallyline")]


def test_a_gap_that_is_filled_in_parts_is_split_and_heals(register, receive, drain):
    for arrived, left in (
        ((*range(1, 11), *range(21, 31)), [(11, 20, 10)]),
        ((14, 15), [(11, 13, 3), (16, 20, 5)]),
        ((16, 11), [(12, 13, 2), (17, 20, 4)]),
        ((12, 13, 17, 18, 19, 20), []),
    ):
        receive(batch(*numbered(*arrived)))
        drain("validate")
        gaps.look_now()
        assert told(register) == left

    assert len(told(register, "resolved")) == 5


def test_what_is_refused_or_a_duplicate_has_come_too(register, receive, drain):
    receive(batch(*numbered(1, 2, 3)))
    drain("validate")
    refused = numbered(4, data={"distance": "far"})
    conflicting = numbered(5, prefix="x")
    receive(batch(*conflicting, *numbered(3), *refused))
    receive(batch(departure("x5", sequence="6"), departure("n7", sequence="8"), departure("n7", sequence="7")))

    drain("validate")
    gaps.look_now()

    assert runs(register) == [(1, 8)]
    assert sorted(row.code for row in register.rows("select code from exceptions")) == [
        "conflicting_duplicate",
        "field_invalid",
    ]


def test_the_number_is_not_part_of_what_makes_an_event_the_same(register, receive, drain):
    receive(batch(departure("1", sequence="1"), departure("1", sequence="2"), departure("1")))

    drain("validate")

    assert register.rows("select accepted, duplicate, refused from receipt_counts") == [(1, 2, 0)]


def test_nobody_else_can_spoil_the_series_of_a_source(register, receive, drain):
    receive(batch(*numbered(1)))
    receive(batch(*numbered(999), user="somebody"), batch(departure("u", sequence="5", source="/unknown")))

    drain("validate")
    gaps.look_now()

    assert runs(register) == [(1, 1)]
    assert told(register) == []


def test_a_malformed_number_is_a_refusal_of_that_event_alone(register, receive, drain):
    receive(batch(*numbered(1), departure("bad", sequence="one"), *numbered(2)))

    drain("validate")

    assert register.rows("select accepted, refused from receipt_counts") == [(2, 1)]
    ((code, field),) = register.rows("select code, facts ->> 'field' from exceptions")
    assert (code, field) == ("sequence_invalid", "sequence")
    sequences_seen = register.rows("select first, last from sequence_marks")
    assert [tuple(row) for row in sequences_seen] == [(1, 2)]


def test_sources_without_numbers_are_left_alone(register, receive, drain):
    receive(batch(departure("1"), departure("2")))

    drain()
    gaps.look_now()

    assert runs(register) == []
    assert register.one("select count(*) from sequence_marks") == 0
    assert register.one("select count(*) from exceptions") == 0


def test_a_claim_of_many_receipts_leaves_a_mark_for_each_run_of_each_source(register, receive, drain):
    for numbers in ((3, 4), (1, 2), (5,), (9, 8)):
        receive(batch(*numbered(*numbers)))

    drain("validate")

    marks = register.rows("select first, last, first_at, last_at from sequence_marks order by first")
    assert [tuple(row) for row in marks] == [(1, 5, at(1), at(5)), (8, 9, at(8), at(9))]


def test_marks_are_folded_in_bounded_parts(register, receive, drain):
    for number in (7, 2, 9, 1, 8, 3):
        receive(batch(*numbered(number)))
        drain("validate")

    with engine().begin() as conn:
        sequences.lock(conn)
        counts = [sequences.fold(conn, marks_max=4) for _ in range(3)]

    assert counts == [4, 2, 0]
    assert runs(register) == [(1, 3), (7, 9)]


def test_however_marks_are_folded_the_runs_are_those_of_the_rule(register):
    register.run("insert into sources (name, owner) values ('/other', 'test') on conflict do nothing")
    ids = sorted(row.id for row in register.rows("select id from sources"))[:2]
    chance = Random(11)
    came: dict[int, list[Run]] = {source: [] for source in ids}
    for n in range(40):
        numbers = {source: [(chance.randint(0, 150), at(chance.randint(0, 500))) for _ in range(4)] for source in ids}
        with engine().begin() as conn:
            sequences.mark(conn, numbers, seen_at=at(n))
            for source in ids:
                came[source] += runs_of(numbers[source], seen_at=at(n))
            if chance.random() < 0.4:
                sequences.lock(conn)
                sequences.fold(conn, marks_max=chance.randint(1, 15))
    with engine().begin() as conn:
        while sequences.fold(conn, marks_max=7):
            continue
        for source in ids:
            assert list(sequences.runs(conn, source)) == merged(came[source])[::-1]


def test_a_young_gap_is_told_by_the_tick_only_when_its_grace_is_over(register, receive, drain):
    receive(batch(*numbered(1, 3)))
    drain("validate")

    gaps.tick()
    assert told(register) == []
    register.run("update sequence_runs set seen_at = seen_at - interval '301 seconds'")
    gaps.tick()
    assert told(register) == [(2, 2, 1)]


def test_the_grace_of_a_source_is_master_data(register, receive, drain):
    register.run("update sources set gap_grace_s = 3600")
    receive(batch(*numbered(1, 3)))
    drain("validate")
    gaps.tick()

    register.run("update sequence_runs set seen_at = seen_at - interval '3500 seconds'")
    gaps.tick()
    assert told(register) == []
    register.run("update sequence_runs set seen_at = seen_at - interval '101 seconds'")
    gaps.tick()
    assert told(register) == [(2, 2, 1)]


def test_a_gap_told_at_once_is_neither_taken_back_by_the_tick_nor_is_what_is_left_of_it(register, receive, drain):
    receive(batch(*numbered(1, 5)))
    drain("validate")
    gaps.look_now()

    gaps.tick()
    assert told(register) == [(2, 4, 3)]
    receive(batch(*numbered(3)))
    drain("validate")
    gaps.tick()

    assert told(register) == [(2, 2, 1), (4, 4, 1)]


def test_looking_again_changes_nothing(register, receive, drain):
    receive(batch(*numbered(1, 5)))
    drain()
    gaps.look_now()
    before = register.rows("select * from exceptions")

    gaps.look_now()
    gaps.tick()

    assert register.rows("select * from exceptions") == before


def test_a_series_that_starts_elsewhere_misses_nothing_below(register, receive, drain):
    register.run("update sources set sequence_start = 1000")
    receive(batch(*numbered(1000, 1001, 1004)))
    drain("validate")

    gaps.look_now()

    assert told(register) == [(1002, 1003, 2)]


def test_a_start_that_is_moved_up_heals_what_lies_below(register, receive, drain):
    receive(batch(*numbered(1000, 1001)))
    drain("validate")
    gaps.look_now()
    assert told(register) == [(1, 999, 999)]

    register.run("update sources set sequence_start = 1000")
    gaps.look_now()

    assert told(register) == []
    assert told(register, "resolved") == [(1, 999, 999)]


def test_what_a_person_dismissed_stays_dismissed(register, receive, drain):
    receive(batch(*numbered(1, 9)))
    drain("validate")
    gaps.look_now()
    register.run("""update exceptions set state = 'dismissed', closed_at = now(), closed_by = 'ann',
      reason = 'the meter was off'""")

    receive(batch(*numbered(5)))
    drain("validate")
    gaps.look_now()

    assert told(register) == []
    assert told(register, "dismissed") == [(2, 8, 7)]


def test_numbers_that_are_no_series_are_told_together(register, receive, drain, monkeypatch):
    monkeypatch.setattr(sequences, "GAPS_MAX", 3)
    receive(batch(*numbered(2, 4, 6, 8, 100)))
    drain("validate")

    gaps.look_now()

    assert told(register) == [(1, 5, 3), (7, 7, 1), (9, 99, 91)]
    sentence = "select sentence from exceptions where facts ->> 'from' = '1'"
    assert register.one(sentence) == f"3 events are missing: among numbers 1 to 5 of {SOURCE}"


def test_the_loss_is_what_the_missing_events_would_cost_at_the_prices_in_force(register, receive, drain):
    register.run("""insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
      select v.id, m.id, '{"model": "per_unit", "unit_amount": "1.50"}', 'standard', 'revenue'
      from contract_versions v, metrics m where m.name = 'departures'""")
    receive(batch(*numbered(*range(1, 21), *range(31, 41))))
    drain()

    gaps.look_now()

    row = register.rows("select money_at_risk, currency, basis, account_id, legal_entity_id, facts from exceptions")[0]
    assert tuple(row)[:5] == (Decimal("15.00"), "USD", "estimated loss", "ua", "pony")
    assert row.facts == {"from": 21, "to": 30, "estimated_loss": {"USD": "15.00"}}
    with engine().connect() as conn:
        lost = losses.losses(conn)
    assert (lost.gaps, lost.missing, lost.money, lost.unknown) == (1, 10, {"USD": Decimal("15.00")}, 0)


def test_the_loss_is_unknown_without_a_price_and_known_when_there_is_one(register, receive, drain):
    receive(batch(*numbered(1, 3)))
    drain()
    gaps.look_now()
    assert register.one("select money_at_risk from exceptions") is None
    with engine().connect() as conn:
        assert losses.losses(conn).unknown == 1

    register.run("""insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
      select v.id, m.id, '{"model": "per_unit", "unit_amount": "2"}', 'standard', 'revenue'
      from contract_versions v, metrics m where m.name = 'departures'""")
    gaps.tick()

    assert register.one("select money_at_risk from exceptions") == 2


def test_a_source_that_is_billed_in_two_currencies_has_two_losses(register, receive, drain):
    register.run("""insert into accounts values ('eu', 'Europe') on conflict do nothing;
      insert into contracts (ref, account_id, legal_entity_id, currency) values ('c-eu', 'eu', 'pony', 'EUR')
        on conflict do nothing;
      insert into contract_versions (contract_id, version, starts_at, recorded_by)
        select id, 1, '2020-01-01', 'test' from contracts where ref = 'c-eu' on conflict do nothing;
      insert into subscriptions (ref, contract_id, cycle_id) select 's-eu', c.id, y.id
        from contracts c, billing_cycles y where c.ref = 'c-eu' on conflict do nothing;
      insert into mappings (source_id, subject, subscription_id, recorded_by)
        select s.id, 'EU', u.id, 'test' from sources s, subscriptions u where u.ref = 's-eu' on conflict do nothing;
      insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
        select v.id, m.id, '{"model": "per_unit", "unit_amount": "1"}', 'standard', 'revenue'
        from contract_versions v, metrics m where m.name = 'departures'""")
    receive(batch(*numbered(1, 2, 3), *numbered(4, 9, subject="EU")))
    drain()

    gaps.look_now()  # 5 to 8 are missing: three in five are in dollars, two in five in euros

    row = register.rows("select money_at_risk, currency, account_id, legal_entity_id, facts from exceptions")[0]
    assert tuple(row)[:4] == (None, None, None, "pony")
    assert row.facts["estimated_loss"] == {"EUR": "1.60", "USD": "2.40"}


def test_terms_that_cannot_be_read_are_no_price(register, receive, drain):
    register.run("""insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
      select v.id, m.id, '{"model": "of a later version"}', 'standard', 'revenue'
      from contract_versions v, metrics m where m.name = 'departures'""")
    receive(batch(*numbered(1, 3)))
    drain()

    gaps.look_now()

    assert register.one("select money_at_risk from exceptions") is None


def test_the_database_refuses_overlapping_runs_and_numbers_that_are_none(register):
    insert = "insert into sequence_runs select id, {}, now(), now(), now() from sources"
    register.run(insert.format("1, 10"))

    for wrong in ("10, 20", "5, 5", "9, 8", "-1, 0", "1000000000000000000, 1000000000000000000"):
        with pytest.raises(IntegrityError):
            register.run(insert.format(wrong))


@pytest.mark.parametrize("statement", ["update sequence_marks set last = last", "update sequence_runs set last = last"])
def test_nobody_edits_what_came(register, statement):
    with pytest.raises(ProgrammingError, match="permission denied"), engine().begin() as conn:
        conn.exec_driver_sql(statement)


def number(name, value):
    return event(name, sequence=str(value), time=datetime(2026, 11, 5, 12, value, tzinfo=UTC).isoformat())


def test_of_a_source_with_very_many_runs_only_the_highest_are_looked_at_one_by_one(
    register, receive, drain, monkeypatch
):
    monkeypatch.setattr(sequences, "RUNS_MAX", 3)
    monkeypatch.setattr(sequences, "GAPS_MAX", 2)
    receive(batch(*numbered(2, 4, 6, 8, 100)))
    drain("validate")

    gaps.look_now()

    assert told(register) == [(1, 7, 4), (9, 99, 91)]


def test_sources_that_count_as_high_as_they_can_break_no_sum(register, receive, drain):
    register.run("""insert into sources (name, owner) select '/s' || n, 'test' from generate_series(1, 12) n;
      insert into source_users select id, 'upstream' from sources on conflict do nothing""")
    highest = "9" * 18
    receive(batch(*(departure(f"h{n}", source=f"/s{n}", sequence=highest) for n in range(1, 13))))
    drain("validate")

    gaps.look_now()

    with engine().connect() as conn:
        assert losses.losses(conn).missing == 12 * (int(highest) - 1)


def test_two_validate_workers_mark_at_once_and_none_waits(line):
    first = line.receive(number("a", 1), number("b", 2), number("c", 5))
    second = line.receive(number("d", 3), number("e", 6), number("f", 9))

    with line.uncommitted("validate", first):
        step.perform("validate", [second])
        gaps.look_now()
        assert line.rows("select first, last from sequence_runs order by 1") == [(3, 3), (6, 6), (9, 9)]
    gaps.look_now()

    assert line.rows("select first, last from sequence_runs order by 1") == [(1, 3), (5, 6), (9, 9)]
    found = line.rows("select facts ->> 'from', facts ->> 'to' from exceptions where state = 'open' order by 1")
    assert found == [("4", "4"), ("7", "8")]


def test_a_worker_that_dies_before_its_commit_has_marked_nothing(line):
    claimed = line.receive(number("a", 1), number("b", 2))

    with line.rolled_back("validate", claimed):
        gaps.look_now()
    assert line.rows("select first, last from sequence_runs") == []
    step.perform("validate", [claimed])
    gaps.look_now()

    assert line.rows("select first, last from sequence_runs") == [(1, 2)]


def test_validating_a_receipt_again_marks_the_same(line):
    claimed = line.receive(number("a", 1), number("b", 2))
    step.perform("validate", [claimed])
    again = line.receive(number("a", 1), number("b", 2))

    step.perform("validate", [again])
    gaps.look_now()

    assert line.rows("select first, last from sequence_runs") == [(1, 2)]


def test_who_looks_for_gaps_waits_for_another_who_does_and_validate_for_neither(line):
    claimed = line.receive(number("a", 1), number("b", 3))
    with line.engine.begin() as conn:
        sequences.lock(conn)

        step.perform("validate", [claimed])
        looking = line.blocked(gaps.look_now)

        assert line.codes() == []
    looking.join()

    assert line.codes() == [GAP]
