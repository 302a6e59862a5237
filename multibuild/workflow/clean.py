"""What runs left in registries, and which of it may go: never a digest that a tag or an index still reaches.

Registries list no untagged manifests and delete a manifest from every tag and index that uses it, so only what our
own journals name is ever looked at, and everything any tag, any kept run or any index of our runs holds is held.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from multibuild.frozen import frozen
from multibuild.journal.events import IndexComposed, PlatformEnded
from multibuild.journal.journal import read_events
from multibuild.journal.last_run import recorded_children
from multibuild.journal.local_children import is_staged_here
from multibuild.journal.runs import RunDirectory
from multibuild.oci.errors import RegistryError
from multibuild.oci.manifest import OCI_INDEX, Manifest, as_mapping, digest_of
from multibuild.oci.reference import Reference
from multibuild.oci.registries import RegistrySession

OWN_TAGS = "multibuild-"
"""How the staging tags of `publish.staging: auto` and `tag` begin; a template's names are the user's own."""


@frozen
class Left:
    """What runs left in one repository: children and staging tags that may go, children and indexes that stay."""

    repository: Reference
    children: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()


@frozen
class Removal:
    """One thing to delete. A `tag` only loses its name; a `manifest` goes, with `tags` of ours that hold it.

    `holds` is the digest a tag held when this was decided: another run may give it a child of its own meanwhile.
    """

    kind: Literal["tag", "manifest"]
    reference: Reference
    tags: tuple[str, ...] = ()
    holds: str = ""

    def __str__(self) -> str:
        more = f" (and its tag {', '.join(self.tags)})" if self.tags else ""
        return f"{self.kind} {self.reference}{more}"


@frozen
class CleanupPlan:
    """What goes, in order, and what stays although a run made it, with the reason."""

    removals: tuple[Removal, ...] = ()
    stays: tuple[str, ...] = ()


@dataclass
class _Traces:
    children: set[str] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)


def left_by(going: Sequence[RunDirectory], staying: Sequence[RunDirectory]) -> tuple[Left, ...]:
    """Read off journals what runs left, by repository. `staying` are runs whose children are kept.

    Children in the directories of runs are in no repository.
    """
    found: dict[Reference, _Traces] = {}
    for run in (*going, *staying):
        plan = run.load_plan()
        if plan is None:
            continue
        events = read_events(run.journal_path)
        # What was carried over from an older index is not of our making, and others may hold it by its digest.
        own = [e for e in events if not (isinstance(e, PlatformEnded) and e.status == "carried")]
        for child in recorded_children(plan, own).values():
            if is_staged_here(child.repository):
                continue
            traces = found.setdefault(Reference.parse(child.repository), _Traces())
            (traces.children if run in going else traces.kept).add(child.digest)
        for item in plan["platforms"]:
            if is_staged_here(item["staging"]["reference"]):
                continue
            staged = Reference.parse(item["staging"]["reference"])
            if staged.tag and staged.tag.startswith(OWN_TAGS):
                found.setdefault(staged.with_tag(None), _Traces()).tags.add(staged.tag)
        for event in events:
            if isinstance(event, IndexComposed):
                image = Reference.parse(plan["image"])
                found.setdefault(image, _Traces()).kept.add(event.digest)
    return tuple(
        Left(
            repository=repository,
            children=frozenset(traces.children),
            tags=frozenset(traces.tags),
            kept=frozenset(traces.kept),
        )
        for repository, traces in found.items()
    )


def decide(left: Left, registries: RegistrySession) -> CleanupPlan:
    """Look at the repository and decide; RegistryError when it cannot be read to the end: then nothing may go."""
    registry = registries.of(left.repository.host)
    if not left.children and not left.tags:
        return CleanupPlan()
    try:
        tags = registry.tags(left.repository.repository)
    except RegistryError as error:
        if error.kind == "not-found":
            return CleanupPlan()
        raise
    holds = dict(zip(tags, registries.map(lambda tag: _digest(left, tag, registries), tags), strict=True))
    ours = {tag: held for tag, held in holds.items() if tag in left.tags and held in left.children}
    stays = [
        f"tag {left.repository.with_tag(tag)}: it holds a child that is not of these runs"
        for tag in sorted(left.tags & holds.keys() - ours.keys())
    ]
    roots = {held for tag, held in holds.items() if held and tag not in ours} | left.kept
    held_now = reached(left.repository, roots, registries)
    if held := left.children & held_now:
        stays.append(f"{len(held)} children in {left.repository}: tags or indexes hold them")
    removals: list[Removal] = []
    for digest in sorted(left.children):
        names = tuple(sorted(tag for tag, held in ours.items() if held == digest))
        if digest in held_now:
            removals += [
                Removal(kind="tag", reference=left.repository.with_tag(tag), holds=digest) for tag in names
            ]
            continue
        # The little index goes before what it lists, so that it never lists what is gone.
        below = reached(left.repository, {digest}, registries, needs=_listed)
        if digest in below:
            removals.append(
                Removal(kind="manifest", reference=left.repository.with_digest(digest), tags=names)
            )
        removals += [
            Removal(kind="manifest", reference=left.repository.with_digest(inner))
            for inner in sorted(below - {digest} - held_now)
        ]
    return CleanupPlan(removals=tuple(dict.fromkeys(removals)), stays=tuple(stays))


def _listed(manifest: Manifest) -> tuple[str, ...]:
    """What goes with a manifest: the entries of an index, and never what it is about."""
    return tuple(entry.digest for entry in manifest.entries) if manifest.is_index else ()


def _needed(manifest: Manifest) -> tuple[str, ...]:
    """What a manifest needs: the entries of an index, and what a signature or the like is about."""
    subject = as_mapping(manifest.document.get("subject")).get("digest")
    return (*_listed(manifest), *((str(subject),) if subject else ()))


def reached(
    repository: Reference,
    roots: Iterable[str],
    registries: RegistrySession,
    needs: Callable[[Manifest], tuple[str, ...]] = _needed,
) -> frozenset[str]:
    """Give the digests that are there and reachable from `roots`, going from each to what it `needs`."""
    found: set[str] = set()
    waiting = set(roots)
    while waiting:
        read = registries.map(
            lambda digest: _manifest(repository.with_digest(digest), registries), sorted(waiting)
        )
        there = [manifest for manifest in read if manifest is not None]
        found |= {manifest.digest for manifest in there}
        waiting = {digest for manifest in there for digest in needs(manifest)} - found - waiting
    return frozenset(found)


def remove(removal: Removal, registries: RegistrySession) -> str | None:
    """Carry one out; gives why it could not be done where the registry does not allow it."""
    registry = registries.of(removal.reference.host)
    try:
        if removal.kind == "tag":
            held = registry.head(removal.reference)
            if held is not None and held.digest != removal.holds:
                return f"{removal}: it was given another child meanwhile"
            if held is not None:
                _remove_tag(removal.reference, registries)
        else:
            registry.delete(removal.reference)
            for tag in removal.tags:
                named = removal.reference.with_tag(tag)
                held = registry.head(named)
                if held is not None and held.digest == removal.reference.digest:
                    registry.delete(named)
    except RegistryError as error:
        if error.kind == "not-found":
            return None
        return f"{removal}: {error.message}"
    return None


def _remove_tag(tag: Reference, registries: RegistrySession) -> None:
    """Delete a tag and not what it holds.

    registry 2.8 deletes manifests only, by digest and from every tag; others take a tag, and some of them delete what
    it holds. So the tag is given a manifest of its own first, an empty index that nobody else has, and that one goes.
    It is deleted once without the tag, to see that it can be.
    """
    registry = registries.of(tag.host)
    for place in (None, tag):
        content = _empty_index()
        alone = tag.with_tag(None).with_digest(digest_of(content))
        registry.put_manifest(place or alone, content, OCI_INDEX)
        registry.delete(alone)
    if registry.head(tag) is not None:
        registry.delete(tag)


def _empty_index() -> bytes:
    mark = {"org.opencontainers.image.ref.name": f"multibuild-clean-{uuid.uuid4()}"}
    document: Mapping[str, object] = {
        "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": mark,
    }  # fmt: skip
    return json.dumps(document).encode()


def _digest(left: Left, tag: str, registries: RegistrySession) -> str | None:
    found = registries.of(left.repository.host).head(left.repository.with_tag(tag))
    return found.digest if found is not None else None


def _manifest(reference: Reference, registries: RegistrySession) -> Manifest | None:
    try:
        return registries.of(reference.host).manifest(reference)
    except RegistryError as error:
        if error.kind == "not-found":
            return None
        raise
