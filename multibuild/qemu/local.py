"""Probes executed on this machine without a builder, and the versions of its emulators."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from multibuild.platforms import Platform
from multibuild.qemu.binfmt import ROOT, Handler
from multibuild.qemu.cpu_models import FasterCpu, faster_cpu, has_faster_cpu
from multibuild.qemu.explain_probe import Kernel
from multibuild.qemu.probe_program import PROBE_EXIT_CODE, build_probe

PROBE_TIMEOUT_S = 2.0
"""Seconds for a probe or an emulator's `--version`; each takes milliseconds."""


def runs_locally(platform: Platform) -> bool:
    """Whether the platform's probe runs on this machine, natively or through binfmt."""
    with tempfile.TemporaryDirectory(prefix="multibuild-probe-") as scratch:
        program = Path(scratch) / "probe"
        program.write_bytes(build_probe(platform.architecture, PROBE_EXIT_CODE))
        program.chmod(0o755)
        try:
            result = subprocess.run(
                [program], capture_output=True, timeout=PROBE_TIMEOUT_S, stdin=subprocess.DEVNULL, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
    return result.returncode == PROBE_EXIT_CODE


def faster_cpu_here(
    platform: Platform, root: Path = ROOT, version_of: Callable[[str], str] | None = None
) -> FasterCpu | None:
    """Return the CPU to choose for this machine's emulator of a platform; None where the default is as fast.

    `root` is the binfmt_misc; `version_of` runs an interpreter for its version.
    """
    if not has_faster_cpu(platform.architecture):
        return None
    active = Kernel.read(root).active_handler(platform)
    if active is None:
        return None
    return faster_cpu(platform.architecture, (version_of or emulator_version)(active.interpreter))


def emulator_versions(handlers: Iterable[Handler]) -> dict[str, str]:
    """Return interpreter → version of each QEMU, empty where it cannot be read. They run in parallel."""
    paths = sorted({handler.interpreter for handler in handlers if "qemu" in handler.interpreter})
    with ThreadPoolExecutor(max_workers=8) as pool:
        return dict(zip(paths, pool.map(emulator_version, paths), strict=True))


def emulator_version(interpreter: str) -> str:
    """Return what `--version` prints; empty for an interpreter of an image's root, which flag F keeps open."""
    try:
        result = subprocess.run(
            [interpreter, "--version"],
            capture_output=True,
            timeout=PROBE_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(rb"version (\d[\w.+~-]*)", result.stdout)
    return match[1].decode("ascii") if match else ""
