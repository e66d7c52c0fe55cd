"""Price books at the command line."""

import json

import pytest
import two_people
from operator_bench import DEMO

from domain.price_books import book_json
from workers.store import price_book_file

BOOK = DEMO / "price-book.yaml"


@pytest.fixture
def written(tmp_path):
    """Writes the example with some of its text replaced."""

    def write(*changes: tuple[str, str], name: str = "book.yaml"):
        text = BOOK.read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


def test_a_book_that_is_in_order_says_so(airports):
    ran = airports("prices", "check", BOOK)

    assert ran.code == 0
    assert "is in order" in text_of(ran)
    assert "not looked up" not in ran.err


def test_of_several_files_every_problem_is_told(airports, written):
    bad = written(("metric: aircraft", "metric: aircrafts"), ("currency: USD", "currency: XTS"))

    ran = airports("prices", "check", BOOK, bad, "nowhere.yaml")

    assert ran.code == 2
    assert f"{BOOK} is in order" in text_of(ran)
    assert f"{bad}:17: currency: XTS has no minor unit" in text_of(ran)
    assert text_of(ran).count("there is no metric 'aircrafts'; did you mean aircraft?") == 2
    assert "nowhere.yaml: cannot be read" in text_of(ran)


def test_problems_are_told_to_scripts_too(airports, written):
    ran = airports("prices", "check", written(("currency: USD", "currency: XTS")), "--json")

    assert ran.code == 2
    assert ran.json["metrics_looked_up"] is True
    assert [each["field"] for each in ran.json["files"][0]["problems"]] == ["currency"]


def test_without_a_database_it_is_said_that_metrics_were_not_looked_up(operator, monkeypatch):
    from workers.cli.reach import forget

    monkeypatch.delenv("TALLYLINE_DATABASE_URL")
    forget()

    ran = operator("prices", "check", BOOK)

    assert ran.code == 0
    assert "names of metrics were not looked up" in text_of(ran)


def test_the_schema_is_printed_for_editors(operator):
    assert json.loads(operator("prices", "schema").out)["$id"] == "urn:tallyline:price-book"


# ------------------------------------------------------------------------------------------------- published versions
LATER = (("valid_from: 2014-01-01", "valid_from: 2014-07-01"), ('unit_amount: "42.50"', 'unit_amount: "44.00"'))


def test_what_is_published_is_listed_and_shown_as_the_same_book(airports, tmp_path):
    ran = airports("prices", "publish", BOOK)

    assert (ran.code, "version 1, valid from 2014-01-01" in text_of(ran)) == (0, True)
    shown = tmp_path / "shown.yaml"
    shown.write_text(airports("prices", "show", "airport-fees").out, encoding="utf-8")
    assert price_book_file.read(shown)[1] == price_book_file.read(BOOK)[1]
    assert airports.json("prices", "show", "airport-fees") == json.loads(
        json.dumps(book_json(price_book_file.read(BOOK)[1]))
    )
    (listed,) = airports.json("prices", "list")
    assert (listed["book"], listed["version"], listed["plans"], listed["charges"]) == ("airport-fees", 1, 2, 6)
    assert "airport-fees" in airports("prices", "list").out


def test_the_same_book_twice_is_published_once(airports):
    airports("prices", "publish", BOOK)

    assert "nothing changed" in text_of(airports("prices", "publish", BOOK))
    assert airports.json("prices", "publish", BOOK)["version"] is None
    assert airports.one("select count(*) from price_book_versions") == 1


def test_what_is_in_force_depends_on_the_day_and_on_what_was_known(airports, written):
    airports("prices", "publish", BOOK)
    airports("prices", "publish", written(*LATER))
    before = airports.one("select now()")
    airports("prices", "publish", written(('unit_amount: "42.50"', 'unit_amount: "41.00"'), name="corrected.yaml"))

    def version(*words):
        found = airports("prices", "show", "airport-fees", *words)
        return int(found.out.split()[2].rstrip(",")) if found.code == 0 else None

    assert version("--as-of", "2014-03-01") == 3  # the correction, recorded last
    assert version("--as-of", "2014-03-01", "--known-at", before.isoformat()) == 1
    assert version("--as-of", "2014-07-01") == 2  # announced, and not taken back by the correction
    assert version("--as-of", "2013-12-31") is None
    assert version() == 2
    assert [each["version"] for each in airports.json("prices", "list", "--all")] == [3, 2, 1]
    assert [each["version"] for each in airports.json("prices", "list", "--as-of", "2014-06-30")] == [3]


def test_a_list_that_is_too_long_says_that_there_are_more(airports, monkeypatch):
    airports("prices", "publish", BOOK)
    monkeypatch.setattr("workers.cli.prices.VERSIONS_MAX", 1)

    assert "there are more than these 1" in text_of(airports("prices", "list", "--all"))


def test_a_difference_is_told_field_by_field_and_ends_with_one(airports, written):
    ran = airports("prices", "diff", BOOK, written(*LATER), "--json")

    assert ran.code == 1
    assert ran.json == [
        {"field": "valid_from", "before": "2014-01-01", "after": "2014-07-01"},
        {"field": "plans.standard.charges[departures].terms.unit_amount", "before": "42.5", "after": "44"},
    ]
    assert "2 fields differ" in text_of(airports("prices", "diff", BOOK, written(*LATER)))
    assert airports("prices", "diff", BOOK, BOOK).code == 0


def test_beside_what_is_published_a_file_shows_what_it_would_change(airports, written):
    new = airports("prices", "diff", BOOK, "--json")
    airports("prices", "publish", BOOK)

    assert (new.code, {each["before"] for each in new.json}) == (1, {None})
    assert "the books are the same" in airports("prices", "diff", BOOK, "--published").out
    assert len(airports("prices", "diff", written(*LATER), "--json").json) == 2


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("diff", BOOK, BOOK, "--published"), 2, "leave one of them out"),
        (("diff", "nowhere.yaml"), 2, "cannot be read"),
        (("publish", "nowhere.yaml"), 2, "cannot be read"),
        (("publish", BOOK, "--reason", "x" * 5000), 2, "a reason has 1 to"),
        (("show", "nothing"), 2, "prices list --all"),
        (("show", "x" * 5000), 2, "prices list --all"),
        (("show", "a\ud800"), 2, "no text in UTF-8"),
        (("show", "airport-fees", "--known-at", "yesterday"), 2, "is no instant with an offset"),
        (("show", "airport-fees", "--known-at", "2026-01-01T00:00:00"), 2, "is no instant with an offset"),
        (("show", "airport-fees", "--as-of", "2026-13-01"), 2, "2026-13-01"),
    ],
)
def test_what_cannot_be_done_ends_in_a_sentence(airports, words, code, says):
    ran = airports("prices", *words)

    assert ran.code == code
    assert says in text_of(ran).replace("│ ", "")


def test_a_book_with_a_metric_that_is_not_there_is_not_published(airports, written):
    ran = airports("prices", "publish", written(("metric: aircraft", "metric: aircrafts")))

    assert ran.code == 2
    assert "there is no metric 'aircrafts'; did you mean aircraft?" in text_of(ran)
    assert airports.one("select count(*) from price_book_versions") == 0


def test_publishing_takes_two_people_and_is_done_as_of_then(airports, written):
    two_people.begin(airports)
    request = two_people.request_of(airports("prices", "publish", BOOK, "--as", "finance"))

    assert airports.one("select count(*) from price_book_versions") == 0
    preview = text_of(airports("approve", request, "--show", "--as", "approver"))
    assert "version 1, 2 plans, 6 charges" in preview
    assert airports("approve", request, "--as", "finance").code == 1
    assert airports("approve", request, "--as", "approver").code == 0
    assert airports.rows("select book, version, recorded_by from price_book_versions") == [
        ("airport-fees", 1, "finance")
    ]
    # whoever asks for what is published already needs nobody
    assert airports("prices", "publish", BOOK, "--as", "finance").code == 0
    assert airports("prices", "publish", written(*LATER), "--as", "viewer").code == 1


def test_who_published_which_charge_is_in_the_audit_log(airports):
    airports("prices", "publish", BOOK, "--reason", "board of 3 May")

    entries = {each["subject"]: each for each in airports.json("audit", "list", "--limit", 50)}

    assert {"airport-fees/1", "airport-fees/1/hub", "airport-fees/1/hub/aircraft"} <= set(entries)
    assert entries["airport-fees/1/hub/aircraft"]["reason"] == "board of 3 May"
    assert airports("audit", "verify").code == 0
