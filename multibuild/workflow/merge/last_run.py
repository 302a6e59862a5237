"""`merge` without arguments: prove what the last run built and did not prove, run its gates, then publish it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from multibuild.background import run_in_background, task_group
from multibuild.builds.result import BuildResult, staged_children
from multibuild.builds.resume import read_unfinished_runs
from multibuild.buildx.slots import Slots
from multibuild.config.load import LoadedConfig
from multibuild.config.project import LoadedProject
from multibuild.errors import NO_TAG_MOVED, PublishFailed, UsageError
from multibuild.frozen import frozen
from multibuild.journal.events import ContentEnded, PlatformEnded, PlatformInputs, SmokeTestEnded
from multibuild.journal.last_run import LastRun, RecordedChild, last_run
from multibuild.journal.local_children import adopt, is_local_child, remove_stale
from multibuild.journal.recorder import Recorder
from multibuild.journal.run_context import RunContext
from multibuild.journal.runs import RunDirectory, State
from multibuild.json_types import as_json
from multibuild.oci.manifest import Manifest
from multibuild.oci.manifests.inputs_annotation import InputsAnnotations
from multibuild.plan.children import PlatformChild, RememberedChild
from multibuild.plan.host_facts import recorded_facts
from multibuild.plan.plan import Plan, choose_images, make_plan
from multibuild.plan.plan_document import plan_document, project_document
from multibuild.plan.planned_platform import PlannedPlatform
from multibuild.platforms import Platform
from multibuild.prove.gates.find_programs import require_gate_programs
from multibuild.prove.gates.stage import GatesRun, pass_gates
from multibuild.prove.prefetch import child_reader
from multibuild.prove.stage import prove_children, read_children
from multibuild.publish.compose_index import compose_children
from multibuild.publish.stage import ImageToPublish, preflight, publish_images
from multibuild.workflow.image_errors import ImageErrors
from multibuild.workflow.remember.annotations import inputs_annotations
from multibuild.workflow.remember.recall import recall_images
from multibuild.workflow.remember.reuse import with_attestations
from multibuild.workflow.run import Status, failover_of, prepare_host


@frozen
class LastImage:
    """An image of the last run: its plan, the context of its stages, and its children, of which some are `unproven`.

    Some of the children may be those that the registry has `remembered`.
    """

    loaded: LoadedConfig
    plan: Plan
    context: RunContext
    last: LastRun
    remembered: Mapping[Platform, RememberedChild]
    built: Mapping[Platform, BuildResult]
    unproven: frozenset[Platform]


async def merge_last_run(
    project: LoadedProject, only: Sequence[Platform] | None, context: RunContext
) -> Status:
    """Compose and publish the children of the last run; what that run did not prove is proved now, as by `all`.

    Gates run in any case. Of several images, all are proved before the first tag of any moves, unless each is published
    by itself: then one that fails lets the others be published. Raises PublishFailed for a required platform without a
    child, TestFailed or VerificationFailed for one whose proof or gate fails; no tag of its image has moved then.
    """
    plans: dict[str, Plan] = {}
    images: list[LastImage] = []
    chosen = choose_images(project.images, only)
    errors = ImageErrors([loaded.name for loaded in chosen], together=project.together)
    require_gate_programs(chosen, only, context.recorder.say)
    for loaded in chosen:
        own = context.of_image(loaded.name) if loaded.name else context
        facts = recorded_facts(own.state.load_facts(), loaded.config.builder)
        plans[loaded.name] = make_plan(loaded, facts, only=only)
        with errors.collect(loaded.name):
            images.append(await _last_image(loaded, plans[loaded.name], own))
    errors.require(images)
    images = await _with_host(images, only, context)
    plans |= {image.plan.name: image.plan for image in images}
    context.run.save_plan(
        project_document(tuple(plans.values())) if project.several else plan_document(images[0].plan)
    )
    await preflight([image.plan for image in images], context.recorder, signs=True)
    slots = Slots(images[0].plan.jobs)  # of the gates of all images
    async with task_group() as group:
        tasks = [group.create_task(_proved_image(image, errors, slots)) for image in images]
    proved = [image for task in tasks if (image := task.result()) is not None]
    errors.require(proved)
    for name, batch in errors.batches(proved):
        with errors.collect(name):
            await publish_images(batch)
    errors.raise_all()
    complete = all(len(image.children) == len(image.plan.platforms) for image in proved)
    return "succeeded" if complete else "partial"


async def _last_image(loaded: LoadedConfig, plan: Plan, context: RunContext) -> LastImage:
    """Adopt the children of an image's last run, and take those that the registry remembers."""
    remembered = await run_in_background(lambda: _remembered(loaded, plan, context.recorder))
    last = _require_last_run(
        context.state, plan, context.run.id, unless=remembered.keys() == plan.specs.keys()
    )
    remembered = _not_in(last, remembered)
    results = await asyncio.to_thread(_adopt_children, _last_results(plan, last, remembered), last, context)
    _record(results, context)
    _repeat_inputs(last, context)
    built = {result.platform: result for result in results if result.built}
    known = {child.platform for child in remembered.values() if child.is_proved}
    return LastImage(
        loaded=loaded,
        plan=plan,
        context=context,
        last=last,
        remembered=remembered,
        built=built,
        unproven=frozenset(
            p for p in built if p not in known and (p in remembered or not _is_proven(plan, last, p))
        ),
    )


async def _with_host(
    images: Sequence[LastImage], only: Sequence[Platform] | None, context: RunContext
) -> list[LastImage]:
    """Set up the host, once, if a test has to be run, and plan from what it can do."""
    untested = {
        image.plan.name: {p.platform for p in image.plan.platforms if p.test and p.platform in image.unproven}
        for image in images
    }
    loaded = [image.loaded for image in images if untested[image.plan.name]]
    if not loaded:
        return list(images)
    facts = (await prepare_host(loaded, untested, context)).facts
    return [
        replace(image, plan=make_plan(image.loaded, facts, only=only)) if untested[image.plan.name] else image
        for image in images
    ]


async def _proved_image(image: LastImage, errors: ImageErrors, slots: Slots) -> ImageToPublish | None:
    """Prove what an image's last run did not, and run its gates; None if that ended in one of the `errors`."""
    with errors.collect(image.plan.name):
        return await _prove(image, slots)
    return None


async def _prove(image: LastImage, slots: Slots) -> ImageToPublish:
    loaded, plan, context, last = image.loaded, image.plan, image.context, image.last
    proven = [result for platform, result in image.built.items() if platform not in image.unproven]
    with child_reader(loaded, context.state, context.run, context.recorder) as reader:
        children = await read_children(plan, staged_children(proven), context.recorder, reader=reader)
        _repeat_proofs(children, last, context)
        if image.unproven:
            staged = staged_children([image.built[p] for p in image.built if p in image.unproven])
            failover = failover_of(plan, [loaded], context)
            children += await prove_children(plan, staged, context, reader=reader, failover=failover)
        by_platform = {child.planned.platform: child for child in children}
        ordered = [by_platform[platform] for platform in plan.specs if platform in by_platform]
        ordered = [*with_attestations(ordered, image.remembered)]
        gates = GatesRun(plan=plan, context=context, registries=reader.registries, slots=slots)
        passed = await pass_gates(gates, ordered)
    previous = read_unfinished_runs(context.state, context.run)
    return ImageToPublish(
        plan=plan,
        children=passed,
        context=context,
        previous_digests=previous.tags,
        inputs=_inputs(loaded, plan, last, image.remembered),
    )


async def preview_last_run(
    project: LoadedProject, only: Sequence[Platform] | None, state: State, recorder: Recorder
) -> dict[str, Manifest]:
    """Return, by image, the index that `merge_last_run` would push, proving nothing and changing nothing."""
    return {
        loaded.name: await _preview(
            loaded, only, state.of_image(loaded.name) if loaded.name else state, recorder
        )
        for loaded in choose_images(project.images, only)
    }


async def _preview(
    loaded: LoadedConfig, only: Sequence[Platform] | None, state: State, recorder: Recorder
) -> Manifest:
    plan = make_plan(loaded, recorded_facts(state.load_facts(), loaded.config.builder), only=only)
    remembered = await run_in_background(lambda: _remembered(loaded, plan, recorder))
    last = _require_last_run(state, plan, unless=remembered.keys() == plan.specs.keys())
    remembered = _not_in(last, remembered)
    staged = staged_children(_last_results(plan, last, remembered))
    run = state.find(last.run) if last.run else RunDirectory(state.path)
    with child_reader(loaded, state, run, recorder) as reader:
        children = await read_children(plan, staged, recorder, reader=reader)
    inputs = _inputs(loaded, plan, last, remembered)
    return compose_children(plan, with_attestations(children, remembered), inputs=inputs)


def _remembered(loaded: LoadedConfig, plan: Plan, recorder: Recorder) -> Mapping[Platform, RememberedChild]:
    """Return the children that the registry remembers of an image that is built from no other."""
    if not loaded.config.remember or plan.dependencies:
        return {}
    return recall_images([loaded], [plan], say=recorder.say)[plan.name].children


def _not_in(last: LastRun, remembered: Mapping[Platform, RememberedChild]) -> dict[Platform, RememberedChild]:
    return {p: child for p, child in remembered.items() if str(p) not in last.children}


def _inputs(
    loaded: LoadedConfig, plan: Plan, last: LastRun, remembered: Mapping[Platform, RememberedChild]
) -> InputsAnnotations:
    """Return the annotations for what the last run built, and what is remembered."""
    built = {Platform.parse(name): child.inputs or None for name, child in last.children.items()}
    return inputs_annotations(
        loaded, plan, {**built, **{p: child.fingerprint for p, child in remembered.items()}}
    )


def _repeat_inputs(last: LastRun, context: RunContext) -> None:
    """Record the inputs of the last run's children in this run's journal, for a later merge."""
    for platform, child in last.children.items():
        if child.inputs:
            context.recorder.record(PlatformInputs(platform=platform, inputs=child.inputs, parts={}))


def _require_last_run(state: State, plan: Plan, current: str = "", *, unless: bool = False) -> LastRun:
    """Return the image's last run before the `current` one; an empty one `unless` it is needed, else UsageError."""
    last = last_run((run for run in state.runs() if run.id != current), image=plan.image)
    if last is None and unless:
        return LastRun(run="", plan={}, children={})
    if last is None:
        raise UsageError(
            f"there is no run of {plan.image} in {state.path} to merge",
            hint="`multibuild build` first, or name images: `multibuild merge TARGET SOURCE...`",
        )
    return last


def _last_results(
    plan: Plan, last: LastRun, remembered: Mapping[Platform, RememberedChild]
) -> tuple[BuildResult, ...]:
    """Return the last run's children, and remembered ones, as results.

    PublishFailed names the required platforms without a child.
    """
    missing = [
        str(planned.platform)
        for planned in plan.platforms
        if planned.required
        and str(planned.platform) not in last.children
        and planned.platform not in remembered
    ]
    if missing:
        raise PublishFailed(
            f"run {last.run} has no child for {', '.join(missing)}; {NO_TAG_MOVED}",
            hint="`multibuild build` makes them, or leave them out with --platform",
        )
    children = {
        **{
            str(p): RecordedChild(platform=str(p), repository=child.repository, digest=child.image.digest)
            for p, child in remembered.items()
        },
        **last.children,
    }
    return tuple(_result(planned, children.get(str(planned.platform))) for planned in plan.platforms)


def _adopt_children(
    results: Sequence[BuildResult], last: LastRun, context: RunContext
) -> tuple[BuildResult, ...]:
    """Copy locally staged children into this run.

    An optional child that is in no run any more counts as not built. Raises PublishFailed for a required one.
    """
    runs = context.state.runs()
    adopted = []
    for result in results:
        is_local = result.built and is_local_child(result.repository)
        if not is_local or adopt(result.repository, result.digest, runs, context.run):
            adopted.append(result)
        elif result.required:
            raise PublishFailed(
                f"{result.platform}: the child of run {last.run} is not there any more; {NO_TAG_MOVED}",
                hint="`multibuild build` makes it again",
            )
        else:
            adopted.append(replace(result, status="failed", digest=""))
    remove_stale(runs, context.run)
    return tuple(adopted)


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


def _is_proven(plan: Plan, last: LastRun, platform: Platform) -> bool:
    """Whether the last run recorded that its child passed every proof of the present config."""
    child = last.children[str(platform)]
    planned = next(planned for planned in plan.platforms if planned.platform == platform)
    row: Mapping[str, Any] = next(
        (row for row in last.plan["platforms"] if row["platform"] == str(platform)), {}
    )
    same_test = row.get("test") == as_json(planned.test)
    verify, last_verify = plan.verify, (last.plan.get("verify"), last.plan.get("verify_ignore"))
    same_verify = last_verify == (verify.content, list(verify.ignore))
    return (planned.test is None or (same_test and child.test == "passed")) and (
        verify.content == "off" or (same_verify and child.content == "passed")
    )


def _repeat_proofs(children: Sequence[PlatformChild], last: LastRun, context: RunContext) -> None:
    """Record the last run's proofs in this run's journal, for a later merge."""
    record = context.recorder.record
    for child in children:
        platform = str(child.planned.platform)
        recorded = last.children.get(platform)
        if recorded is None:
            continue
        if recorded.test:
            record(SmokeTestEnded(platform=platform, status=recorded.test))
        if recorded.content:
            record(ContentEnded(platform=platform, status=recorded.content, checked=recorded.checked))
