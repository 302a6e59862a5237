"""CPU use of emulators: tells a RUN that computes from one that waits or hangs (local engines only)."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")

BUILDKIT_EMULATOR = ".buildkit_qemu_emulator"
"""The emulator that BuildKit brings along, of whichever architecture the step is."""


class EmulatorActivity:
    """CPU time of all processes of one emulator.

    Platforms that share an emulator (arm/v5, v6, v7) cannot be distinguished: while one computes, all count as busy.
    """

    def __init__(self, qemu: str, *, proc: Path = PROC) -> None:
        """`qemu` is the suffix of the binary: "aarch64"."""
        self._qemu = qemu
        self._proc = proc
        self._ticks: dict[str, int] = self._read()

    def is_busy(self) -> bool:
        """Whether any process used CPU time since the last call, or is new."""
        now = self._read()
        busy = any(ticks > self._ticks.get(pid, -1) for pid, ticks in now.items())
        self._ticks = now
        return busy

    def _read(self) -> dict[str, int]:
        """Return CPU time in clock ticks by pid, with that of ended children."""
        ticks = {}
        try:
            folders = list(self._proc.iterdir())
        except OSError:  # a system without /proc
            return {}
        for folder in folders:
            if folder.name.isdigit() and is_emulator(program_name(folder), self._qemu):
                used = cpu_ticks(folder)
                if used is not None:
                    ticks[folder.name] = used
        return ticks


def is_emulator(program: str, qemu: str = "") -> bool:
    """Whether a program is QEMU's user emulation, of the architecture with the suffix `qemu` if one is named."""
    if program == BUILDKIT_EMULATOR:
        return True
    name = program.removeprefix("buildkit-").removesuffix("-static")  # as distributions name it
    return name == f"qemu-{qemu}" if qemu else name.startswith("qemu-") and "-system-" not in name


def cpu_ticks(folder: Path) -> int | None:
    """Return a process's CPU time in clock ticks, with that of its ended children; None for one that is gone.

    Fields of proc(5): utime, stime, cutime, cstime.
    """
    try:
        fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
        return sum(map(int, fields[11:15])) if len(fields) >= 15 else None
    except (OSError, ValueError):
        return None


def program_name(folder: Path) -> str:
    """Return the name of a process's program; flag F keeps an emulator open, so its path may be of another root.

    Only root may read the link of another account's process. Every account may read its arguments, of which binfmt_misc
    makes the emulator the first.
    """
    try:
        name = (folder / "exe").readlink().name.removesuffix(" (deleted)")
    except PermissionError:
        name = _first_argument(folder)
    except OSError:
        return ""
    return name.removesuffix("-static")


def _first_argument(folder: Path) -> str:
    try:
        first = (folder / "cmdline").read_bytes().partition(b"\0")[0]
    except OSError:
        return ""
    return first.decode("utf-8", "replace").rpartition("/")[2]
