"""`tallyline audit`: what was changed as people read it, proof that the log is whole, and an export of it."""

import getpass
import json

import pytest
from operator_bench import DEMO, departure
from two_people import begin, request_of

from workers.cli import audit_file
from workers.store import acting, audit
from workers.store.acting import Named
from workers.store.database import engine


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).replace("│", " ").split())


@pytest.fixture
def three(operator):
    """Three entries of the log, by two people."""
    for person, change in (("ann", {"limit": "1"}), ("bob", {"limit": "2"}), ("ann", {"limit": "3"})):
        with engine().begin() as conn:
            acting.name(conn, Named(person, f"asked by {person}", approval_id=5))
            audit.record(conn, "limits.change", f"limit of {person}", before={"limit": "0"}, after=change)
    return operator


@pytest.fixture
def load_file(operator, tmp_path):
    def load(words, *more):
        file = tmp_path / "more.yaml"
        file.write_text(words)
        return operator("master", "load", file, *more)

    return load


def tamper(operator, statement):
    operator.run(f"set local session_replication_role = replica; {statement}")


def test_a_load_is_recorded_as_the_person_who_ran_it_and_the_name_of_the_file(airports):
    person = getpass.getuser()

    listed = airports.json("audit", "list", "--action", "contracts", "--limit", 1000)

    assert len(listed) == airports.one("select count(*) from contracts")
    assert {(each["person"], each["reason"], each["action"]) for each in listed} == {
        (person, "published master.yaml", "contracts.insert")
    }
    assert airports("audit", "verify").code == 0
    before = airports.one("select max(no) from audit_log")
    airports("master", "load", DEMO / "master.yaml")
    assert airports.one("select max(no) from audit_log") == before, "the same file twice changes nothing"


def test_a_source_that_is_added_is_recorded(airports):
    airports("sources", "add", "/ops/new", "--user", "new")

    user, source = airports.json("audit", "list", "--limit", 2)
    assert (user["action"], user["subject"]) == ("source_users.insert", "/ops/new new")
    assert (source["action"], source["subject"], source["person"]) == ("sources.insert", "/ops/new", getpass.getuser())


def test_a_list_says_who_did_what_to_what_and_why(three):
    words = text_of(three("audit", "list"))

    assert "bob limits.change: limit of bob (limit: 0 -> 2) asked by bob 5" in words


def test_what_people_do_about_people_reads_as_a_story(operator):
    operator("people", "add", "kim", "--role", "finance", "--role", "viewer", "--name", "Kim Lee")
    operator("people", "token", "kim", "--scope", "read.*")
    operator("people", "revoke", "kim", "--role", "viewer")
    token = operator.one("select max(id) from api_tokens where person_id = 'kim'")
    operator("people", "revoke-token", token)

    told = "\n".join(each["story"] for each in operator.json("audit", "list", "--limit", 100))

    me = getpass.getuser()
    assert f"{me} registered kim, called Kim Lee" in told
    assert f"{me} gave kim the role finance" in told
    assert f"{me} took the role viewer from kim" in told
    assert f"{me} made a token of kim with the scopes read.*" in told
    assert f"{me} revoked the token kim/{token}" in told


def test_a_change_of_master_data_tells_what_was_and_what_is(operator, load_file):
    load_file("accounts: {kiosk: {name: Kiosk}}")
    load_file("accounts: {kiosk: {name: Kiosk at the gate}}")

    changed, added = (each["story"] for each in operator.json("audit", "list", "--action", "accounts", "--limit", 2))

    me = getpass.getuser()
    assert added == f"{me} added account kiosk (name: Kiosk)"
    assert changed == f"{me} changed account kiosk (name: Kiosk -> Kiosk at the gate)"


def test_a_period_that_is_billed_reads_as_a_story(airports, lines):
    airports("send", lines(departure(1, data={"air_time": None})))
    words = ("--override", "quantity_missing", "--reason", "diverted", "--approve", "--as", "ann")
    airports("close", "newark", "2013-01", *words)

    approved, let_pass, asked = (each["story"] for each in airports.json("audit", "list", "--limit", 3))

    assert asked == "ann asked for run 1"
    assert let_pass == "ann let 1 quantity_missing of run 1 pass"
    assert approved == "ann approved the drafts of run 1 of newark/month 2013-01-01"
    table = text_of(airports("audit", "list", "--limit", 2))
    assert "ann let 1 quantity_missing of run 1 pass diverted" in table


def test_a_request_its_decision_and_its_end_read_as_a_story(operator, load_file):
    begin(operator)
    rate = "tax_rates: [{jurisdiction: de, category: it, rate: '19', from: 2026-01-01, source: law}]"
    number = request_of(load_file(rate, "--as", "finance"))
    operator("approve", number, "--as", "approver")

    told = [each["story"] for each in operator.json("audit", "list", "--limit", 5)]

    assert f"finance asked for a second person (request {number}): publish more.yaml: 1 tax rate" in told
    assert f"approver granted request {number} of finance" in told
    assert f"approver ended request {number}: it was granted and carried out" in told


def test_what_was_moved_alone_and_a_replay_read_as_a_story(operator):
    with engine().begin() as conn:
        acting.name(conn, Named("ann", "agreed"))
        audit.record(conn, "limits.use", "replay/7", after={"actions": ["replay.business"], "effect": {"EUR": "12.50"}})
        audit.record(conn, "replays.write_off", "replay/7", before={"state": "planned"}, after={"exceptions": 3})
        audit.record(conn, "exceptions.reopen", "exception/4", before={"state": "dismissed"}, after={"state": "open"})
        audit.record(
            conn, "billing_runs.update", "run 1 of x", before={"approved_by": "bob"}, after={"approved_by": None}
        )
        audit.record(conn, "billing_runs.update", "run 1 of x", before={"stage": "open"}, after={"stage": "frozen"})
        audit.record(conn, "person_roles.update", "kim/viewer", after={"revoked_at": "2026-01-01"})
        audit.record(conn, "person_roles.update", "kim/viewer", before={"note": "a"}, after={"note": True})
        audit.record(conn, "api_tokens.update", "kim/1", after={"revoked_at": "2026-01-01"})
        audit.record(conn, "approval_requests.update", "request 9", after={"outcome": "x"})

    told = [each["story"] for each in reversed(operator.json("audit", "list"))]

    assert told == [
        "ann moved EUR 12.50 alone, under the limit of a policy: replay/7",
        "ann started to write off 3 exceptions (replay/7)",
        "ann reopened exception/4, which had been decided",
        "ann took back the approval of run 1 of x",
        "ann changed billing run run 1 of x (stage: open -> frozen)",
        "ann took the role viewer from kim",
        "ann changed role of people kim/viewer (note: a -> yes)",
        "ann revoked the token kim/1",
        "ann changed request request 9 (outcome: x)",
    ]


def test_a_list_can_be_narrowed_and_paged(three):
    def listed(*words):
        return [each["no"] for each in three.json("audit", "list", *words)]

    assert listed() == [3, 2, 1]
    assert listed("--person", "ann") == [3, 1]
    assert listed("--subject", "limit of bob") == [2]
    assert listed("--action", "limits") == [3, 2, 1]
    assert listed("--since", "2999-01-01") == []
    assert listed("--since", "2020-01-01T00:00:00") == [3, 2, 1]
    assert listed("--below", "3", "--limit", "1") == [2]
    assert "more: --below 3" in text_of(three("audit", "list", "--limit", 1))
    assert "more" not in text_of(three("audit", "list"))
    assert "Nothing was recorded that fits." in text_of(three("audit", "list", "--person", "eve"))


def test_a_long_change_is_cut_in_a_table_and_whole_in_json(operator):
    with engine().begin() as conn:
        acting.name(conn, Named("ann", ""))
        audit.record(conn, "notes.drop", "n", before={"gone": "x" * 1_000}, after={})

    assert " ..." in text_of(operator("audit", "list"))
    assert operator.json("audit", "list")[0]["before"] == {"gone": "x" * 1_000}


def test_a_whole_log_is_said_to_be_whole_with_its_head(three):
    ran = three("audit", "verify")

    assert ran.code == 0
    assert "All 3 entries are as they were recorded" in ran.out
    head = three.json("audit", "verify")
    assert head["problems"] == []
    assert f"head 3:{head['hash']}" in ran.out
    assert three("audit", "verify", "--head", f"3:{head['hash']}").code == 0


def test_an_empty_log_is_said_to_be_empty_and_is_not_exported(operator, tmp_path):
    assert "The audit log is empty." in text_of(operator("audit", "verify"))

    ran = operator("audit", "export", tmp_path / "audit.jsonl")
    assert ran.code == 1
    assert "nothing to export" in text_of(ran)


def test_a_tampered_entry_is_named_and_ends_with_1(three):
    tamper(three, "update audit_log set person = 'eve' where no = 2")

    ran = three("audit", "verify")

    assert ran.code == 1
    assert "2 tampered entry 2 is not what was recorded" in text_of(ran)
    (problem,) = json.loads(three("audit", "verify", "--json").out)["problems"]
    assert (problem["no"], problem["kind"]) == (2, "tampered")


def test_a_rewritten_end_is_found_by_the_head_that_was_told(three):
    told = three.json("audit", "verify")["hash"]
    tamper(three, "delete from audit_log where no = 3")
    tamper(three, "update audit_head set no = 2, hash = (select hash from audit_log where no = 2)")

    assert three("audit", "verify").code == 0
    ran = three("audit", "verify", "--head", f"3:{told}")
    assert ran.code == 1
    assert "entry 3 is known outside, but the log ends with 2" in text_of(ran)


@pytest.mark.parametrize("head", ["3", "3:abc", "x:" + "0" * 64, "0:" + "0" * 64, "3:" + "g" * 64])
def test_a_head_that_is_none_is_refused(three, head):
    ran = three("audit", "verify", "--head", head)

    assert ran.code == 2
    assert "is no head" in text_of(ran)


def test_a_trigger_that_is_off_is_no_proof_of_anything(three):
    three.run("alter table contracts disable trigger audit_insert")
    try:
        ran = three("audit", "verify")
    finally:
        three.run("alter table contracts enable trigger audit_insert")

    assert ran.code == 1
    assert "a trigger of contracts is gone or off" in text_of(ran)


def test_only_so_many_problems_are_shown(three):
    with engine().begin() as conn:
        acting.name(conn, Named("ann", ""))
        for n in range(110):
            audit.record(conn, "n", str(n))
    tamper(three, "update audit_log set reason = 'x'")

    assert "only the first 100 are shown" in text_of(three("audit", "verify"))


# ----------------------------------------------------------------------------------------------- exports
@pytest.fixture
def export(three, tmp_path):
    """An export of the three entries."""
    file = tmp_path / "audit.jsonl"
    assert three("audit", "export", file).code == 0
    return file


@pytest.fixture
def verify(operator, monkeypatch):
    """Verifies an export where no database is."""

    def run(file, *words):
        monkeypatch.delenv("TALLYLINE_DATABASE_URL", raising=False)
        return operator("audit", "verify", "--file", file, *words)

    return run


def test_an_export_is_verified_without_a_database(export, verify):
    ran = verify(export)

    assert ran.code == 0
    assert "All 3 entries are as they were recorded" in ran.out


def test_an_export_holds_exactly_the_texts_that_were_hashed(export):
    first, *_, last = [json.loads(line) for line in export.read_text().splitlines()]

    assert (first["person"], first["approval_id"], first["after"]) == ("ann", "5", '{"limit": "1"}')
    assert last["head_no"] == 3


def test_what_is_said_of_an_export_in_json(three, tmp_path):
    told = three.json("audit", "export", tmp_path / "other.jsonl")

    assert (told["entries"], told["head"]["no"]) == (3, 3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: [lines[0].replace("ann", "eve"), *lines[1:]], "1 tampered"),
        (lambda lines: [lines[0], *lines[2:]], "2 missing entry 2 is missing"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "1 disordered"),
        (lambda lines: [*lines[:2], lines[3]], "3 truncated the head says 3, but the log ends with entry 2"),
        (lambda lines: lines[:3], "3 headless"),
        (lambda lines: lines[:2], "2 headless"),
    ],
)
def test_an_export_that_was_changed_is_found_out(export, verify, change, says):
    export.write_text("".join(line + "\n" for line in change(export.read_text().splitlines())))

    ran = verify(export)

    assert ran.code == 1
    assert says in text_of(ran)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "line 1 of"),
        (["{"], "line 1 of"),
        (["[]"], "line 1 of"),
        (['{"no": 1}'], "line 1 of"),
        (['{"head_no": 0, "head_hash": "xyz"}'], "line 1 of"),
        (['{"head_no": 0, "head_hash": ""}', "{}"], "it comes after the head"),
        (["x" * 200], "it has more than 100 bytes"),
    ],
)
def test_a_file_that_is_no_export_is_named_by_its_line(verify, tmp_path, monkeypatch, lines, says):
    monkeypatch.setattr(audit_file, "LINE_BYTES_MAX", 100)
    file = tmp_path / "other.jsonl"
    file.write_text("".join(line + "\n" for line in lines))

    ran = verify(file)

    assert ran.code == 1
    assert says in text_of(ran)


def test_an_export_whose_hash_is_no_hash_is_named_by_its_line(export, verify):
    lines = export.read_text().splitlines()
    entry = json.loads(lines[1]) | {"hash": "no hash"}
    export.write_text("\n".join([lines[0], json.dumps(entry), *lines[2:]]))

    ran = verify(export)

    assert ran.code == 1
    assert "line 2 of" in text_of(ran)


def test_a_file_that_is_not_there_is_said(verify, tmp_path):
    ran = verify(tmp_path / "nothing.jsonl")

    assert ran.code == 2
    assert "cannot be read" in text_of(ran)


def test_no_file_is_overwritten_by_an_export_and_one_that_cannot_be_is_named(three, export, tmp_path):
    ran = three("audit", "export", export)
    assert ran.code == 2
    assert "is there already" in text_of(ran)

    ran = three("audit", "export", tmp_path / "no" / "folder.jsonl")
    assert ran.code == 2
    assert "cannot be written" in text_of(ran)
