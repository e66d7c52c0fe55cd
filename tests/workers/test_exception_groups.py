"""Exceptions by cause: counts, accounts, money, owners and deadlines; what people set, and the history of all of it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from line_bench import USER, Bound, batch, event
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from domain.authority import PersonUnknown
from queues.contracts import BATCH, Delivery
from queues.exceptions import NewException, of_subject, open_exceptions
from workers.store import exception_edits, exception_groups, exception_lists
from workers.store.acting import Named
from workers.store.database import engine, snapshot
from workers.store.exception_lists import Wanted

#: Open exceptions of 60 causes; the sums are known from how they are made.
MANY = """
insert into exceptions (step, code, key16, hash, metric_id, source_id, subject, event_no, receipt_id, account_id,
  waits_kind, waits_key, money_at_risk, currency, basis, sentence, opened_at)
select 'enrich', 'subscription_not_found', md5(n::text)::uuid, cast('' as bytea), 1, 1, 'k' || n % 50, n, 1,
  'a' || n % 4, 'mapping', '1/k' || n % 50, n % 50 + 1, 'USD', 'usual_price', 'none',
  now() - interval '1 hour' * (n % 50)
from generate_series(0, 3999) n
union all
select 'post', 'posting_rejected', md5('p' || n)::uuid, cast('' as bytea), 0, null,
  'erp_posting/' || n, null, null,
  'a1',
  null, null,
  case when n % 2 = 0 then 100.5 end, case when n % 2 = 0 then 'EUR' end, case when n % 2 = 0 then 'document' end,
  'no',
  now()
from generate_series(1, 1000) n;
update exceptions set connection_id = 'erp-' || id % 10 where step = 'post';
"""


@pytest.fixture(autouse=True)
def _empty(register: Bound) -> None:
    register.run("truncate exceptions, exception_history, work, receipts, receipt_counts, event_keys, usage_events")


def groups() -> list[exception_groups.Group]:
    with snapshot() as conn:
        return exception_groups.groups(conn)


def refuse(*rows: NewException) -> list[int]:
    with engine().begin() as conn:
        open_exceptions(conn, rows)
        return list(conn.execute(text("select id from exceptions order by id")).scalars())


def new(code: str, subject: str = "x/1", **known: object) -> NewException:
    key, digest = of_subject("validate", subject)
    return NewException("validate", code, key, digest, "it is so", subject=subject, **known)  # type: ignore[arg-type]


def test_thousands_of_open_exceptions_are_some_lines_of_what_to_do(register):
    register.run(MANY)

    found = groups()

    assert len(found) == 60
    assert sum(group.exceptions for group in found) == 5_000
    phones = next(group for group in found if group.cause == "mapping/1/k49")
    assert phones.sentence == "80 events, 2 accounts, USD 4,000.00: no subscription for /ops/jfk k49"
    assert (phones.exceptions, phones.money, phones.account_ids) == (80, {"USD": Decimal(4_000)}, ["a1", "a3"])
    assert phones.deadline_at - phones.oldest_at == timedelta(hours=48)
    assert phones.is_overdue
    refused = [group for group in found if group.code == "posting_rejected"]
    assert sum(group.unpriced for group in refused) == 500
    assert sum(sum(group.money.values()) for group in refused) == Decimal("50250.0")
    assert found[0].money["EUR"] == max(group.money.get("EUR", 0) for group in found)
    with snapshot() as conn:
        assert len(exception_groups.groups(conn, rows=3)) == 3


def test_the_owner_of_the_meter_then_of_the_source_owns_what_is_wrong_with_an_event(register, receive, drain):
    register.run("update meters set owner = 'mara'; update sources set owner = 'phones'")
    receive(
        batch(event("1", time="2026-03-14T15:09:26"), event("2", subject="ZZ")),
        batch(event("3"), user="nobody"),
        Delivery(b"no json", {"content_type": BATCH, "user_id": USER}),
    )
    drain()
    refuse(new("poison", work_id=7))

    owners = {group.code: group.owners for group in groups()}

    assert owners == {
        "time_naive": ["mara"],
        "subscription_not_found": ["finance"],
        "body_unreadable": ["operations"],
        "source_not_allowed": ["finance"],
        "poison": ["operations"],
    }
    register.run("update meters set owner = 'test'; update sources set owner = 'test'")


def test_an_exception_carries_the_keys_of_the_business(register, receive, drain):
    register.run("update contract_versions set ends_at = '2026-01-01'")
    receive(batch(event("1"), event("2", data={"distance": "far"})))
    drain()

    found = register.rows("""select code, account_id, legal_entity_id, contract_id is null, subscription_id is null,
      meter_id = (select id from meters), cause from exceptions order by id""")

    assert set(found) == {
        ("field_invalid", None, None, True, True, True, "/ops/jfk data.distance"),
        ("contract_not_in_force", "ua", "pony", False, False, True,
         f"contract/{register.one('select id from contracts')}"),
    }  # fmt: skip
    register.run("update contract_versions set ends_at = '9999-12-31 00:00:00+00'")
    assert {group.sentence for group in groups()} == {
        "1 event, of unknown worth: data.distance of the wrong kind from /ops/jfk",
        "1 event, 1 account, of unknown worth: no version of contract c-ua in force",
    }


@pytest.mark.parametrize(
    ("known", "cause"),
    [
        ({"waits_kind": "mapping", "waits_key": "1/k7"}, "mapping/1/k7"),
        ({"waits_kind": "replay", "waits_key": "9", "metric_id": 3}, "metric/3"),
        ({"connection_id": "books", "source": "/a"}, "connection/books"),
        ({"source": "/a", "facts": {"field": "id"}}, "/a id"),
        ({"source": "/a"}, "/a"),
        ({"facts": {"field": "content-type"}}, " content-type"),
        ({"source_id": 4}, "source/4"),
        ({}, "step/validate"),
        ({"source": "/" + "a" * 400}, "/" + "a" * 299),
    ],
)
def test_the_cause_is_what_one_act_would_put_right(register, known, cause):
    refuse(new("unexpected_error", **known))

    assert register.one("select cause from exceptions") == cause


def test_people_assign_and_set_deadlines_and_the_history_keeps_who_and_why(register):
    register.run("insert into people (id, name, created_by) values ('mara', 'Mara', 'test') on conflict do nothing")
    (first, second) = refuse(new("body_unreadable"), new("body_unreadable", "x/2"))
    due = datetime(2026, 4, 1, tzinfo=UTC)

    with engine().begin() as conn:
        assert exception_edits.assign(conn, [second, first, 99], "mara", by=Named("ann", "knows it")) == [
            first, second,
        ]  # fmt: skip
        assert exception_edits.set_deadline(conn, [first], due, by=Named("ann", "next week")) == [first]
    with engine().begin() as conn:
        exception_edits.assign(conn, [first], None, by=Named("bob", "is away"))

    with snapshot() as conn:
        acts = exception_lists.history(conn, first)
        seen = {row.id: (row.owner, row.deadline_at) for row in exception_lists.listed(conn, Wanted(), rows=10)}
    assert [(act.act, act.person, act.reason) for act in acts] == [
        ("opened", "tallyline", None),
        ("assigned", "ann", "knows it"),
        ("deadline", "ann", "next week"),
        ("assigned", "bob", "is away"),
    ]
    assert acts[3].facts == {"was": "mara"}
    assert seen[first] == ("operations", due)
    assert seen[second][0] == "mara"
    assert [
        tuple(row)
        for row in register.rows(
            """select person, reason, after ->> 'assigned_to', after ->> 'deadline_at' from audit_log
            where action = 'exceptions.assign' and subject = :subject order by no""",
            subject=f"exception/{first}",
        )
    ] == [
        ("ann", "knows it", "mara", None),
        ("ann", "next week", None, "2026-04-01 00:00:00+00"),
        ("bob", "is away", None, None),
    ]


def test_nothing_is_assigned_to_a_name_that_nobody_has(register):
    (number,) = refuse(new("body_unreadable"))

    with engine().begin() as conn, pytest.raises(PersonUnknown):
        exception_edits.assign(conn, [number], "nobody", by=Named("ann", "x"))

    assert register.one("select assigned_to from exceptions") is None


def test_what_closes_and_opens_an_exception_again_is_in_its_history(register):
    (number,) = refuse(new("body_unreadable"))
    refuse(new("body_unreadable"))
    with engine().begin() as conn:
        conn.execute(text("select set_config('tallyline.approval', '12', true)"))
        conn.execute(
            text("""update exceptions set state = 'dismissed', closed_at = now(), closed_by = 'ann', reason = 'a test',
                 opened_at = '2026-01-01'""")
        )

    refuse(new("body_unreadable"))

    with snapshot() as conn:
        acts = exception_lists.history(conn, number)
    assert [(act.act, act.person, act.reason) for act in acts] == [
        ("opened", "tallyline", None), ("dismissed", "ann", "a test"), ("reopened", "tallyline", None),
    ]  # fmt: skip
    assert acts[1].facts == {"was": "open", "approval": "12"}
    assert acts[2].facts == {"was": "dismissed", "closed_by": "ann", "reason": "a test"}
    assert register.one("select seen from exceptions") == 3
    assert register.one("select opened_at > now() - interval '1 hour' from exceptions")


@pytest.mark.parametrize(
    "statement",
    [
        "insert into exception_history (exception_id, act, person) values (1, 'assigned', 'me')",
        "update exception_history set person = 'me'",
        "delete from exception_history",
        "truncate exception_history",
    ],
)
def test_nobody_writes_the_history_but_the_database_itself(register, statement):
    refuse(new("body_unreadable"))

    with engine().begin() as conn, pytest.raises(DBAPIError, match="permission denied"):
        conn.execute(text(statement))


def test_money_without_a_currency_and_a_basis_is_refused(register):
    with pytest.raises(DBAPIError, match="check constraint"):
        refuse(new("body_unreadable", money_at_risk=Decimal(1), currency="USD"))


@pytest.mark.parametrize(
    ("wanted", "fit"),
    [
        (Wanted(), {"known", "parked", "rejected"}),
        (Wanted(state="resolved"), set()),
        (Wanted(code="posting_rejected"), {"rejected"}),
        (Wanted(cause="connection/books"), {"rejected"}),
        (Wanted(step="validate"), {"known", "rejected"}),
        (Wanted(kind="technical"), {"known"}),
        (Wanted(kind="business"), {"parked", "rejected"}),
        (Wanted(account="ua"), {"rejected"}),
        (Wanted(source="/ops/jfk"), {"parked", "known"}),
        (Wanted(owner="finance"), {"parked", "rejected"}),
        (Wanted(is_overdue=True), {"rejected"}),
        (Wanted(starts_on=datetime(2026, 3, 1).date(), ends_on=datetime(2026, 4, 1).date()), {"parked"}),  # noqa: DTZ001
        (Wanted(starts_on=datetime(2026, 2, 1).date(), ends_on=datetime(2026, 3, 1).date()), set()),  # noqa: DTZ001
    ],
)
def test_exceptions_are_found_by_what_people_know_of_them(register, receive, drain, wanted, fit):
    receive(batch(event("1", subject="ZZ")))
    drain()
    register.run("delete from exceptions where metric_id <> (select min(id) from metrics)")
    refuse(
        new("posting_rejected", connection_id="books", account_id="ua"),
        new("time_invalid", "x/2", source="/ops/jfk"),
    )
    register.run("update exceptions set opened_at = now() - interval '9 hours' where code = 'posting_rejected'")
    names = {"subscription_not_found": "parked", "posting_rejected": "rejected", "time_invalid": "known"}

    with snapshot() as conn:
        found = exception_lists.listed(conn, wanted, rows=10)

    assert {names[row.code] for row in found} == fit
