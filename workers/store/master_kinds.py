"""The tables of master data: what names a row, what of it never changes, and what may."""

from typing import Final

from workers.store.master_rows import Kind

_VERSIONED: Final = "add a version with the next number; what is published stays as it was"

CONNECTIONS: Final = Kind(
    "erp_connections",
    {"id": "text"},
    {"adapter": "text"},
    {
        "settings": "jsonb",
        "per_second": "numeric",
        "concurrency": "integer",
        "debtor_system": "text",
        "debtor_kind": "text",
        "needs_debtor": "boolean",
    },
    "give the connection to the other ERP another name",
)
LEGAL_ENTITIES: Final = Kind(
    "legal_entities",
    {"id": "text"},
    {"currency": "text", "zone": "text", "jurisdiction": "text"},
    {
        "name": "text",
        "connection_id": "text",
        "receivable_account": "text",
        "tax_account": "text",
        "tax_accounts": "jsonb",
        "payment_days": "integer",
        "breakers": "jsonb",
    },
    "its books rest on that; add another legal entity",
)
REVENUE_RULES: Final = Kind(
    "revenue_rules",
    {"legal_entity_id": "text", "revenue_account": "text"},
    free={"method": "text", "deferred_account": "text", "asset_account": "text"},
)
CREDIT_ACCOUNTS: Final = Kind(
    "credit_accounts",
    {"legal_entity_id": "text"},
    free={
        "liability_account": "text", "received_account": "text", "breakage_account": "text", "given_account": "text",
    },
)  # fmt: skip
CYCLES: Final = Kind(
    "billing_cycles",
    {"legal_entity_id": "text", "name": "text"},
    {"zone": "text", "months": "integer", "anchor_day": "integer", "anchor_month": "integer"},
    {"bill_after_days": "integer", "deadline_days": "integer"},
    "its periods are made; add another cycle",
)
ACCOUNTS: Final = Kind("accounts", {"id": "text"}, free={"name": "text", "parent_id": "text", "bill_to_id": "text"})
PRODUCTS: Final = Kind("products", {"id": "text"}, free={"name": "text"})
SYSTEMS: Final = Kind("systems", {"id": "text"}, free={"owner": "text", "users": "text[]", "person_id": "text"})
CONTRACTS: Final = Kind(
    "contracts",
    {"ref": "text"},
    {"account_id": "text", "legal_entity_id": "text", "currency": "text", "prices_include_tax": "boolean"},
    {"payment_days": "integer"},
    "a contract keeps its parties, its currency and what its prices include; add another contract",
)
SUBSCRIPTIONS: Final = Kind(
    "subscriptions",
    {"ref": "text"},
    {"contract_id": "integer", "cycle_id": "integer", "starts_at": "timestamptz"},
    {"ends_at": "timestamptz", "own_ends_at": "timestamptz", "activated_on": "date"},
    "usage is attributed by that; add another subscription",
)
SOURCES: Final = Kind(
    "sources",
    {"name": "text"},
    free={"owner": "text", "quota_per_hour": "bigint", "sequence_start": "bigint", "gap_grace_s": "integer"},
)
METERS: Final = Kind("meters", {"name": "text"}, free={"owner": "text"})
METER_VERSIONS: Final = Kind(
    "meter_versions",
    {"meter_id": "integer", "version": "integer"},
    {"dataschema": "text", "fields": "jsonb", "max_age_days": "integer", "starts_at": "timestamptz"},
    {"owner": "text"},
    _VERSIONED,
)
METRICS: Final = Kind(
    "metrics",
    {"name": "text"},
    {
        "meter_id": "integer",
        "aggregation": "text",
        "property": "text",
        "requires": "text[]",
        "dimensions": "text[]",
        "unit": "text",
        "options": "jsonb",
    },
    {"owner": "text", "product_id": "text"},
    "quantities rest on that; add another metric",
)
DIMENSIONS: Final = Kind("dimensions", {"name": "text"}, free={"owner": "text", "meaning": "text"})
FEATURES: Final = Kind(
    "features",
    {"name": "text"},
    {"kind": "text", "metric_id": "integer"},
    {"owner": "text", "meaning": "text"},
    "what may be used rests on that; add another feature",
)
ENTITLEMENTS: Final = Kind(
    "entitlements",
    {"contract_version_id": "integer", "feature_id": "integer"},
    {
        "kind": "text",
        "is_on": "boolean",
        "text_value": "text",
        "number_value": "numeric",
        "limit_quantity": "numeric",
        "enforcement": "text",
        "rollover_max": "numeric",
        "thresholds": "integer[]",
    },
    why_fixed=_VERSIONED,
)
EXCLUSION_RULES: Final = Kind(
    "exclusion_rules",
    {"name": "text"},
    {"meter_id": "integer", "metric_id": "integer", "conditions": "jsonb", "starts_at": "timestamptz"},
    {"reason": "text", "ends_at": "timestamptz"},
    "end this rule with `to` and add another",
)
TAX_RATES: Final = Kind(
    "tax_rates",
    {"jurisdiction": "text", "category": "text", "starts_on": "date"},
    {
        "rate": "numeric",
        "source": "text",
        "vat_category": "text",
        "exemption_code": "text",
        "exemption_reason": "text",
        "parts": "jsonb",
        "is_compound": "boolean",
    },
    {"ends_on": "date"},
    "documents rest on that; end it with `to` and add the new rate from the next day",
)
PRICES: Final = Kind(
    "prices",
    {"contract_version_id": "integer", "metric_id": "integer"},
    {"terms": "jsonb", "tax_category": "text", "revenue_account": "text", "book_charge_id": "integer"},
    why_fixed=_VERSIONED,
)
COUPONS: Final = Kind(
    "coupons",
    {"name": "text"},
    {
        "percent": "numeric",
        "amount": "numeric",
        "currency": "text",
        "is_in_all": "boolean",
        "products": "text[]",
        "metrics": "text[]",
        "uses": "integer",
        "expires_on": "date",
    },
    {"title": "text"},
    "documents rest on that; add another coupon and give it to the contracts instead",
)
CONTRACT_LIMITS: Final = Kind(
    "contract_limits",
    {"contract_version_id": "integer"},
    {"minimum": "numeric", "maximum": "numeric", "tax_category": "text", "revenue_account": "text"},
    why_fixed=_VERSIONED,
)
