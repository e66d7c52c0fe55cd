"""What a period would bill of subscriptions, before and after usage is added, by the rules of `rate` and `tax`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, text

from domain.errors import Rejection
from domain.money import EXACT, ZERO, Currency, Money, exact_sum, total
from domain.rating import correction
from domain.replays import Difference
from workers.rating import Rated, Run, rated
from workers.store import drafts, rated_usages

#: A line of a period by subscription: (metric, price, dimensions).
Line = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Touched:
    """A subscription and period that usage is added to: what would bill it, and whether something would without it."""

    run: Run
    legal_entity: str
    account: str
    contract: str
    period: str
    document: str
    is_due: bool


_TOUCHED = text("""
with t as (
  select distinct a.subscription_id, a.billing_period_id from attributions a join batches b on b.id = a.batch_no
  where a.batch_no = any(cast(:batches as bigint[])) and b.aggregated_no is null),
looked as (
  select t.*, p.lot, s.contract_id, p.starts_on, p.ends_on, o.id as run_id, o.lot as run_lot,
    (select max(a.lot) from aggregates a where a.subscription_id = s.id and a.billing_period_id = p.id) as used_lot,
    (select max(r.lot) from rated_usages r join invoices i
      on i.billing_run_id = r.billing_run_id and i.contract_id = s.contract_id and i.state <> 'void'
      where r.subscription_id = s.id and r.billing_period_id = p.id) as rated_lot,
    s.starts_at < p.ends_at and s.ends_at > p.starts_at and not exists (
      select from billing_runs q join invoices i on i.billing_run_id = q.id and i.contract_id = s.contract_id
      join work w on w.step = 'rate' and w.subject = 'run/' || q.id || '/subscription/' || s.id and w.outcome = 'done'
      where q.billing_period_id = p.id and i.state <> 'void') as is_idle
  from t join subscriptions s on s.id = t.subscription_id join billing_periods p on p.id = t.billing_period_id
  left join lateral (select id, lot from billing_runs r where r.billing_period_id = p.id
    order by r.lot desc limit 1) o on true)
select l.subscription_id, l.billing_period_id, l.lot, l.contract_id, c.currency, c.legal_entity_id,
  coalesce(a.bill_to_id, a.id) as account_id, c.ref,
  l.starts_on || '/' || l.ends_on as period,
  case when l.run_lot is null or (l.run_lot = l.lot and l.lot = 1) then 'invoice' else 'correction' end
    || case when l.run_lot = l.lot then ' of run ' || l.run_id else ' of the next run' end as document,
  case when l.used_lot is null then l.is_idle else l.used_lot > coalesce(l.rated_lot, 0) end as is_due
from looked l join contracts c on c.id = l.contract_id join accounts a on a.id = c.account_id
order by c.account_id, c.ref, l.starts_on, l.subscription_id
""")
_OF_TOUCHED = """unnest(cast(:subscriptions as integer[]), cast(:periods as integer[]))
  as t (subscription_id, billing_period_id)"""
#: In the order in which `aggregate` writes them; whoever adds to them waits until the forecast has been undone.
_HOLD = text(f"""
select g.events from aggregates g join {_OF_TOUCHED} using (subscription_id, billing_period_id)
order by g.subscription_id, g.billing_period_id, g.metric_id, g.contract_version_id, g.lot, g.grain_start, g.dimensions
for update of g
""")
_EVENTS = text(f"""
select coalesce(sum(g.events), 0) from aggregates g join {_OF_TOUCHED} using (subscription_id, billing_period_id)
""")
_ADDED = text("""
select coalesce(sum(a.sign), 0) from attributions a join batches b on b.id = a.batch_no
where a.batch_no = any(cast(:batches as bigint[])) and b.aggregated_no is null
""")
#: What documents hold of each line, or will once a draft that is rated has its lines.
_BILLED = text(f"""
with latest as (
  select distinct on (r.subscription_id, r.billing_period_id, r.metric_id, r.price_id, r.dimensions)
    r.subscription_id, r.billing_period_id, r.metric_id, r.price_id, r.dimensions, r.amount, i.state
  from {_OF_TOUCHED} join rated_usages r using (subscription_id, billing_period_id)
  join subscriptions s on s.id = r.subscription_id
  join invoices i on i.billing_run_id = r.billing_run_id and i.contract_id = s.contract_id and i.state <> 'void'
  order by r.subscription_id, r.billing_period_id, r.metric_id, r.price_id, r.dimensions, r.lot desc, r.revision desc)
select k.subscription_id, k.billing_period_id, k.metric_id, k.price_id, k.dimensions,
  case when k.state = 'draft' then k.amount end as pending, coalesce((
    select sum(coalesce(l.asked, l.net)) from invoice_lines l join rated_usages o on o.id = l.rated_usage_id
    join invoices j on j.id = l.invoice_id and j.state <> 'void'
    where l.subscription_id = k.subscription_id and l.metric_id = k.metric_id and l.price_id = k.price_id
      and o.billing_period_id = k.billing_period_id and o.dimensions = k.dimensions), 0) as billed
from latest k
""")
#: Drafts that dead work of `rate` or `tax` belongs to.
_DRAFTS = text("""
select i.id, i.legal_entity_id, i.account_id, c.ref, p.starts_on || '/' || p.ends_on as period, i.currency, i.state,
  i.net, array_agg(distinct s.id) filter (where s.id is not null) as subscriptions
from work w
left join subscriptions s on w.subject = 'run/' || w.close_id || '/subscription/' || s.id
join invoices i on case w.step when 'rate' then i.billing_run_id = w.close_id and i.contract_id = s.contract_id
  else w.subject = 'invoice/' || i.id end
join billing_runs r on r.id = i.billing_run_id join billing_periods p on p.id = r.billing_period_id
join contracts c on c.id = i.contract_id
where w.id = any(cast(:ids as bigint[])) and w.step in ('rate', 'tax') and w.state = 'done'
group by i.id, c.ref, p.starts_on, p.ends_on order by i.id
""")


def touched(conn: Connection, batches: Sequence[int]) -> list[Touched]:
    """The subscriptions and periods that these batches, which are in no window yet, will add to."""
    return [
        Touched(
            Run(number, 0, row.billing_period_id, row.lot, row.subscription_id, row.contract_id, row.currency),
            row.legal_entity_id, row.account_id, row.ref, row.period, row.document, row.is_due,
        )
        for number, row in enumerate(conn.execute(_TOUCHED, {"batches": list(batches)}))
    ]  # fmt: skip


def _values(runs: Iterable[Run]) -> dict[str, object]:
    keys = [(run.subscription_id, run.billing_period_id) for run in runs]
    return {"subscriptions": [each for each, _ in keys], "periods": [each for _, each in keys]}


def hold(conn: Connection, found: Sequence[Touched]) -> int:
    """Keep others from adding to the windows that are there; the usages in them."""
    return sum(conn.execute(_HOLD, _values(each.run for each in found)).scalars())


def usages(conn: Connection, found: Sequence[Touched]) -> int:
    """The usages in all windows of these subscriptions and periods now."""
    return int(conn.execute(_EVENTS, _values(each.run for each in found)).scalar_one())


def added(conn: Connection, batches: Sequence[int]) -> int:
    """The usages that these batches will add to their windows."""
    return int(conn.execute(_ADDED, {"batches": list(batches)}).scalar_one())


@dataclass(frozen=True, slots=True)
class Billed:
    """What a subscription would be billed in a period by metric, and what drafts without lines will bill it."""

    nets: Mapping[int, Decimal]
    pending: Mapping[int, Decimal]

    @property
    def net(self) -> Decimal:
        """The sum over all metrics."""
        return exact_sum(self.nets.values())


Bill = Billed | Rejection


def bills(conn: Connection, found: Sequence[Touched]) -> list[Bill]:
    """What each would be billed now, rounded line by line and less what is billed; or why it cannot be priced."""
    runs = [each.run for each in found]
    windows, priced = rated_usages.windows(conn, runs), rated_usages.priced(conn, runs)
    billed, pending = billed_of(conn, runs)
    made: list[Bill] = []
    for each in found:
        try:
            lines = rated([each.run], windows, priced)
            nets = _nets(lines, Currency(each.run.currency), billed.get(_key(each), {}))
            made.append(Billed(nets, pending.get(_key(each), {})))
        except Rejection as rejection:
            made.append(rejection)
    return made


def _key(found: Touched) -> tuple[int, int]:
    return found.run.subscription_id, found.run.billing_period_id


def _nets(lines: Sequence[Rated], currency: Currency, billed: Mapping[Line, Decimal]) -> dict[int, Decimal]:
    nets: dict[int, Decimal] = {}
    for line in lines:
        before = Money(billed.get((line.metric_id, line.price_id, line.dimensions), ZERO), currency)
        net = correction(line.usage.amount, billed=before)
        nets[line.metric_id] = EXACT.add(nets.get(line.metric_id, ZERO), net.amount)
    return nets


_Period = tuple[int, int]


def billed_of(
    conn: Connection, runs: Sequence[Run]
) -> tuple[dict[_Period, dict[Line, Decimal]], dict[_Period, dict[int, Decimal]]]:
    """By subscription and period, what is billed or will be of each line, and of that by metric what will be."""
    currencies = {(run.subscription_id, run.billing_period_id): Currency(run.currency) for run in runs}
    sums: dict[_Period, dict[Line, Decimal]] = {}
    pending: dict[_Period, dict[int, Decimal]] = {}
    for row in conn.execute(_BILLED, _values(runs)):
        key = (row.subscription_id, row.billing_period_id)
        amount = row.billed
        if row.pending is not None:
            amount = Money(row.pending, currencies[key]).rounded().amount
            coming = pending.setdefault(key, {})
            coming[row.metric_id] = EXACT.add(coming.get(row.metric_id, ZERO), EXACT.subtract(amount, row.billed))
        sums.setdefault(key, {})[row.metric_id, row.price_id, row.dimensions] = amount
    return sums, pending


def of_drafts(conn: Connection, work_ids: Sequence[int]) -> list[Difference]:
    """What drafts bill because this work of `rate` and `tax` was done: all of it where that completes the draft."""
    made = []
    for row in conn.execute(_DRAFTS, {"ids": list(work_ids)}).all():
        after = row.net if row.state != "draft" else _rated_of(conn, row.id, row.subscriptions or ())
        document = f"draft {row.id}"
        made.append(
            Difference(
                row.legal_entity_id, row.account_id, row.ref, row.period, document, row.currency, Decimal(0), after
            )
        )
    return made


def _rated_of(conn: Connection, invoice_id: int, subscriptions: Sequence[int]) -> Decimal:
    """What the subscriptions bring to a draft that still waits for others."""
    (draft,) = drafts.load(conn, [invoice_id])
    nets = (
        correction(Money(charge.amount, draft.currency), billed=Money(charge.billed, draft.currency))
        for charge in draft.charges
        if charge.subscription_id in subscriptions
    )
    return total(nets, draft.currency).amount


_RELEASED = text("""
select i.id, i.number_text, i.account_id, i.gross, i.currency, p.connection_id, p.state
from work w join erp_postings p on w.subject = 'erp_posting/' || p.id join invoices i on i.id = p.invoice_id
where w.id = any(cast(:ids as bigint[])) and w.step = 'post' order by i.id
""")


def released(conn: Connection, work_ids: Sequence[int]) -> list[dict[str, object]]:
    """The documents that go on to their ERP with this work of `post`; their money is what it was."""
    found = conn.execute(_RELEASED, {"ids": list(work_ids)})
    return [
        {
            "invoice": row.id, "number": row.number_text, "account": row.account_id, "gross": str(row.gross),
            "currency": row.currency, "connection": row.connection_id, "posting": row.state,
        }
        for row in found
    ]  # fmt: skip
