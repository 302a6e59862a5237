"""The processor time of one emulated build step, among all that this machine's emulators do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from multibuild.frozen import frozen
from multibuild.qemu.activity import PROC, cpu_ticks, is_emulator, program_name

_UNCLEAR = frozenset("$\"'\\`")
"""BuildKit fills variables in where it names a step, and leaves quoting marks out of some words."""


@frozen
class _Process:
    """A process: its `container` is the text of its cgroups, which BuildKit makes for each step."""

    container: str
    program: str
    ticks: int


class StepActivity:
    """Processors that a step's programs use, native ones in its container included.

    A step is found by its command. Where no emulator runs that command as BuildKit names it (`RUN ["/app"]`, a
    heredoc), all steps under the same emulator count.
    """

    def __init__(self, qemu: str, *, proc: Path = PROC, clock: Callable[[], float] = time.monotonic) -> None:
        """`qemu` is the suffix of the emulator's program, "aarch64"; empty for any."""
        self._qemu = qemu
        self._proc = proc
        self._clock = clock
        self._since = clock()
        self._before: Mapping[str, int] = {}

    def processors(self, step: str) -> float | None:
        """Return how many processors the step used since the last call, on average; None if no emulator is seen.

        That is so where another machine builds, or a virtual one, or when nothing of the step is left.
        """
        ticks = self._ticks(step)
        before, since = self._before, self._since
        self._before, self._since = ticks or {}, self._clock()
        if ticks is None:
            return None
        used = sum(count - before.get(pid, 0) for pid, count in ticks.items())
        return max(used, 0) / os.sysconf("SC_CLK_TCK") / max(self._since - since, 1e-3)

    def _ticks(self, step: str) -> dict[str, int] | None:
        """Return the processor time of the step's processes, in clock ticks by pid."""
        processes = dict(_processes(self._proc))
        emulators = [pid for pid, process in processes.items() if is_emulator(process.program, self._qemu)]
        if not emulators:
            return None
        words = step.split()
        own = [pid for pid in emulators if _runs(_command(self._proc / pid), words)] or emulators
        containers = {processes[pid].container for pid in own}
        if _cgroups(self._proc / "self") in containers:
            # Nothing keeps containers apart here: what is not emulated belongs to anything.
            return {pid: processes[pid].ticks for pid in own}
        return {pid: process.ticks for pid, process in processes.items() if process.container in containers}


def _processes(proc: Path) -> Iterable[tuple[str, _Process]]:
    try:
        folders = [folder for folder in proc.iterdir() if folder.name.isdigit()]
    except OSError:
        return
    for folder in folders:
        ticks = cpu_ticks(folder)
        if ticks is not None:
            yield (
                folder.name,
                _Process(container=_cgroups(folder), program=program_name(folder), ticks=ticks),
            )


def _cgroups(folder: Path) -> str:
    try:
        return (folder / "cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _command(folder: Path) -> Sequence[str]:
    """Return the words of an emulated command: of a shell its script, else the arguments.

    The kernel puts the emulator and the program's path first, and with flag P the name it was called by.
    """
    try:
        arguments = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return ()
    script = arguments[arguments.index("-c") + 1 :] if "-c" in arguments else arguments[2:]
    return " ".join(script).split()


def _runs(command: Sequence[str], step: Sequence[str]) -> bool:
    """Whether the clear words of a command come in a step's name, in their order."""
    clear = [word for word in command if not _UNCLEAR & set(word)]
    rest = iter(step)
    return bool(clear) and all(word in rest for word in clear)
