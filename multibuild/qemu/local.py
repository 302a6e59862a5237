"""What this machine itself says: a probe executed without any builder, and its emulators' versions."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from multibuild.platforms import Platform
from multibuild.qemu.binfmt import Handler
from multibuild.qemu.probe_program import EXIT_ALONE, probe

PATIENCE = 2.0
"""Seconds for a probe or an emulator's `--version`; each takes milliseconds."""


def runs_here(platform: Platform) -> bool:
    """Execute the platform's probe on this machine, natively or through binfmt."""
    with tempfile.TemporaryDirectory(prefix="multibuild-probe-") as scratch:
        program = Path(scratch) / "probe"
        program.write_bytes(probe(platform.architecture, EXIT_ALONE))
        program.chmod(0o755)
        try:
            done = subprocess.run(
                [program], capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
    return done.returncode == EXIT_ALONE


def emulator_versions(handlers: Iterable[Handler]) -> dict[str, str]:
    """Ask each QEMU once, all at the same time; interpreter → version, empty for one that cannot be asked."""
    paths = sorted({handler.interpreter for handler in handlers if "qemu" in handler.interpreter})
    with ThreadPoolExecutor(max_workers=8) as pool:
        return dict(zip(paths, pool.map(emulator_version, paths), strict=True))


def emulator_version(interpreter: str) -> str:
    """Ask the interpreter; one that lives in an image's root, held open by flag F, cannot be asked."""
    try:
        done = subprocess.run(
            [interpreter, "--version"],
            capture_output=True,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(rb"version (\d[\w.+~-]*)", done.stdout)
    return found[1].decode("ascii") if found else ""
