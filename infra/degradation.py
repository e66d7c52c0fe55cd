"""The page `infra/runbooks/degradation.md`, made from the table of what happens when something is away."""

from pathlib import Path

from domain.degradation import ROWS, TIERS, TOLD_ALWAYS, Row, Tier

PAGE = Path(__file__).with_name("runbooks") / "degradation.md"
INTRODUCTION = """# Degradation

What happens while something that Tallyline depends on is away: what goes on, what waits and where, who is told, and how
it drains afterwards. Each row is a test that takes the dependency away while usage flows. No outage costs an attempt, a
cent or an event, and none needs a person: what is away comes back, and the rest follows by itself. This page is written
by `python -m infra.runbook`.
"""
TABLE = """
| what is away | goes on | waits |
|---|---|---|
"""
ORDER = """
## In which order it drains

Every step has processes of its own, but all share one database. So the sweeper hints due work tier by tier, and while a
tier has work that has been due for long, it gives each queue of the tiers below one hint at a time: they go on, they do
not crowd. `tallyline status` shows the tier of each step; `tallyline_tier_due_age_seconds` is the age of the oldest due
work of each.

| tier | what | why |
|---|---|---|
"""


def page() -> str:
    """The page as it must be."""
    told = f"\nAlways told: {TOLD_ALWAYS}. No message holds a secret or an address.\n"
    return "".join((INTRODUCTION, TABLE, *map(_row, ROWS), told, *map(_section, ROWS), ORDER, *map(_tier, TIERS)))


def _row(row: Row) -> str:
    return f"| [{row.name}](#{row.dependency}) | {_parts(row.goes_on)} | {_parts(row.waits)} |\n"


def _tier(tier: Tier) -> str:
    what = _parts(tier.parts) if tier.parts else "every step, lane replay"
    return f"| {tier.number} {tier.name} | {what} | {tier.why} |\n"


def _parts(parts: tuple[str, ...]) -> str:
    return ", ".join(parts) or "nothing"


def _section(row: Row) -> str:
    order = ", ".join(f"{tier.number} {tier.name}" for tier in row.tiers) or "none"
    return (
        f"\n## {row.dependency}\n\n**Goes on.** {row.goes_on_how}\n\n**Waits.** {row.waits_where}\n"
        f"\n**Told.** {row.told}\n\n**Drains.** {row.drains} Tiers: {order}.\n"
    )
