"""What the command line answers to words that fit nothing, and how it puts what it found."""

from decimal import Decimal

import pytest
from operator_bench import DEMO, departure

from workers.cli import checks_servers, trace_print
from workers.cli.status import money_text


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


def test_a_trace_shows_money_as_people_read_it():
    assert trace_print.money(Decimal("1234567.80")) == "1,234,567.80"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["work", "--step", "nope"], "'nope' is not one of 'validate', 'enrich'"),
        (["work", "--state", "bad"], "'bad' is not one of 'ready', 'done', 'dead'"),
        (["exceptions", "list", "--state", "bad"], "'bad' is not one of 'open', 'replayed'"),
        (["exceptions", "list", "--code", "nope"], "there is no code 'nope'"),
    ],
)
def test_a_filter_that_nothing_can_fit_is_refused(operator, words, says):
    ran = operator(*words)

    assert ran.code == 2
    assert says in text_of(ran).replace("│ ", "")


def test_a_list_that_was_cut_says_so(airports, lines):
    airports("send", lines(*(departure(n, source="/ops/none") for n in (1, 2))))

    assert "more than these 1: --limit" in text_of(airports("exceptions", "list", "--limit", 1))
    assert "--limit" not in text_of(airports("exceptions", "list", "--limit", 3))


def test_a_source_that_is_there_keeps_the_owner_and_quota_that_are_not_given(airports):
    airports("sources", "add", "/ops/jfk", "--user", "jfk", "--quota", 7)
    airports("sources", "add", "/ops/jfk", "--user", "jfk-2")
    airports("sources", "add", "/ops/new", "--user", "new")

    kept = "select name, owner, quota_per_hour from sources where name in ('/ops/jfk', '/ops/new') order by name"
    assert airports.rows(kept) == [("/ops/jfk", "airport operations", 7), ("/ops/new", "operations", None)]


@pytest.mark.parametrize(
    ("queues", "state", "says"),
    [
        ([{"name": "validate", "messages": 3}, {"name": "validate.XQ", "messages": 0}], "ok", "none"),
        ([{"name": "rate.XQ"}, {"name": "validate.XQ", "messages": 2}], "warning", "2 in validate.XQ"),
    ],
)
def test_doctor_names_the_queues_that_hold_dead_letters(queues, state, says):
    check = checks_servers.dead_letters(queues)

    assert (check.state, check.says) == (state, says)


def test_a_legal_entity_that_is_not_there_is_answered_with_those_that_are(airports):
    assert "name one of newark, pony" in text_of(airports("close", "nope", "2013-01"))


def test_money_is_told_in_the_minor_units_of_its_currency_however_large_it_is():
    told = money_text({"JPY": Decimal("1234.5"), "KWD": Decimal("1.0005"), "USD": Decimal(10) ** 40})

    assert told == f"JPY 1,235, KWD 1.001, USD {10**40:,}.00"
    assert money_text({}) == "none"


def test_a_price_book_given_as_master_data_is_told_where_it_belongs_and_the_other_way_round(operator):
    as_master = operator("master", "load", DEMO / "price-book.yaml", "--check")
    as_book = operator("prices", "check", DEMO / "master.yaml")

    assert (as_master.code, as_book.code) == (2, 2)
    assert "this is a price book and no master data" in text_of(as_master)
    assert "publish it with `tallyline prices publish`" in text_of(as_master)
    assert "this is master data and no price book; load it with `tallyline master load`" in text_of(as_book)
