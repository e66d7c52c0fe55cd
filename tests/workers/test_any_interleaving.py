"""Whatever goes wrong and is put right in whatever order, every cent is billed once and every usage has one fate.

500 events, some of which lead nowhere, come from nobody known, lack what is counted, come twice or in conflict; and in
an order that is drawn: crashes, failures, redeliveries, master data that arrive, replays and edits that somebody asks
for and somebody else grants or refuses, pauses and cancellations.
"""

from collections.abc import Callable
from decimal import Decimal

from billing_month import Month
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from line_bench import batch, event
from replay_bench import BROKEN, UNKNOWN_SOURCE, UNKNOWN_SUBJECT, amount, bill, fresh

from domain.approvals import ApprovalClosed, ApprovalStale
from domain.authority import Acting
from domain.errors import Rejection
from domain.replays import ReplayOutOfOrder
from queues import work
from workers import replaying, step
from workers.deeds import doing
from workers.deeds.deed import Order
from workers.store import approvals, fence, identity, parked, replays
from workers.store.database import engine, snapshot
from workers.store.replay_selection import Selection
from workers.store.replays import Wanted
from workers.unit import Unit, database_now

EVENTS = 500
ANN = Acting("ann", frozenset({"operator", "finance"}))
BOB = Acting("bob", frozenset({"approver"}))
LINE = ("validate", "enrich", "aggregate")
#: Events whose aircraft nobody named; an edit names it.
TAILLESS = range(99, EVENTS, 100)
PEOPLE = """
insert into people (id, name, created_by) select p, p, 'test' from unnest(array['ann', 'bob']) p on conflict do nothing;
insert into person_roles (person_id, role, granted_by) values ('ann', 'operator', 'test'), ('ann', 'finance', 'test'),
  ('bob', 'approver', 'test') on conflict do nothing;
truncate approval_requests, approval_decisions restart identity cascade;
"""
ARRIVALS = (
    ("insert into sources (name, owner) values ('/ops/bos', 'test') on conflict do nothing", None),
    (
        """insert into source_users select id, 'upstream' from sources where name = '/ops/bos'
             on conflict do nothing""",
        None,
    ),
    (
        """insert into mappings (source_id, subject, subscription_id, recorded_by)
             select s.id, 'UA', u.id, 'test' from sources s, subscriptions u
             where s.name = '/ops/bos' and u.ref = 's-ua'
               and not exists (select from mappings m where m.source_id = s.id and m.subject = 'UA')""",
        ("/ops/bos", "UA"),
    ),
    (
        """insert into mappings (source_id, subject, subscription_id, recorded_by)
             select s.id, 'ZZ', u.id, 'test' from sources s, subscriptions u
             where s.name = '/ops/jfk' and u.ref = 's-dl'
               and not exists (select from mappings m where m.source_id = s.id and m.subject = 'ZZ')""",
        ("/ops/jfk", "ZZ"),
    ),
)


def made(number: int) -> dict[str, object]:
    """Event `number`; of ten, one leads to no subscription yet and one comes from a source that nobody knows yet."""
    data = {"distance": number * 7 % 2000 + 1, "tail": None if number in TAILLESS else f"N{number % 40}"}
    changes: dict[str, object] = {"subject": "DL" if number % 10 in {5, 6} else "UA"}
    if number % 10 == 7:
        changes = {"subject": UNKNOWN_SUBJECT}
    elif number % 10 == 8:
        changes = {"source": UNKNOWN_SOURCE}
    return event(f"e{number}", data=data, **changes)


def expected() -> dict[str, Decimal]:
    """The net of each account, worked out in plain Python from the events as they should be."""
    owed: dict[str, list[int]] = {"ua": [], "dl": []}
    for number in range(EVENTS):
        owed["dl" if number % 10 in {5, 6, 7} else "ua"].append(number)
    tails = {number: f"NE{number}" if number in TAILLESS else f"N{number % 40}" for number in range(EVENTS)}
    return {
        account: amount(
            Decimal(len(numbers)),
            Decimal(sum(number * 7 % 2000 + 1 for number in numbers)),
            Decimal(len({tails[number] for number in numbers})),
        )
        for account, numbers in owed.items()
    }


class World:
    """A month and everybody who works on it."""

    def __init__(self, month: Month) -> None:
        self.month = month
        self.sent = 0
        fresh(month)
        month.bound.run(PEOPLE)

    def receive(self, drawn: int) -> None:
        """The next events, some of those before once more, and one of them in conflict with itself."""
        upto = min(EVENTS, self.sent + 20 + drawn % 40)
        events = [made(number) for number in range(self.sent, upto)]
        if self.sent:
            again = made(drawn % self.sent)
            events += [again, again | {"data": {"distance": 1 + drawn % 7, "tail": "NX"}}]
        self.sent = upto
        if events:
            self.month.receive(batch(*events))

    def due(self, name: str) -> list[int]:
        found = self.month.bound.rows(
            "select id from work where step = :step and state = 'ready' and due_at <= now() order by id", step=name
        )
        return [row[0] for row in found]

    def perform(self, drawn: int) -> None:
        """Some of the due rows of one step, in one hint."""
        name = LINE[drawn % 3]
        if ids := self.due(name):
            step.perform(name, ids[: 1 + drawn % len(ids)])

    def redeliver(self, drawn: int) -> None:
        """The broker gives a hint once more, so its rows are done one by one."""
        name = LINE[drawn % 3]
        if ids := self.due(name):
            step.perform(name, ids[:3], is_redelivered=True)

    def crash(self, drawn: int) -> None:
        """A worker dies when it has done everything but the commit."""
        name = LINE[drawn % 3]
        if ids := self.due(name):
            with engine().connect() as conn:
                claimed = work.claim(conn, name, ids[:5])
                work.lock_subjects(conn, name, [row.subject for row in claimed])
                unit = Unit(conn, claimed, database_now(conn))
                step._runs[name].args[0](unit)
                unit.settle()
                conn.rollback()

    def bury(self, drawn: int) -> None:
        """A step fails for good: its row is dead until somebody replays it."""
        name = LINE[drawn % 3]
        if ids := self.due(name):
            step._bury(name, ids[drawn % len(ids)], Rejection("nobody foresaw it", code="unexpected_error"))

    def arrive(self, drawn: int) -> None:
        """Some master data are published under the fence, and wake what waits for them."""
        statement, key = ARRIVALS[drawn % len(ARRIVALS)]
        self.month.bound.run(statement)
        if key is not None:
            self.wake(*key)

    def wake(self, source: str, subject: str) -> None:
        found = self.month.bound.rows("select id from sources where name = :name", name=source)
        for (source_id,) in found:
            with engine().begin() as conn:
                fence.take(conn)
            with engine().begin() as conn:
                parked.wake(conn, [("mapping", parked.mapping_key(source_id, subject))], correlation_id="test")

    def open(self, code: str | None = None) -> list[tuple[int, str]]:
        found = self.month.bound.rows(
            """select id, code from exceptions where state = 'open' and (cast(:code as text) is null or code = :code)
                 order by id""",
            code=code,
        )
        return [(row[0], row[1]) for row in found]

    def ask(self, drawn: int) -> None:
        """Ann asks for a replay of a cause, or of some exceptions."""
        if not (found := self.open()):
            return
        number, code = found[drawn % len(found)]
        if code != "conflicting_duplicate":
            self.submit(
                Wanted("replay", Selection(ids=[number]) if drawn % 2 else Selection(code=code), "ann", "again")
            )

    def edit(self, drawn: int) -> None:
        """Ann names the aircraft of an event that lacked it."""
        if found := self.open("quantity_missing"):
            self.edit_one(found[drawn % len(found)][0])

    def edit_one(self, number: int) -> None:
        name = self.month.bound.one("select event_id from exceptions where id = :id", id=number)
        edited = made(int(name[1:]))
        edited["data"] = {"distance": int(name[1:]) * 7 % 2000 + 1, "tail": f"NE{name[1:]}"}
        self.submit(Wanted("edit", Selection(ids=[number]), "ann", "the tail is known", edited))  # type: ignore[arg-type]

    def submit(self, wanted: Wanted) -> None:
        with engine().begin() as conn:
            replay_id = replays.plan(conn, wanted)
        try:
            doing.submit(ANN, "replay.start", Order("ann", wanted.reason, {"replay": replay_id}))
        except ApprovalClosed:  # Ann has asked for that already, and Bob has not decided yet
            self.tick(0)

    def decide(self, drawn: int) -> None:
        """Bob grants or refuses what Ann asked for, if it is still what she asked for."""
        with engine().connect() as conn:
            waiting = [each.id for each in approvals.requests(conn)]
        for number in waiting[: 1 + drawn % 3]:
            try:
                if drawn % 4:
                    doing.grant(BOB, number)
                else:
                    doing.refuse(BOB, number, note="not now")
            except (ApprovalStale, ReplayOutOfOrder):  # the replay was started or cancelled, or the money has changed
                with engine().begin() as conn:
                    approvals.close(conn, number, "stale")

    def control(self, drawn: int) -> None:
        """Ann pauses, resumes or cancels a replay."""
        found = self.month.bound.rows("select id from replays where state in ('running', 'paused') order by id")
        if found:
            act = ("pause", "resume", "cancel")[drawn % 3]
            try:
                doing.submit(ANN, "replay.control", Order("ann", act, {"replay": found[0][0], "act": act}))
            except ReplayOutOfOrder:  # it is paused, or is not
                self.tick(0)

    def tick(self, _drawn: int) -> None:
        replaying.tick()

    def check(self) -> None:
        with snapshot() as conn:
            assert identity.differences(conn) == []

    def finish(self) -> None:
        """Everything that was to come comes, everybody does what there is to do, until nothing is open."""
        while self.sent < EVENTS:
            self.receive(39)
        for number in range(len(ARRIVALS)):
            self.arrive(number)
        for _ in range(30):
            self.settle()
            left = self.open()
            if not left:
                return
            for number, code in left:
                if code == "quantity_missing":
                    self.edit_one(number)
            for code in {code for _, code in left} - {"quantity_missing"}:
                kind = "dismiss" if code == "conflicting_duplicate" else "replay"
                self.submit(Wanted(kind, Selection(code=code), "ann", "in the end"))  # type: ignore[arg-type]
        raise AssertionError(f"still open: {self.open()}")

    def settle(self) -> None:
        """Bob grants all, paused replays go on, and the line does what is due."""
        for _ in range(20):
            self.decide(1)
            self.decide(2)
            for (number,) in self.month.bound.rows("select id from replays where state = 'paused'"):
                doing.submit(ANN, "replay.control", Order("ann", "go on", {"replay": number, "act": "resume"}))
            self.month.bound.run("update work set due_at = now() where state = 'ready'")
            self.month.work(*LINE, "notify")
            replaying.tick()
            busy = self.month.bound.one("select count(*) from replays where state = 'running'")
            if not busy and not any(map(self.due, LINE)):
                return


ACTS: dict[str, Callable[[World, int], None]] = {
    "receive": World.receive,
    "perform": World.perform,
    "redeliver": World.redeliver,
    "crash": World.crash,
    "bury": World.bury,
    "arrive": World.arrive,
    "ask": World.ask,
    "edit": World.edit,
    "decide": World.decide,
    "control": World.control,
    "tick": World.tick,
}


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.integers(0, 10_000)), min_size=30, max_size=60))
def test_any_interleaving_ends_with_every_cent_once(month, acts):
    world = World(month)

    for name, drawn in [("receive", 1), *acts]:
        ACTS[name](world, drawn)
        world.check()
    world.finish()

    documents = bill(month)
    assert documents == expected()
    world.check()
    with snapshot() as conn:
        assert sum(each.in_flight for each in identity.usage_totals(conn)) == 0
        counted = identity.event_totals(conn)
    assert counted.accepted == EVENTS
    month.bound.run(BROKEN)
