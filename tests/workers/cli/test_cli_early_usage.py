"""Usage that comes before its contract heals, whoever says the contract and in whatever order."""

from datetime import UTC, datetime

import pytest

from workers import messages

LATE = [
    ("contract", {"id": "C-9", "account": "B", "legal_entity": "us", "currency": "USD"}, "crm"),
    ("subscription", {"id": "S-9", "contract": "C-9", "cycle": "us/month"}, "crm"),
    ("mapping", {"source": "/phones", "subject": "k9", "subscription": "S-9"}, "shop"),
]
VERSION = """
contracts:
  C-9: {versions: [{version: 1, from: 2026-01-01, prices: plain}]}
price_books:
  plain:
    calls: {terms: {model: per_unit, unit_amount: "0.25"}, tax_category: service, revenue_account: revenue}
"""


def call(name, subject):
    return {
        "specversion": "1.0", "id": name, "source": "/phones", "type": "call.ended", "subject": subject,
        "time": datetime.now(UTC).isoformat(), "data": {"minutes": "3"},
    }  # fmt: skip


def waiting(operator):
    return operator.rows("select code, state from exceptions where step = 'enrich' order by id")


@pytest.mark.parametrize("order", [LATE, LATE[::-1]])
def test_usage_that_comes_before_its_contract_heals_when_systems_say_it(others, lines, order):
    sent = others.operator.json("send", lines(call("e1", "k9")), "--user", "phones")
    assert sent["accepted"] == 1
    assert [state for _, state in waiting(others.operator)] == ["open"]

    for version, (kind, data, system) in enumerate(order, start=1):
        others.say(kind, data, version=version, system=system)
    for _ in order:
        messages.tick()  # each may be what another one missed
    others.load.done(VERSION)
    others.operator.json("send", lines(call("e2", "k1")), "--user", "phones")  # works on whatever is due

    assert {state for _, state in waiting(others.operator)} == {"resolved"}
    found = others.operator.rows(
        "select s.ref, a.quantity from attributions a join subscriptions s on s.id = a.subscription_id order by 1"
    )
    assert [(ref, int(quantity)) for ref, quantity in found] == [("S-1", 1), ("S-9", 1)]


def test_usage_that_comes_before_its_contract_heals_when_rows_are_imported(others, lines):
    others.operator.json("send", lines(call("e1", "k9")), "--user", "phones")
    tables = {
        "contracts": "id,account,legal_entity,currency\nC-9,B,us,USD\n",
        "subscriptions": "id,contract,cycle\nS-9,C-9,us/month\n",
        "mappings": "source,subject,subscription\n/phones,k9,S-9\n/phones,k8,S-8\n",
    }

    codes = [
        others.operator("master", "import", others.load.file(content, f"{kind}.csv"), "--kind", kind).code
        for kind, content in tables.items()
    ]
    others.load.done(VERSION)

    assert codes == [0, 0, 1]
    assert {state for _, state in waiting(others.operator)} == {"resolved"}
    assert others.operator.one("select count(*) from attributions") == 1
