"""`merge` without arguments: what the last run built, proved where it was not yet, and published."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from multibuild.builds.failover import Failover
from multibuild.builds.result import BuildResult, staged_children
from multibuild.builds.reuse import unfinished
from multibuild.config.load import LoadedConfig
from multibuild.errors import PublishFailed, UsageError
from multibuild.journal.events import ContentEnded, PlatformEnded, SmokeTestEnded
from multibuild.journal.last_run import LastRun, RecordedChild, last_run
from multibuild.journal.local_children import adopt, is_local_child, remove_stale
from multibuild.journal.recorder import Recorder
from multibuild.journal.run_context import RunContext
from multibuild.journal.runs import State
from multibuild.json_types import as_json
from multibuild.oci.manifest import Manifest
from multibuild.plan.children import PlatformChild
from multibuild.plan.document import plan_document
from multibuild.plan.host_facts import recorded_facts
from multibuild.plan.plan import Plan, PlannedPlatform, make_plan
from multibuild.platforms import Platform
from multibuild.prove.prefetch import child_reader
from multibuild.prove.stage import prove_children, read_children
from multibuild.publish.stage import compose_children, preflight, publish_children
from multibuild.workflow.run import prepare_host


async def merge_last_run(loaded: LoadedConfig, only: Sequence[Platform] | None, context: RunContext) -> str:
    """Compose and publish the children of the last run; gives "succeeded" or "partial".

    What that run did not prove is proved now, as `all` does. Raises PublishFailed for a required platform without a
    child, TestFailed or VerificationFailed for one that does not hold; no tag has moved then.
    """
    last = _last(context.state, context.run.id)
    plan = make_plan(loaded, recorded_facts(context.state.load_facts(), loaded.config.builder), only=only)
    results = _taken_over(plan, last)
    results = await asyncio.to_thread(_kept, results, last, context)
    _record(results, context)
    proven = [result for result in results if result.built and _is_proven(plan, last, result)]
    unproven = [result for result in results if result.built and result not in proven]
    if any(
        planned.test
        for planned in plan.platforms
        if planned.platform in {result.platform for result in unproven}
    ):
        plan = make_plan(loaded, (await prepare_host(loaded, context)).facts, only=only)
    context.run.save_plan(plan_document(plan))
    await preflight(plan, context.recorder)
    with child_reader(loaded, context.state, context.run, context.recorder) as reader:
        children = {
            child.planned.platform: child
            for child in await read_children(plan, staged_children(proven), context.recorder, reader=reader)
        }
        _repeat_proofs(children, last, context)
        if unproven:
            proved = await prove_children(
                plan,
                staged_children(unproven),
                context,
                reader=reader,
                failover=Failover.of(plan, context.recorder.say),
            )
            children |= {child.planned.platform: child for child in proved}
    ordered = [children[planned.platform] for planned in plan.platforms if planned.platform in children]
    previous = unfinished(context.state, context.run)
    await publish_children(plan, ordered, context, held_before=previous.tags)
    return "succeeded" if len(ordered) == len(plan.platforms) else "partial"


async def preview_last_run(
    loaded: LoadedConfig, only: Sequence[Platform] | None, state: State, recorder: Recorder
) -> Manifest:
    """Compose what `merge_last_run` would push, proving nothing and changing nothing."""
    plan = make_plan(loaded, recorded_facts(state.load_facts(), loaded.config.builder), only=only)
    last = _last(state, "")
    results = [result for result in _taken_over(plan, last) if result.built]
    with child_reader(loaded, state, state.find(last.run), recorder) as reader:
        return compose_children(
            plan, await read_children(plan, staged_children(results), recorder, reader=reader)
        )


def _last(state: State, own: str) -> LastRun:
    last = last_run(run for run in state.runs() if run.id != own)
    if last is None:
        raise UsageError(
            f"there is no run in {state.path} to merge",
            hint="`multibuild build` first, or name images: `multibuild merge TARGET SOURCE...`",
        )
    return last


def _taken_over(plan: Plan, last: LastRun) -> tuple[BuildResult, ...]:
    """Give the last run's children as results; PublishFailed naming the required platforms it lacks."""
    missing = [i.platform for i in plan.platforms if i.required and str(i.platform) not in last.children]
    if missing:
        raise PublishFailed(
            f"run {last.run} has no child for {', '.join(map(str, missing))}; no tag was moved",
            hint="`multibuild build` makes them, or leave them out with --platform",
        )
    return tuple(_result(planned, last.children.get(str(planned.platform))) for planned in plan.platforms)


def _kept(results: Sequence[BuildResult], last: LastRun, context: RunContext) -> tuple[BuildResult, ...]:
    """Make children that no registry holds this run's own.

    An optional one that no run has (any more, or because it was carried) is one that was not built. Raises
    PublishFailed for a required one.
    """
    runs = context.state.runs()
    kept = []
    for result in results:
        there = not (result.built and is_local_child(result.repository)) or adopt(
            result.repository, result.digest, runs, context.run
        )
        if not there and result.required:
            raise PublishFailed(
                f"{result.platform}: the child of run {last.run} is not there any more; no tag was moved",
                hint="`multibuild build` makes it again",
            )
        kept.append(result if there else replace(result, status="failed", digest=""))
    remove_stale(runs, context.run)
    return tuple(kept)


def _record(results: Sequence[BuildResult], context: RunContext) -> None:
    for result in results:
        context.recorder.record(
            PlatformEnded(
                platform=str(result.platform),
                status=result.status,
                digest=result.digest or None,
                repository=result.repository,
            )
        )


def _result(planned: PlannedPlatform, child: RecordedChild | None) -> BuildResult:
    return BuildResult(
        platform=planned.platform,
        required=planned.required,
        status="reused" if child is not None else "failed",
        repository=child.repository if child is not None else "",
        digest=child.digest if child is not None else "",
    )


def _is_proven(plan: Plan, last: LastRun, result: BuildResult) -> bool:
    """Whether the last run recorded that this child passed all that the config asks for now."""
    child = last.children[str(result.platform)]
    planned = next(planned for planned in plan.platforms if planned.platform == result.platform)
    asked: Mapping[str, Any] = next(
        (row for row in last.plan["platforms"] if row["platform"] == str(result.platform)), {}
    )
    verify = plan.verify
    same_test = asked.get("test") == as_json(planned.test)
    same_look = (last.plan.get("verify"), last.plan.get("verify_ignore")) == (
        verify.content,
        list(verify.ignore),
    )
    return (planned.test is None or (same_test and child.test == "passed")) and (
        verify.content == "off" or (same_look and child.content == "passed")
    )


def _repeat_proofs(children: dict[Platform, PlatformChild], last: LastRun, context: RunContext) -> None:
    """Write the proofs that were taken over into this run's journal: a later merge finds them there."""
    record = context.recorder.record
    for platform in map(str, children):
        recorded = last.children[platform]
        if recorded.test:
            record(SmokeTestEnded(platform=platform, status=recorded.test))
        if recorded.content:
            record(ContentEnded(platform=platform, status=recorded.content, checked=recorded.checked))
