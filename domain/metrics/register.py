"""Register: what a counter that only runs forward has counted, from its readings."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Final, Literal

from domain.canonical import Json, decimal_text, plain_text
from domain.errors import Rejection
from domain.metrics.aggregation import Carries, Kept, Observation, QuantityInvalid, Span
from domain.metrics.buckets import Bucket
from domain.metrics.observed import CarriesOn, OfReading
from domain.money import EXACT, ZERO
from domain.prices.measured import Measured
from domain.registers import Reading, Rules, Series, series

#: What the reading of a register that began at zero again is kept with, after its number.
MARK: Final = "reset"
_SAID: Final[Mapping[str, bool]] = {"true": True, "false": False}


class ReadingDoubtful(Rejection):
    """A reading in the period cannot be right, or nobody can say what it means; `code` is that of the rule."""

    code = "register_reading_ambiguous"


@dataclass(frozen=True, slots=True)
class Register(CarriesOn):
    """The differences of successive readings in the period, the first one against the last before the period.

    The very first reading says where the register stood: nothing was counted yet. A reading is a reset if the property
    `reset` of its event says `true`; kept as `2026-01-31T12:00:00.000000Z 0.5 reset`. What a lower one is that says
    nothing, and which readings are refused, `domain.registers` decides by the rules.
    """

    rules: Rules = field(default_factory=Rules)
    reset: str | None = None
    name: ClassVar[Literal["register"]] = "register"
    carries: ClassVar[Carries] = "always"

    @property
    def reads(self) -> tuple[str, ...]:
        """The property that says of a reading that it is a reset, if it has one."""
        return () if self.reset is None else (self.reset,)

    def options(self) -> dict[str, Json]:
        """Where it rolls over, how much may be used between two readings, and what is a reset."""
        found: dict[str, Json] = {}
        if self.rules.capacity is not None:
            found["roll_over_at"] = decimal_text(self.rules.capacity)
        if self.rules.jump_max is not None:
            found["jump_max"] = decimal_text(self.rules.jump_max)
        if self.rules.takes_lower:
            found["resets"] = "allowed"
        return found if self.reset is None else {**found, "reset": self.reset}

    def contribution(self, properties: Mapping[str, Json], *, happened_at: datetime) -> Observation:
        """Instant, number, and whether it is a reset. Raises `QuantityInvalid`, also for what says neither."""
        kept = OfReading.contribution(self, properties, happened_at=happened_at)
        word = None if self.reset is None else properties.get(self.reset)
        is_reset = False if word is None else _SAID.get(plain_text(word))
        if is_reset is None:
            raise QuantityInvalid(f"{self.reset} is {word!r:.40}, not true or false", field=self.reset)
        return Observation(f"{kept.value} {MARK}") if is_reset else kept

    def measured(self, kept: Kept, span: Span) -> Measured:
        """What was counted in the period. Raises `AggregateNegative`, `ReadingDoubtful`.

        What cannot be right and lies before the period is its own period's business; nothing is counted from it.
        """
        total = ZERO
        for difference in self._countable(kept, span).differences:
            if span.period.contains(difference.reading.at):
                total = EXACT.add(total, difference.quantity)
        return Measured(total)

    def by_bucket(self, kept: Kept, span: Span, bucket: Bucket) -> Iterator[tuple[datetime, Decimal]]:
        """What was counted until each reading in a bucket, since the one before, wherever that lies. As `measured`."""
        found, starts = self._countable(kept, span), [window.starts_at for window in span.buckets(bucket)]
        counted: dict[datetime, Decimal] = {}
        used = [(reading.at, ZERO) for reading in found.taken]
        used += [(difference.reading.at, difference.quantity) for difference in found.differences]
        for at, quantity in used:
            if span.period.contains(at):
                start = starts[bisect_right(starts, at) - 1]
                counted[start] = EXACT.add(counted.get(start, ZERO), quantity)
        return iter(sorted(counted.items()))

    def _countable(self, kept: Kept, span: Span) -> Series:
        """The readings, none of the period in doubt."""
        found = self.read(kept)
        for reading, refused in found.refused:
            if span.period.contains(reading.at):
                sentence = f"the reading {reading.value} of {reading.at.isoformat()}: {refused.sentence}"
                facts = {"reading": decimal_text(reading.value), "at": reading.at.isoformat()}
                raise ReadingDoubtful(sentence, code=refused.code, **facts)
        return found

    def read(self, kept: Kept) -> Series:
        """What all readings that were kept come to. Raises `AggregateNegative`."""
        return series((reading_in(value) for value, _ in kept.counted()), rules=self.rules)


def reading_in(value: str) -> Reading:
    """The reading that was kept as this text."""
    at, number, *marks = value.split(" ")
    return Reading(datetime.fromisoformat(at), Decimal(number), is_reset=marks == [MARK])
