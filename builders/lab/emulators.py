"""QEMU registered with the kernel, from the descriptions in Debian's qemu-user."""

from __future__ import annotations

from pathlib import Path

from builders.lab import mounts, notes
from builders.lab.mounts import BINFMT
from builders.lab.paths import Lab, LabError
from builders.lab.process import say

EMULATORS = ("aarch64", "arm", "mips64el", "mipsel", "ppc64le", "s390x", "riscv64", "loongarch64")


def missing() -> tuple[str, ...]:
    """Return the emulators that no enabled handler serves."""
    return tuple(name for name in EMULATORS if not _served(BINFMT / f"qemu-{name}"))


def up(lab: Lab) -> None:
    """Mount binfmt_misc and register what no enabled handler serves; additions are recorded for `down`."""
    mounts.binfmt(lab)
    absent = missing()
    if absent:
        say(f"registering QEMU for {', '.join(absent)}")
    for name in absent:
        entry = BINFMT / f"qemu-{name}"
        if entry.exists():
            entry.write_text("-1")
        notes.add(lab.home / "emulators", entry.name)
        (BINFMT / "register").write_bytes(registration(lab, name))


def registration(lab: Lab, name: str) -> bytes:
    """Return the registration, with the prefix's interpreter and flag F, so that it works in containers."""
    description = lab.prefix / "usr" / "share" / "qemu" / "binfmt.d" / f"qemu-{name}.conf"
    if not description.exists():
        raise LabError(f"{description} is missing", "`python3 -m builders.lab down --purge`, then up again")
    # :name:type:offset:magic:mask:interpreter:flags (kernel, admin-guide/binfmt-misc.rst)
    fields = description.read_text().strip().split(":")
    fields[6] = str(lab.prefix / "usr" / "bin" / f"qemu-{name}")
    fields[7] = "OPF"
    return ":".join(fields).encode()


def usable(description: str) -> bool:
    """Whether a handler is enabled and works in containers: flag F holds its interpreter open, which is not in them."""
    lines = description.splitlines()
    words = dict(line.split(" ", 1) for line in lines if " " in line)
    return lines[:1] == ["enabled"] and "F" in words.get("flags:", "")


def _served(entry: Path) -> bool:
    return entry.exists() and usable(entry.read_text())


def down(lab: Lab) -> None:
    """Remove the handlers that `up` registered, if they are still the lab's."""
    for name in notes.lines(lab.home / "emulators"):
        entry = BINFMT / name
        if entry.exists() and str(lab.prefix) in entry.read_text():
            entry.write_text("-1")
    (lab.home / "emulators").unlink(missing_ok=True)
