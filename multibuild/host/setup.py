"""`setup`: builder and emulators made ready, then proven by the probe. What is ready already is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
class OtherBuilder:
    """A `builder:` that single platforms name for themselves."""

    builder: str
    profile: Profile | None
    platforms: tuple[Platform, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a config wants of the host."""

    builder: str
    profile: Profile | None
    platforms: tuple[Platform, ...]
    others: tuple[OtherBuilder, ...] = ()
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
            platforms=tuple(
                entry.name for entry in config.platforms if entry.builder in {None, config.builder}
            ),
            others=_others(config, project),
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
    """Make builders and emulators ready; with `change` False only look (`doctor`, `setup --dry-run`).

    Raises EnvironmentFault when engine or builder cannot be had. A platform that does not run is no error here:
    `require_runnable` makes it one.
    """
    info = await asyncio.to_thread(engine.info)
    hosts = [await _prepare_one(wanted, engine, info, say, change=change)]
    for other in wanted.others:
        part = replace(
            wanted, builder=other.builder, profile=other.profile, platforms=other.platforms, others=()
        )
        hosts.append(await _prepare_one(part, engine, info, say, change=change))
    facts = HostFacts(
        nodes=tuple(node for host in hosts for node in host.nodes),
        cpus=info.cpus,
        memory=info.memory,
        buildx=(info.buildx_path,),
        docker_version=info.version,
        buildx_version=info.buildx_version,
    )
    return Host(
        facts=facts,
        probed=tuple(answer for host in hosts for answer in host.probed),
        changes=tuple(change for host in hosts for change in host.changes),
        local=info.local and bool(facts.nodes) and facts.nodes[0].driver in {"docker", "docker-container"},
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Prepared:
    """What came of one `builder:`."""

    nodes: tuple[Node, ...]
    probed: tuple[Probed, ...]
    changes: tuple[str, ...]


async def _prepare_one(
    wanted: Wanted, engine: Engine, info: EngineInfo, say: Say, *, change: bool
) -> _Prepared:
    """Choose, create and probe the builders of one `builder:`; every node answers for itself."""
    choice = await asyncio.to_thread(_choose, wanted, engine, info, say, change=change)
    changes = []
    for new in choice.create if change else ():
        say(f"creating the {new.driver} builder {new.name}")
        await asyncio.to_thread(engine.create_builder, new)
        changes.append(f"created the builder {new.name}")
    known = choice.known
    if changes:
        known = {found.name: found for found in await asyncio.to_thread(engine.builders)}
    names = [name for name in choice.names if name in known]
    answers = {name: await probe_platforms(name, wanted.platforms, (info.buildx_path,)) for name in names}
    lacking = [answer.platform for answer in _best(answers) if not answer.runs]
    if change and names and lacking and wanted.emulators != "none":
        done = await asyncio.to_thread(_register, wanted, engine, info, _rows(lacking), say)
        changes += [f"registered {name}" for name in done]
        again = await probe_platforms(names[0], lacking, (info.buildx_path,))
        answers[names[0]] = tuple(a for a in answers[names[0]] if a.platform not in lacking) + again
    nodes = [replace(_node(known[name], info, answers[name]), serves=wanted.builder) for name in names]
    order = {platform: place for place, platform in enumerate(wanted.platforms)}
    best = sorted(_best(answers), key=lambda answer: order[answer.platform])
    return _Prepared(nodes=tuple(nodes), probed=tuple(best), changes=tuple(changes))


def _best(answers: Mapping[str, Sequence[Probed]]) -> tuple[Probed, ...]:
    """Give one answer per platform: that of a node which runs it, if there is one."""
    found: dict[Platform, Probed] = {}
    for answer in (answer for node in answers.values() for answer in node):
        if answer.platform not in found or answer.runs:
            found[answer.platform] = answer
    return tuple(found.values())


def _others(config: Config, project: Path) -> tuple[OtherBuilder, ...]:
    """Collect the builders that single platforms name."""
    from multibuild.config.profiles import load_profile

    named: dict[str, list[Platform]] = {}
    for entry in config.platforms:
        if entry.builder not in {None, config.builder}:
            named.setdefault(str(entry.builder), []).append(entry.name)
    return tuple(
        OtherBuilder(builder=builder, profile=load_profile(builder, project), platforms=tuple(platforms))
        for builder, platforms in named.items()
    )


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
