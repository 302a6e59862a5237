"""What was handed over for the images of a checkout, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace

from multibuild.background import run_in_background
from multibuild.builds.dependencies import dependencies_first
from multibuild.builds.fingerprint import PlanFingerprints
from multibuild.builds.inputs import PendingFingerprints, journal_inputs, with_dependencies
from multibuild.config.load import LoadedConfig
from multibuild.config.project import LoadedProject
from multibuild.errors import NO_TAG_MOVED, PublishFailed
from multibuild.frozen import frozen
from multibuild.journal.run_context import RunContext
from multibuild.oci.errors import RegistryError
from multibuild.oci.manifest import Manifest
from multibuild.oci.manifests.inputs_annotation import InputsAnnotations
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.children import RememberedChild, StagedChild
from multibuild.plan.host_facts import recorded_facts
from multibuild.plan.plan import Plan, choose_images, make_plan
from multibuild.plan.planned_platform import PlannedPlatform
from multibuild.platforms import Platform
from multibuild.prove.prefetch import child_reader
from multibuild.prove.stage import read_children
from multibuild.publish.compose_index import compose_children
from multibuild.publish.hand_over import HandedOverChild, Inputs, find_handed_over, find_others
from multibuild.publish.handed_over import BASE, differences, hand_over_tag, smoke_test_digest
from multibuild.terminal import one_line
from multibuild.workflow.hand_over import inputs_of
from multibuild.workflow.image_errors import ImageErrors
from multibuild.workflow.remember.annotations import inputs_annotations
from multibuild.workflow.remember.recall import recall_images
from multibuild.workflow.remember.reuse import with_attestations

MAX_DIFFERENCES = 3
"""Parts of a fingerprint that an error names."""


@frozen
class HandedOverImage:
    """An image whose children wait in their registry: its config, its plan, the context of its stages.

    `inputs` are what goes into each of its platforms here; `children` those that were made of the same, and
    `remembered` those of other platforms that the published index has.
    """

    loaded: LoadedConfig
    plan: Plan
    context: RunContext
    inputs: Mapping[Platform, Inputs]
    children: Mapping[Platform, HandedOverChild]
    remembered: Mapping[Platform, RememberedChild] = field(default_factory=dict)

    @property
    def staged(self) -> dict[Platform, StagedChild]:
        """The children of all platforms that have one, in the order of the config."""
        remembered = {
            platform: StagedChild(platform=platform, repository=child.repository, digest=child.image.digest)
            for platform, child in self.remembered.items()
        }
        known = remembered | {platform: child.staged for platform, child in self.children.items()}
        return {platform: known[platform] for platform in self.plan.specs if platform in known}

    @property
    def annotations(self) -> InputsAnnotations:
        """The annotations of `remember`."""
        fingerprints = {platform: self.inputs[platform].fingerprint for platform in self.staged}
        return inputs_annotations(self.loaded, self.plan, fingerprints)

    @property
    def missing(self) -> tuple[PlannedPlatform, ...]:
        """The platforms for which nothing was handed over or is remembered."""
        return tuple(one for one in self.plan.platforms if one.platform not in self.staged)

    @property
    def missing_required(self) -> tuple[PlannedPlatform, ...]:
        """Those of them without which the image is not complete."""
        return tuple(planned for planned in self.missing if planned.required)

    @property
    def tested(self) -> frozenset[Platform]:
        """The platforms whose child passed, on the machine that built it, the test that the config has."""
        return frozenset(
            planned.platform for planned in self.plan.platforms if planned.test and self._passed(planned)
        )

    def _passed(self, planned: PlannedPlatform) -> bool:
        child, remembered = self.children.get(planned.platform), self.remembered.get(planned.platform)
        if child is not None:
            return child.hand_over.test == smoke_test_digest(planned)
        return remembered is not None and remembered.is_proved


def make_plans(
    images: Sequence[LoadedConfig], only: Sequence[Platform] | None, context: RunContext
) -> dict[str, Plan]:
    """Return the plans of images by name, from what is known of the host."""
    facts = context.state.load_facts()
    return {
        loaded.name: make_plan(loaded, recorded_facts(facts, loaded.config.builder), only=only)
        for loaded in images
    }


async def find_images(
    images: Sequence[LoadedConfig],
    plans: Mapping[str, Plan],
    only: Sequence[Platform] | None,
    context: RunContext,
    errors: ImageErrors,
) -> tuple[HandedOverImage, ...]:
    """Fingerprint the platforms of all images and look for their children. Starts no engine.

    An image whose children have no name, or whose registry fails, is left out, with one of the `errors`.
    """
    known: dict[str, PlanFingerprints] = {}
    with context.recorder.stage("inputs"):
        async with PendingFingerprints(images, only, context.recorder) as pending:
            for plan in dependencies_first(tuple(plans.values())):
                known[plan.name] = with_dependencies(await pending.result(plan.name), plan, known)
    found: list[HandedOverImage] = []
    for loaded in images:
        own = context.of_image(loaded.name) if loaded.name else context
        with errors.collect(loaded.name):
            found.append(await _find(loaded, plans[loaded.name], known[loaded.name], own))
    if not any(image.missing and image.loaded.config.remember for image in found):
        return tuple(found)
    return await _with_remembered(found, images, plans, context)


async def _with_remembered(
    found: Sequence[HandedOverImage],
    images: Sequence[LoadedConfig],
    plans: Mapping[str, Plan],
    context: RunContext,
) -> tuple[HandedOverImage, ...]:
    """Add what published indexes have of platforms that were not handed over; see `remember`."""
    ordered = dependencies_first(tuple(plans.values()))
    say = context.recorder.say
    recalled = await run_in_background(lambda: recall_images(images, ordered, say=say))
    return tuple(
        replace(
            image,
            remembered={
                platform: child
                for platform, child in recalled[image.plan.name].children.items()
                if platform not in image.children
            },
        )
        for image in found
    )


async def _find(
    loaded: LoadedConfig, plan: Plan, fingerprints: PlanFingerprints, context: RunContext
) -> HandedOverImage:
    inputs, recorder = inputs_of(plan, fingerprints), context.recorder
    journal_inputs(fingerprints, recorder)
    with recorder.stage("find"), RegistrySession(plan.registries, on_wait=recorder.say) as registries:
        children = await run_in_background(lambda: find_handed_over(plan, inputs, registries))
    return HandedOverImage(loaded=loaded, plan=plan, context=context, inputs=inputs, children=children)


async def preview_handed_over(
    project: LoadedProject, only: Sequence[Platform] | None, context: RunContext
) -> dict[str, Manifest]:
    """Return, by image, the index that `merge --handed-over` would push, proving nothing and changing nothing."""
    chosen = choose_images(project.images, only)
    errors = ImageErrors([loaded.name for loaded in chosen], together="all")
    images = await find_images(chosen, make_plans(chosen, only, context), only, context, errors)
    errors.raise_all()
    await require_children(images)
    return {image.plan.name: await _compose(image) for image in images}


async def _compose(image: HandedOverImage) -> Manifest:
    context = image.context
    with child_reader(image.loaded, context.state, context.run, context.recorder) as reader:
        children = await read_children(image.plan, [*image.staged.values()], context.recorder, reader=reader)
    children = with_attestations(children, image.remembered)
    return compose_children(image.plan, children, inputs=image.annotations)


async def require_children(images: Sequence[HandedOverImage]) -> None:
    """Raise PublishFailed for required platforms that were not handed over: the tags, and what is there instead.

    `images` are those that are published together.
    """
    lines, hints = [], []
    for image in images:
        for planned in image.missing_required:
            line, hint = await run_in_background(lambda: _explain(image, planned))  # noqa: B023 - awaited at once
            lines.append(line)
            hints.append(hint)
    if lines:
        raise PublishFailed("\n".join([f"not handed over, {NO_TAG_MOVED}:", *lines]), hint=hints[0])


def _explain(image: HandedOverImage, planned: PlannedPlatform) -> tuple[str, str]:
    """Return a line about a missing platform, and what to do about it."""
    inputs = image.inputs[planned.platform]
    name = f"{image.plan.name} {planned.platform}".strip()
    line = f"  {name}: looked for {hand_over_tag(planned, inputs.fingerprint)}"
    with RegistrySession(image.plan.registries, on_wait=image.context.recorder.say) as registries:
        other = find_others(planned, inputs, registries)
        holder = "" if image.children else _holder(image, registries)
    parts = differences(other.parts, inputs.parts) if other is not None else ()
    if not parts or other is None:
        return (
            line,
            f"run `multibuild build --hand-over` for these, unless a merge has published them{holder}",
        )
    shown = ", ".join(parts[:MAX_DIFFERENCES]) + (", …" if len(parts) > MAX_DIFFERENCES else "")
    moved = any(_is_base(name) and other.parts.get(name) != digest for name, digest in inputs.parts.items())
    hint = (
        "a base image moved between the jobs: build these platforms again, or name bases by digest"
        if moved
        else "same commit, same multibuild.yaml, same --set, variables and day (`${date}`) as in the job that built it?"
    )
    return f"{line}; what was handed over {one_line(other.created[:19])} is of {shown}", hint


def _holder(image: HandedOverImage, registries: RegistrySession) -> str:
    """Return what the first tag holds, to follow a hint: a merge that succeeded leaves nothing else."""
    tag = Reference.parse(image.plan.image).with_tag(image.plan.tags[0])
    with suppress(RegistryError):
        current = registries.of(tag.host).head(tag)
        return f": {tag} holds {current.digest}" if current is not None else ""
    return ""


def _is_base(part: str) -> bool:
    return part.startswith(f"{BASE} ")
