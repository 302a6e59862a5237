"""QEMU registered with the kernel, from the descriptions that Debian's qemu-user brings."""

from __future__ import annotations

from pathlib import Path

from builders.lab.paths import Lab, LabError
from builders.lab.process import run, say

BINFMT = Path("/proc/sys/fs/binfmt_misc")
WANTED = ("aarch64", "arm", "mips64el", "mipsel", "ppc64le", "s390x", "riscv64", "loongarch64")


def up(lab: Lab) -> None:
    """Mount binfmt_misc and register what no enabled handler serves yet; what was added is noted for `down`."""
    if not (BINFMT / "status").exists():
        run(["mount", "-t", "binfmt_misc", "none", str(BINFMT)], hint="the kernel needs CONFIG_BINFMT_MISC")
    for name in WANTED:
        entry = BINFMT / f"qemu-{name}"
        if entry.exists():
            if _works(entry):
                continue
            entry.write_text("-1")
        say(f"registering qemu-{name}")
        (BINFMT / "register").write_bytes(registration(lab, name))
        with (lab.home / "emulators").open("a") as notes:
            notes.write(f"qemu-{name}\n")


def registration(lab: Lab, name: str) -> bytes:
    """Give the line to register, with the prefix's interpreter and flag F, so that it works in containers."""
    described = lab.prefix / "usr" / "share" / "qemu" / "binfmt.d" / f"qemu-{name}.conf"
    if not described.exists():
        raise LabError(f"{described} is missing", "`python3 -m builders.lab down --purge`, then up again")
    fields = described.read_text().strip().split(":")
    fields[6] = str(lab.prefix / "usr" / "bin" / f"qemu-{name}")
    fields[7] = "OPF"
    return ":".join(fields).encode()


def _works(entry: Path) -> bool:
    """An enabled handler whose interpreter is still there, or is held open by flag F."""
    text = entry.read_text()
    interpreter = next(
        (line.split(" ", 1)[1] for line in text.splitlines() if line.startswith("interpreter ")), ""
    )
    return text.startswith("enabled") and Path(interpreter).exists()


def down(lab: Lab) -> None:
    """Remove the handlers that `up` added."""
    notes = lab.home / "emulators"
    for name in notes.read_text().splitlines() if notes.exists() else ():
        entry = BINFMT / name
        if entry.exists() and str(lab.prefix) in entry.read_text():
            entry.write_text("-1")
    notes.unlink(missing_ok=True)
