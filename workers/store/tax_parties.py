"""What is known for taxes of who sells and who buys: registrations and exemptions, as they are in force now."""

from collections.abc import Collection

from sqlalchemy import Connection, text

from domain.vat import Exemption, Registration, TaxParties

_OF_ENTITIES = text("""
select legal_entity_id as party, country, number, is_checked, starts_on, ends_on from tax_registrations
where legal_entity_id = any(cast(:ids as text[])) and superseded_at = '9999-12-31 00:00:00+00'
order by party, country, starts_on
""")
_OF_ACCOUNTS = text("""
select account_id as party, country, number, is_checked, starts_on, ends_on from account_tax_registrations
where account_id = any(cast(:ids as text[])) and superseded_at = '9999-12-31 00:00:00+00'
order by party, country, starts_on
""")
_EXEMPTIONS = text("""
select account_id as party, jurisdiction, category, vat_category, exemption_code, exemption_reason, certificate,
  starts_on, ends_on from account_tax_exemptions
where account_id = any(cast(:ids as text[])) and superseded_at = '9999-12-31 00:00:00+00'
order by party, jurisdiction, category, starts_on
""")
_Pair = tuple[str, str]


def load(conn: Connection, pairs: Collection[_Pair]) -> dict[_Pair, TaxParties]:
    """Of each (legal entity, account) what both are registered for, and what the account is exempt from."""
    entities, accounts = sorted({entity for entity, _ in pairs}), sorted({account for _, account in pairs})
    sellers: dict[str, list[Registration]] = {}
    for row in conn.execute(_OF_ENTITIES, {"ids": entities}):
        sellers.setdefault(row.party, []).append(Registration(*row[1:]))
    buyers: dict[str, list[Registration]] = {}
    for row in conn.execute(_OF_ACCOUNTS, {"ids": accounts}):
        buyers.setdefault(row.party, []).append(Registration(*row[1:]))
    exemptions: dict[str, list[Exemption]] = {}
    for row in conn.execute(_EXEMPTIONS, {"ids": accounts}):
        exemptions.setdefault(row.party, []).append(Exemption(*row[1:]))
    return {
        (entity, account): TaxParties(
            tuple(sellers.get(entity, ())), tuple(buyers.get(account, ())), tuple(exemptions.get(account, ()))
        )
        for entity, account in pairs
    }
