"""`setup`: builder and emulators made ready, then proven by the probe. What is ready already is left alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from multibuild.engine.docker import BuilderInfo, Engine, EngineInfo
from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.host.buildkitd import unknown_registries
from multibuild.host.choose_builder import Choice, Terms, choose
from multibuild.host.create_builders import WITHOUT_BUILDKIT_IMAGE, CreatedBuilders, provide
from multibuild.host.own_builders import OwnBuilders
from multibuild.host.probe import Probed, probe_platforms
from multibuild.host.probe_cache import mark_of, remembered, to_remember
from multibuild.host.pull_images import fetch_if_worth_it
from multibuild.host.register_emulators import register, would_register
from multibuild.host.requirements import HostRequirements
from multibuild.journal.recorder import Say
from multibuild.plan.host_facts import HostFacts, Node
from multibuild.platforms import Architecture, Platform, runs_natively
from multibuild.qemu import binfmt
from multibuild.qemu.explain import INSTALL_QEMU_HINT


@frozen
class Host:
    """A host after setup: its facts, what the probes said, and what was changed, in words.

    `would_make` and `would_register` are what was left to do when nothing was to be changed. `dead` are nodes that
    do not answer, and why.
    `unknown` says of registries that a builder was not told of them. `probes` is what later setups may remember.
    `local` is whether this machine's kernel runs the builder's programs, so that looking at it explains anything.
    """

    facts: HostFacts
    probed: tuple[Probed, ...]
    changes: tuple[str, ...]
    would_make: tuple[str, ...] = ()
    would_register: tuple[str, ...] = ()
    dead: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    probes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    local: bool = True

    def missing(self, platforms: Sequence[Platform]) -> tuple[Probed, ...]:
        """Give the probes of `platforms` that did not run."""
        return tuple(answer for answer in self.probed if answer.platform in platforms and not answer.runs)

    def facts_document(self, wanted_builder: str) -> dict[str, Any]:
        """Give facts.json: what later plans are made from."""
        return {"for_builder": wanted_builder, "probed": dict(self.probes), **self.facts.as_json()}


async def prepare(
    wanted: HostRequirements,
    engine: Engine,
    say: Say,
    *,
    change: bool = True,
    recreate: bool = False,
    before: Mapping[str, Any] | None = None,
) -> Host:
    """Make builders and emulators ready; with `change` False only look (`doctor`, `setup --dry-run`).

    `recreate` allows that a builder which drifted loses its cache. `before` is facts.json of an earlier setup: where
    nothing that decides what runs has changed since, its probe is not run again. Raises EnvironmentFault when engine
    or builder cannot be had. A platform that does not run is no error here: `require_runnable` makes it one.
    """
    info = await asyncio.to_thread(engine.info)
    way = _Way(engine=engine, info=info, say=say, change=change, recreate=recreate, before=before)
    hosts = [await _prepare_one(wanted, way)]
    for other in wanted.others:
        part = replace(
            wanted, builder=other.builder, profile=other.profile, platforms=other.platforms, others=()
        )
        hosts.append(await _prepare_one(part, way))
    facts = HostFacts(
        nodes=tuple(node for host in hosts for node in host.nodes),
        cpus=info.cpus,
        memory=info.memory,
        buildx=(info.buildx_path,),
        docker_version=info.version,
        buildx_version=info.buildx_version,
        here=info.local and all(host.local and len(host.nodes) == 1 for host in hosts),
    )
    return Host(
        facts=facts,
        probed=tuple(answer for host in hosts for answer in host.probed),
        changes=tuple(change for host in hosts for change in host.changes),
        would_make=tuple(word for host in hosts for word in host.would_make),
        would_register=tuple(word for host in hosts for word in host.would_register),
        dead={name: why for host in hosts for name, why in host.dead.items()},
        unknown=tuple(trouble for host in hosts for trouble in host.unknown),
        probes={name: kept for host in hosts for name, kept in host.probes.items()},
        local=info.local and hosts[0].local,
    )


@frozen
class _Way:
    """How a host is prepared: the parameters of `prepare`."""

    engine: Engine
    info: EngineInfo
    say: Say
    change: bool
    recreate: bool
    before: Mapping[str, Any] | None


@frozen
class _Prepared:
    """What came of one `builder:`."""

    nodes: tuple[Node, ...]
    probed: tuple[Probed, ...]
    changes: tuple[str, ...]
    would_make: tuple[str, ...]
    would_register: tuple[str, ...]
    dead: Mapping[str, str]
    unknown: tuple[str, ...]
    probes: Mapping[str, Mapping[str, Any]]
    local: bool


async def _prepare_one(wanted: HostRequirements, way: _Way) -> _Prepared:
    """Choose, provide and probe the builders of one `builder:`; every node answers for itself."""
    choice, provided = await asyncio.to_thread(_provide, wanted, way)
    known = provided.known
    names = [name for name in choice.names if name in known and name not in provided.dead]
    answers = dict(
        zip(
            names,
            await asyncio.gather(*(_probe(wanted, known[name], way) for name in names)),
            strict=True,
        )
    )
    changes = provided.changes
    registering: tuple[str, ...] = ()
    unknown = tuple(
        trouble for name in names for trouble in unknown_registries(known[name], way.info, wanted.registries)
    )
    for trouble in unknown:
        way.say(trouble)
    lacking = [answer.platform for answer in _best(answers) if not answer.runs]
    ours = [name for name in names if _is_engines(known[name], way.info)]
    if ours and lacking and wanted.emulators != "none":
        here = {"local": way.info.local}
        if not way.change:
            registering = would_register(wanted.emulators, wanted.emulator_image, _rows(lacking), **here)
        else:
            done = await asyncio.to_thread(
                register, wanted.emulators, wanted.emulator_image, _rows(lacking), way.engine, way.say, **here
            )
            changes += tuple(f"registered {name}" for name in done)
            again = await probe_platforms(ours[0], lacking, (way.info.buildx_path,))
            kept = tuple(a for a in answers[ours[0]] if a.platform not in lacking)
            answers[ours[0]] = kept + again
    order = {platform: place for place, platform in enumerate(wanted.platforms)}
    return _Prepared(
        nodes=tuple(
            replace(_node(known[name], way.info, answers[name]), **_role(wanted, choice, name))
            for name in names
        ),
        probed=tuple(sorted(_best(answers), key=lambda answer: order[answer.platform])),
        changes=changes,
        would_make=provided.would,
        would_register=registering,
        dead=provided.dead,
        unknown=unknown,
        probes={name: _kept(known[name], way, answers[name]) for name in names},
        local=bool(names) and _is_engines(known[names[0]], way.info),
    )


def _role(wanted: HostRequirements, choice: Choice, name: str) -> dict[str, Any]:
    return {"serves": wanted.builder, "meant": choice.meant.get(name, ())}


def _provide(wanted: HostRequirements, way: _Way) -> tuple[Choice, CreatedBuilders]:
    """Choose the builders and make them."""

    def may_pull(image: str) -> bool:
        """Pull at once: only a pull that worked makes the image an answer."""
        return (
            way.change
            and way.info.local
            and fetch_if_worth_it(way.engine, image, way.say, without=WITHOUT_BUILDKIT_IMAGE)
        )

    made = OwnBuilders.of(os.environ)
    terms = Terms(made=made, registries=wanted.registries, may_pull=may_pull)
    choice = choose(wanted.builder, wanted.profile, way.engine, way.info, terms)
    provided = provide(choice, way.engine, terms, way.say, change=way.change, recreate=way.recreate)
    return choice, provided


async def _probe(wanted: HostRequirements, found: BuilderInfo, way: _Way) -> tuple[Probed, ...]:
    """Ask the builder, or take what it answered before where nothing has changed since."""
    if way.change and way.before is not None and _is_engines(found, way.info) and way.info.local:
        mark = await asyncio.to_thread(mark_of, way.info, found)
        known = remembered(way.before, found.name, mark, wanted.platforms)
        if known is not None:
            return known
    return await probe_platforms(found.name, wanted.platforms, (way.info.buildx_path,))


def _kept(found: BuilderInfo, way: _Way, answers: Sequence[Probed]) -> Mapping[str, Any]:
    """Give what is remembered of a probe; nothing of a machine whose kernel cannot be looked at."""
    if not (_is_engines(found, way.info) and way.info.local):
        return {}
    before = ((way.before or {}).get("probed") or {}).get(found.name)
    return to_remember(mark_of(way.info, found), answers, before)


def _is_engines(found: BuilderInfo, info: EngineInfo) -> bool:
    """Whether the builder runs inside the engine we talk to, and not on another machine."""
    if found.driver == "docker":
        return found.name == info.context
    own = {info.context, "default", "unix:///var/run/docker.sock", os.environ.get("DOCKER_HOST", "")}
    return found.driver == "docker-container" and all(node.endpoint in own for node in found.nodes)


def _best(answers: Mapping[str, Sequence[Probed]]) -> tuple[Probed, ...]:
    """Give one answer per platform: that of a node which runs it, if there is one."""
    found: dict[Platform, Probed] = {}
    for answer in (answer for node in answers.values() for answer in node):
        if answer.platform not in found or answer.runs:
            found[answer.platform] = answer
    return tuple(found.values())


def require_runnable(host: Host, wanted: HostRequirements) -> None:
    """Raise EnvironmentFault (exit 3) naming every required platform whose probe did not run."""
    missing = host.missing(wanted.required)
    if missing:
        names = ", ".join(str(answer.platform) for answer in missing)
        builders = ", ".join(node.builder for node in host.facts.nodes)
        gone = f" ({', '.join(host.dead)} did not answer)" if host.dead else ""
        raise EnvironmentFault(
            f"the builder {builders} cannot run {names}: {missing[0].detail or 'the probe failed'}{gone}",
            hint=_way_out(wanted, missing),
        )


def _way_out(wanted: HostRequirements, missing: Sequence[Probed]) -> str:
    if wanted.emulators == "none":
        return "emulators.source is none: register QEMU yourself, or write `emulators: {source: auto}`"
    rows = _rows([answer.platform for answer in missing])
    if any(not row.binfmt for row in rows):
        names = ", ".join(row.name for row in rows if not row.binfmt)
        return f"the binfmt image has no emulator for {names}: {INSTALL_QEMU_HINT}"
    return f"{INSTALL_QEMU_HINT}, then `multibuild setup`; `multibuild doctor` says more"


def _node(found: BuilderInfo, info: EngineInfo, probed: Sequence[Probed]) -> Node:
    native = info.native if _is_engines(found, info) else _first_platform(found, info)
    runs = tuple(answer.platform for answer in probed if answer.runs)
    emulated = [platform for platform in runs if not runs_natively(platform, native)]
    local = binfmt.read_handlers() if info.local and _is_engines(found, info) else {}
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
