"""Idle time of this machine's processors."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

STAT = Path("/proc/stat")

WINDOW_S = 0.5
"""Seconds over which idle time is counted, and between two builds that start: only then does the first show in it."""

MIN_IDLE_PROCESSORS = 0.3
"""Idle processors (a share of one) that suffice for another build."""

_IDLE = slice(3, 5)
_ALL = slice(0, 8)


class Processors:
    """Reader of the processors' idle time: the first line of /proc/stat, see proc_stat(5)."""

    def __init__(self, *, stat: Path = STAT, clock: Callable[[], float] = time.monotonic) -> None:
        """Start a window. Without the file, there is always idle time."""
        self._stat = stat
        self._clock = clock
        self._window_start = clock()
        self._ticks = self._read()

    def has_idle_time(self) -> bool:
        """Whether another build may start; at most one in each window."""
        if self._ticks is None:
            return True
        window = self._clock() - self._window_start
        if window < WINDOW_S:
            return False
        before, self._window_start, self._ticks = self._ticks, self._clock(), self._read()
        if self._ticks is None:
            return True
        if window > 2 * WINDOW_S:
            return False  # the average of a long window is not the present load
        spent = [now - then for now, then in zip(self._ticks, before, strict=True)]
        return sum(spent[_IDLE]) * (os.cpu_count() or 1) >= MIN_IDLE_PROCESSORS * sum(spent)

    def _read(self) -> list[int] | None:
        """Return the times of all processors in clock ticks: idle in 3, waiting for disks in 4."""
        try:
            with self._stat.open(encoding="ascii") as file:
                word, *ticks = file.readline().split()
            times = [int(text) for text in ticks[_ALL]]
        except (OSError, ValueError):
            return None
        return times if word == "cpu" and len(times) > 4 else None
