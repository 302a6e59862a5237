"""Whether another CPU than QEMU plays by default makes emulated programs faster: measured, for each architecture.

`QEMU_CPU` in the environment of the emulated program chooses it (linux-user/main.c). A CPU with fewer features than
images of the platform may use is none to recommend, however fast: they dispatch on what they find, or crash.
"""

from __future__ import annotations

import re

from multibuild.frozen import frozen


@frozen
class CpuTrial:
    """A CPU beside QEMU 11.1's default: user and system time over that of the default, medians of three runs.

    `compile` is `gcc -O2`, `interpret` a Python program. On the machine of the measurement the same CPU differed from
    itself by up to 0.2.
    """

    model: str
    compile: float
    interpret: float


@frozen
class FasterCpu:
    """A CPU with every feature of the default that is faster with QEMU releases from `since` up to, without, `before`.

    `slow_down` is how many times as long a Python program took with the default of QEMU 7.2.
    """

    model: str
    since: tuple[int, int]
    before: tuple[int, int]
    slow_down: int
    reason: str


@frozen
class CpuModels:
    """The trials of an architecture, and the CPU to choose for some releases; None where the default is as fast."""

    architecture: str
    trials: tuple[CpuTrial, ...]
    faster: FasterCpu | None = None


CPU_MODELS: tuple[CpuModels, ...] = (
    CpuModels(
        architecture="arm64",
        trials=(
            CpuTrial(model="max,pauth=off", compile=1.05, interpret=0.96),
            CpuTrial(model="cortex-a72", compile=0.95, interpret=0.94),
            CpuTrial(model="neoverse-n1", compile=0.99, interpret=0.84),
        ),
        # The property since 6.0; by default on since 10.0 (hw/core/machine.c, hw_compat_9_2: it was not until then).
        faster=FasterCpu(
            model="max,pauth-impdef=on",
            since=(6, 0),
            before=(10, 0),
            slow_down=4,
            reason="it computes pointer authentication bit by bit",
        ),
    ),
    CpuModels(
        architecture="arm",
        trials=(CpuTrial(model="cortex-a15", compile=1.05, interpret=0.83),),
    ),
    CpuModels(
        architecture="mips64le",
        trials=(
            CpuTrial(model="Loongson-3A4000", compile=0.91, interpret=0.95),
            CpuTrial(model="MIPS64R2-generic", compile=0.92, interpret=1.01),
        ),
    ),
    CpuModels(
        architecture="mipsle",
        trials=(CpuTrial(model="74Kf", compile=1.0, interpret=1.08),),
    ),
    CpuModels(
        architecture="ppc64le",
        trials=(
            CpuTrial(model="power9", compile=0.94, interpret=1.15),
            CpuTrial(model="power8", compile=0.98, interpret=1.22),
        ),
    ),
    # z13 and newer are none to try: QEMU lacks some of their features and refuses them.
    CpuModels(
        architecture="s390x",
        trials=(CpuTrial(model="qemu", compile=0.87, interpret=0.88),),
    ),
    CpuModels(
        architecture="riscv64",
        trials=(
            CpuTrial(model="rv64", compile=0.91, interpret=0.87),
            CpuTrial(model="rva22u64", compile=1.01, interpret=0.91),
        ),
    ),
    CpuModels(
        architecture="loong64",
        trials=(CpuTrial(model="la464", compile=0.94, interpret=1.01),),
    ),
)

_BY_ARCHITECTURE = {row.architecture: row for row in CPU_MODELS}


def has_faster_cpu(architecture: str) -> bool:
    """Whether there is a QEMU release with which another CPU is to be chosen."""
    row = _BY_ARCHITECTURE.get(architecture)
    return row is not None and row.faster is not None


def faster_cpu(architecture: str, version: str) -> FasterCpu | None:
    """Return the CPU to choose with a QEMU `version` like "7.2.19"; None where the default is as fast, or unknown."""
    row = _BY_ARCHITECTURE.get(architecture)
    match = re.match(r"(\d{1,4})\.(\d{1,4})", version)
    if row is None or row.faster is None or match is None:
        return None
    release = int(match[1]), int(match[2])
    return row.faster if row.faster.since <= release < row.faster.before else None
