"""What events are tried against: the database, or a file of master data where no database is at hand."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection

from domain.definitions import DefinitionInvalid
from domain.enrichment import ExclusionRule, Match, parse_exclusion_rule
from domain.metrics import Metric, parse_metric
from domain.periods import EVER, OPEN_END
from domain.validation import MeterVersion, fields_of
from workers.store import lookups, master, register
from workers.store.events import Candidate
from workers.store.master_file import Document, MasterInvalid, Place
from workers.store.master_models import MasterData
from workers.store.master_parties import instant_of
from workers.store.register import Register, Source

#: Where every event's subject leads to if nobody knows the mappings.
ANYWHERE = Match("", "", 1)


class Knowledge(Protocol):
    """What the line decides by, for the events of one batch."""

    @property
    def judges_usage(self) -> bool:
        """Whether metrics are known, and so what becomes of an event that is accepted."""

    def register(self, sources: Collection[str], meters: Collection[str]) -> Register:
        """The sources and meters of these names that are known."""

    def metrics(self, meters: Collection[str]) -> Mapping[str, tuple[Metric, ...]]:
        """The metrics that read these meters, by meter."""

    def rules(self, meters: Collection[str]) -> Sequence[ExclusionRule]:
        """The exclusion rules of these meters, in their order."""

    def matches(self, candidates: Sequence[Candidate]) -> Sequence[Match | None]:
        """Where each of the events leads to."""

    def known_keys(self, candidates: Sequence[Candidate]) -> Mapping[bytes, bytes]:
        """The payload hashes of events that were accepted before, by key."""


@dataclass(frozen=True, slots=True)
class OfDatabase:
    """What a database knows: everything."""

    conn: Connection
    judges_usage: bool = True

    def register(self, sources: Collection[str], meters: Collection[str]) -> Register:
        """As the line loads it."""
        return register.load(self.conn, sources=sources, meters=meters)

    def metrics(self, meters: Collection[str]) -> Mapping[str, tuple[Metric, ...]]:
        """As they are kept."""
        return lookups.metrics_of(self.conn, meters)

    def rules(self, meters: Collection[str]) -> Sequence[ExclusionRule]:
        """As they are kept."""
        return lookups.rules_of(self.conn, meters)

    def matches(self, candidates: Sequence[Candidate]) -> Sequence[Match | None]:
        """By mappings, subscriptions and contract versions in force."""
        return lookups.matches(self.conn, candidates)

    def known_keys(self, candidates: Sequence[Candidate]) -> Mapping[bytes, bytes]:
        """Of all that were ever accepted."""
        return lookups.known_keys(self.conn, candidates)


@dataclass(frozen=True, slots=True)
class OfFile:
    """What a file of master data says. Without sources in it every source is known; subjects lead somewhere, always."""

    master: MasterData
    versions: Mapping[str, tuple[MeterVersion, ...]]
    by_meter: Mapping[str, tuple[Metric, ...]]
    exclusions: tuple[ExclusionRule, ...]

    @property
    def judges_usage(self) -> bool:
        """Whether the file has metrics."""
        return bool(self.by_meter)

    def register(self, sources: Collection[str], meters: Collection[str]) -> Register:
        """As the file says."""
        known = self.master.sources
        users = {name: known[name].users if known else [] for name in sources if name in known or not known}
        made = {name: Source(n, name, frozenset(named), None) for n, (name, named) in enumerate(users.items(), start=1)}
        return Register(made, {name: self.versions[name] for name in meters if name in self.versions})

    def metrics(self, meters: Collection[str]) -> Mapping[str, tuple[Metric, ...]]:
        """As the file says."""
        return {name: self.by_meter[name] for name in meters if name in self.by_meter}

    def rules(self, meters: Collection[str]) -> Sequence[ExclusionRule]:
        """As the file says."""
        return [rule for rule in self.exclusions if rule.meter in meters]

    def matches(self, candidates: Sequence[Candidate]) -> Sequence[Match | None]:
        """Every subject leads somewhere: whose it is, only a database knows."""
        return [ANYWHERE] * len(candidates)

    def known_keys(self, candidates: Sequence[Candidate]) -> Mapping[bytes, bytes]:  # noqa: ARG002
        """None: a file has accepted nothing."""
        return {}


def of_file(file: Path) -> OfFile:
    """What a file of master data says. Raises `MasterInvalid` with the place of what cannot be used."""
    document, read = master.read(file)
    metrics: dict[str, tuple[Metric, ...]] = {}
    for name, each in read.metrics.items():
        if each.meter is None:  # quantities that a subscription has: no event feeds them
            continue
        place: Place = ("metrics", name)
        try:
            metric = parse_metric(each.definition(name))
        except DefinitionInvalid as error:
            raise _refused(document, place, error) from None
        metrics[metric.meter] = (*metrics.get(metric.meter, ()), metric)
    return OfFile(read, _versions(document, read), metrics, tuple(_rules(document, read)))


def _versions(document: Document, read: MasterData) -> dict[str, tuple[MeterVersion, ...]]:
    versions: dict[str, tuple[MeterVersion, ...]] = {}
    for n, (name, meter) in enumerate(read.meters.items(), start=1):
        made = []
        for at, each in enumerate(meter.versions):
            try:
                fields = fields_of(each.fields)
            except DefinitionInvalid as error:
                raise _refused(document, ("meters", name, "versions", at), error) from None
            starts_at = instant_of(each.starts, "UTC", missing=EVER)
            made.append(MeterVersion(at, n, each.version, each.dataschema, fields, each.max_age_days, starts_at))
        versions[name] = tuple(made)
    return versions


def _rules(document: Document, read: MasterData) -> list[ExclusionRule]:
    rules = []
    for name, each in read.exclusion_rules.items():
        try:
            rule = parse_exclusion_rule({"name": name, **each.model_dump(exclude={"starts", "ends"})})
        except DefinitionInvalid as error:
            raise _refused(document, ("exclusion_rules", name), error) from None
        starts_at = instant_of(each.starts, "UTC", missing=EVER)
        rules.append(replace(rule, starts_at=starts_at, ends_at=instant_of(each.ends, "UTC", missing=OPEN_END)))
    return rules


def _refused(document: Document, place: Place, error: DefinitionInvalid) -> MasterInvalid:
    return MasterInvalid(document.file, [document.problem(place, error.sentence, fix=error.fix)])
