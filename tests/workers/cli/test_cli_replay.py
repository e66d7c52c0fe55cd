"""Replay: what it would come to is told first and true, it bills nothing twice, and every identity holds after it."""

import json

import pytest
from operator_bench import departure

from queues.contracts import STRUCTURED, Delivery
from workers.store import identity, receipts
from workers.store.database import engine, snapshot

UNKNOWN = {"source": "/ops/bos"}


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


def assert_identity() -> None:
    with snapshot() as conn:
        assert identity.differences(conn) == []
        assert identity.event_totals(conn).is_balanced


def states(operator) -> list[tuple[str, str]]:
    return operator.rows("select code, state from exceptions order by id")


def outcomes(operator, *words: object) -> list[str]:
    return [each["would_be"] for each in operator.json("replay", *words, "--dry-run")["forecast"]]


def test_a_refused_event_is_received_anew_once_its_source_is_known(airports, lines):
    airports("send", lines(departure(1, **UNKNOWN), departure(2, **UNKNOWN)))
    assert outcomes(airports, "--code", "source_unknown") == ["source_unknown", "source_unknown"]
    airports("sources", "add", "/ops/bos", "--user", "demo")

    assert outcomes(airports, "--code", "source_unknown") == ["accepted", "accepted"]
    assert airports.one("select count(*) from usage_events") == 0

    assert airports.json("replay", "--code", "source_unknown", "--yes")["sent"] == {"event": 2}

    assert airports.one("select count(*) from usage_events") == 2
    assert airports.rows("select distinct lane from work where step = 'validate' and subject <> 'receipt/1'") == [
        ("replay",)
    ]
    assert [state for _, state in states(airports)][:2] == ["replayed", "replayed"]
    assert_identity()


def test_an_event_that_is_refused_again_opens_the_same_exception(airports, lines):
    airports("send", lines(departure(1, **UNKNOWN)))

    airports("replay", "1", "--yes", "--reason", "a try")

    assert airports.rows("select code, state, seen from exceptions") == [("source_unknown", "open", 2)]
    assert_identity()


def test_an_event_whose_id_was_taken_meanwhile_is_told_so(airports, lines):
    airports("send", lines(departure(1, **UNKNOWN), departure(2, **UNKNOWN)))
    airports("sources", "add", "/ops/bos", "--user", "demo")
    airports("send", lines(departure(1, **UNKNOWN), departure(2, **UNKNOWN, subject="AA")))

    assert outcomes(airports, "--code", "source_unknown") == ["duplicate", "conflicting_duplicate"]


def test_a_body_that_cannot_be_read_is_given_again_as_it_came(airports):
    with engine().begin() as conn:
        receipts.store(conn, "intake", [Delivery(b"\xff", {"content_type": STRUCTURED, "user_id": "demo"})])
    settle()

    assert outcomes(airports, "--code", "body_unreadable") == ["body_unreadable"]


def settle() -> None:
    from workers.cli.working import work_here

    work_here([])


def test_a_number_that_cannot_be_kept_is_left_to_its_producer(airports, tmp_path):
    file = tmp_path / "events.jsonl"
    file.write_text(json.dumps(departure(1)).replace("1400", "1e400") + "\n")
    airports("send", file)

    (told,) = airports.json("replay", "1", "--dry-run")["forecast"]

    assert (told["kind"], told["would_be"]) == (None, "nothing")
    assert "its producer has to send it" in told["says"]
    assert airports.json("replay", "1", "--yes")["sent"] == {}
    assert states(airports)[0][1] == "open"


def test_usage_that_lacks_its_quantity_stays_open_until_a_rule_excludes_it(airports, lines, tmp_path):
    airports("send", lines(*(departure(n, data={"air_time": None}) for n in range(3))))
    assert outcomes(airports, "--code", "quantity_missing") == ["unchanged"] * 3
    first = airports.one("select min(id) from exceptions")
    assert airports.json("replay", first, "--yes")["sent"] == {"usage": 1}
    rule = tmp_path / "rule.yaml"
    rule.write_text(
        "exclusion_rules:\n  diverted: {meter: airport.departure, metric: distance, reason: no distance flown, "
        "conditions: [{property: air_time, op: is_null}]}\n"
    )
    airports("master", "load", rule)

    assert outcomes(airports, "--code", "quantity_missing") == ["excluded"] * 3
    assert airports.one("select count(*) from exclusions") == 0

    airports("replay", first, "--yes")

    assert airports.one("select count(*) from exclusions") == 1
    assert [state for _, state in states(airports)] == ["resolved", "open", "open"]
    assert_identity()


def test_parked_usage_is_decided_again_by_its_key(airports, lines):
    airports("send", lines(departure(1, subject="ZZ"), departure(2, subject="ZZ", time="2013-05-02T10:15:00Z")))
    airports.run("""insert into mappings (source_id, subject, subscription_id, recorded_by)
      select s.id, 'ZZ', u.id, 'me' from sources s, subscriptions u
      where s.name = '/ops/ewr' and u.ref = 'newark-UA-usage'""")

    assert set(outcomes(airports, "--code", "subscription_not_found")) == {"billable"}
    airports("replay", "--code", "subscription_not_found", "--yes")

    assert airports.rows("select distinct state from exceptions") == [("resolved",)]
    assert airports.one("select sum(quantity) from aggregates") == 2 + 2 + 2800
    assert_identity()


def test_a_dead_work_row_becomes_ready_in_the_lane_replay(airports):
    body = json.dumps(departure(1)).encode()
    with engine().begin() as conn:
        receipts.store(conn, "intake", [Delivery(body, {"content_type": STRUCTURED, "user_id": "demo"})])
    airports.run("update work set state = 'dead', attempts = 8, outcome = 'attempts_exhausted', done_at = now()")
    airports.run("""insert into exceptions (step, code, key16, hash, work_id, sentence)
      select 'validate', 'attempts_exhausted', gen_random_uuid(), '', id, 'the disk was full' from work""")

    (told,) = airports.json("replay", "1", "--dry-run")["forecast"]
    sent = airports.json("replay", "1", "--yes", "--reason", "the disk has room")["sent"]

    assert (told["kind"], told["says"]) == ("work", "the step validate runs again; it died of: the disk was full")
    assert sent == {"work": 1}
    assert airports.rows("select lane, state, attempts, outcome from work where step = 'validate'") == [
        ("replay", "done", 0, "done")
    ]
    assert airports.rows("select state, reason from exceptions") == [("replayed", "the disk has room")]
    assert airports.one("select count(*) from usage_events") == 1


def test_what_is_closed_is_not_sent_again(airports, lines):
    airports("send", lines(departure(1, **UNKNOWN)))
    airports.run("update exceptions set state = 'dismissed', closed_at = now(), closed_by = 'me', reason = 'a test'")

    (told,) = airports.json("replay", "1", "--dry-run")["forecast"]

    assert (told["would_be"], told["says"]) == ("nothing", "it is dismissed: there is nothing to send again")
    assert airports.json("replay", "1", "--yes")["sent"] == {}


def test_nothing_is_sent_before_a_person_has_agreed(airports, lines, monkeypatch):
    airports("send", lines(departure(1, **UNKNOWN)))

    unasked = airports("replay", "1")
    assert (unasked.code, "nothing was sent" in text_of(unasked)) == (1, True)
    assert airports.one("select seen from exceptions") == 1

    monkeypatch.setattr("workers.cli.replay_ask.is_terminal", lambda: True)
    assert "nothing was sent" in text_of(airports("replay", "1", stdin="n\n"))
    assert "sent again: 1 event" in text_of(airports("replay", "1", stdin="y\n"))
    assert airports.one("select seen from exceptions") == 2


def test_many_forecasts_are_summed_up(airports, lines):
    airports("send", lines(*(departure(n, **UNKNOWN) for n in range(25))))

    told = airports("replay", "--code", "source_unknown").out

    assert "25" in told
    assert "would be" in told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name exceptions by number, or a cause with --code"),
        (["1", "--code", "source_unknown"], "name exceptions by number, or a cause with --code"),
        (["--code", "no_such"], "no exception is open with the code 'no_such'"),
        (["99"], "there is no exception 99"),
    ],
)
def test_what_is_not_there_cannot_be_replayed(operator, words, says):
    ran = operator("replay", *words)

    assert ran.code == 2
    assert says in text_of(ran)
