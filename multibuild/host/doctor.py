"""Looks at everything a run needs and says what is wrong and what mends it. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from multibuild.engine import Engine
from multibuild.errors import MultibuildError
from multibuild.host import binfmt
from multibuild.host.bases import base_images, unreachable
from multibuild.host.explain import SETUP, Check, Kernel, explain_failure, shadowed
from multibuild.host.probe import Probed
from multibuild.host.setup import Host, Wanted, prepare
from multibuild.platforms import Platform, runs_natively
from multibuild.record.values import as_json

if TYPE_CHECKING:
    from multibuild.config.load import LoadedConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Emulator:
    """What runs a platform's programs on a local engine's host."""

    interpreter: str
    flags: str
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PlatformFinding:
    """What came of one platform."""

    platform: str
    native: bool
    runs: bool
    emulator: Emulator | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """All findings; `facts` is facts.json, when there was a builder to ask."""

    checks: tuple[Check, ...]
    platforms: tuple[PlatformFinding, ...]
    facts: dict[str, Any] | None

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(check.status != "fail" for check in self.checks)

    def document(self) -> dict[str, Any]:
        """Give `doctor --json` (contract §2)."""
        return {"ok": self.ok, "checks": as_json(self.checks), "platforms": as_json(self.platforms)}


async def diagnose(loaded: LoadedConfig, engine: Engine) -> Diagnosis:
    """Ask the engine, then the builder by running a probe of each platform; explain on the host what does not run."""
    config = loaded.config
    bases = asyncio.create_task(asyncio.to_thread(_bases, loaded))
    asked = asyncio.create_task(asyncio.to_thread(_versions, binfmt.handlers().values()))
    try:
        wanted = Wanted.by(config, loaded.project)
        host = await prepare(wanted, engine, _silent, change=False)
    except MultibuildError as error:
        broken = Check(name="engine", status="fail", detail=error.message, hint=error.hint or "")
        return Diagnosis(checks=(broken, *await bases), platforms=(), facts=None)
    facts = host.facts
    checks = [
        Check(
            name="engine", status="ok", detail=f"Docker {facts.docker_version}, buildx {facts.buildx_version}"
        )
    ]
    if not facts.nodes:
        checks.append(
            Check(
                name="builder", status="fail", detail="it is not made yet", hint="`multibuild setup` makes it"
            )
        )
        return Diagnosis(checks=(*checks, *await bases), platforms=(), facts=None)
    node = facts.nodes[0]
    checks.append(
        Check(name="builder", status="ok", detail=f"{node.builder} ({node.driver}), BuildKit {node.buildkit}")
    )
    kernel = Kernel.read() if host.local else None
    checks += _of_platforms(host, kernel, frozenset(wanted.required))
    checks += [*_frontends(loaded), *await bases]
    versions = await asked
    return Diagnosis(
        checks=tuple(checks),
        platforms=tuple(_finding(answer, host, kernel, versions) for answer in host.probed),
        facts=host.facts_document(config.builder),
    )


def _silent(_text: str) -> None:
    """Nothing is changed, so there is nothing to announce."""


def _of_platforms(host: Host, kernel: Kernel | None, required: frozenset[Platform]) -> list[Check]:
    """One check for each platform that does not run, and what is odd about those that do."""
    checks = []
    for answer in host.probed:
        if answer.runs:
            continue
        detail, hint = answer.detail or "the probe failed", SETUP
        if kernel is not None:
            detail, hint = explain_failure(
                answer.platform, answer.detail, kernel, lambda path: Path(path).exists()
            )
        status: Literal["warn", "fail"] = "fail" if answer.platform in required else "warn"
        checks.append(Check(name=str(answer.platform), status=status, detail=detail, hint=hint))
    if kernel is None:
        return checks
    native = host.facts.nodes[0].native
    emulated = [a.platform for a in host.probed if a.runs and not runs_natively(a.platform, native)]
    brought = [platform for platform in emulated if kernel.taken(platform) is None]
    if brought:
        names = ", ".join(map(str, brought))
        checks.append(Check(name="emulators", status="ok", detail=f"the builder brings its own for {names}"))
    return [*checks, *shadowed(emulated, kernel)]


def _finding(
    answer: Probed, host: Host, kernel: Kernel | None, versions: Mapping[str, str]
) -> PlatformFinding:
    native = runs_natively(answer.platform, host.facts.nodes[0].native)
    handler = None if native or kernel is None else kernel.taken(answer.platform)
    emulator = None
    if handler is not None:
        emulator = Emulator(
            interpreter=handler.interpreter,
            flags=handler.flags,
            version=versions.get(handler.interpreter, ""),
        )
    return PlatformFinding(platform=str(answer.platform), native=native, runs=answer.runs, emulator=emulator)


def _versions(handlers: Iterable[binfmt.Handler]) -> dict[str, str]:
    """Ask each interpreter once, all at the same time."""
    from concurrent.futures import ThreadPoolExecutor

    paths = sorted({handler.interpreter for handler in handlers if handler.name.startswith("qemu-")})
    with ThreadPoolExecutor(max_workers=8) as pool:
        return dict(zip(paths, pool.map(_version, paths), strict=True))


def _version(interpreter: str) -> str:
    """Ask the interpreter; one that lives in an image's root cannot be asked."""
    import re
    import subprocess

    try:
        done = subprocess.run(
            [interpreter, "--version"], capture_output=True, text=True, timeout=1, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"version (\S+)", done.stdout)
    return found[1] if found else ""


def _bases(loaded: LoadedConfig) -> tuple[Check, ...]:
    """Ask the registries of base images. A warning only: the builder may have a mirror that we have not."""
    path = loaded.project / loaded.config.dockerfile
    if not path.is_file():
        return ()
    config = loaded.config
    images = [
        image
        for image in base_images(path.read_text(encoding="utf-8", errors="replace"), config.args)
        if image not in config.contexts
    ]
    hint = "the builder needs it, from there or from a mirror of its own"
    if not config.pull:
        hint = "a local copy is enough, as `pull` is false"
    return tuple(
        Check(name=f"base {image}", status="warn", detail=why, hint=hint)
        for image, why in unreachable(images, config).items()
    )


def _frontends(loaded: LoadedConfig) -> Sequence[Check]:
    """Name what pulls images of its own, which cannot work where nothing can be pulled."""
    config, found = loaded.config, []
    path = loaded.project / config.dockerfile
    first = (
        path.read_text(encoding="utf-8", errors="replace").lstrip().splitlines()[:1] if path.is_file() else []
    )
    if first and first[0].replace(" ", "").lower().startswith("#syntax="):
        image = first[0].partition("=")[2].strip()
        found.append(
            Check(
                name="syntax",
                status="warn",
                detail=f"the Dockerfile's # syntax= pulls {image}",
                hint="drop the line on a site without that registry",
            )
        )
    if config.attestations.sbom:
        found.append(
            Check(
                name="sbom",
                status="warn",
                detail="attestations.sbom pulls a scanner image",
                hint="set it to false on a site without that registry",
            )
        )
    return found
