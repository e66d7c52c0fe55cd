"""Price books at the command line."""

import json

import pytest
from operator_bench import DEMO

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
