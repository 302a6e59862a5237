"""Garbage collection of the children and tags of runs in registries; a digest that a tag or an index needs stays.

Stores list no untagged manifests and delete a manifest from every tag and index that uses it. So the candidates are
the digests in our own journals, and the roots are all tags, the children of retained runs and the indexes of our runs.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from multibuild.frozen import frozen
from multibuild.journal.events import HandedOver, IndexComposed
from multibuild.journal.last_run import is_child, parsed_reference, recorded_children
from multibuild.journal.local_children import is_local_child
from multibuild.journal.runs import RunDirectory
from multibuild.oci.errors import RegistryError
from multibuild.oci.manifest import OCI_INDEX, Manifest, as_mapping, digest_of
from multibuild.oci.manifests.read_manifest import UnusableManifest
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession

OWN_TAGS = "multibuild-"
"""Prefix of the staging tags of `publish.staging: auto` and `tag`; those of a template belong to the user."""


@frozen
class Leftovers:
    """The leftovers of runs in one repository: children and staging tags, and digests that must stay (`roots`)."""

    repository: Reference
    children: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    roots: frozenset[str] = frozenset()


@frozen
class Removal:
    """One deletion: of a `tag` alone, or of a `manifest` with our `tags` that point to it.

    `digest` is what a tag pointed to at planning time, as another run may move it before the removal.
    """

    kind: Literal["tag", "manifest"]
    reference: Reference
    tags: tuple[str, ...] = ()
    digest: str = ""

    def __str__(self) -> str:
        more = f" (and its tag {', '.join(self.tags)})" if self.tags else ""
        return f"{self.kind} {self.reference}{more}"


@frozen
class CleanupPlan:
    """Removals in order, and a line for each leftover that stays, with the reason."""

    removals: tuple[Removal, ...] = ()
    retentions: tuple[str, ...] = ()


@dataclass
class _Collected:
    children: set[str] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)
    roots: set[str] = field(default_factory=set)


def collect_leftovers(
    removed_runs: Sequence[RunDirectory], retained_runs: Sequence[RunDirectory]
) -> tuple[Leftovers, ...]:
    """Return the leftovers of each repository, from the journals; children of `retained_runs` are roots."""
    leftovers: dict[Reference, _Collected] = {}
    removed = {run.path for run in removed_runs}
    for run in (view for whole in (*removed_runs, *retained_runs) for view in whole.views()):
        plan = run.load_plan()
        if plan is None:
            continue
        events = run.events()
        for child in recorded_children(plan, events).values():
            if is_local_child(child.repository) or not is_child(child.repository, child.digest):
                continue
            collected = leftovers.setdefault(Reference.parse(child.repository), _Collected())
            (collected.children if run.path in removed else collected.roots).add(child.digest)
        handed_over = [e for e in events if isinstance(e, HandedOver) and run.path in removed]
        for record in handed_over:
            tag = parsed_reference(record.ref)
            if tag is not None and tag.tag and is_child(tag.name, record.digest):
                collected = leftovers.setdefault(tag.with_tag(None), _Collected())
                collected.children.add(record.digest)
                collected.tags.add(tag.tag)
        for planned in plan.get("platforms", ()):
            staging = parsed_reference(planned["staging"]["reference"])
            if staging is not None and staging.tag and staging.tag.startswith(OWN_TAGS):
                leftovers.setdefault(staging.with_tag(None), _Collected()).tags.add(staging.tag)
        image = parsed_reference(plan.get("image", ""))
        for event in events:
            if isinstance(event, IndexComposed) and image is not None:
                leftovers.setdefault(image, _Collected()).roots.add(event.digest)
    return tuple(
        Leftovers(
            repository=repository,
            children=frozenset(collected.children),
            tags=frozenset(collected.tags),
            roots=frozenset(collected.roots),
        )
        for repository, collected in leftovers.items()
    )


def plan_cleanup(leftovers: Leftovers, registries: RegistrySession) -> CleanupPlan:
    """Return what may be removed from a repository; raise RegistryError if not all of it can be read."""
    registry = registries.of(leftovers.repository.host)
    if not leftovers.children and not leftovers.tags:
        return CleanupPlan()
    try:
        tags = registry.tags(leftovers.repository.repository)
    except RegistryError as error:
        if error.kind != "not-found":
            raise
        tags = ()  # registry 2.8 knows no repository that has only untagged manifests
    manifests = registries.map(lambda tag: registry.head(leftovers.repository.with_tag(tag)), tags)
    digests = {
        tag: manifest.digest if manifest else None for tag, manifest in zip(tags, manifests, strict=True)
    }
    ours = {
        tag: digest
        for tag, digest in digests.items()
        if tag in leftovers.tags and digest in leftovers.children
    }
    retentions = [
        f"tag {leftovers.repository.with_tag(tag)}: it holds a child that is not of these runs"
        for tag in sorted(leftovers.tags & digests.keys() - ours.keys())
    ]
    roots = {digest for tag, digest in digests.items() if digest and tag not in ours} | leftovers.roots
    live = reachable_digests(leftovers.repository, roots, registries)
    if live_children := leftovers.children & live:
        retentions.append(
            f"{len(live_children)} children in {leftovers.repository}: tags or indexes hold them"
        )
    removals: list[Removal] = []
    for digest in sorted(leftovers.children):
        names = tuple(sorted(tag for tag, child in ours.items() if child == digest))
        if digest in live:
            removals += [
                Removal(kind="tag", reference=leftovers.repository.with_tag(tag), digest=digest)
                for tag in names
            ]
            continue
        # The child's own index is deleted before its entries, so that it never lists a missing one.
        below = reachable_digests(leftovers.repository, {digest}, registries, references=_entries)
        if digest in below:
            removals.append(
                Removal(kind="manifest", reference=leftovers.repository.with_digest(digest), tags=names)
            )
        removals += [
            Removal(kind="manifest", reference=leftovers.repository.with_digest(inner))
            for inner in sorted(below - {digest} - live)
        ]
    return CleanupPlan(removals=tuple(dict.fromkeys(removals)), retentions=tuple(retentions))


def _entries(manifest: Manifest) -> tuple[str, ...]:
    """Return the digests to delete with a manifest: the entries of an index, never its subject."""
    return tuple(entry.digest for entry in manifest.entries) if manifest.is_index else ()


def _references(manifest: Manifest) -> tuple[str, ...]:
    """Return the digests that a manifest needs: the entries of an index, and its subject."""
    subject = as_mapping(manifest.document.get("subject")).get("digest")
    return (*_entries(manifest), *((str(subject),) if subject else ()))


def reachable_digests(
    repository: Reference,
    roots: Iterable[str],
    registries: RegistrySession,
    references: Callable[[Manifest], tuple[str, ...]] = _references,
) -> frozenset[str]:
    """Return the digests that exist and are reachable from `roots` by the `references` of each manifest."""
    reachable: set[str] = set()
    pending = set(roots)
    while pending:
        manifests = registries.map(
            lambda digest: _manifest(repository.with_digest(digest), registries), sorted(pending)
        )
        existing = [manifest for manifest in manifests if manifest is not None]
        reachable |= {manifest.digest for manifest in existing}
        pending = {digest for manifest in existing for digest in references(manifest)} - reachable - pending
    return frozenset(reachable)


def remove(removal: Removal, registries: RegistrySession) -> str | None:
    """Carry out a removal; return the reason if the registry refuses it."""
    registry = registries.of(removal.reference.host)
    try:
        if removal.kind == "tag":
            current = registry.head(removal.reference)
            if current is not None and current.digest != removal.digest:
                return f"{removal}: it was given another child meanwhile"
            if current is not None:
                _remove_tag(removal.reference, registries)
        else:
            registry.delete(removal.reference)
            for tag in removal.tags:
                tagged = removal.reference.with_tag(tag)
                current = registry.head(tagged)
                if current is not None and current.digest == removal.reference.digest:
                    registry.delete(tagged)
    except RegistryError as error:
        if error.kind == "not-found":
            return None
        return f"{removal}: {error.message}"
    return None


def _remove_tag(tag: Reference, registries: RegistrySession) -> None:
    """Delete a tag but not its manifest.

    registry 2.8 deletes manifests only, by digest and from every tag; others accept a tag, and some of them then delete
    its manifest. So the tag is first moved to a unique empty index, and that one is deleted. Another one is pushed and
    deleted without the tag before, to see whether the registry allows it.
    """
    registry = registries.of(tag.host)
    for target in (None, tag):
        content = _empty_index()
        untagged = tag.with_tag(None).with_digest(digest_of(content))
        registry.put_manifest(target or untagged, content, OCI_INDEX)
        registry.delete(untagged)
    if registry.head(tag) is not None:
        registry.delete(tag)


def _empty_index() -> bytes:
    annotations = {"org.opencontainers.image.ref.name": f"multibuild-clean-{uuid.uuid4()}"}
    document: Mapping[str, object] = {
        "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": annotations,
    }  # fmt: skip
    return json.dumps(document).encode()


def _manifest(reference: Reference, registries: RegistrySession) -> Manifest | None:
    try:
        return registries.of(reference.host).manifest(reference)
    except RegistryError as error:
        if isinstance(error, UnusableManifest) and not error.manifest.is_index:
            return error.manifest  # an image of schema 1, a page for people: nothing below it is ours
        if error.kind == "not-found":
            return None
        raise
