"""A line of a document, explained to whoever has to pay it."""

import json
from decimal import Decimal

import pytest
from operator_bench import Operator

LADDER = json.dumps(
    {
        "model": "graduated",
        "tiers": [
            {"up_to": "1000000", "unit_amount": "0.0004"},
            {"up_to": "5000000", "unit_amount": "0.0003"},
            {"up_to": None, "unit_amount": "0.0002"},
        ],
    }
)


@pytest.fixture
def billed(month):
    """United's 6,480 events of 1,000 miles each, billed under a ladder, and the commands on the same database."""
    month.bound.run(
        "update prices set terms = cast(:terms as jsonb) where terms ->> 'model' = 'graduated'", terms=LADDER
    )
    month.use(*((f"e{n}", "UA", "N1", 1000) for n in range(6480)))
    month.bill()
    operator = Operator(month.bound.url)
    yield operator
    operator.owner.dispose()


def miles_line(operator: Operator, *, document: int = 0) -> tuple[int, str, int]:
    """The line about miles of one of United's documents: its number, the document's, its place."""
    return operator.rows(
        """select l.id, i.number_text, l.position from invoice_lines l join invoices i on i.id = l.invoice_id
        join metrics m on m.id = l.metric_id where m.name = 'distance' and i.account_id = 'ua' order by l.id"""
    )[document]


def test_six_and_a_half_million_are_explained_tier_by_tier(billed):
    line, number, position = miles_line(billed)

    told = billed("explain", number, position).out.splitlines()

    assert told == [
        f"Invoice {number}, line {position}, for United",
        "This line is for distance, from 2026-03-01 to 2026-03-31.",
        "The quantity of the whole period is 6,480,000, counted by the unit mile.",
        "Tier 1, up to 1,000,000: 1,000,000 units at USD 0.0004 each: USD 400.00.",
        "Tier 2, above 1,000,000 up to 5,000,000: 4,000,000 units at USD 0.0003 each: USD 1,200.00.",
        "Tier 3, above 5,000,000: 1,480,000 units at USD 0.0002 each: USD 296.00.",
        "The sum before tax is USD 400.00 + USD 1,200.00 + USD 296.00 = USD 1,896.00.",
    ]
    assert billed("explain", line).out.splitlines() == told
    assert "\n".join(told) in billed("explain", number).out


def test_every_line_adds_up_for_scripts_too(billed):
    number = miles_line(billed)[1]

    lines = billed.json("explain", number)

    assert len(lines) == 3
    for each in lines:
        amounts = [Decimal(sentence["amount"]) for sentence in each["sentences"] if sentence["amount"] is not None]
        assert sum(amounts) == Decimal(each["net"]) > 0


def test_usage_that_came_late_is_explained_with_what_was_billed_before(billed, month):
    first = miles_line(billed)[1]
    month.use(("late", "UA", "N1", 10_000))
    run = month.request()

    told = billed("explain", miles_line(billed, document=1)[0]).out
    month.approve(run)

    assert "which is not issued yet" in told
    assert "The quantity of the whole period is 6,490,000" in told
    assert "Earlier documents hold a part of the period; this line adds 10,000." in told
    assert f"Already billed on {first}: USD -1,896.00." in told
    assert told.rstrip().endswith("+ USD 298.00 - USD 1,896.00 = USD 2.00.")
    assert "not issued" not in billed("explain", miles_line(billed, document=1)[0]).out


def test_usage_that_is_kept_apart_is_explained_apart(billed):
    billed.run('update rated_usages set dimensions = \'{"origin": "JFK"}\'')

    assert "for distance of origin JFK, from" in billed("explain", miles_line(billed)[0]).out


@pytest.mark.parametrize("words", [("999999",), ("NONE-1",), ("NONE-1", "2"), ("99999999999999999999999",)])
def test_a_line_that_is_not_there_is_named_with_what_to_do(billed, words):
    ran = billed("explain", *words)

    assert ran.code == 2
    assert "tallyline trace --invoice NUMBER" in " ".join(ran.err.split())


@pytest.mark.parametrize("word", ["a\ud800b", "x" * 5000, ""])
def test_a_name_that_no_document_can_have_ends_in_a_sentence(billed, word):
    assert billed("explain", word).code == 2


def test_of_documents_of_several_companies_one_has_to_be_named(billed):
    number = miles_line(billed)[1]
    billed.run("insert into legal_entities select 'twin', 'Twin', currency, zone, jurisdiction, connection_id "
               "from legal_entities where id = 'pony' on conflict do nothing")  # fmt: skip
    billed.run(
        f"""set local session_replication_role = replica;
        update invoices set legal_entity_id = 'twin', series = 'invoice', number = 1, number_text = '{number}'
          where account_id = 'dl'"""
    )
    billed.run(
        """update invoice_lines set invoice_id = (select id from invoices where account_id = 'dl')
        where metric_id = (select id from metrics where name = 'aircraft')"""
    )

    ran = billed("explain", number)

    assert ran.code == 2
    assert "several companies" in ran.err
    assert "(twin)" in ran.err


def test_of_a_very_long_document_it_is_said_where_the_telling_ends(billed, monkeypatch):
    monkeypatch.setattr("workers.store.explaining.LINES_MAX", 2)
    monkeypatch.setattr("workers.cli.explain.LINES_MAX", 2)

    assert "only the first 2 lines" in billed("explain", miles_line(billed)[1]).err
