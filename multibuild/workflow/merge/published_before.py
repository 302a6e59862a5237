"""The end of a hand-over: its tags are removed once all is published; a merge that was killed then is ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby

from multibuild.background import run_in_background
from multibuild.frozen import frozen
from multibuild.journal.events import PlatformEnded, TagEnded
from multibuild.journal.recorder import Recorder
from multibuild.oci.errors import RegistryError
from multibuild.oci.manifest import Manifest
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.publish.hand_over import mark_published, remove_handed_over
from multibuild.publish.stage import composed_event
from multibuild.workflow.image_errors import ImageErrors
from multibuild.workflow.merge.handed_over_images import HandedOverImage


@frozen
class PublishedImage:
    """An image whose children are published in an `index`."""

    image: HandedOverImage
    index: Manifest

    @property
    def is_complete(self) -> bool:
        """Whether the index has all platforms."""
        listed = {str(entry.platform) for entry in self.index.entries}
        return all(str(platform) in listed for platform in self.image.plan.specs)


async def remove_tags(published: Sequence[PublishedImage], recorder: Recorder) -> None:
    """Remove the tags of all children where the registry can; say once that it cannot.

    Before the first is gone, a record says in which indexes the children of all images are; that one goes last.
    """
    children = tuple(child for one in published for child in one.image.children.values())
    if not children:
        return
    settings = {host: one for each in published for host, one in each.image.plan.registries.items()}
    indexes = tuple(dict.fromkeys(one.index.digest for one in published))

    def remove() -> tuple[Reference, ...]:
        marked = children
        with suppress(RegistryError):  # what a registry does not take is published all the same
            marked = mark_published(children, indexes, registries)
        return remove_handed_over(marked, registries)

    with recorder.stage("clean"), RegistrySession(settings, on_wait=recorder.say) as registries:
        kept = await asyncio.to_thread(remove)
    for host, some in groupby(sorted(kept, key=str), key=lambda tag: tag.host):
        first, *more = some
        recorder.say(f"{host} removes no tags: {1 + len(more)} of hand-overs stay, like {first}")


async def split_published(
    images: Sequence[HandedOverImage], errors: ImageErrors
) -> tuple[list[PublishedImage], list[HandedOverImage]]:
    """Return the images that a merge had published when it was killed, and the others.

    Some of the children of those are gone, or all: what is left says which indexes that merge published.
    """
    indexes = {
        digest
        for image in images
        for child in image.children.values()
        for digest in child.hand_over.published_indexes
    }
    before: list[PublishedImage] = []
    pending: list[HandedOverImage] = []
    for image in images:
        with errors.collect(image.plan.name):
            index = None
            if image.missing and indexes:
                index = await run_in_background(lambda: _published_index(image, indexes))  # noqa: B023 - awaited at once
            if index is None:
                pending.append(image)
                continue
            before.append(PublishedImage(image=image, index=index))
            _record(image, index)
    return before, pending


def _published_index(image: HandedOverImage, indexes: set[str]) -> Manifest | None:
    """Return which of the `indexes` of an earlier merge is the image's.

    None unless every tag holds it, and it has every child, and a platform of which there is none any more.
    """
    tags = [
        Reference.parse(target.repository).with_tag(tag)
        for target in image.plan.targets
        for tag in target.tags
    ]
    with RegistrySession(image.plan.registries, on_wait=image.context.recorder.say) as registries:
        holders = registries.map(lambda tag: registries.of(tag.host).head(tag), tags)
        digests = {holder.digest if holder is not None else "" for holder in holders}
        if len(digests) != 1 or not digests <= indexes:
            return None
        index = registries.of(tags[0].host).manifest(tags[0].with_digest(*digests))
    listed = {entry.digest for entry in index.entries}
    children = [entry.digest for child in image.children.values() for entry in child.record.entries]
    platforms = {str(entry.platform) for entry in index.entries}
    has_missing = any(str(planned.platform) in platforms for planned in image.missing)
    return index if has_missing and listed.issuperset(children) else None


def _record(image: HandedOverImage, index: Manifest) -> None:
    recorder = image.context.recorder
    recorder.say("it is published: a merge before this one ended while it removed tags of hand-overs")
    digests = {str(entry.platform): entry.digest for entry in index.entries}
    for planned in image.plan.platforms:
        digest = digests.get(str(planned.platform))
        status = "reused" if digest else "failed"
        recorder.record(
            PlatformEnded(
                platform=str(planned.platform),
                status=status,
                required=planned.required,
                digest=digest,
                repository=image.plan.image,
            )
        )
    recorder.record(composed_event(index))
    for target in image.plan.targets:
        for tag in target.tags:
            ref = f"{target.repository}:{tag}"
            recorder.record(TagEnded(ref=ref, before=index.digest, after=index.digest, status="unchanged"))
