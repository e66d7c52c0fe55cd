"""A trial: events judged as the line would judge them, by the same rules, and nothing of it kept."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from domain.codes import CODES
from domain.enrichment import Excepted, Excluded, usages
from domain.events import UsageEvent
from domain.metrics import Increment, Metric, Observation
from domain.money import EXACT, ZERO
from queues.contracts import BATCH, Delivery
from workers.files.batches import Batch
from workers.files.lines import RefusedRow
from workers.knowledge import Knowledge
from workers.sift import Sifted, judge, opened
from workers.store.events import Candidate, place_of
from workers.store.receipts import Receipt
from workers.store.register import Register, Source

#: Events of one trial, whose keys are all kept in memory so that the same one is known again.
EVENTS_MAX = 1_000_000
#: Lines that are named of each reason.
LINES_MAX = 5
#: What an event is refused by whose source and id came before with another body.
CONFLICT = "conflicting_duplicate"
#: Who sends if nobody was named: whoever may.
ANYBODY = ""


@dataclass(slots=True)
class Reason:
    """Why events are refused, or their usage would wait: how often, where first, and what to do."""

    code: str
    place: str
    sentence: str
    count: int = 0
    lines: list[int] = field(default_factory=list)

    @property
    def fix(self) -> str:
        """What its producer can do."""
        return CODES[self.code].fix


@dataclass(slots=True)
class Counted:
    """What would be counted under a metric: usages, what they add up to, and which different values they have."""

    metric: Metric
    usages: int = 0
    quantity: Decimal = ZERO
    values: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Findings:
    """What a trial found so far."""

    events: int = 0
    accepted: int = 0
    #: Lines that say again what one before them, or an event that was accepted before, says.
    duplicates: int = 0
    refused: dict[tuple[str, str], Reason] = field(default_factory=dict)
    waiting: dict[tuple[str, str], Reason] = field(default_factory=dict)
    excluded: Counter[tuple[str, str]] = field(default_factory=Counter)
    metrics: dict[str, Counted] = field(default_factory=dict)
    is_cut: bool = False

    @property
    def is_well(self) -> bool:
        """Whether every event would be billed, excluded or counted as a duplicate."""
        return not self.refused and not self.waiting


@dataclass(slots=True)
class Trial:
    """Judges batch after batch, each event as if it were received at `now` from `user`."""

    knowledge: Knowledge
    now: datetime
    user: str | None = None
    found: Findings = field(default_factory=Findings)
    _seen: dict[bytes, bytes] = field(default_factory=dict)

    def run(self, batches: Iterable[Batch]) -> Findings:
        """Judge all batches, or as many as memory should hold."""
        for batch in batches:
            if len(self._seen) + batch.events > EVENTS_MAX:
                self.found.is_cut = True
                break
            self._judge(batch)
        return self.found

    def refuse(self, row: RefusedRow) -> None:
        """Note a row that is no event, or whose envelope the line would refuse."""
        self.found.events += 1
        _note(self.found.refused, row.refused.code, row.refused.field, row.refused.sentence, row.line)

    def _judge(self, batch: Batch) -> None:
        found = self.found
        found.events += batch.events
        properties = {"content_type": BATCH, "user_id": self.user or ANYBODY}
        sifted = opened([Receipt(1, "", self.now, (Delivery(batch.content, properties),))])
        judge(sifted, self._register(sifted))
        found.duplicates += sifted.tallies[1].duplicate
        for each in sifted.refused:
            refusal, line = each.refusal, batch.items[each.position].line
            sentence = CODES[CONFLICT].meaning if refusal.code == CONFLICT else refusal.sentence  # it has no number yet
            _note(found.refused, refusal.code, refusal.field, sentence, line)
        fresh = self._fresh(sifted, batch)
        found.accepted += len(fresh)
        if fresh and self.knowledge.judges_usage:
            self._decide(sifted, fresh, batch)

    def _register(self, sifted: Sifted) -> Register:
        """The register, in which anybody may claim every source if nobody was named."""
        known = self.knowledge.register(sifted.names("source"), sifted.names("type"))
        if self.user is not None:
            return known
        sources = {
            name: Source(each.id, name, each.users | {ANYBODY}, each.quota_per_hour)
            for name, each in known.sources.items()
        }
        return Register(sources, known.meters)

    def _fresh(self, sifted: Sifted, batch: Batch) -> list[Candidate]:
        """Those events that nobody has met before: not in this file, and not in the database."""
        candidates = list(sifted.candidates.values())
        before = self.knowledge.known_keys(candidates) if candidates else {}
        fresh = []
        for each in candidates:
            met = self._seen.get(each.key16, before.get(each.key16))
            self._seen[each.key16] = each.payload_hash if met is None else met
            if met is None:
                fresh.append(each)
            elif met == each.payload_hash:
                self.found.duplicates += 1
            else:
                line = batch.items[place_of(each.event_no)[1]].line
                _note(self.found.refused, CONFLICT, "id", CODES[CONFLICT].meaning, line)
        return fresh

    def _decide(self, sifted: Sifted, fresh: Sequence[Candidate], batch: Batch) -> None:
        """What becomes of the usage of each event."""
        meters = {sifted.origin(each)[0].type for each in fresh}
        metrics, rules = self.knowledge.metrics(meters), self.knowledge.rules(meters)
        for each, match in zip(fresh, self.knowledge.matches(fresh), strict=True):
            event = _event(sifted, each)
            read = metrics.get(event.type, ())
            line = batch.items[place_of(each.event_no)[1]].line
            for usage in usages(event, metrics=read, rules=rules, match=match):
                self._count(usage.metric, usage.fate, read, line)

    def _count(
        self,
        name: str | None,
        fate: Excluded | Excepted | Increment | Observation,
        metrics: Sequence[Metric],
        line: int,
    ) -> None:
        match fate:
            case Excluded(rule, reason):
                self.found.excluded[rule, reason] += 1
            case Excepted(code, sentence):
                _note(self.found.waiting, code, name or "", sentence, line)
            case Increment() | Observation():
                metric = next(each for each in metrics if each.name == name)
                counted = self.found.metrics.setdefault(metric.name, Counted(metric))
                counted.usages += 1
                if isinstance(fate, Increment):
                    counted.quantity = EXACT.add(counted.quantity, fate.quantity)
                else:
                    counted.values.add(fate.value)


def _event(sifted: Sifted, candidate: Candidate) -> UsageEvent:
    checked = sifted.origin(candidate)[0]
    return UsageEvent(
        checked.source, checked.id, checked.type, checked.subject, candidate.happened_at, checked.dataschema,
        checked.data,
    )  # fmt: skip


def _note(reasons: dict[tuple[str, str], Reason], code: str, name: str, sentence: str, line: int) -> None:
    reason = reasons.setdefault((code, name), Reason(code, name, sentence))
    reason.count += 1
    if len(reason.lines) < LINES_MAX:
        reason.lines.append(line)
