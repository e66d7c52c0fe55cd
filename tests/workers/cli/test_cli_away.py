"""What is away is named at the command line with what waits for it, and never with a secret."""

from fake_sentry import FakeSentry

from workers.cli.reach import forget


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


def test_status_names_a_partner_that_is_away_first_with_what_waits_and_lists_work_by_tier(airports):
    airports.run("""insert into work (step, subject, correlation_id, connection_id, lane, outcome) values
      ('notify', 'notices/x', 'c', null, 'live', null), ('enrich', 'receipt/1', 'c', null, 'replay', null),
      ('post', 'erp_posting/1', 'c', 'ledger-pony', 'close', 'erp_away'),
      ('validate', 'receipt/2', 'c', null, 'live', null),
      ('post', 'erp_posting/2', 'c', 'ledger-pony', 'close', 'snooze')""")

    found = airports.json("status")

    assert [(each["tier"], each["step"]) for each in found["steps"]] == [
        (1, "validate"), (3, "post"), (4, "notify"), (5, "enrich"),
    ]  # fmt: skip
    (away,) = found["away"]
    assert (away["dependency"], away["name"], away["waits"]) == ("erp", "ledger-pony", {"post": 2})
    assert away["since"] is None
    said = text_of(airports("status"))
    assert "ERP ledger-pony" in said
    assert "2 of post" in said

    airports.run("""insert into notices (exchange, routing_key, key, body) values ('tallyline',
      'tallyline.dependency.away', 'outage/erp.ledger-pony/2026-03-01T12:00:00.000000+00:00/away', '{}')""")
    assert "2026-03-01 12:00:00" in text_of(airports("status"))


def test_doctor_names_a_partner_and_a_sentry_that_are_away(airports, monkeypatch):
    airports.run(
        "insert into work (step, subject, correlation_id, outcome) values ('tax', 'invoice/1', 'c', 'tax_engine_away')"
    )
    monkeypatch.setenv("TALLYLINE_SENTRY_DSN", "http://geheim@127.0.0.1:1/1")
    forget()

    ran = airports("doctor", "--json")

    found = {each["name"]: each for each in ran.json}
    assert ran.code == 1
    assert (found["tax engine"]["state"], found["tax engine"]["says"]) == ("wrong", "away, waits: 1 of tax")
    assert "Drafts whose engine does not answer are snoozed" in found["tax engine"]["fix"]
    assert found["Sentry"]["state"] == "warning"
    assert "geheim" not in ran.out


def test_doctor_says_that_sentry_answers(airports, monkeypatch):
    sentry = FakeSentry()
    monkeypatch.setenv("TALLYLINE_SENTRY_DSN", sentry.dsn)
    forget()

    found = {each["name"]: each["state"] for each in airports.json("doctor")}
    sentry.close()

    assert found["Sentry"] == "ok"
