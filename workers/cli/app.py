"""The command `tallyline`: which commands there are, in the order in which an operator meets them."""

import typer

from workers.cli import (
    approve,
    audit,
    calendar,
    close,
    demo,
    doctor,
    entitlements,
    exceptions,
    explain,
    invoices,
    master,
    meters,
    on_call,
    parked,
    people,
    policies,
    prepaid,
    prices,
    repair,
    replay,
    retention,
    revenue,
    send,
    sources,
    status,
    systems,
    trace,
    usage,
    work,
)
from workers.cli.console import EXIT_CODES

app = typer.Typer(
    name="tallyline",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
    help=(
        "Turns usage into ERP documents that finance can trust, and shows what became of every event.\n\n"
        "Start with `tallyline demo`. Without a server in the environment every command works on the database of the "
        "folder `.tallyline` (TALLYLINE_HOME). A fleet is reached through TALLYLINE_MODE=fleet and the addresses "
        "TALLYLINE_DATABASE_URL, TALLYLINE_AMQP_URL, TALLYLINE_RABBIT_API_URL and TALLYLINE_REDIS_URL."
    ),
)
app.command()(demo.demo)
app.command()(send.send)
app.add_typer(usage.app, name="usage")
app.add_typer(meters.app, name="meters")
app.command()(status.status)
app.command()(trace.trace)
app.command()(explain.explain)
app.add_typer(invoices.app, name="invoices")
app.command()(work.work)
app.add_typer(exceptions.app, name="exceptions")
app.command()(repair.repair)
app.add_typer(replay.app, name="replay")
app.command()(close.close)
app.command()(calendar.calendar)
app.add_typer(parked.app, name="parked")
app.command()(approve.approve)
app.add_typer(master.app, name="master")
app.add_typer(prices.app, name="prices")
app.add_typer(entitlements.app, name="entitlements")
app.add_typer(prepaid.app, name="credits")
app.add_typer(revenue.app, name="revenue")
app.command()(retention.retention)
app.add_typer(sources.app, name="sources")
app.add_typer(systems.app, name="systems")
people.app.command("on-call")(on_call.on_call)
app.add_typer(people.app, name="people")
app.add_typer(policies.app, name="policies")
app.add_typer(audit.app, name="audit")
app.command()(doctor.doctor)
