"""A run: load → fingerprint → prepare the host → decide → build → prove → gates → publish. Read this first.

Each stage is a package of its own and imports none of the others; what makes a stage faster is inside its package.
A run has images, and an image has platforms: a file without `images` has one image, without a name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

from multibuild.builds.dependencies import dependencies_first
from multibuild.builds.failover import Failover
from multibuild.builds.inputs import PendingFingerprints
from multibuild.builds.resume import Reusable, find_reusable
from multibuild.builds.stage import BuildOutcome, SharedBuilds, build_platforms, require_built
from multibuild.buildx.slots import Slots
from multibuild.config.load import LoadedConfig
from multibuild.config.project import LoadedProject
from multibuild.errors import MultibuildError
from multibuild.frozen import frozen
from multibuild.host.host import Host, require_step_limits
from multibuild.host.make_builders import BuilderRestorer
from multibuild.host.requirements import HostRequirements
from multibuild.host.setup import prepare, require_runnable
from multibuild.journal.events import HostReady, RunPlanned
from multibuild.journal.run_context import RunContext
from multibuild.oci.manifests.inputs_annotation import NO_INPUTS, InputsAnnotations
from multibuild.plan.children import PlatformChild, RememberedChild
from multibuild.plan.plan import Plan, choose_images, chosen_platforms, make_plan
from multibuild.plan.plan_document import plan_document, project_document
from multibuild.platforms import Platform
from multibuild.prove.gates.find_programs import require_gate_programs
from multibuild.prove.gates.stage import GatesRun, pass_gates
from multibuild.prove.prefetch import child_reader
from multibuild.prove.stage import prove_children, read_children
from multibuild.publish.stage import ImageToPublish, preflight, publish_images
from multibuild.workflow.hand_over import changed_inputs, hand_over, inputs_of, take_handed_over
from multibuild.workflow.if_changed import setting_digests
from multibuild.workflow.image_errors import ImageErrors
from multibuild.workflow.remember.annotations import inputs_annotations
from multibuild.workflow.remember.recall import Recalled
from multibuild.workflow.remember.reuse import (
    add_unchanged,
    is_unchanged,
    proved_children,
    record_unchanged,
    require_children,
    still_remembered,
    with_attestations,
)

Status = Literal["succeeded", "partial"]


@frozen
class ImageRun:
    """An image of a run: its config, its plan, the context of its stages, and what needs no build.

    `remembered` are those of its reusable children that an index in the registry has, `handed_over` platforms whose
    reusable child was tested and handed over before.
    """

    loaded: LoadedConfig
    plan: Plan
    context: RunContext
    reusable: Reusable
    remembered: Mapping[Platform, RememberedChild]
    handed_over: frozenset[Platform] = frozenset()


@frozen
class ImageOutcome:
    """How far an image came: its final plan, its children that passed every proof, and the error that ended it.

    `inputs` are the annotations that `remember` writes into its index.
    """

    image: ImageRun
    plan: Plan
    children: tuple[PlatformChild, ...] = ()
    inputs: InputsAnnotations = NO_INPUTS
    complete: bool = False
    error: MultibuildError | None = None


async def run_stages(
    project: LoadedProject,
    only: Sequence[Platform] | None,
    context: RunContext,
    recalled: Mapping[str, Recalled] = MappingProxyType({}),
) -> Status:
    """Run the stages of `all`, or those of `build`, which moves no tag, and proves only what it hands over.

    What is `recalled` of an image in the registry is not built again, and an image whose tags hold it is not touched.
    Raises the MultibuildError of the stage that failed, of the first image whose stage did; every tag that had moved
    was rolled back then.
    """
    images = await prepare_images(project, only, context, recalled)
    if not images:
        return "succeeded"
    if context.hand_over:
        images = tuple([await _take_handed_over(image, project.chosen) for image in images])
    failover = failover_of(images[0].plan, project.images, context)
    shared = SharedBuilds.of([image.plan for image in images], failover)
    slots = Slots(images[0].plan.jobs)  # of the gates of all images
    add_unchanged(shared.children, recalled)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_build_and_prove(image, shared, project, slots)) for image in images]
    outcomes = [task.result() for task in tasks]
    # What is built from another image comes after that one's own error.
    ordered = dependencies_first([image.plan for image in images])
    errors = ImageErrors([plan.name for plan in ordered], together=project.together)
    for outcome in outcomes:
        if outcome.error is not None:
            errors.add(outcome.plan.name, outcome.error)
    finished = [outcome for outcome in outcomes if outcome.error is None]
    errors.require(finished)
    if context.command != "build":
        await _publish(finished, errors)
    errors.raise_all()
    return "succeeded" if all(outcome.complete for outcome in outcomes) else "partial"


async def prepare_images(
    project: LoadedProject,
    only: Sequence[Platform] | None,
    context: RunContext,
    recalled: Mapping[str, Recalled],
) -> tuple[ImageRun, ...]:
    """Fingerprint, prepare the host, decide, and look what needs no build, before anything is built.

    An image that is `recalled` and holds is recorded as it is, and left out.
    """
    chosen = choose_images(project.images, only)
    changed = [loaded for loaded in chosen if not is_unchanged(recalled, loaded.name)]
    if not changed:
        decide(chosen, None, only, context, recalled)
        return ()
    if context.command != "build":
        require_gate_programs(changed, only, context.recorder.say)
    needed = {
        loaded.name: recalled[loaded.name].to_run
        if loaded.name in recalled
        else chosen_platforms(loaded, only)
        for loaded in changed
    }
    async with PendingFingerprints(changed, only, context.recorder) as fingerprints:
        host = await prepare_host(changed, needed, context) if any(needed.values()) else None
        decided = {plan.name: plan for plan in decide(chosen, host, only, context, recalled)}
        plans = [decided[loaded.name] for loaded in changed]
        await preflight(plans, context.recorder, signs=context.command != "build")
        runs = {loaded.name: (loaded, _context_of(loaded, context)) for loaded in changed}
        images: dict[str, ImageRun] = {}
        for plan in dependencies_first(plans):
            known = {name: one.fingerprints for name, one in recalled.items()}
            known |= {name: one.reusable.fingerprints for name, one in images.items()}
            loaded, own = runs[plan.name]
            remembered = recalled[plan.name].children if plan.name in recalled else {}
            reusable = await find_reusable(
                plan, fingerprints, own, known, remembered=tuple(remembered.values())
            )
            kept = still_remembered(remembered, reusable)
            images[plan.name] = ImageRun(
                loaded=loaded, plan=plan, context=own, reusable=reusable, remembered=kept
            )
    for name, image in images.items():
        require_children(image.plan, image.reusable, needed[name])
    return tuple(images[loaded.name] for loaded in changed)


def _context_of(loaded: LoadedConfig, context: RunContext) -> RunContext:
    return context.of_image(loaded.name) if loaded.name else context


async def _build_and_prove(
    image: ImageRun, shared: SharedBuilds, project: LoadedProject, slots: Slots
) -> ImageOutcome:
    """Build an image; prove it and run its gates unless it is only built; hand it over if asked.

    An error ends no other image.
    """
    loaded, context, plan = image.loaded, image.context, image.plan
    try:
        if context.command == "build" and not context.hand_over:
            built = await build_platforms(plan, image.reusable, context, shared=shared)
            complete = len(built.children) == len(plan.platforms)
            return ImageOutcome(image=image, plan=built.plan, complete=complete)
        proved = proved_children(image.remembered)
        digests = {child.digest for child in proved}
        with child_reader(loaded, context.state, context.run, context.recorder, proved=digests) as reader:
            built = await build_platforms(
                plan, image.reusable, context, shared=shared, may_be_partial=context.hand_over
            )
            # A failover of its own: a node that did not answer during the builds may be back.
            failover = failover_of(built.plan, project.images, context)
            new = [child for child in built.children if child not in proved]
            children = (
                await read_children(built.plan, proved, context.recorder, reader=reader) if proved else ()
            )
            children += await prove_children(
                built.plan, new, context, reader=reader, failover=failover, tested=image.handed_over
            )
            children = with_attestations(children, image.remembered)
            if context.command != "build":
                gates = GatesRun(plan=built.plan, context=context, registries=reader.registries, slots=slots)
                children = await pass_gates(gates, children)
        if context.hand_over:
            await _hand_over(image, built, children)
    except MultibuildError as error:
        if not plan.name:
            raise
        return ImageOutcome(image=image, plan=plan, error=error)
    finally:
        shared.close(plan.name)
    complete = len(children) == len(plan.platforms)
    digests_by_platform = {p: one.digest for p, one in image.reusable.fingerprints.platforms.items()}
    inputs = inputs_annotations(loaded, plan, digests_by_platform) if built.inputs_held else NO_INPUTS
    return ImageOutcome(image=image, plan=built.plan, children=children, inputs=inputs, complete=complete)


async def _take_handed_over(image: ImageRun, named: Sequence[str]) -> ImageRun:
    """Reuse children that were handed over before: what `named` images are built from, and all with `--resume`."""
    plan, context, reusable = image.plan, image.context, image.reusable
    inputs = inputs_of(plan, reusable.fingerprints)
    if not context.resume and (not named or plan.name in named):
        return image
    taken = await take_handed_over(plan, inputs, context)
    children = {**taken.children, **reusable.children}
    tested = frozenset(platform for platform in taken.tested if platform not in reusable.children)
    return replace(image, reusable=replace(reusable, children=children), handed_over=tested)


async def _hand_over(image: ImageRun, built: BuildOutcome, children: Sequence[PlatformChild]) -> None:
    """Hand over what was built and proved; then raise BuildFailed for what was not built."""
    if not built.inputs_held:
        raise changed_inputs(built.plan)
    new = [child for child in children if child.planned.platform not in image.handed_over]
    await hand_over(built.plan, new, image.reusable.fingerprints, image.context)
    require_built(built.results)


async def _publish(outcomes: Sequence[ImageOutcome], errors: ImageErrors) -> None:
    """Publish all images together, or each by itself: then one that fails is added to `errors`."""
    images = [
        ImageToPublish(
            plan=outcome.plan,
            children=outcome.children,
            context=outcome.image.context,
            previous_digests=outcome.image.reusable.tags,
            inputs=outcome.inputs,
        )
        for outcome in outcomes
    ]
    for name, batch in errors.batches(images):
        with errors.collect(name):
            await publish_images(batch)


async def prepare_host(
    images: Sequence[LoadedConfig], needed: Mapping[str, Collection[Platform]], context: RunContext
) -> Host:
    """Set up builders and emulators for the platforms `needed` of each image, by its name.

    Whatever else a config has need not run here: a job of its own may build it, or nothing of it changed. Raises
    EnvironmentFault before the first build if a required platform cannot run.
    """
    requirements = requirements_of(images, needed)
    with context.recorder.stage("setup"):
        host = await prepare(
            requirements, context.engine, context.recorder.say, previous_facts=context.state.load_facts()
        )
        context.state.save_facts(host.facts_document)
        context.recorder.record(HostReady(environment=host.environment))
        require_runnable(host, requirements)
        require_step_limits(host)
    return host


def requirements_of(
    images: Sequence[LoadedConfig], needed: Mapping[str, Collection[Platform]] | None = None
) -> HostRequirements:
    """Return the requirements of images on the host: of the platforms `needed` of each, or of all."""
    return HostRequirements.of_images(
        [
            HostRequirements.from_config(
                loaded.config, loaded.project, None if needed is None else needed[loaded.name]
            )
            for loaded in images
        ]
    )


def failover_of(plan: Plan, images: Sequence[LoadedConfig], context: RunContext) -> Failover:
    """Return the failover of a plan's nodes: a builder of ours that is lost is made again as `setup` makes it."""
    say = context.recorder.say
    return Failover.of(plan, say, BuilderRestorer(requirements_of(images), context.engine, say))


def decide(
    images: Sequence[LoadedConfig],
    host: Host | None,
    only: Sequence[Platform] | None,
    context: RunContext,
    recalled: Mapping[str, Recalled],
) -> tuple[Plan, ...]:
    """Make the plan of each image from measured facts, and save them before they are carried out.

    Without a host, and for an image that is not touched, it is the plan by which the image was recalled.
    """
    plans = tuple(
        recalled[loaded.name].plan
        if host is None or is_unchanged(recalled, loaded.name)
        else make_plan(loaded, host.facts, only=only)
        for loaded in images
    )
    context.run.save_plan(project_document(plans) if plans[0].name else plan_document(plans[0]))
    for loaded, plan in zip(images, plans, strict=True):
        recorder = _context_of(loaded, context).recorder
        recorder.record(
            RunPlanned(
                platforms=tuple(map(str, plan.specs)),
                jobs=plan.jobs,
                settings=setting_digests(loaded, plan),
            )
        )
        if is_unchanged(recalled, plan.name):
            record_unchanged(recalled[plan.name], recorder)
        if context.command == "publish" and plan.omitted:
            omitted = ", ".join(map(str, plan.omitted))
            recorder.say(f"the index will not have {omitted}: left out by --platform")
    return plans
