"""The publishing stage: check that pushing is allowed before the first build; compose and move tags at the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import field
from typing import TypeVar

from multibuild.background import run_in_background
from multibuild.engine.docker import DockerEngine
from multibuild.errors import Interrupted
from multibuild.frozen import frozen
from multibuild.journal.events import Emit, Event, IndexComposed, TagPlanned
from multibuild.journal.local_children import ChildStores
from multibuild.journal.recorder import Recorder
from multibuild.journal.run_context import RunContext
from multibuild.journal.runs import RunDirectory
from multibuild.oci.copy.companions import CompanionPolicy
from multibuild.oci.errors import RegistryError, as_environment_fault
from multibuild.oci.http import PUBLISH_RETRIES
from multibuild.oci.limits import RUN_LIMITS
from multibuild.oci.local.layout import StoresWithLayouts
from multibuild.oci.manifest import Manifest
from multibuild.oci.manifests.inputs_annotation import NO_INPUTS, InputsAnnotations
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.children import PlatformChild
from multibuild.plan.plan import Plan
from multibuild.platforms import Platform
from multibuild.publish.compose_index import IndexChild, compose_children, index_child
from multibuild.publish.cosign import Cosign
from multibuild.publish.local_output import LocalOutput, publish_locally
from multibuild.publish.move_tags import Publication, Published, publish_together
from multibuild.publish.on_missing import carry_missing
from multibuild.publish.sign import Signer, check_signing

T = TypeVar("T")


async def preflight(plans: Sequence[Plan], recorder: Recorder, *, signs: bool) -> None:
    """Check that every registry can be reached and allows pushing; EnvironmentFault (exit 3) if not.

    A push probe opens an upload and cancels it: no repository appears. If this run `signs`, cosign must be able to use
    the configured keys.
    """
    names = dict.fromkeys(
        Reference.parse(text).with_tag(None) for plan in plans for text in _repositories(plan)
    )
    settings = {host: one for plan in plans for host, one in plan.registries.items()}

    def check() -> None:
        with RegistrySession(settings, on_wait=recorder.say) as registries:
            try:
                registries.map(lambda name: registries.of(name.host).check_push(name.repository), names)
            except RegistryError as error:
                raise as_environment_fault(error) from error
        if signs:
            sections = [(plan.sign, plan.project) for plan in plans if plan.sign is not None]
            list(check_signing(sections, cosign=lambda timeout_s: Cosign(timeout_s=timeout_s)))

    with recorder.stage("preflight"):
        await run_in_background(check)


def _repositories(plan: Plan) -> Iterator[str]:
    """Yield where an image's children and its index are pushed."""
    yield from (p.staging.reference for p in plan.platforms if p.staging.kind != "layout")
    if plan.publish.output.kind == "registry":
        yield from (target.repository for target in plan.targets)


@frozen
class ImageToPublish:
    """An image whose children are proved: its plan, the context of its stages, and what its tags held before.

    `previous_digests` is as in `move_tags.Publication`; `inputs` are the annotations of `remember`.
    """

    plan: Plan
    children: Sequence[PlatformChild]
    context: RunContext
    previous_digests: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    inputs: InputsAnnotations = NO_INPUTS


async def publish_images(images: Sequence[ImageToPublish]) -> tuple[Published, ...]:
    """Compose the index of each image, push, read back and sign all of them, then move the tags of all, or none.

    What is published on this machine is written image by image, before any tag of a registry moves: a full disk is
    no reason to put tags back. Raises what `move_tags.publish_together` raises.
    """
    published: dict[str, Published] = {}
    to_registries: list[ImageToPublish] = []
    for image in images:
        if image.plan.publish.output.kind == "registry":
            to_registries.append(image)
        else:
            published[image.plan.name] = await _publish_locally(image)
    if to_registries:
        names = (image.plan.name for image in to_registries)
        published |= zip(names, await _publish_to_registries(to_registries), strict=True)
    return tuple(published[image.plan.name] for image in images)


async def _publish_to_registries(images: Sequence[ImageToPublish]) -> tuple[Published, ...]:
    say = images[0].context.recorder.say
    gate = _Gate()
    settings = {host: one for image in images for host, one in image.plan.registries.items()}

    def push() -> tuple[Published, ...]:
        with RegistrySession(settings, on_wait=say, retry=PUBLISH_RETRIES, limits=RUN_LIMITS) as registries:
            publications = [
                Publication(
                    index=index,
                    destinations=_destinations(image.plan),
                    sources=_sources(image, None, carried=bool(carried)),
                    stores=ChildStores(registries, image.context.run),
                    emit=gate.guard(image.context.recorder.record),
                    previous_digests=image.previous_digests,
                    sign=_signer(image, gate),
                )
                for image, (index, carried) in zip(images, composed, strict=True)
            ]
            return publish_together(publications, companions=CompanionPolicy(report=say))

    with ExitStack() as stages:
        for image in images:
            stages.enter_context(image.context.recorder.stage("publish"))
        composed = [await _compose(image, None) for image in images]
        return await _in_thread(push, gate)


def _signer(image: ImageToPublish, gate: _Gate) -> Signer | None:
    """Return what signs an image; None if its config has no `sign`."""
    plan = image.plan
    if plan.sign is None:
        return None
    return Signer(
        sign=plan.sign,
        project=plan.project,
        registries=plan.registries,
        cosign=Cosign(timeout_s=plan.sign.timeout, is_stopped=gate.shut.is_set),
        say=image.context.recorder.say,
    )


async def _publish_locally(image: ImageToPublish) -> Published:
    recorder, gate = image.context.recorder, _Gate()
    output = _local_output(image.plan, image.context.run)

    def push() -> Published:
        with RegistrySession(
            image.plan.registries, on_wait=recorder.say, retry=PUBLISH_RETRIES, limits=RUN_LIMITS
        ) as registries:
            return publish_locally(
                index,
                output,
                sources=_sources(image, output, carried=bool(carried)),
                registries=ChildStores(registries, image.context.run),
                emit=recorder.record,
                companions=CompanionPolicy(report=recorder.say),
            )

    with recorder.stage("publish"):
        index, carried = await _compose(image, output)
        return await _in_thread(push, gate)


async def _in_thread(push: Callable[[], T], gate: _Gate) -> T:
    """Push in a thread; after an interruption the thread moves no tag that it has not begun with."""
    try:
        return await asyncio.to_thread(push)
    except asyncio.CancelledError:
        gate.shut.set()
        raise


async def _compose(
    image: ImageToPublish, output: LocalOutput | None
) -> tuple[Manifest, Mapping[Platform, IndexChild]]:
    """Compose and record an index; return it and the entries carried over from the one before."""
    plan, children, recorder = image.plan, image.children, image.context.recorder
    carried = await run_in_background(lambda: _carry(plan, children, output, recorder))
    index = compose_children(plan, children, carried, image.inputs)
    recorder.record(composed_event(index))
    return index, carried


def composed_event(index: Manifest) -> IndexComposed:
    """Return the event of an index that was made."""
    entries = index.document["manifests"]
    return IndexComposed(
        digest=index.digest,
        media_type=index.media_type,
        size=len(index.content),
        entries=len(entries),
        manifests=tuple(entries),
    )


def _destinations(plan: Plan) -> tuple[Destination, ...]:
    return tuple(Destination(repository=Reference.parse(t.repository), tags=t.tags) for t in plan.targets)


def _sources(image: ImageToPublish, output: LocalOutput | None, *, carried: bool) -> tuple[Reference, ...]:
    """Return where the children of an index are, and the index before it where entries are carried over."""
    sources = [
        child.reference.with_digest(digest)
        for child in image.children
        for digest in index_child(child).digests
    ]
    return (*sources, *([_old_repository(image.plan, output)] if carried else []))


class _Gate:
    """Lets no tag move once the run was interrupted: a thread cannot be cancelled, but it checks here first.

    Every tag is planned before any moves; once they move, they all move or are all rolled back.
    """

    def __init__(self) -> None:
        self.shut = threading.Event()

    def guard(self, record: Emit) -> Emit:
        """Return `record`, which raises Interrupted instead of planning a tag after the interruption."""

        def guarded(event: Event, /) -> None:
            if isinstance(event, TagPlanned) and self.shut.is_set():
                raise Interrupted("interrupted before any tag was moved")
            record(event)

        return guarded


def _local_output(plan: Plan, run: RunDirectory) -> LocalOutput:
    """Return the output on this machine."""
    output = plan.publish.output
    assert output.kind != "registry"
    return LocalOutput(
        kind=output.kind,
        path=plan.project / (output.path or ""),
        image=plan.image,
        tags=plan.tags,
        load=lambda archive: DockerEngine().load(archive),
        scratch=run.children,
        annotations=plan.layout_annotations,
    )


def _old_repository(plan: Plan, output: LocalOutput | None) -> Reference:
    """Return the repository of the index before this one: in the layout that is written to, else that of `image`."""
    if output is not None and output.kind == "oci":
        return output.layout(output.path).reference()
    return Reference.parse(plan.image)


def _carry(
    plan: Plan, children: Sequence[PlatformChild], output: LocalOutput | None, recorder: Recorder
) -> dict[Platform, IndexChild]:
    available = [child.planned.platform for child in children]
    layouts = [output.layout(output.path)] if output is not None else []
    with RegistrySession(plan.registries, on_wait=recorder.say) as registries:
        stores = StoresWithLayouts(registries, *layouts)
        return carry_missing(plan, available, _old_repository(plan, output), stores, recorder)
