"""The end of a hand-over: its tags are removed once the index is published; a merge that was killed then is ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from multibuild.background import run_in_background
from multibuild.journal.events import IndexComposed, PlatformEnded, TagEnded
from multibuild.oci.errors import RegistryError
from multibuild.oci.manifest import Manifest
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.publish.hand_over import mark_published, remove_handed_over
from multibuild.workflow.merge.handed_over_images import HandedOverImage


async def remove_tags(image: HandedOverImage, index: str) -> None:
    """Remove the tags of an image's children where the registry can; say once that it cannot.

    Before the first is gone, a record says that all are published in `index`, a digest.
    """
    recorder, children = image.context.recorder, tuple(image.children.values())
    if not children:
        return

    def remove() -> tuple[Reference, ...]:
        marked = children
        with suppress(RegistryError):  # what a registry does not take is published all the same
            marked = mark_published(children, index, registries)
        return remove_handed_over(marked, registries)

    with recorder.stage("clean"), RegistrySession(image.plan.registries, on_wait=recorder.say) as registries:
        kept = await asyncio.to_thread(remove)
    if kept:
        recorder.say(f"{kept[0].host} removes no tags: {len(kept)} of hand-overs stay, like {kept[0]}")


async def without_published(images: Sequence[HandedOverImage]) -> tuple[HandedOverImage, ...]:
    """Return the images that are not published; remove what a merge left of the others when it was killed."""
    pending = []
    for image in images:
        index = await run_in_background(lambda: _published_index(image)) if image.missing_required else None  # noqa: B023 - awaited at once
        if index is None:
            pending.append(image)
            continue
        _record(image, index)
        await remove_tags(image, index.digest)
    return tuple(pending)


def _published_index(image: HandedOverImage) -> Manifest | None:
    """Return the index that a merge before this one published; None unless every tag holds it and it every child."""
    digest = next(
        (child.hand_over.published for child in image.children.values() if child.hand_over.published), ""
    )
    if not digest:
        return None
    tags = [
        Reference.parse(target.repository).with_tag(tag)
        for target in image.plan.targets
        for tag in target.tags
    ]
    with RegistrySession(image.plan.registries, on_wait=image.context.recorder.say) as registries:
        holders = registries.map(lambda tag: registries.of(tag.host).head(tag), tags)
        if any(holder is None or holder.digest != digest for holder in holders):
            return None
        index = registries.of(tags[0].host).manifest(tags[0].with_digest(digest))
    listed = {entry.digest for entry in index.entries}
    children = [entry.digest for child in image.children.values() for entry in child.record.entries]
    return index if listed.issuperset(children) else None


def _record(image: HandedOverImage, index: Manifest) -> None:
    recorder = image.context.recorder
    recorder.say("it is published: a merge before this one ended while it removed tags of hand-overs")
    entries = tuple(index.document["manifests"])
    digests = {str(entry.platform): entry.digest for entry in index.entries}
    for planned in image.plan.platforms:
        digest = digests.get(str(planned.platform))
        status = "reused" if digest else "failed"
        recorder.record(
            PlatformEnded(
                platform=str(planned.platform), status=status, digest=digest, repository=image.plan.image
            )
        )
    recorder.record(
        IndexComposed(
            digest=index.digest,
            media_type=index.media_type,
            size=len(index.content),
            entries=len(entries),
            manifests=entries,
        )
    )
    for target in image.plan.targets:
        for tag in target.tags:
            ref = f"{target.repository}:{tag}"
            recorder.record(TagEnded(ref=ref, before=index.digest, after=index.digest, status="unchanged"))
