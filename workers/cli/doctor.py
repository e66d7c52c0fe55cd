"""`tallyline doctor`: looks at everything a run depends on, and says what to do about what is not well."""

from dataclasses import asdict

import typer
from rich.text import Text

from workers.cli import console, reach
from workers.cli.away import sentry_checks
from workers.cli.checks import Check
from workers.cli.checks_database import database_checks
from workers.cli.console import FOUND, AsJson

_STYLES = {"ok": "green", "warning": "yellow", "wrong": "bold red"}


@console.command
def doctor(as_json: AsJson = False) -> None:
    """Check every address, queue argument, consumer, the schema, clocks and master data; exit 1 if one is wrong.

    Without a fleet it looks at the embedded database alone. A warning does not fail it.

    Example: tallyline doctor --json
    """
    with reach.database():
        checks = [_mode(), *database_checks(), *sentry_checks()]
        if reach.is_fleet():
            from workers.cli.checks_servers import server_checks

            checks += server_checks()
    if as_json:
        console.print_json([asdict(check) for check in checks])
    else:
        rows = [[Text(each.state, _STYLES[each.state]), each.name, each.says, each.fix] for each in checks]
        console.out().print(console.table("Doctor", ["", "what", "says", "what to do"], rows))
    if any(check.state == "wrong" for check in checks):
        raise typer.Exit(FOUND)


def _mode() -> Check:
    if reach.is_fleet():
        return Check("mode", "ok", "fleet: workers of their own processes do the work")
    return Check("mode", "ok", f"embedded: commands do the work; home is {reach.home()}")
