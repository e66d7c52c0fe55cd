"""Phases with prices: they lie over the versions of a contract, and cut them into stretches."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

from domain.periods import OPEN_END, Window

V = TypeVar("V")
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Stretch(Generic[V, P]):
    """A part of a version; with the phase whose prices hold in it, or None where those of the version do."""

    window: Window
    version: V
    phase: P | None


def stretches(versions: Sequence[tuple[Window, V]], phases: Sequence[tuple[Window, P]]) -> list[Stretch[V, P]]:
    """The versions cut where phases begin and end, from the first phase on; where no version is in force nothing is.

    In order of time. Neither versions nor phases overlap among themselves.
    """
    first_at = min((window.starts_at for window, _ in phases), default=OPEN_END)
    edges = {edge for window, _ in phases for edge in (window.starts_at, window.ends_at)}
    found: list[Stretch[V, P]] = []
    for window, version in sorted(versions, key=lambda pair: pair[0].starts_at):
        inside = {edge for edge in edges if window.starts_at < edge < window.ends_at}
        bounds = [edge for edge in sorted({window.starts_at, window.ends_at} | inside) if edge >= first_at]
        for starts_at, ends_at in pairwise(bounds):
            over = (phase for of, phase in phases if of.starts_at <= starts_at < of.ends_at)
            found.append(Stretch(Window(starts_at, ends_at), version, next(over, None)))
    return found
