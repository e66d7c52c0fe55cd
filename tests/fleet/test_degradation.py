"""Each row of the table of outages: the dependency is taken away while usage flows, on a whole fleet.

What goes on and what waits is exactly what the row says; the outage is told once; afterwards all drains to the cent.
"""

import os
from datetime import UTC, datetime

import pika
import pytest
from fake_sentry import FakeSentry
from month import ELBE, PONY
from outage_line import HEARD, OutageLine, calls_of, row_of, still
from procfile import wait_until
from running_month import running_month
from stack_control import away
from upstreams import Message
from upstreams import region as fresh_region

from queues.contracts import STRUCTURED

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(300)]

BOTH = (PONY, ELBE)


@pytest.fixture(scope="module")
def line(amqp_url, rabbit_api_url, redis_url, new_database, tmp_path_factory):
    """One fleet for all rows; each test bills a month of its own."""
    folder, sentry, users = tmp_path_factory.mktemp("degradation"), FakeSentry(), ("pony", "elbe")
    flag = folder / "tax engine is away"
    with fresh_region(amqp_url, rabbit_api_url, *users, connections=("books-pony", "books-elbe")) as region:
        with pika.BlockingConnection(pika.URLParameters(region.url)) as connection:
            connection.channel().queue_declare(HEARD, durable=True)
            connection.channel().queue_bind(HEARD, "tallyline", "tallyline.dependency.#")
        settings = {"redis_url": redis_url, "sentry_dsn": sentry.dsn, "test_tax_engine": str(flag)}
        with running_month(region, new_database(), folder, module="away_engine", **settings) as month:
            kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYLINE_")}
            fleet = {"TALLYLINE_MODE": "fleet", "TALLYLINE_RABBIT_API_URL": rabbit_api_url}
            made = OutageLine(month, sentry, flag, {**kept, **month.fleet.environment, **fleet})
            wait_until(lambda: "serves metrics" in month.fleet.processes["scheduler"].log(), for_s=60)
            wait_until(lambda: made.is_up("rabbitmq") and made.is_up("redis"), for_s=60, what="all is watched")
            yield made
    sentry.close()


def bill(line, month_no, *companies):
    """Bill a month from its windows to the ledger."""
    line.aggregated(month_no, *companies)
    line.request(month_no, *companies)
    line.wait_for("drafted", month_no, *companies)
    line.approve(month_no, *companies)
    line.wait_for("closed", month_no, *companies)


def test_with_rabbitmq_away_people_go_on_and_all_work_waits_in_postgresql(line):
    row, calls = row_of("rabbitmq"), [call for company in BOTH for call in calls_of(1, company)]
    starts = {name: process.starts for name, process in line.month.fleet.processes.items()}
    line.send(calls_of(2, PONY))
    line.aggregated(2, PONY)
    with line.told(row):
        with away("rabbitmq"):
            flow = line.month.flow([(each.company.name, Message(each.text().encode(), STRUCTURED)) for each in calls])
            flow.let(len(calls))
            line.wait_until_away(row)
            before = line.progress()
            line.request(2, PONY)
            line.assert_shown(row, check="RabbitMQ")
            still(2, lambda: line.moved_since(before) == set(row.goes_on))
            assert flow.is_alive()
            wait_until(lambda: line.month.value(
                "select count(*) from notices where sent_at is null and routing_key = 'tallyline.dependency.away'"
            ) == 1, what="the notice is owed")  # fmt: skip
        flow.finish()
    assert starts == {name: process.starts for name, process in line.month.fleet.processes.items()}

    line.aggregated(1, *BOTH)
    line.request(1, *BOTH)
    for month_no, companies in ((2, (PONY,)), (1, BOTH)):
        line.wait_for("drafted", month_no, *companies)
        line.approve(month_no, *companies)
    line.wait_for("closed", 1, *BOTH)
    line.wait_for("closed", 2, PONY)
    line.assert_billed(1, *BOTH)
    line.assert_billed(2, PONY)


def test_with_redis_away_nothing_is_posted_and_all_else_goes_on(line):
    row = row_of("redis")
    with line.told(row):
        with away("redis"):
            line.wait_until_away(row)
            before = line.progress()
            line.send(calls_of(3, PONY) + calls_of(3, ELBE))
            line.aggregated(3, *BOTH)
            line.request(3, *BOTH)
            line.wait_for("drafted", 3, *BOTH)
            line.approve(3, *BOTH)
            line.wait_for("approved", 3, *BOTH)
            wait_until(lambda: line.moved_since(before) == set(row.goes_on), what="all but post has gone on")
            wait_until(lambda: line.month.rows(
                "select distinct outcome, attempts from work where step = 'post' and state = 'ready'"
            ) == [("redis_away", 0)], what="postings wait without an attempt")  # fmt: skip
            line.assert_shown(row, check="Redis")
            assert line.moved_since(before) == set(row.goes_on)
        line.wait_for("closed", 3, *BOTH)
    line.assert_billed(3, *BOTH)


def test_with_postgresql_away_rabbitmq_keeps_usage_and_no_process_ends(line):
    row, starts = row_of("postgresql"), {name: p.starts for name, p in line.month.fleet.processes.items()}
    line.send(calls_of(4, ELBE))
    with line.told(row):
        with away("postgres"):
            line.send(calls_of(4, PONY)[:1])
            line.wait_until_away(row)
            wait_until(lambda: "intake stops consuming" in line.month.fleet.processes["intake"].log())
            line.send(calls_of(4, PONY)[1:])
            assert line.month.region.look("intake")[0] >= len(calls_of(4, PONY)) - 1
            wait_until(lambda: len(line.notices("postgresql")) == 1, what="RabbitMQ is told straight away")
            line.assert_shown(row, check="database")
            assert row.goes_on == ()
        bill(line, 4, *BOTH)
    assert starts == {name: process.starts for name, process in line.month.fleet.processes.items()}
    line.assert_billed(4, *BOTH)


def test_with_the_tax_engine_away_drafts_wait_and_taxed_documents_are_posted(line):
    row = row_of("tax_engine")
    line.send(calls_of(5, ELBE))
    line.aggregated(5, ELBE)
    line.request(5, ELBE)
    line.wait_for("drafted", 5, ELBE)
    with line.told(row):
        with line.tax_engine_is_away():
            before = line.progress()
            line.send(calls_of(5, PONY))
            line.aggregated(5, PONY)
            line.request(5, PONY)
            line.wait_until_away(row)
            line.approve(5, ELBE)
            line.wait_for("closed", 5, ELBE)
            wait_until(lambda: line.moved_since(before) == set(row.goes_on), what="all but tax has gone on")
            drafts = line.month.rows("select attempts, outcome from work where step = 'tax' and state = 'ready'")
            assert {*drafts} == {(0, "tax_engine_away")}
            line.assert_shown(row, check="tax engine")
            assert line.moved_since(before) == set(row.goes_on)
        line.wait_for("drafted", 5, PONY)
    line.approve(5, PONY)
    line.wait_for("closed", 5, PONY)
    line.assert_billed(5, *BOTH)


def test_with_one_erp_away_its_postings_wait_and_the_other_erp_goes_on(line):
    row = row_of("erp")
    line.send(calls_of(6, PONY) + calls_of(6, ELBE))
    with line.told(row, name="books-pony"):
        with line.erp_is_away("books-pony"):
            before = line.progress("books-pony")
            line.send(calls_of(8, ELBE))
            line.aggregated(6, *BOTH)
            line.request(6, *BOTH)
            line.wait_for("drafted", 6, *BOTH)
            line.approve(6, *BOTH)
            line.wait_until_away(row, name="books-pony")
            line.wait_for("closed", 6, ELBE)
            line.aggregated(8, ELBE)
            line.assert_shown(row, check="ERP books-pony", name="books-pony")
            waiting = line.month.rows(
                "select connection_id, attempts, outcome from work where step = 'post' and state = 'ready'"
            )
            assert {(each[0], each[1]) for each in waiting} == {("books-pony", 0)}
            assert "erp_away" in {each[2] for each in waiting}
            assert line.is_up("erp", "books-elbe")
            assert line.moved_since(before, "books-pony") == set(row.goes_on)
            assert line.stage(6, PONY) == "approved"
        line.wait_for("closed", 6, PONY)
    line.assert_billed(6, *BOTH)


def test_with_sentry_away_nothing_waits_and_what_it_gets_names_nobody(line):
    row = row_of("sentry")
    with line.told(row), line.sentry.silent():
        line.wait_until_away(row)
        before, began_at = line.progress(), datetime.now(UTC)
        line.send(calls_of(7, PONY) + calls_of(7, ELBE))
        bill(line, 7, *BOTH)
        wait_until(lambda: line.moved_since(before) == set(row.goes_on), what="everything goes on")
        assert line.month.value("select count(*) from work where state = 'ready' and due_at < :at", at=began_at) == 0
        line.assert_shown(row, check="Sentry")
    line.assert_billed(7, *BOTH)

    with line.told(row_of("redis")), away("redis"):
        line.wait_until_away(row_of("redis"))
    told = "dependency away"
    wait_until(lambda: [each for each in line.sentry.events() if each.get("logentry") == {"message": told}],
               what="Sentry is told of the next outage")  # fmt: skip
    everything = "".join(line.sentry.envelopes)
    for personal in ("caller 1", "line 3", "throw-away", "contract 3", str(line.month.home)):
        assert personal not in everything
