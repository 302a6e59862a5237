"""A run: load → fingerprint → prepare the host → decide → build → prove → publish. Read this first.

Each stage is a package of its own and imports none of the others; what makes a stage faster is inside its package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from multibuild.builds.failover import Failover
from multibuild.builds.inputs import PendingFingerprints
from multibuild.builds.resume import find_reusable
from multibuild.builds.stage import build_platforms
from multibuild.config.load import LoadedConfig
from multibuild.host.host import Host
from multibuild.host.make_builders import BuilderRestorer
from multibuild.host.requirements import HostRequirements
from multibuild.host.setup import prepare, require_runnable
from multibuild.journal.events import HostReady, RunPlanned
from multibuild.journal.run_context import RunContext
from multibuild.plan.plan import Plan, make_plan
from multibuild.plan.plan_document import plan_document
from multibuild.platforms import Platform
from multibuild.prove.prefetch import child_reader
from multibuild.prove.stage import prove_children
from multibuild.publish.stage import preflight, publish_children
from multibuild.workflow.if_changed import setting_digests

Status = Literal["succeeded", "partial"]


async def run_stages(loaded: LoadedConfig, only: Sequence[Platform] | None, context: RunContext) -> Status:
    """Run the stages of `all`, or those of `build`, which proves nothing and moves no tag.

    Raises the MultibuildError of the stage that failed; every tag that had moved was rolled back then.
    """
    async with PendingFingerprints(loaded, only, context.recorder) as fingerprints:
        host = await prepare_host(loaded, context)
        plan = decide(loaded, host, only, context)
        await preflight(plan, context.recorder)
        reusable = await find_reusable(plan, fingerprints, context)
    failover = failover_of(plan, loaded, context)
    if context.command == "build":
        outcome = await build_platforms(plan, reusable, context, failover=failover)
        return _status(plan, outcome.children)
    with child_reader(loaded, context.state, context.run, context.recorder) as reader:
        outcome = await build_platforms(plan, reusable, context, failover=failover)
        # A failover of its own: a node that did not answer during the builds may be back.
        failover = failover_of(outcome.plan, loaded, context)
        children = await prove_children(
            outcome.plan, outcome.children, context, reader=reader, failover=failover
        )
    await publish_children(outcome.plan, children, context, previous_digests=reusable.tags)
    return _status(plan, children)


async def prepare_host(loaded: LoadedConfig, context: RunContext) -> Host:
    """Set up builders and emulators; EnvironmentFault before the first build if a required platform cannot run."""
    requirements = HostRequirements.from_config(loaded.config, loaded.project)
    with context.recorder.stage("setup"):
        host = await prepare(
            requirements, context.engine, context.recorder.say, previous_facts=context.state.load_facts()
        )
        context.state.save_facts(host.facts_document)
        context.recorder.record(HostReady(environment=host.environment))
        require_runnable(host, requirements)
    return host


def failover_of(plan: Plan, loaded: LoadedConfig, context: RunContext) -> Failover:
    """Return the failover of a plan's nodes: a builder of ours that is lost is made again as `setup` makes it."""
    requirements = HostRequirements.from_config(loaded.config, loaded.project)
    say = context.recorder.say
    return Failover.of(plan, say, BuilderRestorer(requirements, context.engine, say))


def decide(loaded: LoadedConfig, host: Host, only: Sequence[Platform] | None, context: RunContext) -> Plan:
    """Make the plan from measured facts, and save it before it is carried out."""
    plan = make_plan(loaded, host.facts, only=only)
    context.run.save_plan(plan_document(plan))
    context.recorder.record(
        RunPlanned(
            platforms=tuple(map(str, plan.specs)),
            jobs=plan.jobs,
            settings=setting_digests(loaded, plan),
        )
    )
    if context.command == "publish" and plan.omitted:
        omitted = ", ".join(map(str, plan.omitted))
        context.recorder.say(f"the index will not have {omitted}: left out by --platform")
    return plan


def _status(plan: Plan, children: Sequence[object]) -> Status:
    """Return "partial" when optional platforms are missing: not built, or left out because a proof failed."""
    return "succeeded" if len(children) == len(plan.platforms) else "partial"
