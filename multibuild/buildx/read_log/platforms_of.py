"""Platforms that BuildKit puts into the names of steps, and whether such a step ran under emulation."""

from __future__ import annotations

import re
from collections.abc import Iterable

from multibuild.errors import UsageError
from multibuild.platforms import Platform, runs_natively

_NAMED = re.compile(
    r"\[(?:[\w.-]{1,100} )?((?:linux|windows|darwin|freebsd)/[\w./]{1,40})(?:->([\w./]{1,40}))?[ \]]"
)
_EMULATOR = re.compile(
    r"/dev/\.buildkit_qemu_emulator\b|\bqemu-[a-z0-9_]{2,12}(?:-static)?: |\bqemu: uncaught target signal"
)
"""BuildKit's own emulator in the command line, and what QEMU prints about itself."""

_USUAL_BUILDER = "linux/amd64"


def platform_of(step: str) -> str:
    """Return the platform that a step ran on (`[linux/arm64 3/5] RUN …`), normalised; empty where its name has none.

    In `linux/amd64->arm64`, a stage of `--platform=$BUILDPLATFORM`, the first is it
    (BuildKit, frontend/dockerfile/dockerfile2llb/convert.go, prefixCommand).
    """
    found = _NAMED.search(step[:400])
    platform = _parsed(found[1]) if found else None
    return str(platform) if platform else ""


def ran_emulated(step: str, texts: Iterable[str], names: Iterable[str]) -> bool | None:
    """Whether a step ran under emulation; None where the log does not say it.

    `texts` are the step's message and lines, `names` those of all steps: a stage that runs on the building machine for
    another platform names the machine's. Without one, a builder of several platforms is an amd64 machine.
    """
    if any(_EMULATOR.search(text) for text in texts):
        return True
    platform = _parsed(platform_of(step))
    if platform is None:
        return None
    builder = next(filter(None, map(_building_machine, names)), _USUAL_BUILDER)
    return not runs_natively(platform, Platform.parse(builder))


def _building_machine(step: str) -> str:
    found = _NAMED.search(step[:400])
    return platform_of(step) if found and found[2] else ""


def _parsed(text: str) -> Platform | None:
    try:
        return Platform.parse(text) if text else None
    except UsageError:
        return None
