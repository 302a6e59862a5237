"""`setup`: builder and emulators made ready, then proven by the probe. What is ready already is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from multibuild.engine import BuilderInfo, Engine, EngineInfo
from multibuild.errors import EnvironmentFault
from multibuild.host import binfmt, builder
from multibuild.host.emulators import HOST_QEMU, register_by_image, register_from_host
from multibuild.host.facts import HostFacts, Node
from multibuild.host.probe import Probed, probe_platforms
from multibuild.platforms import Architecture, Platform, runs_natively
from multibuild.record.recorder import Say

if TYPE_CHECKING:
    from multibuild.config.models import Config
    from multibuild.config.profiles import Profile

PULL_PATIENCE = 24 * 3600.0
"""Seconds for which a pull that failed is not tried again: behind a firewall each try costs time, every run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a config wants of the host."""

    builder: str
    profile: Profile | None
    platforms: tuple[Platform, ...]
    required: tuple[Platform, ...]
    emulators: Literal["auto", "image", "host", "none"]
    emulator_image: str

    @classmethod
    def by(cls, config: Config, project: Path) -> Wanted:
        """Read it off a config; ConfigError for a broken profile."""
        from multibuild.config.profiles import load_profile

        return cls(
            builder=config.builder,
            profile=load_profile(config.builder, project),
            platforms=tuple(entry.name for entry in config.platforms),
            required=tuple(entry.name for entry in config.platforms if entry.required),
            emulators=config.emulators.source,
            emulator_image=config.emulators.image,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """A host after setup: its facts, what the probes said, and what was changed, in words.

    `local` is whether this machine's kernel runs the builder's programs, so that looking at it explains anything.
    """

    facts: HostFacts
    probed: tuple[Probed, ...]
    changes: tuple[str, ...]
    local: bool = True

    def missing(self, platforms: Sequence[Platform]) -> tuple[Probed, ...]:
        """Give the probes of `platforms` that did not run."""
        return tuple(answer for answer in self.probed if answer.platform in platforms and not answer.runs)

    def facts_document(self, wanted_builder: str) -> dict[str, Any]:
        """Give facts.json: what later plans are made from."""
        return {"for_builder": wanted_builder, **self.facts.as_json()}


async def prepare(wanted: Wanted, engine: Engine, say: Say, *, change: bool = True) -> Host:
    """Make builder and emulators ready; with `change` False only look (`doctor`, `setup --dry-run`).

    Raises EnvironmentFault when engine or builder cannot be had. A platform that does not run is no error here:
    `require_runnable` makes it one.
    """
    info = await asyncio.to_thread(engine.info)
    choice = await asyncio.to_thread(_choose, wanted, engine, info, say, change=change)
    changes = []
    for new in choice.create if change else ():
        say(f"creating the {new.driver} builder {new.name}")
        await asyncio.to_thread(engine.create_builder, new)
        changes.append(f"created the builder {new.name}")
    buildx = (info.buildx_path,)
    known = choice.known
    if changes:
        known = {found.name: found for found in await asyncio.to_thread(engine.builders)}
    names = [name for name in choice.names if name in known]
    probed = await probe_platforms(names[0], wanted.platforms, buildx) if names else ()
    lacking = _rows([answer.platform for answer in probed if not answer.runs])
    if change and lacking and wanted.emulators != "none":
        done = await asyncio.to_thread(_register, wanted, engine, info, lacking, say)
        changes += [f"registered {name}" for name in done]
        again = await probe_platforms(names[0], [a.platform for a in probed if not a.runs], buildx)
        probed = tuple(answer for answer in probed if answer.runs) + again
    facts = HostFacts(
        nodes=tuple(_node(known[name], info, probed) for name in names),
        cpus=info.cpus,
        memory=info.memory,
        buildx=buildx,
        docker_version=info.version,
        buildx_version=info.buildx_version,
    )
    here = info.local and bool(facts.nodes) and facts.nodes[0].driver in {"docker", "docker-container"}
    return Host(facts=facts, probed=probed, changes=tuple(changes), local=here)


def require_runnable(host: Host, wanted: Wanted) -> None:
    """Raise EnvironmentFault (exit 3) naming every required platform whose probe did not run."""
    missing = host.missing(wanted.required)
    if missing:
        names = ", ".join(str(answer.platform) for answer in missing)
        raise EnvironmentFault(
            f"the builder {host.facts.nodes[0].builder} cannot run {names}: {missing[0].detail or 'the probe failed'}",
            hint=_way_out(wanted, missing),
        )


def _way_out(wanted: Wanted, missing: Sequence[Probed]) -> str:
    if wanted.emulators == "none":
        return "emulators.source is none: register QEMU yourself, or write `emulators: {source: auto}`"
    rows = _rows([answer.platform for answer in missing])
    if any(not row.binfmt for row in rows):
        return f"the binfmt image has no emulator for {', '.join(r.name for r in rows if not r.binfmt)}: {HOST_QEMU}"
    return f"{HOST_QEMU}, then `multibuild setup`; `multibuild doctor` says more"


def _choose(wanted: Wanted, engine: Engine, info: EngineInfo, say: Say, *, change: bool) -> builder.Choice:
    def may_pull(image: str) -> bool:
        """Pull at once: only a pull that worked makes the image an answer."""
        if not change or not info.local or _pull_failed_lately(image):
            return False
        say(f"pulling {image}")
        try:
            engine.pull(image)
        except EnvironmentFault as error:
            say(f"{error.message}; going on without")
            _remember_failed_pull(image)
            return False
        return True

    choice = builder.choose(wanted.builder, wanted.profile, engine, info, may_pull=may_pull)
    if change and choice.pull and not engine.has_image(choice.pull):
        say(f"pulling {choice.pull}")
        engine.pull(choice.pull)
    return choice


def _register(
    wanted: Wanted, engine: Engine, info: EngineInfo, rows: Sequence[Architecture], say: Say
) -> tuple[str, ...]:
    """By the source the config names; `auto`: the host's own QEMU where it can be registered, then the image."""
    if wanted.emulators == "host":
        return register_from_host(rows, say)
    if wanted.emulators == "image":
        return register_by_image(engine, wanted.emulator_image, rows, say)
    done: tuple[str, ...] = ()
    if info.local and binfmt.mounted():
        try:
            done = register_from_host(rows, say)
        except EnvironmentFault as error:
            say(error.message)
    left = [row for row in rows if f"qemu-{row.qemu}" not in done]
    try:
        return done + register_by_image(engine, wanted.emulator_image, left, say)
    except EnvironmentFault as error:
        say(error.message)
        return done


def _node(found: BuilderInfo, info: EngineInfo, probed: Sequence[Probed]) -> Node:
    native = info.native if found.driver in {"docker", "docker-container"} else _first_platform(found, info)
    runs = tuple(answer.platform for answer in probed if answer.runs)
    emulated = [platform for platform in runs if not runs_natively(platform, native)]
    local = binfmt.handlers() if info.local and found.driver in {"docker", "docker-container"} else {}
    return Node(
        builder=found.name,
        driver=found.driver,
        native=native,
        runs=runs,
        buildkit=found.nodes[0].version if found.nodes else "",
        emulators={str(platform): _emulator(platform, local) for platform in emulated},
    )


def _emulator(platform: Platform, handlers: Any) -> str:
    handler = handlers.get(f"qemu-{platform.row.qemu}")
    return handler.interpreter if handler is not None else "emulated by the builder"


def _first_platform(found: BuilderInfo, info: EngineInfo) -> Platform:
    """A remote node's own platform is the first BuildKit lists."""
    listed = [text for node in found.nodes for text in node.platforms]
    return Platform.parse(listed[0]) if listed else info.native


def _rows(platforms: Sequence[Platform]) -> tuple[Architecture, ...]:
    return tuple(dict.fromkeys(platform.row for platform in platforms))


def _failure_mark(image: str) -> Path:
    import hashlib
    import os

    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "multibuild" / f"pull-failed-{hashlib.sha256(image.encode()).hexdigest()[:12]}"


def _pull_failed_lately(image: str) -> bool:
    import time

    mark = _failure_mark(image)
    return mark.exists() and time.time() - mark.stat().st_mtime < PULL_PATIENCE


def _remember_failed_pull(image: str) -> None:
    mark = _failure_mark(image)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
