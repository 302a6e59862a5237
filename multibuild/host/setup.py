"""`setup`: makes builders and emulators ready, and proves by probes that they are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from multibuild.architectures import Architecture
from multibuild.background import run_in_background
from multibuild.engine.engine import BuilderInfo, Engine, EngineInfo, NewBuilder
from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.host.buildkitd_toml import registry_warnings
from multibuild.host.choose_builder import BuilderPlan, default_builder
from multibuild.host.create_builders import AvailableBuilders
from multibuild.host.host import BuilderReport, Host, NodeReport, best_results
from multibuild.host.make_builders import BuilderSetup, look_at_builders, make_builders
from multibuild.host.probe import ProbeResult, probe_platforms, step_limits_fault
from multibuild.host.probe_cache import cache_entry, cached_results, environment_digest
from multibuild.host.register_emulators import plan_registration, register
from multibuild.host.requirements import BuilderRequirements, HostRequirements
from multibuild.host.ssh_nodes import environment_of, own_builder_behind
from multibuild.journal.recorder import Say
from multibuild.plan.host_facts import Node
from multibuild.platforms import Platform, runs_natively
from multibuild.qemu import binfmt
from multibuild.qemu.explain_probe import INSTALL_QEMU_HINT


async def prepare(
    requirements: HostRequirements,
    engine: Engine,
    say: Say,
    *,
    change: bool = True,
    recreate: bool = False,
    previous_facts: Mapping[str, Any] | None = None,
    can_pull: Callable[[str], bool] = lambda _image: False,
) -> Host:
    """Make builders and emulators ready; with `change` False only look (`doctor`, `setup --dry-run`).

    `recreate` allows that a builder which drifted loses its cache. `previous_facts` is facts.json of an earlier setup:
    where nothing that decides what runs has changed since, its probe is not run again. `can_pull(image)` is whether an
    image could be pulled, where nothing is changed. Raises EnvironmentFault when engine or builder cannot be had. A
    platform that does not run is no error here: `require_runnable` makes it one.
    """
    setup = _Setup(
        requirements=requirements,
        engine=engine,
        info=await run_in_background(engine.info),
        say=say,
        change=change,
        recreate=recreate,
        previous_facts=previous_facts or {},
        can_pull=can_pull,
    )
    reports = [await _prepare_builder(builder, setup) for builder in requirements.builders]
    return Host(engine=setup.info, reports=tuple(reports))


@frozen
class _Setup:
    """The parameters of `prepare`, and the engine's facts."""

    requirements: HostRequirements
    engine: Engine
    info: EngineInfo
    say: Say
    change: bool
    recreate: bool
    previous_facts: Mapping[str, Any]
    can_pull: Callable[[str], bool]


async def _prepare_builder(required: BuilderRequirements, setup: _Setup) -> BuilderReport:
    """Choose, create and probe the builders of one `builder:`, each node by itself."""
    plan, available = await asyncio.to_thread(_make_builders, required, setup)
    changes = available.changes
    stand_ins = await asyncio.to_thread(_stand_ins, plan, available, setup)
    builders = stand_ins or available.builders
    for builder in available.builders if not stand_ins else ():
        for warning in _registry_warnings(builder, setup):
            setup.say(warning)
    results = await _probe_each(required, builders, setup)
    if setup.change and any(result.builder_is_gone for probed in results.values() for result in probed):
        plan, available = await asyncio.to_thread(_make_builders, required, setup)
        builders, changes = available.builders, (*changes, *available.changes)
        results = await _probe_each(required, builders, setup)
    planned, registered = await _register_emulators(builders, results, setup)
    nodes = [_report_node(required, plan, builder, results[builder.name], setup) for builder in builders]
    nodes = [
        await _with_limits(node, required, builder, setup)
        for node, builder in zip(nodes, builders, strict=True)
    ]
    return BuilderReport(
        builder=required.builder,
        nodes=tuple(nodes),
        unreachable=available.unreachable,
        changes=(*changes, *registered),
        planned_builders=() if setup.change else plan.planned_changes,
        planned_emulators=planned,
        stand_in=bool(stand_ins),
    )


def _make_builders(required: BuilderRequirements, setup: _Setup) -> tuple[BuilderPlan, AvailableBuilders]:
    """Choose the builders and, if `change`, make them ready."""
    builder_setup = BuilderSetup(
        requirements=setup.requirements,
        engine=setup.engine,
        info=setup.info,
        say=setup.say,
        recreate=setup.recreate,
    )
    if setup.change:
        return make_builders(required, builder_setup)
    return look_at_builders(required, builder_setup, setup.can_pull)


def _stand_ins(plan: BuilderPlan, available: AvailableBuilders, setup: _Setup) -> tuple[BuilderInfo, ...]:
    """Return the engines' own builders where nothing may be changed and none of the plan's builders runs yet.

    They run on the kernel and with the emulators that a container in the same engine will have. None at all if one
    of the builders has no such engine.
    """
    if setup.change or not all(builder.is_down for builder in available.builders):
        return ()
    own = default_builder(plan.existing.values(), setup.info)
    found = [_own_builder_for(new, plan, setup) for new in plan.create]
    found += [own if _is_in_engine(builder, setup.info) else None for builder in plan.start]
    return tuple(builder for builder in found if builder is not None) if all(found) else ()


def _own_builder_for(new: NewBuilder, plan: BuilderPlan, setup: _Setup) -> BuilderInfo | None:
    if new.driver == "docker-container" and new.endpoint is None:
        return default_builder(plan.existing.values(), setup.info)
    return own_builder_behind(new, setup.engine)


async def _probe_each(
    required: BuilderRequirements, builders: Sequence[BuilderInfo], setup: _Setup
) -> dict[str, tuple[ProbeResult, ...]]:
    answers = await asyncio.gather(*(_probe(required, builder, setup) for builder in builders))
    return {builder.name: answer for builder, answer in zip(builders, answers, strict=True)}


async def _probe(
    required: BuilderRequirements, builder: BuilderInfo, setup: _Setup
) -> tuple[ProbeResult, ...]:
    """Probe the builder, or return the previous results where nothing has changed since."""
    if setup.change and setup.previous_facts and _is_on_this_machine(builder, setup.info):
        digest = await asyncio.to_thread(environment_digest, setup.info, builder)
        cached = cached_results(setup.previous_facts, builder.name, digest, required.platforms)
        if cached is not None:
            return cached
    environ = environment_of(builder)
    name = builder.name if environ is None else "default"
    return await probe_platforms(name, required.platforms, (setup.info.buildx_path,), environ)


async def _register_emulators(
    builders: Sequence[BuilderInfo], results: dict[str, tuple[ProbeResult, ...]], setup: _Setup
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Register emulators for platforms that run nowhere and probe again (`results`); return plans and changes."""
    # A builder that started no program has other troubles than emulators.
    best = [result for result in best_results(results.values()) if not result.runs]
    missing = [result.platform for result in best if result.executed]
    name = next((builder.name for builder in builders if _is_in_engine(builder, setup.info)), None)
    source = setup.requirements.emulators
    if name is None or not missing or source == "none":
        return (), ()
    plan = plan_registration(
        source, setup.requirements.emulator_image, _architectures(missing), local=setup.info.local
    )
    if not setup.change:
        return plan.planned_changes, ()
    registered = await asyncio.to_thread(register, plan, setup.engine, setup.say)
    again = await probe_platforms(name, missing, (setup.info.buildx_path,))
    results[name] = tuple({result.platform: result for result in (*results[name], *again)}.values())
    return (), tuple(f"registered {handler}" for handler in registered)


def _report_node(
    required: BuilderRequirements,
    plan: BuilderPlan,
    builder: BuilderInfo,
    results: tuple[ProbeResult, ...],
    setup: _Setup,
) -> NodeReport:
    in_engine = _is_in_engine(builder, setup.info)
    native = setup.info.native if in_engine else _first_platform(builder, setup.info)
    runs = tuple(result.platform for result in results if result.runs)
    handlers = binfmt.read_handlers() if in_engine and setup.info.local else {}
    emulated = [platform for platform in runs if not runs_natively(platform, native)]
    return NodeReport(
        node=Node(
            builder=builder.name,
            driver=builder.driver,
            native=native,
            serves=required.builder,
            profile_platforms=plan.platforms.get(builder.name, ()),
            runs=runs,
            buildkit=builder.nodes[0].version if builder.nodes else "",
            emulators={str(platform): _emulator(platform, handlers) for platform in emulated},
        ),
        probes=results,
        registry_warnings=_registry_warnings(builder, setup),
        cache_entry=_cache_entry(builder, setup, results),
        in_engine=in_engine,
    )


async def _with_limits(
    report: NodeReport, required: BuilderRequirements, builder: BuilderInfo, setup: _Setup
) -> NodeReport:
    """Find out whether a node limits steps, where that is required and it runs anything at all."""
    native = report.node.native
    if not required.limits_steps or not report.node.runs:
        return report
    environ = environment_of(builder)
    name = builder.name if environ is None else "default"
    fault = await step_limits_fault(name, native, (setup.info.buildx_path,), environ)
    return replace(report, limits_fault=fault)


def _registry_warnings(builder: BuilderInfo, setup: _Setup) -> tuple[str, ...]:
    return registry_warnings(builder, setup.info, setup.requirements.registries)


def _cache_entry(builder: BuilderInfo, setup: _Setup, results: Sequence[ProbeResult]) -> Mapping[str, Any]:
    """Return what is cached of a probe; nothing of a machine whose kernel cannot be looked at."""
    if not _is_on_this_machine(builder, setup.info):
        return {}
    previous = (setup.previous_facts.get("probed") or {}).get(builder.name)
    return cache_entry(environment_digest(setup.info, builder), results, previous)


def _is_in_engine(builder: BuilderInfo, info: EngineInfo) -> bool:
    """Whether the builder runs inside the engine we talk to, and not on another machine."""
    if builder.driver == "docker":
        return builder.name == info.context
    own = {info.context, "default", "unix:///var/run/docker.sock", os.environ.get("DOCKER_HOST", "")}
    return builder.driver == "docker-container" and all(node.endpoint in own for node in builder.nodes)


def _is_on_this_machine(builder: BuilderInfo, info: EngineInfo) -> bool:
    return info.local and _is_in_engine(builder, info)


def require_runnable(host: Host, requirements: HostRequirements) -> None:
    """Raise EnvironmentFault (exit 3) naming every required platform whose probe did not run."""
    missing = [probe for probe in host.probes if probe.platform in requirements.required and not probe.runs]
    broken = [probe for probe in missing if probe.builder_is_gone or needs_no_emulator(probe, host)]
    if broken or (missing and not any(probe.executed for probe in missing)):
        raise _broken_builder(host, (*broken, *missing)[0])
    if missing:
        names = ", ".join(str(result.platform) for result in missing)
        builders = ", ".join(node.builder for node in host.facts.nodes)
        silent = f" ({', '.join(host.unreachable)} did not answer)" if host.unreachable else ""
        raise EnvironmentFault(
            f"the builder {builders} cannot run {names}: {missing[0].detail or 'the probe failed'}{silent}",
            hint=_way_out(requirements, missing),
        )


def needs_no_emulator(probe: ProbeResult, host: Host) -> bool:
    """Whether a program is of the very architecture of a node; a related one may need an emulator all the same."""
    return any(probe.platform.architecture == node.native.architecture for node in host.facts.nodes)


def _broken_builder(host: Host, probe: ProbeResult) -> EnvironmentFault:
    """Return the error about builders that did not start the program, or not their own: emulation is not the cause."""
    names = ", ".join(node.builder for node in host.facts.nodes)
    trouble = "is gone" if probe.builder_is_gone else "does not build"
    return EnvironmentFault(
        f"the builder {names} {trouble}: {probe.detail or 'it gave no reason'}",
        hint=f"`docker buildx inspect {host.facts.nodes[0].builder} --bootstrap` shows its state; one that multibuild "
        "made, `multibuild setup` makes again",
    )


def _way_out(requirements: HostRequirements, missing: Sequence[ProbeResult]) -> str:
    if requirements.emulators == "none":
        return "emulators.source is none: register QEMU yourself, or write `emulators: {source: auto}`"
    rows = _architectures([result.platform for result in missing])
    if any(not row.binfmt for row in rows):
        names = ", ".join(row.name for row in rows if not row.binfmt)
        return f"the binfmt image has no emulator for {names}: {INSTALL_QEMU_HINT}"
    return f"{INSTALL_QEMU_HINT}, then `multibuild setup`; `multibuild doctor` says more"


def _emulator(platform: Platform, handlers: Mapping[str, binfmt.Handler]) -> str:
    handler = handlers.get(f"qemu-{platform.row.qemu}")
    return handler.interpreter if handler is not None else "emulated by the builder"


def _first_platform(builder: BuilderInfo, info: EngineInfo) -> Platform:
    """Return a remote builder's own platform: the first that BuildKit lists."""
    platforms = [text for node in builder.nodes for text in node.platforms]
    return Platform.parse(platforms[0]) if platforms else info.native


def _architectures(platforms: Sequence[Platform]) -> tuple[Architecture, ...]:
    return tuple(dict.fromkeys(platform.row for platform in platforms))
