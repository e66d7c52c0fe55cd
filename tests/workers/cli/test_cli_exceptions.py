"""Exceptions at the command line: by cause and money, one by one, with their body, and whose they are until when."""

import pytest
from operator_bench import departure

from workers.cli.acting import local_user
from workers.store.database import engine

#: Prices of the demo: departures 38.9050 each, aircraft 97.50125 each, miles 0.02375 after a flat fee of 175.00.
DIVERTED = {"air_time": None}


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


def test_exceptions_are_grouped_by_cause_with_accounts_and_money(airports, lines):
    diverted = [departure(n, data=DIVERTED) for n in (1, 2)]
    airports("send", lines(*diverted, departure(3, subject="ZZ"), departure(4, source="/ops/none")))

    groups = {each["code"]: each for each in airports.json("exceptions")}

    assert set(groups) == {"quantity_missing", "subscription_not_found", "source_unknown"}
    # the first tier's flat fee comes with its first mile: 2 x 1,400 x 0.02375 + 175.00
    assert groups["quantity_missing"]["money"] == {"USD": "241.50"}
    assert groups["quantity_missing"]["account_ids"] == ["UA"]
    assert (groups["quantity_missing"]["kind"], groups["quantity_missing"]["owners"]) == ("business", ["finance"])
    assert groups["subscription_not_found"]["unpriced"] == 0
    assert groups["subscription_not_found"]["sentence"].endswith(": no subscription for /ops/ewr ZZ")
    assert groups["subscription_not_found"]["sentence"].startswith("1 event, USD ")
    assert groups["source_unknown"]["sentence"] == "1 event, of unknown worth: no source /ops/none"
    told = text_of(airports("exceptions"))
    assert "241.50" in told
    assert "overdue" not in told


def test_what_is_overdue_is_said_so(airports, lines):
    airports("send", lines(departure(1, subject="ZZ")))
    airports.run("update exceptions set opened_at = now() - interval '49 hours'")

    assert "overdue" in airports("exceptions").out
    assert airports.json("exceptions")[0]["is_overdue"]
    assert len(airports.json("exceptions", "list", "--overdue")) == 3
    assert "overdue" in airports("exceptions", "list").out


def test_exceptions_are_found_by_filters(airports, lines):
    airports("send", lines(departure(1, data=DIVERTED), departure(2, subject="ZZ"), departure(3, source="/ops/none")))

    def numbers(*words: str) -> int:
        return len(airports.json("exceptions", "list", *words))

    assert numbers() == 5
    assert numbers("--state", "any") == 5
    assert numbers("--account", "UA") == 1
    assert numbers("--owner", "finance", "--kind", "business", "--period", "2013-01") == 5
    assert numbers("--period", "2013-02") == 0
    assert numbers("--period", "2012-12") == 0
    assert numbers("--source", "/ops/none", "--step", "validate") == 1
    assert numbers("--cause", airports.json("exceptions", "list", "--account", "UA")[0]["cause"]) == 1
    assert "No exception fits." in airports("exceptions", "list", "--owner", "nobody", "--state", "any").out
    for month in ("spring", "9999-12"):
        assert "write it as 2026-03" in text_of(airports("exceptions", "list", "--period", month))


def test_a_person_takes_exceptions_over_and_says_until_when(airports, lines):
    airports("send", lines(departure(1, subject="ZZ")))
    numbers = [each["id"] for each in airports.json("exceptions", "list")]
    assert airports("people", "add", "mara", "--role", "finance").code == 0

    ran = airports("exceptions", "assign", *numbers, "mara", "--reason", "knows ZZ")
    assert "3 exceptions are assigned to mara." in text_of(ran)
    assert airports.json("exceptions")[0]["owners"] == ["mara"]
    assert airports.json("exceptions", "deadline", numbers[0], "2099-12-30", "--reason", "they answer then") == {
        "exceptions": [numbers[0]], "due_by_the_end_of": "2099-12-30",
    }  # fmt: skip

    shown = airports.json("exceptions", "show", numbers[0])
    assert (shown["owner"], shown["deadline_at"]) == ("mara", "2099-12-31 00:00:00+00:00")
    me = local_user()
    assert [(act["act"], act["person"], act["reason"]) for act in shown["history"]] == [
        ("opened", "tallyline", None), ("assigned", me, "knows ZZ"), ("deadline", me, "they answer then"),
    ]  # fmt: skip
    assert "they answer then" in airports("exceptions", "show", numbers[0]).out

    assert airports.json("exceptions", "assign", numbers[0], "-", "--reason", "is away")["exceptions"] == [numbers[0]]
    assert "1 exception is due by the end of what their severity says." in text_of(
        airports("exceptions", "deadline", numbers[0], "-", "--reason", "no need")
    )
    shown = airports.json("exceptions", "show", numbers[0])
    assert (shown["owner"], shown["assigned_to"]) == ("finance", None)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["assign", "99", "mara", "--reason", "x"], "exception 99 is not open; nothing was changed"),
        (["assign", "nobody", "--reason", "x"], "nobody"),
        (["assign", "99", "mara", "--reason", " "], "a reason has 1 to 2000 characters"),
        (["deadline", "99", "soon", "--reason", "x"], "'soon' is no date"),
        (["deadline", "9999-12-31", "--reason", "x"], "'9999-12-31' is no date"),
        (["deadline", "99", "2026-03-31", "--reason", "x"], "exception 99 is not open"),
    ],
)
def test_what_cannot_be_set_is_said_so_and_changes_nothing(airports, lines, words, says):
    airports("send", lines(departure(1, source="/ops/none")))
    airports("people", "add", "mara", "--role", "viewer")

    ran = airports("exceptions", words[0], airports.one("select min(id) from exceptions"), *words[1:])

    assert ran.code in {1, 2}
    assert says in text_of(ran)
    assert airports.rows("select assigned_to, deadline_at from exceptions") == [(None, None)]


def test_only_who_may_sets_owners_and_deadlines(airports, lines):
    airports("send", lines(departure(1, source="/ops/none")))
    airports("people", "add", "mara", "--role", "viewer")
    number = airports.one("select min(id) from exceptions")

    ran = airports("exceptions", "assign", number, "mara", "--reason", "x", "--as", "mara")

    assert ran.code == 1
    assert "mara may not name who answers for an exception" in text_of(ran)
    assert airports.one("select assigned_to from exceptions") is None


def test_no_exception_is_said_so(operator):
    assert "No exception is open." in operator("exceptions").out
    assert "No open exception fits." in operator("exceptions", "list").out


def test_exceptions_are_listed_and_one_is_shown_with_its_event(airports, lines):
    airports("send", lines(departure(1, data={"air_time": None}), departure(2, source="/ops/none")))

    (missing,) = airports.json("exceptions", "list", "--code", "quantity_missing")
    (unknown,) = airports.json("exceptions", "list", "--step", "validate", "--state", "open")
    shown = airports.json("exceptions", "show", missing["id"])

    assert shown["body"]["id"] == "UA/1"
    # one flight of 1,400 miles: 175.00 + 1,400 x 0.02375
    assert (shown["money_at_risk"], shown["currency"], shown["basis"]) == ("208.25", "USD", "price_in_force")
    assert (shown["meter"], shown["metric"], shown["account"]) == ("airport.departure", "distance", "UA")
    assert shown["subscription"] == "newark-UA-usage"
    assert airports.json("exceptions", "show", unknown["id"])["body"]["source"] == "/ops/none"
    told = airports("exceptions", "show", unknown["id"]).out
    assert f"tallyline replay {unknown['id']}" in told
    assert "fix" in told
    assert "quantity_missing" in airports("exceptions", "list").out


def test_what_an_upstream_writes_is_shown_and_never_obeyed(airports, lines):
    ids = ["[/nothing opened]", "[red]alert[/red]", "\x1b[2Jgone"]
    airports("send", lines(*(departure(n, id=name, source="/ops/none") for n, name in enumerate(ids))))

    shown = text_of(airports("exceptions", "list", "--limit", 200))

    assert all(name.split()[0] in shown for name in ids[:2])
    assert "\ufffd[2Jgone" in shown
    assert "\x1b" not in shown
    for number in (1, 2, 3):
        assert airports("exceptions", "show", number).code == 0


def test_a_body_that_cannot_be_read_is_shown_as_it_came(airports):
    store(airports, b"no \xff json", content_type="application/cloudevents+json")
    settle(airports)

    (row,) = airports.json("exceptions", "list")

    assert row["code"] == "body_unreadable"
    assert airports.json("exceptions", "show", row["id"])["body"] == "no \\xff json"
    assert "no \\xff json" in airports("exceptions", "show", row["id"]).out


def test_an_exception_that_is_not_there_is_said_so(operator):
    assert operator("exceptions", "show", 99).code == 2
    assert "there is no exception 99" in text_of(operator("replay", 99))


def store(operator, *contents: bytes, content_type: str) -> None:
    """Store a receipt as intake does."""
    from queues.contracts import Delivery
    from workers.store import receipts

    with engine().begin() as conn:
        receipts.store(
            conn, "intake", [Delivery(each, {"content_type": content_type, "user_id": "demo"}) for each in contents]
        )
    assert operator.one("select count(*) from receipts") > 0


def settle(operator) -> None:
    """Let a worker do what is owed."""
    from workers.cli.working import work_here

    work_here([])
    assert operator.one("select count(*) from work where state = 'ready'") == 0
