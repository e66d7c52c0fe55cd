"""CPU seconds by who spent them: the robust measure on a machine that does other things too. Linux only."""

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
#: Fields of /proc/<pid>/stat after the name: ppid, then utime, stime, cutime, cstime.
_PPID, _TIMES = 1, slice(11, 15)


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds of each role between two looks."""

    seconds: Mapping[str, float]

    def per(self, events: int) -> Mapping[str, float]:
        """CPU microseconds an event, by role, the costliest first."""
        costly = sorted(self.seconds.items(), key=lambda item: -item[1])
        return {role: seconds * 1e6 / events for role, seconds in costly}


class Meter:
    """Reads the CPU time of process trees, each named by the pid of its first process."""

    def __init__(self, roots: Mapping[str, int]) -> None:
        self._roots = roots
        self._before = self._read()

    def spent(self) -> Spent:
        """What each tree spent since this meter was made; the children that ended are counted with their parents."""
        after = self._read()
        return Spent({role: after[role] - self._before[role] for role in self._roots})

    def _read(self) -> Mapping[str, float]:
        if not _PROC.is_dir():
            return defaultdict(float)
        stats = {int(entry.name): stat for entry in _PROC.iterdir() if entry.name.isdigit() and (stat := _stat(entry))}
        found: defaultdict[str, float] = defaultdict(float)
        for pid in stats:
            role = self._role(pid, stats)
            if role:
                found[role] += sum(map(int, stats[pid][_TIMES])) / os.sysconf("SC_CLK_TCK")
        return found

    def _role(self, pid: int, stats: Mapping[int, list[str]]) -> str | None:
        roles = {root: role for role, root in self._roots.items()}
        while pid in stats:
            if pid in roles:
                return roles[pid]
            pid = int(stats[pid][_PPID])
        return None


def parent_of(pid: int) -> int:
    """The process that started `pid`."""
    stat = _stat(_PROC / str(pid))
    return int(stat[_PPID]) if stat else 0


def _stat(entry: Path) -> list[str]:
    try:
        return (entry / "stat").read_text().rpartition(") ")[2].split()
    except OSError:  # it has ended since
        return []
