"""Hand children over through their registry: `build` leaves them under a tag, `merge` finds, takes and removes it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from multibuild.frozen import frozen
from multibuild.journal.events import HandedOver
from multibuild.journal.recorder import Recorder
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import PUBLISH_RETRIES
from multibuild.oci.manifest import Manifest
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.children import PlatformChild, StagedChild
from multibuild.plan.plan import Plan
from multibuild.plan.planned_platform import PlannedPlatform
from multibuild.platforms import Platform
from multibuild.publish.handed_over import (
    HandOver,
    differences,
    hand_over_tag,
    published_record,
    read_record,
    record_of,
    slug_of_tag,
    smoke_test_digest,
)

MAX_OTHERS = 50
"""Records of other inputs that are read to say what differs; `clean` removes those that nobody took."""


@frozen
class Inputs:
    """What goes into a child: the `fingerprint`, in hex, and the digests or texts that it is made of."""

    fingerprint: str
    parts: Mapping[str, str]


@frozen
class HandedOverChild:
    """A child that waits under a `tag`: its record, what that says, and the child where it is staged."""

    tag: Reference
    record: Manifest
    hand_over: HandOver
    staged: StagedChild


async def hand_over_children(
    plan: Plan,
    children: Sequence[PlatformChild],
    inputs: Mapping[Platform, Inputs],
    recorder: Recorder,
    *,
    now: datetime,
) -> None:
    """Push the record of each proved child under its tag. Raises RegistryError, PublishFailed."""

    def push(child: PlatformChild) -> HandedOver:
        planned = child.planned
        own = inputs[planned.platform]
        tag = hand_over_tag(planned, own.fingerprint)
        hand_over = HandOver(
            platform=str(planned.platform),
            fingerprint=own.fingerprint,
            parts=own.parts,
            child=child.child.digest,
            test=smoke_test_digest(planned),
            created=now.isoformat(timespec="seconds"),
        )
        record = record_of(hand_over, child.child)
        try:
            registries.of(tag.host).put_manifest(tag, record.content, record.media_type)
        except RegistryError:
            # Of a tag that cannot be moved, the child that was handed over before is as good.
            before = _handed_over(planned, own.fingerprint, registries)
            if before is None or before.hand_over.test != hand_over.test:
                raise
            recorder.say(f"{tag} keeps the child that was handed over before")
            record = before.record
        return HandedOver(platform=str(planned.platform), ref=str(tag), digest=record.digest)

    def push_all() -> None:
        for event in registries.map(push, children):
            recorder.record(event)

    with (
        recorder.stage("hand-over"),
        RegistrySession(plan.registries, on_wait=recorder.say, retry=PUBLISH_RETRIES) as registries,
    ):
        await asyncio.to_thread(push_all)


def find_handed_over(
    plan: Plan, inputs: Mapping[Platform, Inputs], registries: RegistrySession
) -> dict[Platform, HandedOverChild]:
    """Return the children that were handed over for a plan, by platform; RegistryError for a registry that fails.

    What is under a tag but is no record of this child counts as not handed over.
    """

    def find(planned: PlannedPlatform) -> HandedOverChild | None:
        return _handed_over(planned, inputs[planned.platform].fingerprint, registries)

    found = registries.map(find, plan.platforms)
    return {
        planned.platform: child
        for planned, child in zip(plan.platforms, found, strict=True)
        if child is not None
    }


def _handed_over(
    planned: PlannedPlatform, fingerprint: str, registries: RegistrySession
) -> HandedOverChild | None:
    tag = hand_over_tag(planned, fingerprint)
    manifest = manifest_of(tag, registries)
    hand_over = read_record(manifest) if manifest is not None else None
    if manifest is None or hand_over is None:
        return None
    if (hand_over.fingerprint, hand_over.platform) != (fingerprint, str(planned.platform)):
        return None
    # A child with attestations is an index of its own, which only its digest holds.
    child = tag.with_digest(hand_over.child)
    exists = registries.of(child.host).head(child) is not None
    return HandedOverChild(
        tag=tag,
        record=manifest,
        hand_over=hand_over,
        staged=StagedChild(
            platform=planned.platform,
            repository=tag.name,
            digest=hand_over.child if exists else manifest.digest,
        ),
    )


def manifest_of(tag: Reference, registries: RegistrySession) -> Manifest | None:
    """Return what a tag holds; None without it, or for what is no manifest that can be read."""
    try:
        return registries.of(tag.host).manifest(tag)
    except RegistryError as error:
        if error.kind in {"not-found", "invalid"}:
            return None
        raise


def find_others(planned: PlannedPlatform, inputs: Inputs, registries: RegistrySession) -> HandOver | None:
    """Return what was handed over for a platform, though made of other inputs: what differs least, then the newest."""
    repository = hand_over_tag(planned, inputs.fingerprint).with_tag(None)
    try:
        tags = registries.of(repository.host).tags(repository.repository)
    except RegistryError:
        return None  # a registry need not list tags
    candidates = [tag for tag in tags if slug_of_tag(tag) == planned.slug][:MAX_OTHERS]
    manifests = registries.map(lambda tag: manifest_of(repository.with_tag(tag), registries), candidates)
    records = [read_record(manifest) for manifest in manifests if manifest is not None]
    others = [record for record in records if record and record.platform == str(planned.platform)]
    others.sort(key=lambda record: record.created, reverse=True)
    return min(others, key=lambda record: len(differences(record.parts, inputs.parts)), default=None)


def mark_published(
    children: Sequence[HandedOverChild], indexes: Sequence[str], registries: RegistrySession
) -> tuple[HandedOverChild, ...]:
    """Note in one child's record which indexes hold them all, digests; return the children, that one last.

    Removed in this order, what is left after a kill says that all were published. A tag that was given
    another child meanwhile is left as it is.
    """
    marked = next((child for child in children if _holds(child, registries)), None)
    if marked is None:
        return tuple(children)
    record = published_record(marked.record, indexes)
    registries.of(marked.tag.host).put_manifest(marked.tag, record.content, record.media_type)
    return (*(child for child in children if child is not marked), replace(marked, record=record))


def _holds(child: HandedOverChild, registries: RegistrySession) -> bool:
    """Whether the tag of a child still holds its record."""
    current = registries.of(child.tag.host).head(child.tag)
    return current is not None and current.digest == child.record.digest


def remove_handed_over(
    children: Sequence[HandedOverChild], registries: RegistrySession
) -> tuple[Reference, ...]:
    """Remove the tags of published children, and their records, the last at last; return those that a registry keeps.

    A tag that was given another child meanwhile stays, and is not returned. The entries of a record are the index's.
    """
    *others, last = children
    refused = registries.map(lambda child: _remove(child, registries), others)
    is_last_refused = _remove(last, registries)
    return tuple(
        child.tag
        for child, is_refused in zip(children, (*refused, is_last_refused), strict=True)
        if is_refused
    )


def _remove(child: HandedOverChild, registries: RegistrySession) -> bool:
    """Remove a tag; whether the registry refused it."""
    registry = registries.of(child.tag.host)
    try:
        if not _holds(child, registries):
            return False
        registry.delete(child.tag.with_digest(child.record.digest))
        # Most registries have removed the tag with its manifest; others take a tag to be one of its own.
        if registry.head(child.tag) is not None:
            registry.delete(child.tag)
    except RegistryError as error:
        return error.kind != "not-found"
    return False
