"""Edit and replay: what was sent stays, what is edited is received or stands in for it, and both can be seen."""

import json
from decimal import Decimal

import pytest
from line_bench import batch, event
from replay_bench import REPAIRED, UNKNOWN_SOURCE, amount, bill, carry_out, forecast, fresh, open_ids, plan, wanted

from domain.replays import EditInvalid, edited
from queues.contracts import STRUCTURED, Delivery
from workers.editing import edited_event
from workers.store import amendments, parked, recompute
from workers.store.database import engine, snapshot


@pytest.fixture
def march(month):
    fresh(month)
    return month


def receive(month, *events):
    month.receive(batch(*events))
    month.work("validate", "enrich", "aggregate")


def edit(exception, changes, *, whole=None):
    with engine().connect() as conn:
        return wanted(exception, kind="edit", edited=edited_event(conn, exception, changes, whole=whole))


def test_a_refused_event_is_received_anew_with_its_content_changed(march):
    receive(march, event("e", data={"distance": "far"}))
    (exception,) = open_ids(march)

    replay = carry_out(march, plan(edit(exception, {"data.distance": Decimal("1400.50")})))

    assert (replay.done, replay.refused) == (1, 0)
    assert march.bound.one("select data ->> 'distance' from usage_events") == "1400.5"
    original, new = march.bound.rows(
        "select convert_from(bodies[1], 'UTF8'), properties -> 0 from receipts order by id"
    )
    assert '"far"' in original[0]
    assert new[1]["edited_from"] == {"exception": exception, "receipt": 1, "position": 0}
    assert (new[1]["edited_by"], new[1]["user_id"]) == ("ann", "upstream")
    assert march.bound.rows("select state, closed_by from exceptions") == [("replayed", "ann")]
    march.assert_all_accounted_for(in_flight=3)


def test_an_edit_that_is_wrong_too_is_refused_under_its_own_words(march):
    receive(march, event("e", data={"distance": "far"}))
    (exception,) = open_ids(march)

    told = forecast(edit(exception, {"data.distance": "further"}))
    replay = carry_out(march, plan(edit(exception, {"data.distance": "further"})))

    assert [(each["state"], each["outcome"]) for each in told["outcomes"]] == [("refused", "field_invalid")]
    assert replay.refused == 1
    march.assert_all_accounted_for()


def test_usage_that_lacked_its_quantity_is_given_one_and_its_event_stays(march):
    receive(march, event("e", data={"tail": None, "distance": 100}))
    (exception,) = open_ids(march)
    request = edit(exception, {"data.tail": "N7", "data.distance": 999})

    told = forecast(request)
    carry_out(march, plan(request))

    assert [Decimal(each["difference"]) for each in told["accounts"]] == [
        amount(1, Decimal(100), 1) - amount(1, Decimal(100), 0)
    ]
    assert march.bound.rows("select data from usage_events") == [({"tail": None, "distance": 100},)]
    with engine().connect() as conn:
        (amendment,) = amendments.of_event(conn, march.bound.one("select event_no from usage_events"))
    assert (amendment["metric"], amendment["person"], amendment["data"]["tail"]) == ("aircraft", "ann", "N7")
    assert march.bound.one("select sum(quantity) from attributions where metric_id = 2") == 100
    assert bill(march) == {"ua": amount(1, Decimal(100), 1)}


def test_amended_usage_keeps_its_quantity_when_its_contract_changes(march):
    receive(march, event("e", data={"tail": None, "distance": 100}))
    carry_out(march, plan(edit(open_ids(march)[0], {"data.tail": "N7"})))
    march.bound.run("""with old as (update contract_versions v set superseded_at = now() from contracts c
        where c.id = v.contract_id and c.ref = 'c-ua' and v.version = 1 returning v.*)
      insert into contract_versions (contract_id, version, starts_at, recorded_by)
        select contract_id, 2, starts_at, 'test' from old""")
    try:
        with engine().begin() as conn:
            contract = march.bound.one("select id::text from contracts where ref = 'c-ua'")
            parked.move(conn, "contract", [contract], correlation_id="test")
        march.work("enrich", "aggregate")

        assert march.bound.rows("""select m.name, sum(a.sign), count(*) from attributions a join metrics m
          on m.id = a.metric_id group by 1 order by 1""") == [
            ("aircraft", 1, 3),
            ("departures", 1, 3),
            ("distance", 1, 3),
        ]
        assert open_ids(march) == []
        march.assert_all_accounted_for(in_flight=3)
        with snapshot() as conn:
            assert recompute.drifts(conn) == []
    finally:
        march.bound.run("""delete from contract_versions where version = 2""")
        march.bound.run("update contract_versions set superseded_at = '9999-12-31 00:00:00+00'")


def test_an_edit_that_still_lacks_the_quantity_leaves_it_open(march):
    receive(march, event("e", data={"tail": None, "distance": 100}))
    (exception,) = open_ids(march)

    replay = carry_out(march, plan(edit(exception, {"data.distance": 5})))

    assert (replay.refused, open_ids(march)) == (1, [exception])
    march.assert_all_accounted_for(in_flight=2)


@pytest.mark.parametrize("change", [{"source": "/ops/lga"}, {"id": "another"}])
def test_source_and_id_cannot_be_edited(march, change):
    receive(march, event("e", data={"distance": "far"}))

    with pytest.raises(EditInvalid, match=f"{next(iter(change))} cannot be edited"):
        edit(open_ids(march)[0], change)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"subject": "DL"}, "only its data can be edited"),
        ({"data.distance": "far"}, "must be a decimal"),
        ({"data": "none"}, "is missing"),
        ({}, "nothing is changed"),
        ({"data.tail.letter": "N"}, "tail has no members"),
    ],
)
def test_an_accepted_event_keeps_all_but_its_data(march, change, says):
    receive(march, event("e", data={"tail": None}))

    with pytest.raises(EditInvalid, match=says):
        edit(open_ids(march)[0], change)


def test_usage_that_waits_for_a_mapping_is_not_edited(march):
    receive(march, event("e", subject="ZZ"))

    with pytest.raises(EditInvalid, match="an edit cannot help"):
        edit(open_ids(march)[0], {"data.distance": 5})


def test_a_body_that_is_no_event_is_left_to_its_producer(march):
    march.receive(Delivery(b"\xff", {"content_type": STRUCTURED, "user_id": "upstream"}))
    march.work("validate")

    with pytest.raises(EditInvalid, match="cannot be read as an event"):
        edit(open_ids(march)[0], {"data.distance": 5})


def test_a_closed_exception_a_work_row_and_one_that_is_not_there_cannot_be_edited(march):
    receive(march, event("e", data={"distance": "far"}))
    (exception,) = open_ids(march)
    march.bound.run("update exceptions set state = 'resolved', closed_at = now()")
    with pytest.raises(EditInvalid, match="is resolved"):
        edit(exception, {"data.distance": 5})
    dead = march.bound.one("""insert into exceptions (step, code, key16, hash, work_id, sentence)
      select 'validate', 'poison', gen_random_uuid(), '', max(id), 'it kills' from work returning id""")
    with pytest.raises(EditInvalid, match="about work of validate"):
        edit(dead, {"data.distance": 5})
    with pytest.raises(EditInvalid, match="no exception 99"):
        edit(99, {"data.distance": 5})


def test_a_number_that_cannot_be_kept_can_be_set_and_has_to_be(march):
    body = json.dumps(event("e")).replace("1400", "1e400")
    march.receive(Delivery(body.encode(), {"content_type": STRUCTURED, "user_id": "upstream"}))
    march.work("validate")
    (exception,) = open_ids(march)
    with pytest.raises(EditInvalid, match="set it too"):
        edit(exception, {"data.tail": "N2"})

    carry_out(march, plan(edit(exception, {"data.distance": 1400})))

    assert march.bound.one("select data ->> 'distance' from usage_events") == "1400"


def test_a_whole_event_may_be_given_instead(march):
    receive(march, event("e", source=UNKNOWN_SOURCE, type="airport.departures"))
    march.bound.run(REPAIRED)
    whole = json.loads(json.dumps(event("e", source=UNKNOWN_SOURCE)))

    carry_out(march, plan(edit(open_ids(march)[0], {}, whole=whole)))

    assert march.bound.one("select count(*) from usage_events") == 1


def test_members_are_set_by_their_path_and_others_stay():
    before = {"id": "1", "data": {"a": {"b": 1, "c": 2}}}

    assert edited(before, {"data.a.b": 5, "data.d.e": 6, "subject": "x"}) == {
        "id": "1", "subject": "x", "data": {"a": {"b": 5, "c": 2}, "d": {"e": 6}},
    }  # fmt: skip
    assert before == {"id": "1", "data": {"a": {"b": 1, "c": 2}}}
