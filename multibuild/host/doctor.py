"""Looks at everything a run needs and says what is wrong and what mends it. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from multibuild.engine.docker import Engine
from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.host.base_images import base_images, unreachable
from multibuild.host.probe import Probed
from multibuild.host.requirements import HostRequirements
from multibuild.host.setup import Host, prepare
from multibuild.json_types import as_json
from multibuild.platforms import Platform, runs_natively
from multibuild.qemu import binfmt
from multibuild.qemu.explain import (
    SETUP_HINT,
    Check,
    Kernel,
    LocalHost,
    check_shadowing,
    check_versions,
    explain_failure,
    remote_fix,
)
from multibuild.qemu.local import emulator_versions, runs_locally

if TYPE_CHECKING:
    from multibuild.config.load import LoadedConfig
    from multibuild.config.models import Config


WOULD = "`multibuild setup` does this; with --dry-run it only says so"


@frozen
class Emulator:
    """What runs a platform's programs on a local engine's host."""

    interpreter: str
    flags: str
    version: str


@frozen
class PlatformFinding:
    """What came of one platform."""

    platform: str
    native: bool
    runs: bool
    emulator: Emulator | None


@frozen
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
    """Ask the engine, then the builder by running a probe of each platform; explain on the host what does not run.

    ConfigError for a broken profile; what is wrong with the machine is a check.
    """
    config = loaded.config
    wanted = HostRequirements.from_config(config, loaded.project)
    bases = asyncio.create_task(asyncio.to_thread(_bases, loaded))
    asked = asyncio.create_task(asyncio.to_thread(emulator_versions, binfmt.read_handlers().values()))
    try:
        host = await prepare(wanted, engine, _silent, change=False)
    except EnvironmentFault as error:
        broken = Check(name="engine", status="fail", detail=error.message, hint=error.hint or "")
        return Diagnosis(checks=(broken, *await bases), platforms=(), facts=None)
    checks = _engine_and_builders(host)
    if not host.facts.nodes:
        return Diagnosis(checks=(*checks, *await bases), platforms=(), facts=None)
    kernel, versions = Kernel.read() if host.local else None, await asked
    checks += _failures(host, kernel, wanted)
    if kernel is not None:
        checks += _oddities(host, kernel, versions, config)
    checks += [*_frontends(loaded), *await bases]
    return Diagnosis(
        checks=tuple(checks),
        platforms=tuple(_finding(answer, host, kernel, versions) for answer in host.probed),
        facts=host.facts_document(config.builder),
    )


def _engine_and_builders(host: Host) -> list[Check]:
    """Name the engine and every node, what setup would mend, and registries that a builder was not told of.

    A dead node is a warning, as its platforms may run on another.
    """
    facts = host.facts
    said = f"Docker {facts.docker_version}, buildx {facts.buildx_version}"
    checks = [Check(name="engine", status="ok", detail=said)]
    for node in facts.nodes:
        said = f"{node.builder} ({node.driver}), BuildKit {node.buildkit}"
        checks.append(Check(name="builder", status="ok", detail=said))
    for name, why in host.dead.items():
        hint = f"`docker buildx inspect {name} --bootstrap` shows what it says"
        checks.append(
            Check(name="builder", status="warn", detail=f"{name} does not answer: {why}", hint=hint)
        )
    if not facts.nodes:
        hint = "`multibuild setup` makes it"
        return [*checks, Check(name="builder", status="fail", detail="it is not made yet", hint=hint)]
    checks += [Check(name="setup", status="warn", detail=word, hint=WOULD) for word in host.would_make]
    return [*checks, *(Check(name="registry", status="warn", detail=text, hint="") for text in host.unknown)]


def _silent(_text: str) -> None:
    """Nothing is changed, so there is nothing to announce."""


def _failures(host: Host, kernel: Kernel | None, wanted: HostRequirements) -> list[Check]:
    """One check for each platform that does not run: at fault only when the run would need it."""
    machine = LocalHost(path_exists=lambda path: Path(path).exists(), runs=runs_locally)
    node = host.facts.nodes[0]
    checks = []
    for answer in host.probed:
        if answer.runs:
            continue
        detail, hint = answer.detail or "the probe failed", SETUP_HINT
        if not answer.executed:
            hint = f"the builder itself is at fault: `docker buildx inspect --bootstrap {node.builder}`"
        elif kernel is not None and not _native(answer.platform, host):
            detail, hint = explain_failure(answer.platform, answer.detail, kernel, machine)
        elif node.driver not in {"docker", "docker-container"}:
            hint = remote_fix(answer.platform, wanted.emulator_image)
        status: Literal["warn", "fail"] = "fail" if answer.platform in wanted.required else "warn"
        checks.append(Check(name=str(answer.platform), status=status, detail=detail, hint=hint))
    return checks


def _oddities(host: Host, kernel: Kernel, versions: Mapping[str, str], config: Config) -> list[Check]:
    """Say what is worth knowing of the platforms that run through an emulator."""
    emulated = [a.platform for a in host.probed if a.runs and not _native(a.platform, host)]
    checks = [*check_shadowing(emulated, kernel)]
    brought = [platform for platform in emulated if kernel.active_handler(platform) is None]
    if brought:
        names = ", ".join(map(str, brought))
        checks.append(Check(name="emulators", status="ok", detail=f"the builder brings its own for {names}"))
    if config.emulators.source in {"auto", "image"}:
        checks += check_versions(emulated, kernel, versions, config.emulators.image)
    return checks


def _native(platform: Platform, host: Host) -> bool:
    """Whether some node needs no emulator for the platform."""
    return any(runs_natively(platform, node.native) for node in host.facts.nodes)


def _finding(
    answer: Probed, host: Host, kernel: Kernel | None, versions: Mapping[str, str]
) -> PlatformFinding:
    native = _native(answer.platform, host)
    handler = None if native or kernel is None else kernel.active_handler(answer.platform)
    emulator = None
    if handler is not None:
        emulator = Emulator(
            interpreter=handler.interpreter,
            flags=handler.flags,
            version=versions.get(handler.interpreter, ""),
        )
    return PlatformFinding(platform=str(answer.platform), native=native, runs=answer.runs, emulator=emulator)


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
