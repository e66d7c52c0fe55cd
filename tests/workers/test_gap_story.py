"""A source sends 950 of 1,000 numbered events: the period waits for the rest, and is billed to the cent."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from line_bench import batch, event

from workers import gaps
from workers.store import billing_runs, figures, losses
from workers.store.database import engine, snapshot

SOURCE_A = """
insert into sources (name, owner) values ('/a', 'test') on conflict do nothing;
insert into source_users select id, 'upstream' from sources on conflict do nothing;
insert into mappings (source_id, subject, subscription_id, recorded_by)
  select s.id, 'A', u.id, 'test' from sources s, subscriptions u where s.name = '/a' and u.ref = 's-ua'
  on conflict do nothing;
update prices set terms = '{"model": "per_unit", "unit_amount": "0"}';
update prices set terms = '{"model": "per_unit", "unit_amount": "1.50"}'
  where metric_id = (select id from metrics where name = 'departures');
update tax_rates set rate = 0
"""
MISSING = range(301, 351)
MARCH = datetime(2026, 3, 2, tzinfo=UTC)
APRIL = datetime(2026, 4, 2, tzinfo=UTC)


@pytest.fixture
def story(month):
    month.bound.run(SOURCE_A)
    return month


def numbered(numbers, first_at=MARCH):
    """Events of /a, ten minutes apart."""
    return [
        event(
            f"a{number}",
            source="/a",
            subject="A",
            sequence=str(number),
            sequencetype="Integer",
            time=(first_at + timedelta(minutes=10 * number)).isoformat(),
        )
        for number in numbers
    ]


def send(month, numbers, **how):
    """Send these numbers in batches of a hundred, and bring what came to its windows."""
    events = numbered(numbers, **how)
    for start in range(0, len(events), 100):
        month.receive(batch(*events[start : start + 100]))
    month.work("validate", "enrich", "aggregate")


def test_a_period_is_not_frozen_over_a_gap_and_is_billed_when_the_missing_events_have_come(story):
    send(story, [number for number in range(1, 1_001) if number not in MISSING])

    run = story.request()

    assert (story.stage(run), story.blockers(run)) == ("open", {"sequence_gap": 1})
    row = story.bound.rows("select sentence, quantity, money_at_risk, currency, basis, account_id from exceptions")[0]
    assert tuple(row) == (
        "50 events are missing: numbers 301 to 350 of /a",
        50,
        Decimal("75.00"),
        "USD",
        "estimated loss",
        "ua",
    )
    (blocker,) = story.bound.one("select blockers from billing_runs where id = :id", id=run)
    assert (blocker["money_at_risk"], blocker["is_overridable"]) == ("75 USD", True)
    assert story.bound.one("select count(*) from lots") == 0
    with snapshot() as conn:
        assert (figures.excepted(conn), figures.refused(conn)) == ([], [])

    send(story, [340, *range(350, 340, -1)])
    assert_open(story, [(301, 339)])
    send(story, [*range(320, 330), 340, 341])
    assert_open(story, [(301, 319), (330, 339)])
    send(story, [*range(330, 340), *range(319, 300, -1)])
    assert_open(story, [])
    assert {row.reason.partition(":")[0] for row in story.bound.rows("select reason from exceptions")} == {
        "healed",
        "replaced",
    }

    assert story.request() == run
    story.approve(run)

    assert story.stage(run) == "closed"
    assert net_of_united(story, run) == "1500.00"
    story.assert_all_accounted_for()


def net_of_united(story, run):
    """What the account of the source is billed; the other one of the month has no usage."""
    return {row[0]: row[4] for row in story.documents(run)}["ua"]


def assert_open(story, stretches):
    """These are the gaps; every count and the estimated loss follow from them."""
    gaps.look_now()
    found = story.bound.rows(
        """select cast(facts ->> 'from' as int), cast(facts ->> 'to' as int), quantity, money_at_risk
           from exceptions where state = 'open' order by 1"""
    )
    sizes = [last - first + 1 for first, last in stretches]
    assert [tuple(row) for row in found] == [
        (first, last, size, size * Decimal("1.50")) for (first, last), size in zip(stretches, sizes, strict=True)
    ]
    with engine().connect() as conn:
        lost = losses.losses(conn)
    assert lost.missing == sum(sizes)
    assert lost.money == ({"USD": sum(sizes) * Decimal("1.50")} if sizes else {})


def test_a_gap_can_be_let_pass_by_name(story):
    send(story, [1, 2, 4])
    run = story.request()
    assert story.blockers(run) == {"sequence_gap": 1}

    story.override(run, "sequence_gap")
    story.approve(run)

    assert net_of_united(story, run) == "4.50"


def test_a_gap_blocks_the_period_it_falls_in_and_no_other(story):
    send(story, range(1, 11))
    send(story, [11, 12, 15], first_at=APRIL)

    run = story.request()

    assert story.stage(run) == "drafted"
    assert story.bound.one("select count(*) from exceptions where code = 'sequence_gap' and state = 'open'") == 1


def test_a_gap_over_the_end_of_a_period_blocks_both(story):
    send(story, range(1, 11))
    send(story, [14, 15], first_at=APRIL)

    run = story.request()

    assert story.blockers(run) == {"sequence_gap": 1}
    april = story.bound.one("select id from billing_periods where starts_on = '2026-04-01'")
    story.bound.run("update billing_runs set billing_period_id = :april where id = :run", april=april, run=run)
    with engine().begin() as conn:
        billing_runs.press(conn, run)
    story.work()
    assert story.blockers(run)["sequence_gap"] == 1


def test_a_gap_that_shows_between_the_look_and_the_fence_blocks_too(story, monkeypatch):
    send(story, [1, 2, 3])
    look = gaps.look_now

    def look_and_then_more_arrives():
        look()
        monkeypatch.setattr(gaps, "look_now", look)
        send(story, [6])

    monkeypatch.setattr(gaps, "look_now", look_and_then_more_arrives)
    run = story.request()

    assert story.blockers(run) == {"sequence_gap": 1}
    assert story.bound.one("select count(*) from lots") == 0


def test_a_gap_whose_loss_nobody_knows_yet_blocks_all_the_same(story):
    story.bound.run("delete from prices")
    send(story, [1, 3])

    run = story.request()

    (blocker,) = story.bound.one("select blockers from billing_runs where id = :id", id=run)
    assert (blocker["code"], blocker["money_at_risk"]) == ("sequence_gap", None)
