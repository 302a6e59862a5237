"""CPU use of emulators: tells a RUN that computes from one that waits or hangs (local engines only)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

PROC = Path("/proc")


class EmulatorActivity:
    """CPU time of all processes of one emulator.

    Platforms that share an emulator (arm/v5, v6, v7) cannot be distinguished: while one computes, all count as busy.
    """

    def __init__(self, qemu: str, *, proc: Path = PROC) -> None:
        """`qemu` is the suffix of the binary: "aarch64"."""
        self._names = (f"qemu-{qemu}", f"buildkit-qemu-{qemu}", ".buildkit_qemu_emulator")
        self._proc = proc
        self._ticks: dict[str, int] = self._read()

    def is_busy(self) -> bool:
        """Whether any process used CPU time since the last call, or is new."""
        now = self._read()
        busy = any(ticks > self._ticks.get(pid, -1) for pid, ticks in now.items())
        self._ticks = now
        return busy

    def _read(self) -> dict[str, int]:
        """Return CPU time in clock ticks by pid."""
        return _ticks_of(self._proc, lambda name: name in self._names)


class EmulatorLoad:
    """Processors that all emulators of this machine use together."""

    def __init__(self, *, proc: Path = PROC, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the first period."""
        self._proc = proc
        self._clock = clock
        self._start = clock()
        self._ticks = self._read()

    @property
    def processes(self) -> int:
        """Return how many emulators there were at the last call."""
        return len(self._ticks)

    def processors(self) -> float:
        """Return how many processors were in use since the last call, on average; never too few.

        What ended processes used is counted with the one that waited for them, all of it at their end.
        """
        before, since = self._ticks, self._start
        self._ticks, self._start = self._read(), self._clock()
        spent = sum(ticks - before.get(pid, 0) for pid, ticks in self._ticks.items())
        seconds = max(self._start - since, 1e-3)
        return spent / os.sysconf("SC_CLK_TCK") / seconds

    def _read(self) -> dict[str, int]:
        return _ticks_of(
            self._proc,
            lambda name: (
                name == ".buildkit_qemu_emulator"
                or (name.removeprefix("buildkit-").startswith("qemu-") and "-system-" not in name)
            ),
        )


def _ticks_of(proc: Path, is_wanted: Callable[[str], bool]) -> dict[str, int]:
    """Return CPU time in clock ticks by pid, of processes that execute such a program and of their ended children.

    Fields of proc(5): utime, stime, cutime, cstime.
    """
    ticks = {}
    for folder in proc.iterdir():
        if folder.name.isdigit() and is_wanted(_program(folder)):
            try:
                fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
                ticks[folder.name] = sum(map(int, fields[11:15]))
            except (OSError, ValueError, IndexError):
                continue
    return ticks


def _program(folder: Path) -> str:
    """Return the name of a process's program; flag F keeps an emulator open, so its path may be of another root."""
    try:
        name = (folder / "exe").readlink().name.removesuffix(" (deleted)")
    except OSError:
        return ""
    return name.removesuffix("-static")
