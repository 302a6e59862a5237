"""Checks everything a run needs, and changes nothing; each finding names a fault and its remedy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from multibuild.dockerfile.parse import load_text
from multibuild.engine.engine import Engine
from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.host.base_images import base_images, unreachable
from multibuild.host.host import LIMITS_HINT, BuilderReport, Host
from multibuild.host.probe import ProbeResult
from multibuild.host.requirements import HostRequirements
from multibuild.host.setup import needs_no_emulator, prepare
from multibuild.json_types import as_json
from multibuild.platforms import Platform, runs_natively
from multibuild.qemu import binfmt
from multibuild.qemu.explain_probe import (
    SETUP_HINT,
    Check,
    Kernel,
    LocalHost,
    check_cpu_models,
    check_shadowing,
    check_versions,
    explain_failure,
    remote_fix,
)
from multibuild.qemu.local import emulator_versions, runs_locally

if TYPE_CHECKING:
    from multibuild.config.config import Config
    from multibuild.config.load import LoadedConfig


PLANNED_HINT = "`multibuild setup` does this; with --dry-run it only says so"


@frozen
class Emulator:
    """The emulator that runs a platform's programs on a local engine's host."""

    interpreter: str
    flags: str
    version: str


@frozen
class PlatformFinding:
    """The finding about one platform."""

    platform: str
    native: bool
    runs: bool
    emulator: Emulator | None


@frozen
class Diagnosis:
    """All findings; `facts` is facts.json, None without a builder to probe."""

    checks: tuple[Check, ...]
    platforms: tuple[PlatformFinding, ...]
    facts: dict[str, Any] | None

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(check.status != "fail" for check in self.checks)

    def document(self) -> dict[str, Any]:
        """Return the document of `doctor --json`."""
        return {"ok": self.ok, "checks": as_json(self.checks), "platforms": as_json(self.platforms)}


async def diagnose(images: Sequence[LoadedConfig], engine: Engine) -> Diagnosis:
    """Ask the engine, probe each platform on the builder, and explain on this host those that do not run.

    ConfigError for a broken profile; a fault of the machine is a check.
    """
    config = images[0].config
    requirements = HostRequirements.of_images(
        [HostRequirements.from_config(loaded.config, loaded.project) for loaded in images]
    )
    bases = asyncio.create_task(asyncio.to_thread(_distinct_checks, images, _base_images))
    qemu_versions = asyncio.create_task(asyncio.to_thread(emulator_versions, binfmt.read_handlers().values()))
    try:
        host = await prepare(
            requirements,
            engine,
            lambda _text: None,
            change=False,
            can_pull=lambda image: not unreachable((image,), config),
        )
    except EnvironmentFault as error:
        broken = Check(name="engine", status="fail", detail=error.message, hint=error.hint or "")
        return Diagnosis(checks=(broken, *await bases), platforms=(), facts=None)
    checks = _engine_and_builders(host)
    if not host.facts.nodes:
        return Diagnosis(checks=(*checks, *await bases), platforms=(), facts=None)
    kernel, versions = Kernel.read() if host.is_local else None, await qemu_versions
    checks += _failures(host, kernel, requirements) + _limit_checks(host)
    if kernel is not None:
        checks += _emulation_notes(host, kernel, versions, config)
    checks += [*_distinct_checks(images, _frontends), *await bases]
    return Diagnosis(
        checks=tuple(checks),
        platforms=tuple(_finding(result, host, kernel, versions) for result in host.probes),
        facts=None if any(report.stand_in for report in host.reports) else host.facts_document,
    )


def _engine_and_builders(host: Host) -> list[Check]:
    """Check the engine, every builder, what setup would change, and registries without settings in a builder."""
    facts = host.facts
    versions = f"Docker {facts.docker_version}, buildx {facts.buildx_version}"
    checks = [Check(name="engine", status="ok", detail=versions)]
    checks += [check for report in host.reports for check in _builders(report)]
    # A warning only: their platforms may run on another builder.
    for name, silence in host.unreachable.items():
        hint = silence.hint or f"`docker buildx inspect {name} --bootstrap` shows what it says"
        checks.append(_warning("builder", f"{name} does not answer: {silence.reason}", hint))
    if not facts.nodes:
        hint = "`multibuild setup` makes it"
        return [*checks, Check(name="builder", status="fail", detail="it is not made yet", hint=hint)]
    planned = [change for report in host.reports if not report.stand_in for change in report.planned_builders]
    checks += [_warning("setup", change, PLANNED_HINT) for change in planned]
    return checks + [_warning("registry", text) for node in host.nodes for text in node.registry_warnings]


def _builders(report: BuilderReport) -> list[Check]:
    """Return the checks of the builders that answer, or one for those that are still to be made."""
    nodes = [node.node for node in report.nodes]
    details = [f"{node.builder} ({node.driver}), BuildKit {node.buildkit}" for node in nodes]
    if report.stand_in:
        plans, through = "; ".join(report.planned_builders), ", ".join(node.builder for node in nodes)
        details = [f"`all` will {plans}; until then the probes run through {through}"]
    return [Check(name="builder", status="ok", detail=detail) for detail in details]


def _warning(name: str, detail: str, hint: str = "") -> Check:
    return Check(name=name, status="warn", detail=detail, hint=hint)


def _failures(host: Host, kernel: Kernel | None, requirements: HostRequirements) -> list[Check]:
    """Return one check for each platform that does not run: a failure only when the platform is required."""
    machine = LocalHost(path_exists=lambda path: Path(path).exists(), runs=runs_locally)
    node = host.facts.nodes[0]
    checks = []
    for result in host.probes:
        if result.runs:
            continue
        detail, hint = result.detail or "the probe failed", SETUP_HINT
        if not result.executed or needs_no_emulator(result, host):
            hint = f"the builder itself is at fault: `docker buildx inspect --bootstrap {node.builder}`"
        elif kernel is not None and not _is_native(result.platform, host):
            detail, hint = explain_failure(result.platform, result.detail, kernel, machine)
        elif node.driver not in {"docker", "docker-container"}:
            hint = remote_fix(result.platform, requirements.emulator_image)
        status: Literal["warn", "fail"] = "fail" if result.platform in requirements.required else "warn"
        checks.append(Check(name=str(result.platform), status=status, detail=detail, hint=hint))
    return checks


def _limit_checks(host: Host) -> list[Check]:
    """Return a failure for each builder that does not limit steps although platforms have limits."""
    return [
        Check(
            name="limits",
            status="fail",
            detail=f"{node.node.builder} does not limit steps: {node.limits_fault}",
            hint=LIMITS_HINT,
        )
        for node in host.nodes
        if node.limits_fault
    ]


def _emulation_notes(host: Host, kernel: Kernel, versions: Mapping[str, str], config: Config) -> list[Check]:
    """Return notes on the platforms that run through an emulator."""
    emulated = [
        result.platform for result in host.probes if result.runs and not _is_native(result.platform, host)
    ]
    checks = [*check_shadowing(emulated, kernel)]
    by_builder = [platform for platform in emulated if kernel.active_handler(platform) is None]
    if by_builder:
        names = ", ".join(map(str, by_builder))
        checks.append(Check(name="emulators", status="ok", detail=f"the builder brings its own for {names}"))
    if config.emulators.source in {"auto", "image"}:
        checks += check_versions(emulated, kernel, versions, config.emulators.image)
    return [*checks, *check_cpu_models(emulated, kernel, versions)]


def _is_native(platform: Platform, host: Host) -> bool:
    """Whether some node needs no emulator for the platform."""
    return any(runs_natively(platform, node.native) for node in host.facts.nodes)


def _finding(
    result: ProbeResult, host: Host, kernel: Kernel | None, versions: Mapping[str, str]
) -> PlatformFinding:
    native = _is_native(result.platform, host)
    emulator = None
    if not native and kernel is not None and (handler := kernel.active_handler(result.platform)):
        version = versions.get(handler.interpreter, "")
        emulator = Emulator(interpreter=handler.interpreter, flags=handler.flags, version=version)
    return PlatformFinding(platform=str(result.platform), native=native, runs=result.runs, emulator=emulator)


def _distinct_checks(
    images: Sequence[LoadedConfig], check: Callable[[LoadedConfig], Sequence[Check]]
) -> tuple[Check, ...]:
    """Return the checks of all images, each once: images share most of what they are made of."""
    return tuple(dict.fromkeys(found for loaded in images for found in check(loaded)))


def _base_images(loaded: LoadedConfig) -> tuple[Check, ...]:
    """Check that the registries have the base images; a warning only, as the builder may use a mirror."""
    config = loaded.config
    pulled = base_images(_dockerfile(loaded), config.args, config.target)
    images = [image for image in pulled if image not in {**config.contexts, **loaded.dependencies}]
    hint = "the builder needs it, from there or from a mirror of its own"
    if not config.pull:
        hint = "a local copy is enough, as `pull` is false"
    return tuple(
        _warning(f"base {image}", reason, hint) for image, reason in unreachable(images, config).items()
    )


def _dockerfile(loaded: LoadedConfig) -> str:
    """Return the text of the Dockerfile; "" if there is none that can be read."""
    try:
        return load_text(loaded.project / loaded.config.dockerfile)
    except (OSError, ValueError):
        return ""


def _frontends(loaded: LoadedConfig) -> Sequence[Check]:
    """Return warnings about what pulls images of its own, which fails on a site without their registry."""
    checks = []
    directive, equals, value = _dockerfile(loaded).lstrip().partition("\n")[0].partition("=")
    if equals and directive.replace(" ", "").lower() == "#syntax":
        detail = f"the Dockerfile's # syntax= pulls {value.strip()}"
        checks.append(_warning("syntax", detail, "drop the line on a site without that registry"))
    if loaded.config.attestations.sbom:
        hint = "set it to false on a site without that registry"
        checks.append(_warning("sbom", "attestations.sbom pulls a scanner image", hint))
    return checks
