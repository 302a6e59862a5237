"""Looks at everything a run needs and says what is wrong and what mends it. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from multibuild.engine import Engine
from multibuild.errors import MultibuildError
from multibuild.host import binfmt
from multibuild.host.probe import Probed
from multibuild.host.probe_elf import probe
from multibuild.host.setup import Host, Wanted, prepare
from multibuild.platforms import Platform, runs_natively
from multibuild.record.values import as_json

if TYPE_CHECKING:
    from multibuild.config.load import LoadedConfig

SETUP = "`multibuild setup` registers what is missing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One finding."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    hint: str = ""


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
    checks: list[Check] = []
    try:
        wanted = Wanted.by(config, loaded.project)
        host = await prepare(wanted, engine, _silent, change=False)
    except MultibuildError as error:
        checks.append(Check(name="engine", status="fail", detail=error.message, hint=error.hint or ""))
        return Diagnosis(checks=tuple(checks), platforms=(), facts=None)
    facts = host.facts
    checks.append(
        Check(
            name="engine", status="ok", detail=f"Docker {facts.docker_version}, buildx {facts.buildx_version}"
        )
    )
    if not facts.nodes:
        checks.append(
            Check(
                name="builder", status="fail", detail="it is not made yet", hint="`multibuild setup` makes it"
            )
        )
        return Diagnosis(checks=tuple(checks), platforms=(), facts=None)
    node = facts.nodes[0]
    checks.append(
        Check(name="builder", status="ok", detail=f"{node.builder} ({node.driver}), BuildKit {node.buildkit}")
    )
    local = node.driver in {"docker", "docker-container"}
    handlers = binfmt.handlers() if local else {}
    required = set(wanted.required)
    checks += [
        _check(answer, answer.platform in required, handlers, local=local)
        for answer in host.probed
        if not answer.runs
    ]
    checks += _frontends(loaded)
    return Diagnosis(
        checks=tuple(checks),
        platforms=tuple(_finding(answer, host, handlers) for answer in host.probed),
        facts=host.facts_document(config.builder),
    )


def _silent(_text: str) -> None:
    """Nothing is changed, so there is nothing to announce."""


def _check(answer: Probed, required: bool, handlers: Mapping[str, binfmt.Handler], *, local: bool) -> Check:
    """Explain one platform that does not run, by what the host's kernel has for it."""
    detail, hint = answer.detail or "the probe failed", SETUP
    handler = _handler(answer.platform, handlers)
    if local and not binfmt.mounted():
        detail, hint = (
            "binfmt_misc is not mounted",
            f"as root: mount -t binfmt_misc binfmt_misc {binfmt.ROOT}",
        )
    elif local and handler is None:
        detail = f"no emulator is registered ({detail})"
    elif handler is not None and not handler.enabled:
        detail, hint = (
            f"the handler {handler.name} is disabled",
            f"as root: echo 1 > {binfmt.ROOT}/{handler.name}",
        )
    elif handler is not None and not handler.fixed:
        detail = f"the handler {handler.name} lacks flag F, so it does not work in containers"
        hint = f"as root: echo -1 > {binfmt.ROOT}/{handler.name}, then {SETUP}"
    return Check(name=str(answer.platform), status="fail" if required else "warn", detail=detail, hint=hint)


def _handler(platform: Platform, handlers: Mapping[str, binfmt.Handler]) -> binfmt.Handler | None:
    """Find the handler that the kernel takes for the platform's programs; later ones are matched first."""
    program = probe(platform.architecture)
    return next(
        (handler for handler in reversed(list(handlers.values())) if binfmt.serves(handler, program)), None
    )


def _finding(answer: Probed, host: Host, handlers: Mapping[str, binfmt.Handler]) -> PlatformFinding:
    native = runs_natively(answer.platform, host.facts.nodes[0].native)
    handler = None if native else _handler(answer.platform, handlers)
    emulator = None
    if handler is not None:
        emulator = Emulator(
            interpreter=handler.interpreter, flags=handler.flags, version=_version(handler.interpreter)
        )
    return PlatformFinding(platform=str(answer.platform), native=native, runs=answer.runs, emulator=emulator)


def _version(interpreter: str) -> str:
    """Ask the interpreter; one that lives in an image's root cannot be asked."""
    import re
    import subprocess

    try:
        done = subprocess.run(
            [interpreter, "--version"], capture_output=True, text=True, timeout=5, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"version (\S+)", done.stdout)
    return found[1] if found else ""


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
