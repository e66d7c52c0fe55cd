"""Words for people: what the rows of a table are called, one or many of them."""

#: Tables whose names are not what their rows are called.
_CALLED = {
    "api_tokens": "tokens",
    "approval_policies": "policies",
    "approval_requests": "requests",
    "billing_cycles": "billing cycles",
    "erp_connections": "ERP connections",
    "source_users": "broker users of sources",
    "person_roles": "roles of people",
    "subscription_quantities": "quantities of subscriptions",
}


def nouns_of(table: str) -> str:
    """What the rows of a table are called: `contract versions`."""
    return _CALLED.get(table, table.replace("_", " "))


def noun_of(table: str) -> str:
    """What one row of a table is called: `contract version`."""
    first, of, rest = nouns_of(table).partition(" of ")
    return f"{_one(first)}{of}{rest}"


def counted(number: int, table: str) -> str:
    """How many rows of a table: `1 contract version`, `2 prices`."""
    return f"{number:,} {noun_of(table) if number == 1 else nouns_of(table)}"


def _one(nouns: str) -> str:
    return f"{nouns[:-3]}y" if nouns.endswith("ies") else nouns.removesuffix("s")
