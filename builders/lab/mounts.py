"""Kernel file systems that the lab needs; those it mounts are recorded, and unmounted by `down`."""

from __future__ import annotations

from pathlib import Path

from builders.lab import notes
from builders.lab.paths import Lab
from builders.lab.process import run, succeeds

BINFMT = Path("/proc/sys/fs/binfmt_misc")
CGROUPS = Path("/sys/fs/cgroup")


def binfmt(lab: Lab) -> None:
    """Mount binfmt_misc unless it is mounted."""
    if not (BINFMT / "status").exists():
        _mount(lab, "binfmt_misc", BINFMT, hint="the kernel needs CONFIG_BINFMT_MISC")


def cgroups(lab: Lab) -> None:
    """Mount control groups unless some are mounted."""
    if not CGROUPS.is_dir() or not any(CGROUPS.iterdir()):
        _mount(lab, "cgroup2", CGROUPS, hint="dockerd needs control groups")


def memory(place: Path, size: str) -> None:
    """Mount a disk of a given size in memory, for tests of a full disk."""
    place.mkdir(parents=True, exist_ok=True)
    run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)], hint="a size like 200m")


def _mount(lab: Lab, kind: str, place: Path, *, hint: str) -> None:
    notes.add(lab.home / "mounts", str(place))
    run(["mount", "-t", kind, "none", str(place)], hint=hint)


def undo(lab: Lab) -> None:
    """Unmount what the lab mounted; what other processes use stays."""
    for place in notes.lines(lab.home / "mounts"):
        succeeds(["umount", place])
    (lab.home / "mounts").unlink(missing_ok=True)


def unmount_at(*roots: Path) -> None:
    """Unmount what a killed daemon left at and below its own directories, innermost first."""
    for place in reversed(below(*roots)):
        succeeds(["umount", "-l", place])


def below(*roots: Path) -> list[str]:
    """Return the mount points at and below directories, outermost first."""
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [place for place in points if any(Path(place).is_relative_to(root) for root in roots)]
