"""Look whether the programs of gates can be started, before hours of builds."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.journal.recorder import Say
from multibuild.platforms import Platform
from multibuild.prove.gates.program import HINTS
from multibuild.qemu.explain_probe import Check

if TYPE_CHECKING:
    from multibuild.config.gates.gate import Gate
    from multibuild.config.load import LoadedConfig


@frozen
class MissingProgram:
    """A program of a gate that cannot be started here, and what to do about it."""

    gate: str
    required: bool
    reason: str
    hint: str


def require_gate_programs(images: Sequence[LoadedConfig], only: Sequence[Platform] | None, say: Say) -> None:
    """Raise EnvironmentFault for a program of a required gate that cannot be started; of others it is said."""
    missing = tuple(_missing(images, only))
    for one in missing:
        if not one.required:
            say(f"the gate {one.gate} will not run: {one.reason}")
    if required := [one for one in missing if one.required]:
        reasons = "; ".join(f"the gate {one.gate} cannot run: {one.reason}" for one in required)
        raise EnvironmentFault(f"{reasons}; no tag was moved", hint=required[0].hint)


def gate_checks(images: Sequence[LoadedConfig]) -> tuple[Check, ...]:
    """Return checks for `doctor`: one for each program that is missing; a failure where the gate is required."""
    return tuple(
        Check(
            name=f"gate {one.gate}",
            status="fail" if one.required else "warn",
            detail=one.reason,
            hint=one.hint,
        )
        for one in _missing(images, None)
    )


def _missing(images: Sequence[LoadedConfig], only: Sequence[Platform] | None) -> Iterator[MissingProgram]:
    """Yield each missing program once: images share gates."""
    return iter(dict.fromkeys(one for loaded in images for one in missing_programs(loaded, only, os.environ)))


def missing_programs(
    loaded: LoadedConfig, only: Sequence[Platform] | None, environ: Mapping[str, str]
) -> Iterator[MissingProgram]:
    """Yield the programs that are not there or may not be executed; those of no platform that is built are not sought.

    A path is relative to the project. Whether the kernel can execute a file shows when it does.
    """
    config = loaded.config
    platforms = [entry.name for entry in config.platforms if only is None or entry.name in only]
    for gate in config.gates:
        for program in _programs(gate, platforms, config.image):
            code = _fault(program, loaded.project, environ)
            if code:
                yield MissingProgram(
                    gate=gate.name,
                    required=gate.required,
                    reason=f"{program}: {os.strerror(code)}",
                    hint=HINTS[code],
                )


def _programs(gate: Gate, platforms: Sequence[Platform], image: str) -> dict[str, None]:
    """Return the programs of a gate; the name may have the platform in it."""
    if gate.run is None:
        return {}
    checked = [platform for platform in platforms if gate.applies_to(platform)]
    values = ({"ref": "{ref}", "platform": str(one), "image": image, "slug": one.slug} for one in checked)
    return dict.fromkeys(gate.command(one)[0] for one in values)


def _fault(program: str, project: Path, environ: Mapping[str, str]) -> int:
    """Return the error number that starting a program would end with, 0 without one; as execvp(3) looks for it."""
    if "/" not in program:
        return 0 if shutil.which(program, path=environ.get("PATH", os.defpath)) else errno.ENOENT
    path = project / program
    if not path.is_file():
        return errno.ENOENT if not path.exists() else errno.EACCES
    return 0 if os.access(path, os.X_OK) else errno.EACCES
