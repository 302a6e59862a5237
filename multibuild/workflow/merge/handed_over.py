"""`merge --handed-over`: take the children of other machines from the registry, prove them again, publish them.

Nothing else passes between the machines: the names of the children follow from the checkout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from multibuild.builds.resume import read_unfinished_tags
from multibuild.buildx.slots import Slots
from multibuild.config.project import LoadedProject
from multibuild.journal.events import PlatformEnded
from multibuild.journal.run_context import RunContext
from multibuild.plan.plan import make_plan
from multibuild.plan.plan_document import plan_document, project_document
from multibuild.platforms import Platform
from multibuild.prove.gates.find_programs import require_gate_programs
from multibuild.prove.gates.stage import GatesRun, pass_gates
from multibuild.prove.prefetch import child_reader
from multibuild.prove.stage import prove_children
from multibuild.publish.move_tags import Published
from multibuild.publish.stage import ImageToPublish, preflight, publish_images
from multibuild.workflow.merge.handed_over_images import HandedOverImage, find_images, require_children
from multibuild.workflow.merge.published_before import remove_tags, without_published
from multibuild.workflow.remember.reuse import with_attestations
from multibuild.workflow.run import Status, failover_of, prepare_host


async def merge_handed_over(
    project: LoadedProject, only: Sequence[Platform] | None, context: RunContext
) -> Status:
    """Compose and publish the children that were handed over, and remove their tags.

    With `remember` the published index has those of platforms that no job built, as nothing changed.
    Content is proved of all, tests are run that were not, and gates in any case. Of several images, all are proved
    before the first tag of any moves. Raises PublishFailed for a required platform that was not handed over, TestFailed
    or VerificationFailed for one whose proof or gate fails; no tag has moved then.
    """
    found = await find_images(project, only, context)
    _save_plans(found, context)
    images = await without_published(found)
    await require_children(images)
    if not images:
        return "succeeded"
    require_gate_programs([image.loaded for image in images], only, context.recorder.say)
    images = await _with_hosts(images, only, context)
    by_name = {image.plan.name: image for image in (*found, *images)}
    _save_plans(tuple(by_name.values()), context)
    await preflight([image.plan for image in images], context.recorder, signs=True)
    proved = [await _proved(image) for image in images]
    published = await _publish(proved, together=project.together == "all")
    for image, one in zip(images, published, strict=True):
        await remove_tags(image, one.index.digest)
    complete = all(len(one.children) == len(one.plan.platforms) for one in proved)
    return "succeeded" if complete else "partial"


def _save_plans(images: Sequence[HandedOverImage], context: RunContext) -> None:
    plans = tuple(image.plan for image in images)
    context.run.save_plan(project_document(plans) if plans[0].name else plan_document(plans[0]))


async def _publish(images: Sequence[ImageToPublish], *, together: bool) -> tuple[Published, ...]:
    if together:
        return await publish_images(images)
    return tuple([(await publish_images([image]))[0] for image in images])


async def _with_hosts(
    images: Sequence[HandedOverImage], only: Sequence[Platform] | None, context: RunContext
) -> tuple[HandedOverImage, ...]:
    """Set up the host if a test has to be run here, and plan from what it can do."""
    untested = [
        image.loaded
        for image in images
        if any(p.test and p.platform in image.staged.keys() - image.tested for p in image.plan.platforms)
    ]
    if not untested:
        return tuple(images)
    facts = (await prepare_host(untested, context)).facts
    return tuple(
        replace(image, plan=make_plan(image.loaded, facts, only=only)) if image.loaded in untested else image
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
