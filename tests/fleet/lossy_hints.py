"""Real processes that lose and double their hints, to prove that hints carry nothing.

Actors: `python -m dramatiq lossy_hints workers.rate -p 1` (this module first, with its folder on PYTHONPATH).
Other processes: `python lossy_hints.py workers.intake`. How lossy: TALLYLINE_TEST_HINTS=drop=0.3,double=0.3,seed=1.
"""

import os
import random
import runpy
import sys
from dataclasses import dataclass, field

from queues import hints
from queues.broker import broker
from queues.envelope import HintMessage


@dataclass
class Lossy:
    """Delivers each hint never, once or twice, by chance of its seed."""

    drop: float = 0.0
    double: float = 0.0
    seed: int = 0
    dropped: int = 0
    doubled: int = 0
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.onward = hints.deliver

    def __call__(self, hint: HintMessage, delay_s: float) -> None:
        throw = self.chance.random()
        if throw < self.drop:
            self.dropped += 1
            return
        self.onward(hint, delay_s)
        if throw >= 1 - self.double:
            self.doubled += 1
            self.onward(hint, delay_s)


def lossy_from(words: str) -> Lossy:
    """`drop=0.3,double=0.3,seed=1` as a sender; the process id is added to the seed, so that workers differ."""
    given = dict(word.split("=", 1) for word in words.split(",") if word)
    return Lossy(
        drop=float(given.get("drop", 0)),
        double=float(given.get("double", 0)),
        seed=int(given.get("seed", 0)) + os.getpid(),
    )


if "TALLYLINE_TEST_HINTS" in os.environ:
    broker()
    hints.deliver = lossy_from(os.environ["TALLYLINE_TEST_HINTS"])

if __name__ == "__main__":
    _script, module, *arguments = sys.argv
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
