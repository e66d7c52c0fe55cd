"""Phases choose the prices of their days: a trial, a ramp, the regular price, through enrich, rate and explain."""

from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from workers.store import acting
from workers.store.acting import Named
from workers.store.database import engine

OPEN = "superseded_at = '9999-12-31 00:00:00+00'"


def price(amount):
    return (
        '{calls: {terms: {model: per_unit, unit_amount: "' + amount + '"}, tax_category: service, revenue_account: r}}'
    )


def phases(*said, subscription="S-1"):
    return f"subscriptions: {{{subscription}: {{phases: [{', '.join('{' + each + '}' for each in said)}]}}}}\n"


TRIAL = "phase: trial, is_trial: true, from: 2026-06-01, to: 2026-06-11, prices: " + price("0")
RAMP = "phase: ramp, from: 2026-06-11, to: 2026-06-21, prices: " + price("0.10")


def call(name, time, subject="k1"):
    return {
        "specversion": "1.0", "id": name, "source": "/phones", "type": "call.ended", "subject": subject,
        "time": time, "data": {"minutes": "3"},
    }  # fmt: skip


#: One before all phases, one in the trial, two in the ramp, one after it; New York is four hours behind.
CALLS = [
    call("before", "2026-06-01T03:59:59Z"), call("trial", "2026-06-01T04:00:00Z"), call("ramp", "2026-06-11T04:00:00Z"),
    call("ramp-2", "2026-06-21T03:59:59Z"), call("after", "2026-06-21T04:00:00Z"),
]  # fmt: skip


def amounts(load):
    """What each stretch of June would cost, by phase: what is rated when the month is previewed."""
    return {
        (row[0], row[1]): row[2]
        for row in load.operator.rows("""
          select v.version, h.phase, sum(g.quantity * (p.terms ->> 'unit_amount')::numeric) from aggregates g
          join contract_versions v on v.id = g.contract_version_id
          left join subscription_phases h on h.id = v.phase_id
          join prices p on p.contract_version_id = v.id and p.metric_id = g.metric_id
          where g.quantity <> 0 group by 1, 2""")
    }


def stretches(load):
    return load.operator.rows(f"""
      select s.ref, v.version, h.phase, (v.starts_at at time zone 'America/New_York')::date::text,
        (least(v.ends_at, '2099-01-01') at time zone 'America/New_York')::date::text,
        (select p.terms ->> 'unit_amount' from prices p where p.contract_version_id = v.id)
      from contract_versions v join subscriptions s on s.id = v.subscription_id
      left join subscription_phases h on h.id = v.phase_id where v.{OPEN} order by 1, v.starts_at""")


def send(load, lines, *events):
    load.operator.json("send", lines(*events), "--user", "phones")


def test_each_phase_prices_its_days_and_the_contract_the_others(load, lines):
    load.done(phases(TRIAL, RAMP))
    send(load, lines, *CALLS)

    assert amounts(load) == {
        (1, None): Decimal("0.50"), (1, "trial"): Decimal(0), (1, "ramp"): Decimal("0.20"),
    }  # fmt: skip
    assert stretches(load) == [
        ("S-1", 1, "trial", "2026-06-01", "2026-06-11", "0"), ("S-1", 1, "ramp", "2026-06-11", "2026-06-21", "0.1"),
        ("S-1", 1, None, "2026-06-21", "2098-12-31", "0.25"),
    ]  # fmt: skip
    # 0.25 + 0 + 2 x 0.10 + 0.25
    assert load.operator.json("status")["unbilled"] == {"USD": "0.70"}


def test_the_month_is_billed_by_its_phases_and_explained(load, lines):
    load.done(phases(TRIAL, RAMP))
    send(load, lines, *CALLS)

    load.operator("close", "us", "2026-06")
    numbers = load.operator.rows("select id::text from invoice_lines order by id")
    told = [line for (number,) in numbers for line in load.operator.json("explain", number)]

    said = {sentence["text"] for line in told for sentence in line["sentences"] if sentence["rule"] == "period"}
    assert said == {
        "This line is for calls, from 2026-06-01 to 2026-06-30.",
        "This line is for calls, from 2026-06-01 to 2026-06-30, at the prices of the phase trial.",
        "This line is for calls, from 2026-06-01 to 2026-06-30, at the prices of the phase ramp.",
    }
    # 0 + 2 x 0.10 + 0.25: the first call is one of May
    assert sum(Decimal(line["net"]) for line in told) == Decimal("0.45")


def test_the_same_phases_twice_change_nothing(load):
    first = load.done(phases(TRIAL, RAMP))
    again = load.done(phases(TRIAL, RAMP))

    assert (first["new"]["contract_versions"], again["new"], again["changed"]) == (3, {}, {})


def test_a_phase_that_is_said_after_the_usage_moves_it(load, lines):
    send(load, lines, *CALLS)
    assert amounts(load) == {(1, None): Decimal("1.25")}

    load.done(phases(TRIAL, RAMP))

    assert amounts(load) == {
        (1, None): Decimal("0.50"), (1, "trial"): Decimal(0), (1, "ramp"): Decimal("0.20"),
    }  # fmt: skip
    assert load.operator("status", "--identity").code == 0


def test_a_phase_of_one_subscription_prices_no_other_of_the_contract(load, lines):
    load.done(
        "subscriptions: {S-1: {phases: [{" + TRIAL + "}]}, S-2: {contract: C-1, cycle: us/month}}\n"
        "mappings: [{source: /phones, subject: k2, subscription: S-2}]\n"
    )

    send(load, lines, call("a", "2026-06-05T12:00:00Z"), call("b", "2026-06-05T12:00:00Z", subject="k2"))

    assert amounts(load) == {(1, "trial"): Decimal(0), (1, None): Decimal("0.25")}


def test_a_new_version_of_the_contract_holds_between_and_after_phases(load, lines):
    load.done(phases(RAMP))

    load.done("contracts: {C-1: {versions: [{version: 2, from: 2026-06-15, prices: " + price("0.50") + "}]}}")
    send(load, lines, *CALLS)

    assert [row[1:] for row in stretches(load)] == [
        (1, "ramp", "2026-06-11", "2026-06-15", "0.1"), (2, "ramp", "2026-06-15", "2026-06-21", "0.1"),
        (2, None, "2026-06-21", "2098-12-31", "0.5"),
    ]  # fmt: skip
    # two before the ramp at 0.25, one in it under each version, one after it at 0.50
    assert amounts(load) == {
        (1, None): Decimal("0.50"), (1, "ramp"): Decimal("0.10"), (2, "ramp"): Decimal("0.10"),
        (2, None): Decimal("0.50"),
    }  # fmt: skip


def test_a_phase_without_prices_in_place_of_one_with_some_gives_the_days_back(load, lines):
    load.done(phases(TRIAL))
    send(load, lines, *CALLS)

    load.done(phases("phase: regular, from: 2026-06-01, to: 2026-06-11"))

    assert stretches(load) == []
    assert amounts(load) == {(1, None): Decimal("1.25")}
    assert load.operator.one("select terms_from::text from subscriptions") == "9999-12-31 00:00:00+00"
    assert load.operator.one("select count(*) from contract_versions where subscription_id is not null") == 2


def test_a_price_that_a_version_gets_later_is_that_of_its_stretches_too(load):
    load.done(phases(RAMP))
    load.done(
        "metrics: {long: {meter: call.ended, aggregation: sum, property: minutes, unit: minute}}\n"
        "contracts: {C-1: {versions: [{version: 1, from: 2026-01-01, prices: {"
        'calls: {terms: {model: per_unit, unit_amount: "0.25"}, tax_category: service, revenue_account: revenue},'
        'long: {terms: {model: per_unit, unit_amount: "2"}, tax_category: service, revenue_account: r}}}]}}\n'
    )

    found = load.operator.rows(f"""select h.phase, count(p.id) from contract_versions v
      left join subscription_phases h on h.id = v.phase_id left join prices p on p.contract_version_id = v.id
      where v.subscription_id is not null and v.{OPEN} group by 1 order by 1""")
    assert found == [("ramp", 1), (None, 2)]


def test_a_preview_shows_which_prices_would_hold_when(load):
    file = load.file(phases(TRIAL, RAMP), "phases.yaml")

    told = load.operator.json("master", "preview", file)["stretches"]
    ran = load.operator("master", "preview", file)

    assert [(each["version"], each["phase"], each["prices"]) for each in told] == [
        (1, None, "of the version"), (1, "trial", "of the phase"), (1, "ramp", "of the phase"),
        (1, None, "of the version"),
    ]  # fmt: skip
    assert "How subscriptions with phases would be priced" in ran.out
    assert stretches(load) == []


@pytest.mark.parametrize(
    ("says", "wrong"),
    [
        ("prices: none", "subscriptions.S-1.phases[0].prices: there is no price book 'none'"),
        ("plan: none/gold", "subscriptions.S-1.phases[0].plan: no version of price book 'none' is in force"),
        ("plan: none/gold, prices: plain", "has both `prices` and a `plan`"),
        ("prices: {calls: {terms: {model: odd}, tax_category: s, revenue_account: r}}", "phases[0].prices.calls.terms"),
        ("prices: {hops: {terms: {model: per_unit, unit_amount: '1'}, tax_category: s, revenue_account: r}}",
         "there is no metric 'hops'"),
    ],
)  # fmt: skip
def test_a_phase_whose_prices_cannot_be_is_refused(load, says, wrong):
    assert wrong in load.refused(phases("phase: trial, from: 2026-06-01, " + says))
    assert stretches(load) == []


def test_a_phase_takes_the_plan_as_it_is_on_its_first_day_and_keeps_it(load, lines):
    book = load.file(
        "name: us\ncurrency: USD\nvalid_from: 2026-01-01\nplans:\n  start:\n    title: Start\n    charges:\n"
        '      - {metric: calls, terms: {model: per_unit, unit_amount: "0.05"}, tax_category: service,'
        " revenue_account: r}\n",
        "book.yaml",
    )
    ran = load.operator("prices", "publish", book)
    assert ran.code == 0, ran.err
    load.done(phases("phase: ramp, from: 2026-06-11, to: 2026-06-21, plan: us/start"))

    book.write_text(book.read_text().replace("0.05", "0.09"))
    assert load.operator("prices", "publish", book).code == 0
    load.done("contracts: {C-1: {versions: [{version: 2, from: 2026-06-15, prices: " + price("0.50") + "}]}}")

    assert [row[1:] for row in stretches(load)][:2] == [
        (1, "ramp", "2026-06-11", "2026-06-15", "0.05"), (2, "ramp", "2026-06-15", "2026-06-21", "0.05"),
    ]  # fmt: skip


def test_the_database_refuses_a_stretch_of_nothing(load):
    with engine().connect() as conn:
        acting.name(conn, Named("eve", "to see whether it works"))
        with pytest.raises(IntegrityError):
            conn.execute(
                text("""insert into contract_versions (contract_id, version, starts_at, recorded_by, subscription_id)
                     select contract_id, 9, now(), 'eve', id from subscriptions""")
            )
