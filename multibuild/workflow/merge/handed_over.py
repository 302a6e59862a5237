"""`merge --handed-over`: take the children of other machines from the registry, prove them again, publish them.

Nothing else passes between the machines: the names of the children follow from the checkout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from multibuild.builds.resume import read_unfinished_tags
from multibuild.buildx.slots import Slots
from multibuild.config.project import LoadedProject
from multibuild.journal.events import PlatformEnded
from multibuild.journal.run_context import RunContext
from multibuild.oci.manifest import Manifest
from multibuild.plan.plan import Plan, choose_images, make_plan
from multibuild.plan.plan_document import plan_document, project_document
from multibuild.platforms import Platform
from multibuild.prove.gates.find_programs import require_gate_programs
from multibuild.prove.gates.stage import GatesRun, pass_gates
from multibuild.prove.prefetch import child_reader
from multibuild.prove.stage import prove_children
from multibuild.publish.stage import ImageToPublish, preflight, publish_images
from multibuild.workflow.image_errors import ImageErrors
from multibuild.workflow.merge.handed_over_images import (
    HandedOverImage,
    find_images,
    make_plans,
    require_children,
)
from multibuild.workflow.merge.published_before import PublishedImage, remove_tags, split_published
from multibuild.workflow.remember.reuse import with_attestations
from multibuild.workflow.run import Status, failover_of, prepare_host


async def merge_handed_over(
    project: LoadedProject, only: Sequence[Platform] | None, context: RunContext
) -> Status:
    """Compose and publish the children that were handed over, and remove their tags.

    With `remember` the published index has those of platforms that no job built, as nothing changed.
    Content is proved of all, tests are run that were not, and gates in any case. Of several images, all are proved
    before the first tag of any moves, unless each is published by itself: then one that fails lets the others be
    published, and the children of all stay for another try. Raises PublishFailed for a required platform that was not
    handed over, TestFailed or VerificationFailed for one whose proof or gate fails; no tag of its image has moved then.
    """
    chosen = choose_images(project.images, only)
    plans = make_plans(chosen, only, context)
    errors = ImageErrors(plans, together=project.together)
    found = await find_images(chosen, plans, only, context, errors)
    _save_plans(plans, context)
    errors.require(found)
    before, pending = await split_published(found, errors)
    complete: list[HandedOverImage] = []
    for name, batch in errors.batches(pending):
        with errors.collect(name):
            await require_children(batch)
            complete += batch
    errors.require([*before, *complete])
    proved, after = await _prove_and_publish(complete, plans, only, context, errors)
    errors.raise_all()
    await remove_tags([*before, *after], context.recorder)
    whole = all(one.is_complete for one in before) and all(
        len(image.children) == len(image.plan.platforms) for image in proved
    )
    return "succeeded" if whole else "partial"


async def _prove_and_publish(
    images: Sequence[HandedOverImage],
    plans: dict[str, Plan],
    only: Sequence[Platform] | None,
    context: RunContext,
    errors: ImageErrors,
) -> tuple[list[ImageToPublish], list[PublishedImage]]:
    """Return what was proved and what of it was published; the images that are not have one of the `errors`."""
    if not images:
        return [], []
    require_gate_programs([image.loaded for image in images], only, context.recorder.say)
    images = await _with_hosts(images, only, context)
    plans |= {image.plan.name: image.plan for image in images}
    _save_plans(plans, context)
    await preflight([image.plan for image in images], context.recorder, signs=True)
    proved: list[ImageToPublish] = []
    for image in images:
        with errors.collect(image.plan.name):
            proved.append(await _proved(image))
    errors.require(proved)
    by_name = {image.plan.name: image for image in images}
    published: list[PublishedImage] = []
    for name, batch in errors.batches(proved):
        with errors.collect(name):
            published += [
                PublishedImage(image=by_name[one.plan.name], index=index)
                for one, index in zip(batch, await _publish(batch), strict=True)
            ]
    return proved, published


async def _publish(batch: Sequence[ImageToPublish]) -> list[Manifest]:
    return [published.index for published in await publish_images(batch)]


def _save_plans(plans: Mapping[str, Plan], context: RunContext) -> None:
    context.run.save_plan(
        plan_document(plans[""]) if "" in plans else project_document(tuple(plans.values()))
    )


async def _with_hosts(
    images: Sequence[HandedOverImage], only: Sequence[Platform] | None, context: RunContext
) -> tuple[HandedOverImage, ...]:
    """Set up the host if a test has to be run here, and plan from what it can do."""
    untested = {
        image.plan.name: {
            p.platform
            for p in image.plan.platforms
            if p.test and p.platform in image.staged.keys() - image.tested
        }
        for image in images
    }
    loaded = [image.loaded for image in images if untested[image.plan.name]]
    if not loaded:
        return tuple(images)
    facts = (await prepare_host(loaded, untested, context)).facts
    return tuple(
        replace(image, plan=make_plan(image.loaded, facts, only=only)) if untested[image.plan.name] else image
        for image in images
    )


async def _proved(image: HandedOverImage) -> ImageToPublish:
    """Prove the content of an image's children, run the tests that were not run, and the gates."""
    plan, context = image.plan, image.context
    with child_reader(image.loaded, context.state, context.run, context.recorder) as reader:
        _record(image)
        children = await prove_children(
            plan,
            [*image.staged.values()],
            context,
            reader=reader,
            failover=failover_of(plan, [image.loaded], context),
            tested=image.tested,
        )
        gates = GatesRun(plan=plan, context=context, registries=reader.registries, slots=Slots(plan.jobs))
        children = await pass_gates(gates, children)
    children = with_attestations(children, image.remembered)
    return ImageToPublish(
        plan=plan,
        children=children,
        context=context,
        previous_digests=read_unfinished_tags(context.state, context.run),
        inputs=image.annotations,
    )


def _record(image: HandedOverImage) -> None:
    """Record which children are there; a platform without one failed on another machine, or was not built."""
    for planned in image.plan.platforms:
        child = image.staged.get(planned.platform)
        image.context.recorder.record(
            PlatformEnded(
                platform=str(planned.platform),
                status="reused" if child else "failed",
                required=planned.required,
                digest=child.digest if child else None,
                repository=child.repository if child else "",
            )
        )
