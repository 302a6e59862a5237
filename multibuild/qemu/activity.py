"""CPU use of emulators: tells a silent RUN that computes from one that hangs (local engines only)."""

from __future__ import annotations

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
        """Return CPU time in clock ticks (proc(5), utime and stime) by pid."""
        ticks = {}
        for folder in self._proc.iterdir():
            if folder.name.isdigit() and self._is_emulator(folder):
                try:
                    fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
                    ticks[folder.name] = int(fields[11]) + int(fields[12])
                except (OSError, ValueError, IndexError):
                    continue
        return ticks

    def _is_emulator(self, folder: Path) -> bool:
        """Whether the process executes the emulator; flag F keeps it open, so its path may be of another root."""
        try:
            name = (folder / "exe").readlink().name.removesuffix(" (deleted)")
        except OSError:
            return False
        return name.removesuffix("-static") in self._names
