"""The master data of the month, as the tables hold it."""

import json

from month import COMPANIES, LATE_LINE, SHARED_CONTRACT, Company
from sqlalchemy import Connection, text

_ZONES = {"pony": ("America/New_York", "USD", "US-NY"), "elbe": ("Europe/Berlin", "EUR", "DE")}

_METERS = """
insert into meters (name, owner) values ('call.ended', 'network');
insert into meter_versions (meter_id, version, fields, max_age_days) values (1, 1,
  '[{"name": "minutes", "kind": "decimal", "is_nullable": true}, {"name": "caller", "kind": "string"},
    {"name": "is_test", "kind": "boolean"}]', 36000);
insert into metrics (name, meter_id, aggregation, property, unit) values ('calls', 1, 'count', null, 'call'),
  ('minutes', 1, 'sum', 'minutes', 'minute'), ('callers', 1, 'unique_count', 'caller', 'caller');
insert into exclusion_rules (name, meter_id, conditions, reason) values ('test_call', 1,
  '[{"property": "is_test", "op": "equals", "value": "true"}]', 'our own calls to test the network');
"""


def load(conn: Connection, users: dict[str, str]) -> None:
    """Insert everything but the late mapping; `users` names the RabbitMQ user of each company."""
    conn.exec_driver_sql(_METERS)
    for number, company in enumerate(COMPANIES, start=1):
        _load_company(conn, company, user=users[company.name], source_id=number)
        for line in company.lines:
            _load_line(conn, company, line)
            if line != LATE_LINE:
                map_line(conn, line)


def map_line(conn: Connection, line: int) -> None:
    """Lead the usage of a line to its subscription."""
    conn.execute(
        text("""insert into mappings (source_id, subject, subscription_id, recorded_by)
             select s.id, :subject, u.id, 'finance' from subscriptions u join contracts c on c.id = u.contract_id
             join sources s on s.owner = c.legal_entity_id where u.ref = :subject"""),
        {"subject": f"line {line}"},
    )


def _load_company(conn: Connection, company: Company, *, user: str, source_id: int) -> None:
    zone, currency, jurisdiction = _ZONES[company.name]
    values = {
        "name": company.name, "zone": zone, "currency": currency, "jurisdiction": jurisdiction, "tax": company.tax,
        "books": f"books-{company.name}", "source": company.source, "source_id": source_id, "user": user,
    }  # fmt: skip
    for statement in (
        "insert into erp_connections (id, adapter, per_second, concurrency) values (:books, 'ledger-file', 100, 2)",
        """insert into legal_entities (id, name, currency, zone, jurisdiction, connection_id)
           values (:name, :name, :currency, :zone, :jurisdiction, :books)""",
        "insert into billing_cycles (legal_entity_id, name, zone) values (:name, 'month', :zone)",
        "insert into sources (name, owner) values (:source, :name)",
        "insert into source_users values (:source_id, :user)",
        """insert into tax_rates (jurisdiction, category, rate, starts_on, source)
           values (:jurisdiction, 'standard', :tax, '2020-01-01', 'law')""",
    ):
        conn.execute(text(statement), values)


def _load_line(conn: Connection, company: Company, line: int) -> None:
    number = SHARED_CONTRACT.get(line, line)
    values = {
        "name": company.name,
        "currency": _ZONES[company.name][1],
        "contract": f"contract {number}",
        "account": f"account {number}",
        "line": f"line {line}",
    }
    if line not in SHARED_CONTRACT:
        conn.execute(text("insert into accounts values (:account, :account)"), values)
        conn.execute(
            text("""with made as (insert into contracts (ref, account_id, legal_entity_id, currency)
                   values (:contract, :account, :name, :currency) returning id)
                 insert into contract_versions (contract_id, version, starts_at, recorded_by)
                 select id, 1, '2020-01-01', 'finance' from made"""),
            values,
        )
        for metric, terms in _terms(company).items():
            conn.execute(
                text("""insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
                     select v.id, m.id, cast(:terms as jsonb), 'standard', 'revenue:' || m.name from metrics m,
                       contract_versions v join contracts c on c.id = v.contract_id
                     where c.ref = :contract and m.name = :metric"""),
                {**values, "metric": metric, "terms": json.dumps(terms)},
            )
    conn.execute(
        text("""insert into subscriptions (ref, contract_id, cycle_id) select :line, c.id, y.id
             from contracts c join billing_cycles y using (legal_entity_id) where c.ref = :contract"""),
        values,
    )


def _terms(company: Company) -> dict[str, object]:
    tiers = [
        {"up_to": None if up_to is None else str(up_to), "unit_amount": str(unit), "flat_amount": str(flat)}
        for up_to, unit, flat in company.tiers
    ]
    return {
        "calls": {"model": "per_unit", "unit_amount": str(company.call)},
        "minutes": {"model": "graduated", "zero_usage": "none", "tiers": tiers},
        "callers": {"model": "per_unit", "unit_amount": str(company.caller)},
    }
