"""Whether emulators compute: what tells a silent RUN at work from one that hangs (local engines only)."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")


class EmulatorActivity:
    """Looks at the CPU time of all processes of one emulator.

    Platforms that share an emulator (arm/v5, v6, v7) cannot be told apart: while one computes, all count as busy.
    """

    def __init__(self, qemu: str, *, proc: Path = PROC) -> None:
        """`qemu` is the suffix of the binary: "aarch64"."""
        self._names = (f"qemu-{qemu}", f"buildkit-qemu-{qemu}", ".buildkit_qemu_emulator")
        self._proc = proc
        self._ticks: dict[str, int] = self._read()

    def since_last_asked(self) -> bool:
        """Whether any of them used CPU time since the last question, or is new."""
        now = self._read()
        busy = any(ticks > self._ticks.get(pid, -1) for pid, ticks in now.items())
        self._ticks = now
        return busy

    def _read(self) -> dict[str, int]:
        """Give CPU time in clock ticks (proc(5), utime and stime) by pid."""
        found = {}
        for folder in self._proc.iterdir():
            if folder.name.isdigit() and self._is_emulator(folder):
                try:
                    fields = (folder / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                found[folder.name] = int(fields[11]) + int(fields[12])
        return found

    def _is_emulator(self, folder: Path) -> bool:
        """Look at what is executed: flag F keeps the interpreter open, so its name here may be of another root."""
        try:
            name = (folder / "exe").readlink().name.removesuffix(" (deleted)")
        except OSError:
            return False
        return name in self._names or any(name == f"{known}-static" for known in self._names)
