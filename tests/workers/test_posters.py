"""Which queues the workers of `post` serve."""

import sys
import threading
from types import SimpleNamespace

import pytest
from line_bench import Bound

from queues.topology import QueueUnknown
from workers import posters

NEW_CONNECTION = "insert into erp_connections (id, adapter) values ('books', 'ledger_file')"


def test_dramatiq_is_told_every_lane_of_every_connection():
    words = posters.command(["books", "sap-de"], ["--threads", "2"])

    assert words == [
        sys.executable, "-m", "dramatiq", "workers.post", "--threads", "2",
        "--queues", "post.books", "post.books.close", "post.books.replay",
        "post.sap-de", "post.sap-de.close", "post.sap-de.replay",
    ]  # fmt: skip


def test_a_name_that_cannot_be_a_connection_is_refused():
    with pytest.raises(QueueUnknown):
        posters.command(["sap de; rm"], [])


def test_connections_may_be_named():
    assert posters.connections_of({"POST_CONNECTIONS": " sap-de  books "}) == ["sap-de", "books"]


def test_without_names_it_waits_for_the_first_connection_of_the_database(bound: Bound, monkeypatch):
    bound.run("truncate erp_connections cascade")
    monkeypatch.setattr(posters, "AGAIN_S", 0.01)
    adding = threading.Timer(
        0.2, bound.run, ["insert into erp_connections (id, adapter) values ('books', 'ledger_file')"]
    )
    adding.start()

    assert posters.connections_of({}) == ["books"]
    adding.join()


def test_a_database_that_is_away_is_waited_for(bound: Bound, monkeypatch):
    bound.run("truncate erp_connections cascade")
    bound.run(NEW_CONNECTION)
    monkeypatch.setattr(posters, "AGAIN_S", 0.01)
    told = []
    monkeypatch.setattr(posters, "log", SimpleNamespace(info=lambda sentence, **_facts: told.append(sentence)))
    bound.run("revoke select on erp_connections from tallyline_app")
    granting = threading.Timer(0.2, bound.run, ["grant select on erp_connections to tallyline_app"])
    granting.start()

    assert posters.connections_of({}) == ["books"]
    granting.join()
    assert told == ["database away"]
