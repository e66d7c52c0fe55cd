"""What tests of replays share: trouble of every kind in a month, what puts it right, and a replay from plan to end."""

import shutil
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from billing_bench import PRICES
from billing_month import EMPTY, SECOND, Month

from domain.replays import ReplayKind
from workers import replaying
from workers.store import replays
from workers.store.database import engine
from workers.store.replay_selection import Selection
from workers.store.replays import Replay, Wanted

CENT = Decimal("0.01")
#: A source that nobody has registered, and a subject that nobody has mapped.
UNKNOWN_SOURCE, UNKNOWN_SUBJECT = "/ops/bos", "ZZ"
REPAIRED = """
insert into sources (name, owner) values ('/ops/bos', 'test') on conflict do nothing;
insert into source_users select id, 'upstream' from sources where name = '/ops/bos' on conflict do nothing;
insert into mappings (source_id, subject, subscription_id, recorded_by)
  select s.id, k, u.id, 'test' from sources s, subscriptions u, unnest(array['UA', 'DL', 'ZZ']) k
  where u.ref = case k when 'UA' then 's-ua' else 's-dl' end
    and not exists (select from mappings m where m.source_id = s.id and m.subject = k);
"""
BROKEN = """
delete from mappings where subject = 'ZZ' or source_id in (select id from sources where name = '/ops/bos');
delete from source_users where source_id in (select id from sources where name = '/ops/bos');
delete from sources where name = '/ops/bos';
truncate replays, exclusion_rules cascade;
"""


def fresh(month: Month) -> None:
    """The month as it is before anything is sent, with the trouble that is to come."""
    for statements in (EMPTY, BROKEN, SECOND, PRICES):
        month.bound.run(statements)
    month.bound.run("update erp_connections set adapter = 'ledger-file'")
    shutil.rmtree(month.ledger, ignore_errors=True)
    month.let_time_pass()


def wanted(*ids: int, kind: ReplayKind = "replay", edited: Any = None, **filters: Any) -> Wanted:
    """A replay of these exceptions, or of those that fit."""
    return Wanted(kind, Selection(ids=ids or None, **filters), "ann", "it is put right", edited)


def plan(request: Wanted) -> int:
    """Plan it and keep what it would come to."""
    with engine().begin() as conn:
        replay_id = replays.plan(conn, request)
        replays.keep_forecast(conn, replay_id, replaying.forecast(conn, replay_id))
    return replay_id


def forecast(request: Wanted) -> Mapping[str, Any]:
    """What it would come to; nothing is kept."""
    with engine().connect() as conn:
        return replaying.forecast(conn, replays.plan(conn, request))


def show(replay_id: int) -> Replay:
    with engine().connect() as conn:
        return replays.show(conn, replay_id)


def start(replay_id: int) -> None:
    with engine().begin() as conn:
        replays.control(conn, replay_id, "start")


def carry_out(month: Month, replay_id: int) -> Replay:
    """Start it and let ticks and workers go on until it is through."""
    start(replay_id)
    for _ in range(50):
        replaying.tick()
        month.work("validate", "enrich", "aggregate", "rate", "tax", "notify")
        if show(replay_id).state == "done":
            return show(replay_id)
    raise AssertionError(f"it does not end: {show(replay_id)}")


def open_ids(month: Month) -> list[int]:
    return [row[0] for row in month.bound.rows("select id from exceptions where state = 'open' order by id")]


def amount(departures: Decimal, miles: Decimal, aircraft: Decimal) -> Decimal:
    """What a month of these quantities costs, worked out line by line on another path."""
    first = min(miles, Decimal(1000))
    lines = (
        departures * Decimal("41.2575"),
        (first * Decimal("0.02515") + 250 + (miles - first) * Decimal("0.0142625")) if miles else Decimal(0),
        aircraft * Decimal("118.12505"),
    )
    return sum((line.quantize(CENT, "ROUND_HALF_UP") for line in lines), Decimal(0))


def due(month: Month) -> dict[str, Decimal]:
    """What each account owes for March by the attributions that are there, less what documents bill."""
    found = month.bound.rows(
        """select c.account_id, coalesce(sum(a.quantity * a.sign) filter (where m.name = 'departures'), 0),
             coalesce(sum(a.quantity * a.sign) filter (where m.name = 'distance'), 0),
             count(distinct a.value) filter (where m.name = 'aircraft'),
             coalesce((select sum(l.net) from invoice_lines l join invoices i on i.id = l.invoice_id
               where i.account_id = c.account_id and i.state <> 'void'), 0)
           from attributions a join metrics m on m.id = a.metric_id
           join subscriptions u on u.id = a.subscription_id join contracts c on c.id = u.contract_id
           group by c.account_id"""
    )
    return {row[0]: amount(*(Decimal(each) for each in row[1:4])) - row[4] for row in found}


def bill(month: Month) -> dict[str, Decimal]:
    """Bill March, letting pass whatever is open; the net of each account's document."""
    run = month.request()
    for _ in range(10):
        if month.stage(run) != "open":
            break
        for code in month.blockers(run):
            month.override(run, code)
    month.approve(run)
    assert month.stage(run) in {"closed", "reconciled"}, month.blockers(run)
    return {row[0]: Decimal(row[4]) for row in month.documents(run) if row[2] != "empty"}
