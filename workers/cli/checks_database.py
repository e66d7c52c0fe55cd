"""What `tallyline doctor` asks the database: reachable, migrated, least rights, its clock, and master data that fit."""

from collections.abc import Iterator

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from queues.settings import settings
from workers.cli.away import partner_checks
from workers.cli.checks import Check, clock, meanwhile, names, noted
from workers.store import audit
from workers.store.database import engine, schema_revisions

#: A question, what a row in its answer means, how bad that is, and what to do. Each row is one name.
_MASTER_DATA = (
    (
        "legal entities without a cycle",
        """select e.id from legal_entities e where not exists (
             select from billing_cycles c where c.legal_entity_id = e.id) order by 1""",
        "add a cycle: nothing of theirs can be billed",
    ),
    (
        "sources nobody may claim",
        """select s.name from sources s where not exists (
             select from source_users u where u.source_id = s.id) order by 1""",
        "`tallyline sources add NAME --user U`: all their events are refused",
    ),
    (
        "meters without a version",
        """select m.name from meters m where not exists (
             select from meter_versions v where v.meter_id = m.id) order by 1""",
        "add a version with its fields: all their events are refused",
    ),
    (
        "meters without a metric",
        """select m.name from meters m where not exists (select from metrics k where k.meter_id = m.id)
             and not exists (select from exclusion_rules r where r.meter_id = m.id) order by 1""",
        "add a metric or an exclusion rule: all their usage is parked",
    ),
    (
        "metrics no contract has a price for",
        """select k.name from metrics k where not exists (select from prices p where p.metric_id = k.id) order by 1""",
        "add a price to a contract version: their usage cannot be rated",
    ),
    (
        "subscriptions no usage leads to",
        """select s.ref from subscriptions s where s.ends_at > now() and not exists (
             select from mappings g where g.subscription_id = s.id and g.superseded_at > now()) order by 1""",
        "add a mapping from the source and subject of their usage",
    ),
    (
        "contracts without a version in force",
        """select c.ref from contracts c where not exists (
             select from contract_versions v where v.contract_id = c.id and v.superseded_at > now()) order by 1""",
        "publish a version: usage under them is parked",
    ),
    (
        "tax categories without a rate",
        """select distinct e.jurisdiction || ' ' || p.tax_category from prices p
             join contract_versions v on v.id = p.contract_version_id join contracts c on c.id = v.contract_id
             join legal_entities e on e.id = c.legal_entity_id
             where v.superseded_at > now() and not exists (select from tax_rates t
               where t.jurisdiction = e.jurisdiction and t.category = p.tax_category) order by 1""",
        "add a tax rate: documents with them stop at the step tax",
    ),
)


def database_checks() -> list[Check]:
    """All checks of the database; the first that fails to reach it is the last."""
    checks: list[Check] = []
    fix = "check TALLYLINE_DATABASE_URL, that the server runs, and that the user is a member of tallyline_app"
    with noted(checks, "database", (DBAPIError,), fix=meanwhile("postgresql", fix)):
        checks.append(_schema())
        if checks[-1].state == "wrong":
            return checks
        with engine().connect() as conn:
            checks.append(_server(conn))
            checks.append(
                clock("clock of the database", lambda: conn.execute(text("select clock_timestamp()")).scalar_one())
            )
            checks.append(_dead_rows(conn))
            checks.append(_audit(conn))
            checks += partner_checks(conn)
            checks += _master_data(conn)
    return checks


def _schema() -> Check:
    url = settings().database_url
    assert url is not None
    found, needed = schema_revisions(url.get_secret_value())
    if found == needed:
        return Check("schema", "ok", f"revision {found}")
    fix = "run the migrations with the owner's rights: `make up` and `tallyline demo` do"
    return Check("schema", "wrong", f"revision {found or 'none'}, this code needs {needed}", fix)


def _server(conn: Connection) -> Check:
    row = conn.execute(text("select current_user as role, current_setting('server_version') as version")).one()
    return Check("database", "ok", f"PostgreSQL {row.version}, sessions hold no more rights than {row.role}")


def _dead_rows(conn: Connection) -> Check:
    dead = conn.execute(text("select count(*) from work where state = 'dead'")).scalar_one()
    if not dead:
        return Check("work", "ok", "no row is dead")
    return Check("work", "warning", f"{dead} rows are dead", "`tallyline exceptions` says why")


def _audit(conn: Connection) -> Check:
    found = audit.unguarded(conn)
    if not found:
        return Check("audit log", "ok", "no change of a governed table escapes it")
    fix = "find out who switched the triggers off; enable them, and look at what changed meanwhile"
    return Check("audit log", "wrong", f"a trigger is gone or off: {names(found)}", fix)


def _master_data(conn: Connection) -> Iterator[Check]:
    is_empty = conn.execute(text("select not exists (select from legal_entities)")).scalar_one()
    if is_empty:
        yield Check("master data", "warning", "there is none", "`tallyline master load infra/demo/master.yaml`")
        return
    are_well = True
    for name, question, fix in _MASTER_DATA:
        found = list(conn.execute(text(question)).scalars())
        are_well &= not found
        if found:
            yield Check(name, "warning", names(found), fix)
    if are_well:
        yield Check("master data", "ok", "prices have tax rates, subscriptions mappings, sources users")
