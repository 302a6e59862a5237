"""A run: load → fingerprint → prepare the host → decide → build → prove → publish. Read this first.

Each stage is a room of its own and knows none of the others; what makes one faster is in its room.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from multibuild.builds.inputs import fingerprinting
from multibuild.builds.reuse import Reusable, find_reusable
from multibuild.builds.stage import build_platforms
from multibuild.config.load import LoadedConfig
from multibuild.host.host import Host
from multibuild.host.requirements import HostRequirements
from multibuild.host.setup import prepare, require_runnable
from multibuild.journal.events import HostReady, RunPlanned
from multibuild.journal.run_context import RunContext
from multibuild.plan.document import plan_document
from multibuild.plan.plan import Plan, make_plan
from multibuild.platforms import Platform
from multibuild.prove.prefetch import child_reader
from multibuild.prove.stage import prove_children
from multibuild.publish.stage import preflight, publish_children
from multibuild.workflow.if_changed import setting_digests

Status = Literal["succeeded", "partial"]


async def run_build(loaded: LoadedConfig, only: Sequence[Platform] | None, context: RunContext) -> Status:
    """Run `build`: every child staged, no tag moved. Raises the MultibuildError of the stage that failed."""
    plan, reusable = await _prepare(loaded, only, context)
    outcome = await build_platforms(plan, reusable, context)
    return _status(plan, len(outcome.children))


async def run_all(loaded: LoadedConfig, only: Sequence[Platform] | None, context: RunContext) -> Status:
    """Run `all`. Raises the MultibuildError of the stage that failed; every tag that had moved was put back then."""
    plan, reusable = await _prepare(loaded, only, context)
    with child_reader(loaded, context.state, context.run, context.recorder) as reader:
        outcome = await build_platforms(plan, reusable, context)
        children = await prove_children(
            outcome.plan, outcome.children, context, reader=reader, failover=outcome.failover
        )
    await publish_children(outcome.plan, children, context, previous_digests=reusable.tags)
    return _status(plan, len(children))


async def _prepare(
    loaded: LoadedConfig, only: Sequence[Platform] | None, context: RunContext
) -> tuple[Plan, Reusable]:
    """Fingerprint the inputs, prepare the host, decide, and look for what need not be built again."""
    async with fingerprinting(loaded, only, context.recorder) as fingerprints:
        host = await prepare_host(loaded, context)
        plan = decide(loaded, host, only, context)
        await preflight(plan, context.recorder)
        return plan, await find_reusable(plan, fingerprints, context)


async def prepare_host(loaded: LoadedConfig, context: RunContext) -> Host:
    """Set up emulators and builder; exit 3 before the first build when a required platform cannot run."""
    requirements = HostRequirements.from_config(loaded.config, loaded.project)
    with context.recorder.stage("setup"):
        host = await prepare(
            requirements, context.engine, context.recorder.say, previous_facts=context.state.load_facts()
        )
        context.state.save_facts(host.facts_document)
        context.recorder.record(HostReady(environment=host.environment))
        require_runnable(host, requirements)
    return host


def decide(loaded: LoadedConfig, host: Host, only: Sequence[Platform] | None, context: RunContext) -> Plan:
    """Make the plan from measured facts, and keep it before anything of it is done."""
    plan = make_plan(loaded, host.facts, only=only)
    context.run.save_plan(plan_document(plan))
    context.recorder.record(
        RunPlanned(
            platforms=tuple(str(planned.platform) for planned in plan.platforms),
            jobs=plan.jobs,
            settings=setting_digests(loaded, plan),
        )
    )
    if context.command == "publish" and plan.omitted:
        omitted = ", ".join(map(str, plan.omitted))
        context.recorder.say(f"the index will not have {omitted}: left out by --platform")
    return plan


def _status(plan: Plan, children: int) -> Status:
    """An optional platform may be missing: not built, or left out because it proved wrong."""
    return "succeeded" if children == len(plan.platforms) else "partial"
