"""Register: what a counter that only runs forward has counted, from its readings."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal

from domain.canonical import Json, decimal_text
from domain.metrics.aggregation import Carries, Kept, Span
from domain.metrics.observed import OfReading, readings_of
from domain.money import EXACT, ZERO
from domain.prices.measured import Measured


@dataclass(frozen=True, slots=True)
class Register(OfReading):
    """The differences of successive readings in the period, the first one against the last before the period.

    The very first reading says where the register stood: nothing was counted yet. A reading that is lower than the one
    before is a reset: the register began at zero again. With `roll_over_at`, the number at which the register shows
    zero again, it has run over instead, if it has run over no more than half of what it can show.
    """

    roll_over_at: Decimal | None = None
    name: ClassVar[Literal["register"]] = "register"
    carries: ClassVar[Carries] = "always"
    fills_buckets: ClassVar[bool] = False

    def options(self) -> dict[str, Json]:
        """Where it rolls over."""
        return {} if self.roll_over_at is None else {"roll_over_at": decimal_text(self.roll_over_at)}

    def measured(self, kept: Kept, span: Span) -> Measured:
        """What was counted in the period. Raises `AggregateNegative`."""
        total, last = ZERO, None
        for happened_at, reading, _ in readings_of(kept):
            if last is not None and span.period.contains(happened_at):
                total = EXACT.add(total, self._counted(last, reading))
            last = reading
        return Measured(total)

    def _counted(self, last: Decimal, reading: Decimal) -> Decimal:
        if reading >= last:
            return EXACT.subtract(reading, last)
        if self.roll_over_at is None or last > self.roll_over_at:
            return reading
        over = EXACT.add(EXACT.subtract(self.roll_over_at, last), reading)
        return over if EXACT.add(over, over) <= self.roll_over_at else reading
