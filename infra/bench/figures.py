"""What was measured, beside what it is measured against, and whether it is enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Floor:
    """What a figure must reach, or with `is_ceiling` not exceed."""

    what: str
    found: float
    bound: float
    is_ceiling: bool = False

    @property
    def holds(self) -> bool:
        """Whether it is reached."""
        return self.found <= self.bound if self.is_ceiling else self.found >= self.bound

    def __str__(self) -> str:
        verdict = "ok  " if self.holds else "FAIL"
        limit = "at most" if self.is_ceiling else "at least"
        return f"{verdict} {self.what}: {short(self.found)}, {limit} {short(self.bound)}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, in the runs it was measured in."""

    name: str
    unit: str
    runs: Sequence[float]
    floors: Sequence[Floor] = ()
    notes: Sequence[str] = ()

    @property
    def median(self) -> float:
        """The run in the middle."""
        return median(self.runs)

    def lines(self) -> list[str]:
        """The figure as it is printed."""
        spread = f"({short(min(self.runs))} .. {short(max(self.runs))}, {len(self.runs)} runs)"
        head = f"{self.name:<72} {short(self.median):>8} {self.unit:<8} {spread if len(self.runs) > 1 else '(1 run)'}"
        return [head, *(f"    {floor}" for floor in self.floors), *(f"    {note}" for note in self.notes)]


def short(number: float) -> str:
    """A number with no more digits than a benchmark means."""
    if number >= 1_000:  # noqa: PLR2004 -- from here on whole numbers say enough
        return f"{number:,.0f}"
    return f"{number:.3g}"


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of the ordered values lie."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
