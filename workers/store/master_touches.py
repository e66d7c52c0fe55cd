"""Whose usage new metrics and meter versions touch: who has used the meter lately, and whose price is missing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from workers.store.master_models import MasterData

#: Usage of this many days before now tells who uses a meter.
DAYS: Final = 31
#: Subscriptions that are named, those with most usage first.
TOUCHED_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Touched:
    """A subscription that uses the meter of what is new, and how much in the billing periods of the last days.

    `metric` is the new one; None for a version of a meter.
    """

    change: str
    metric: str | None
    subscription: str
    account: str
    usages: int


@dataclass(frozen=True, slots=True)
class Touch:
    """A touched subscription; `is_priced` says whether its contract has a price for the new metric now."""

    change: str
    subscription: str
    account: str
    usages: int
    is_priced: bool | None


_USED = text(f"""
with meant as (
  select t.* from unnest(cast(:changes as text[]), cast(:meters as text[]), cast(:metrics as text[]),
    cast(:versions as integer[])) as t (change, meter, metric, version)
  where case when t.metric is not null then not exists (select from metrics m where m.name = t.metric)
    else not exists (select from meter_versions v join meters r on r.id = v.meter_id
      where r.name = t.meter and v.version = t.version) end),
used as (
  select t.change, t.metric, g.subscription_id, g.metric_id, sum(g.events) as usages
  from meant t join meters r on r.name = t.meter join metrics m on m.meter_id = r.id
  join billing_periods p on p.ends_at > now() - interval '{DAYS} days' and p.starts_at <= now()
  join aggregates g on g.billing_period_id = p.id and g.metric_id = m.id group by 1, 2, 3, 4)
select u.change, u.metric, s.ref, c.account_id, cast(max(u.usages) as bigint)
from used u join subscriptions s on s.id = u.subscription_id join contracts c on c.id = s.contract_id
group by u.change, u.metric, s.ref, c.account_id having max(u.usages) > 0 order by 5 desc, 1, 3 limit {TOUCHED_MAX}
""")
_PRICED = text("""
select t.n, exists (
  select from subscriptions s join contract_versions v on v.contract_id = s.contract_id
    and v.own_of = case when now() < s.terms_from then 0 else s.id end
    and v.superseded_at = '9999-12-31 00:00:00+00' and v.starts_at <= now() and v.ends_at > now()
  join prices p on p.contract_version_id = v.id join metrics m on m.id = p.metric_id
  where s.ref = t.subscription and m.name = t.metric)
from unnest(cast(:subscriptions as text[]), cast(:metrics as text[])) with ordinality as t (subscription, metric, n)
""")


def touched(conn: Connection, master: MasterData) -> list[Touched]:
    """Who uses the meters of the metrics and meter versions of a file that are not there yet.

    Asked before any lock is taken: it reads the windows of all who use them.
    """
    changes = list(_changes(master))
    if not changes:
        return []
    values = {
        "changes": [change for change, _, _, _ in changes],
        "meters": [meter for _, meter, _, _ in changes],
        "metrics": [metric for _, _, metric, _ in changes],
        "versions": [version for _, _, _, version in changes],
    }
    return [Touched(*row) for row in conn.execute(_USED, values)]


def priced(conn: Connection, found: Sequence[Touched]) -> list[Touch]:
    """The same with whether each has a price, once the file's prices are there."""
    values = {"subscriptions": [each.subscription for each in found], "metrics": [each.metric for each in found]}
    answers = {row[0]: row[1] for row in conn.execute(_PRICED, values)}
    return [
        Touch(
            each.change, each.subscription, each.account, each.usages, answers[n] if each.metric is not None else None
        )
        for n, each in enumerate(found, start=1)
    ]


def _changes(master: MasterData) -> Iterator[tuple[str, str, str | None, int | None]]:
    """(what, meter, metric, version of the meter) of all that a file says of what is counted."""
    for name, metric in master.metrics.items():
        if metric.meter is not None:
            yield f"metric {name}", metric.meter, name, None
    for name, meter in master.meters.items():
        for each in meter.versions:
            yield f"meter {name} version {each.version}", name, None, each.version
