"""Rehearsals: what a replay would come to, found out by doing it in a transaction that is undone.

The steps are the same code as in production; only `post`, `close` and `notify`, which reach others, are not called.
"""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from time import monotonic
from typing import Any, Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from domain.errors import Rejection
from domain.money import ZERO, Currency, Money, exact_sum
from domain.replays import Difference, by_account, money_moved
from queues import work
from queues.settings import settings
from queues.work import Hintable
from workers import step
from workers.store import events, fence, replay_beside, replay_items, replay_money, replays
from workers.store.replay_money import Bill, Touched
from workers.store.replays import Item
from workers.unit import bury, database_now

#: More is not rehearsed: no one could say so exactly without keeping the live line waiting.
REHEARSED_MAX: Final = 20_000
#: Exceptions done together: the size of a portion changes no outcome.
PORTION: Final = 5_000
#: A rehearsal holds some rows that live work may want; after this it gives up.
REHEARSAL_S_MAX: Final = 8.0
LOCK_S_MAX: Final = 2.0
STATEMENT_S_MAX: Final = 5.0
#: SQLSTATE of a statement that ran into its timeout.
_CANCELLED: Final = "57014"
#: Steps that run in one transaction and call nothing outside; none of them snoozes.
_STEPS: Final = ("validate", "enrich", "aggregate", "rate", "tax")


class ReplayBusy(Rejection):
    """The live line holds what a rehearsal needs, or went on while it looked."""

    code = "replay_busy"


@dataclass(slots=True)
class _Stage:
    """What the rehearsal owes to each step, and when it has to be over."""

    conn: Connection
    deadline: float
    owed: dict[str, list[int]] = field(default_factory=dict)

    def owe(self, hints: Sequence[Hintable]) -> None:
        for hint in hints:
            self.owed.setdefault(hint.step, []).append(hint.id)

    def check(self) -> None:
        if monotonic() > self.deadline:
            raise ReplayBusy(f"it took more than {REHEARSAL_S_MAX:.0f} s to find out what it comes to: select less")


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a replay would come to: by document, what nobody can price, and the documents it lets go on."""

    as_of: str
    differences: Sequence[Difference] = ()
    unpriced: Sequence[Mapping[str, Any]] = ()
    released: Sequence[Mapping[str, Any]] = ()
    outcomes: Sequence[Mapping[str, Any]] = ()
    items: Sequence[Item] = ()
    too_large: str | None = None

    @property
    def effect(self) -> Mapping[str, Decimal] | None:
        """The money it moves by currency, as absolute amounts; None where nobody can say."""
        if self.unpriced or self.too_large:
            return None
        return {currency: amount for currency, amount in money_moved(self.differences).items() if amount}

    def to_json(self) -> dict[str, Any]:
        """As it is kept with the replay; amounts are texts."""
        accounts = by_account(self.differences)
        return {
            "as_of": self.as_of,
            "documents": [
                {
                    "legal_entity": each.legal_entity, "account": each.account, "contract": each.contract,
                    "period": each.period, "document": each.document, "currency": each.currency,
                    "before": _text(each.before, each.currency), "after": _text(each.after, each.currency),
                    "difference": _text(each.net, each.currency),
                }
                for each in self.differences
            ],
            "accounts": [
                {"account": account, "currency": currency, "difference": _text(net, currency)}
                for (account, currency), net in sorted(accounts.items())
            ],
            "unpriced": list(self.unpriced),
            "released": list(self.released),
            "outcomes": list(self.outcomes),
            "items": [asdict(each) for each in self.items],
            "too_large": self.too_large,
            "effect": None if self.effect is None else {name: _text(each, name) for name, each in self.effect.items()},
        }  # fmt: skip


def _text(amount: Decimal, currency: str) -> str:
    return Money(amount, Currency(currency)).to_text()


@contextmanager
def undone(conn: Connection) -> Iterator[None]:
    """Whatever the block does has not happened when it ends, and all that it held is let go."""
    attempt = conn.begin_nested()
    try:
        yield
    finally:
        attempt.rollback()


def rehearse(conn: Connection, replay_id: int) -> Forecast:
    """Do the whole replay in the caller's transaction; what it would come to. To be called within `undone`.

    Raises `ReplayBusy` if the live line is in its way.
    """
    as_of = str(database_now(conn))
    replay = replays.show(conn, replay_id)
    if replay.waiting > REHEARSED_MAX:
        sentence = f"the exact difference of more than {REHEARSED_MAX:,} exceptions would keep live work waiting"
        return Forecast(as_of, too_large=f"{sentence}: select less to know it")
    for name in _STEPS:
        importlib.import_module(f"workers.{name}")
    stage = _Stage(conn, monotonic() + REHEARSAL_S_MAX)
    try:
        conn.execute(text(f"set local lock_timeout = '{LOCK_S_MAX}s'"))
        conn.execute(text(f"set local statement_timeout = '{STATEMENT_S_MAX}s'"))
        return _rehearsed(stage, replay, as_of)
    except DBAPIError as error:
        if not step.is_passing(error) and getattr(error.orig, "sqlstate", None) != _CANCELLED:
            raise
        raise ReplayBusy("live work holds what has to be looked at: ask again in a moment", replay=replay_id) from error


def _rehearsed(stage: _Stage, replay: replays.Replay, as_of: str) -> Forecast:
    conn = stage.conn
    for _ in range(0, replay.waiting, PORTION):
        stage.owe(replay_items.release(conn, replay, rows=PORTION))
        stage.check()
    first = {name: tuple(ids) for name, ids in stage.owed.items()}
    _run(stage, "validate")
    fence.share(conn)
    _run(stage, "enrich")
    differences, unpriced = _aggregated(stage)
    _run(stage, "rate")
    _run(stage, "tax")
    differences += replay_money.of_drafts(conn, [*first.get("rate", ()), *first.get("tax", ())])
    replay_items.settle(conn, replay.id)
    return Forecast(
        as_of,
        differences=differences,
        unpriced=unpriced,
        released=replay_money.released(conn, first.get("post", ())),
        outcomes=replays.outcomes(conn, replay.id),
        items=replays.items(conn, replay.id, rows=replays.ROWS_MAX),
    )


def _aggregated(stage: _Stage) -> tuple[list[Difference], list[dict[str, str]]]:
    """Add all batches to their windows; what that makes of the bills of everybody it touches."""
    conn = stage.conn
    ids = stage.owed.get("aggregate", [])
    batches = [
        int(subject.rpartition("/")[2])
        for subject in conn.execute(
            text("select subject from work where id = any(cast(:ids as bigint[]))"), {"ids": ids}
        ).scalars()
    ]
    found = replay_money.touched(conn, batches)
    usages = replay_money.hold(conn, found) + replay_money.added(conn, batches)
    before = replay_money.bills(conn, found)
    _run(stage, "aggregate")
    if replay_money.usages(conn, found) != usages:
        raise ReplayBusy("usage of the same accounts came meanwhile: ask again in a moment")
    after = replay_money.bills(conn, found)
    return _compared(found, before, after, beside=dict(replay_beside.beside(conn, found, before, after)))


def _compared(
    found: Sequence[Touched],
    bills_before: Sequence[Bill],
    bills_after: Sequence[Bill],
    *,
    beside: dict[tuple[int, int], tuple[Decimal, Decimal]],
) -> tuple[list[Difference], list[dict[str, str]]]:
    """The differences by document; and those of whom one bill or the other cannot be priced.

    What stands beside the lines of a document is added once, with the first of whom it bills.
    """
    sums: dict[tuple[str, str, str, str, str, str], tuple[Decimal, Decimal]] = {}
    unpriced: list[dict[str, str]] = []
    for each, was, will in zip(found, bills_before, bills_after, strict=True):
        if isinstance(will, Rejection) or isinstance(was, Rejection):
            why = will if isinstance(will, Rejection) else was
            assert isinstance(why, Rejection)
            facts = {"account": each.account, "contract": each.contract, "period": each.period}
            unpriced.append({**facts, "code": why.code, "sentence": why.sentence})
            continue
        key = (each.legal_entity, each.account, each.contract, each.period, each.document, each.run.currency)
        given = beside.pop((each.run.contract_id, each.run.billing_period_id), (ZERO, ZERO))
        was_sum, will_sum = sums.get(key, (ZERO, ZERO))
        sums[key] = (
            exact_sum([was_sum, given[0], was.net if each.is_due else ZERO]),
            exact_sum([will_sum, given[1], will.net]),
        )
    return [Difference(*key, before, after) for key, (before, after) in sums.items()], unpriced


def _run(stage: _Stage, name: str) -> None:
    """Let the step do all that is owed to it, as a worker would."""
    limits = settings()
    ids = stage.owed.pop(name, [])
    weights = work.weights(stage.conn, ids)
    for part in work.chunks(weights, rows_max=limits.hint_rows_max, weight_max=limits.hint_weight_max):
        _attempt(stage, name, part)
        stage.check()


def _attempt(stage: _Stage, name: str, ids: Sequence[int]) -> None:
    """The rows together; if that fails, each by itself; what fails by itself is refused again."""
    conn = stage.conn
    events.forget_staged(conn)  # a commit does that otherwise, and none comes here
    attempt = conn.begin_nested()
    try:
        owed = step.rehearse(conn, name, ids)
    except Exception as error:
        attempt.rollback()
        if step.is_passing(error):
            raise
        if len(ids) > 1:
            for work_id in ids:
                _attempt(stage, name, [work_id])
        else:
            _bury(conn, ids[0], error)
        return
    attempt.commit()
    stage.owe(owed)


def _bury(conn: Connection, work_id: int, error: Exception) -> None:
    ready = work.hold(conn, work_id)
    assert ready is not None, "it was claimed a moment ago, and undone"
    code = error.code if isinstance(error, Rejection) else "attempts_exhausted"
    facts = error.facts if isinstance(error, Rejection) else {}
    bury(conn, ready, code=code, sentence=f"{error}", facts=facts)
