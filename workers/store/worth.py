"""What open exceptions hold up, in sum: estimates for people, kept with each exception, never booked.

Events that never came hold nothing up: what they would have cost is a loss, told apart (`losses`).
"""

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, text

from domain.completeness import GAP


@dataclass(frozen=True, slots=True)
class Excepted:
    """All open exceptions that hold money up: how many, how many of unknown worth, and the money of the others."""

    exceptions: int
    unpriced: int
    money: dict[str, Decimal]


_EXCEPTED = text("""
select currency, count(*) as exceptions, count(*) - count(money_at_risk) as unpriced, sum(money_at_risk) as money
from exceptions where state = 'open' and code <> :gap group by currency order by currency
""")


def excepted(conn: Connection) -> Excepted:
    """What waits for a person now."""
    rows = conn.execute(_EXCEPTED, {"gap": GAP}).all()
    money = {row.currency: row.money for row in rows if row.money is not None}
    return Excepted(sum(row.exceptions for row in rows), sum(row.unpriced for row in rows), money)
