"""Whether this machine's processors have time for one more build."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

STAT = Path("/proc/stat")

WINDOW = 0.5
"""Seconds over which idle time is counted, and for which an answer holds: a build that was let in shows only then."""

ENOUGH = 0.3
"""Idle processors (a share of one) that make room for another build."""

_IDLE = slice(3, 5)
_ALL = slice(0, 8)


class Processors:
    """Looks at how long this machine's processors were idle: the first line of /proc/stat, see proc_stat(5)."""

    def __init__(self, *, stat: Path = STAT, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to count. Where there is no such file, nothing is known and there is always time."""
        self._stat = stat
        self._clock = clock
        self._began = clock()
        self._ticks = self._read()

    def have_time(self) -> bool:
        """Whether another build may begin; at most one in each window."""
        if self._ticks is None:
            return True
        window = self._clock() - self._began
        if window < WINDOW:
            return False
        before, self._began, self._ticks = self._ticks, self._clock(), self._read()
        if self._ticks is None:
            return True
        if window > 2 * WINDOW:
            return False  # nobody asked for a while: what was then says nothing of now
        spent = [now - then for now, then in zip(self._ticks, before, strict=True)]
        return sum(spent[_IDLE]) * (os.cpu_count() or 1) >= ENOUGH * sum(spent)

    def _read(self) -> list[int] | None:
        """Give the times of all processors in clock ticks, idle and waiting for disks in 3 and 4."""
        try:
            with self._stat.open(encoding="ascii") as file:
                word, *ticks = file.readline().split()
            found = [int(text) for text in ticks[_ALL]]
        except (OSError, ValueError):
            return None
        return found if word == "cpu" and len(found) > 4 else None
