"""What the registry remembers: which children and indexes under a config's tags need no build. Needs no engine.

Only indexes under the tags that the config names are looked at, and only children in `image` are reused; with `sign`
those of an index that its key has signed. What cannot be read, or says nothing that this version understands, counts as
changed: this can only save work.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from functools import partial
from typing import TYPE_CHECKING

from multibuild.builds.fingerprint import PlanFingerprints, fingerprint_platforms, resolve_bases
from multibuild.builds.inputs import with_dependencies
from multibuild.builds.sent_trees import SentTrees
from multibuild.errors import MultibuildError
from multibuild.frozen import frozen
from multibuild.journal.recorder import Say
from multibuild.oci.manifest import Descriptor, Manifest
from multibuild.oci.manifests.inputs_annotation import INPUTS_ANNOTATION, EntryInputs, InputsAnnotations
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.children import RememberedChild
from multibuild.platforms import Platform
from multibuild.publish.compose_index import compose_remembered
from multibuild.publish.cosign import CosignFailed
from multibuild.publish.sign import find_unsigned, signer_of
from multibuild.resolve.base_triggers import BaseTriggers
from multibuild.terminal import one_line
from multibuild.workflow.remember.annotations import inputs_annotations

if TYPE_CHECKING:
    from multibuild.config.load import LoadedConfig
    from multibuild.config.publishing.sign import Sign
    from multibuild.plan.plan import Plan

_NOT_OURS = "; `sign` is set, and what has no signature of ours is built again:"

Tags = Mapping[Reference, Manifest | None]
"""The index under each tag, in the order of the config; None where there is none that can be read."""


@frozen
class Recalled:
    """What needs no build of an image: `children` that exist, by platform, and why others do.

    `index` is the one that would be published if nothing is built, None if something is. `holds`: every tag in every
    repository is that index already, so that there is nothing to do.
    """

    plan: Plan
    fingerprints: PlanFingerprints
    children: Mapping[Platform, RememberedChild] = field(default_factory=dict)
    index: Manifest | None = None
    holds: bool = False
    reason: str

    @property
    def to_run(self) -> frozenset[Platform]:
        """The platforms that need a builder: for a build, or for a smoke test that a child has not passed."""
        tested = {planned.platform for planned in self.plan.platforms if planned.test is not None}
        unproved = {platform for platform, child in self.children.items() if not child.is_proved}
        return frozenset((*self.to_build, *(tested & unproved)))

    @property
    def to_build(self) -> tuple[Platform, ...]:
        """The platforms that need a build, in the order of the config."""
        return tuple(platform for platform in self.plan.specs if platform not in self.children)


def recall_images(images: Sequence[LoadedConfig], plans: Sequence[Plan], *, say: Say) -> dict[str, Recalled]:
    """Look up images in the registry, by name; `plans` are theirs, those that others are built from first."""
    by_name = {loaded.name: loaded for loaded in images}
    settings = {host: one for loaded in images for host, one in loaded.config.registry_settings.items()}
    recalled: dict[str, Recalled] = {}
    with RegistrySession(settings, on_wait=say) as registries:
        lookup = _Lookup(registries, say)
        for plan in plans:
            known = {name: one.fingerprints for name, one in recalled.items()}
            recalled[plan.name] = lookup.recall(by_name[plan.name], plan, known)
    return recalled


class _Lookup:
    """One look at the registries for all images: what several of them need is read once."""

    def __init__(self, registries: RegistrySession, say: Say) -> None:
        self._registries = registries
        self._say = say
        self._sent = SentTrees()
        self._bases: dict[str, str | None] = {}
        self._triggers = BaseTriggers(registries)

    def recall(self, loaded: LoadedConfig, plan: Plan, images: Mapping[str, PlanFingerprints]) -> Recalled:
        """Compare an image with what is under its tags; `images` are those that it is built from."""
        tags: dict[Reference, Manifest | None] = {}

        def resolve(names: Iterable[str]) -> Mapping[str, str | None]:
            # One round of requests: for the base images, and for the tags.
            wanted = _tags(plan) if loaded.config.remember else ()
            indexes = self._registries.start_map(partial(_read_index, self._registries), wanted)
            bases = self._resolve(tuple(names))
            tags.update(zip(wanted, indexes(), strict=True))
            return bases

        own = fingerprint_platforms(
            plan.project,
            plan.specs,
            resolve,
            sent=self._sent,
            find_triggers=self._triggers.find,
            is_recorded=lambda fingerprint: fingerprint.digest in _recorded_digests(_own_indexes(plan, tags)),
        )
        fingerprints = with_dependencies(own, plan, images)
        if not loaded.config.remember:
            return Recalled(plan=plan, fingerprints=fingerprints, reason="`remember` is false")
        digests = {platform: one.digest for platform, one in fingerprints.platforms.items()}
        inputs = inputs_annotations(loaded, plan, digests)
        recalled = _compare(plan, fingerprints, tags, inputs, _own_indexes(plan, tags))
        unsigned = ""
        if recalled.holds and recalled.index is not None:
            lacking = find_unsigned(plan, recalled.index, self._registries, self._say)
            if lacking is None:
                return recalled
            unsigned = f"; in {lacking} not all has a signature"
        if plan.sign is not None and recalled.children:
            # Who can push to the tags could forge a child there, and would get our signature for it.
            signed, why = self._signed(plan, plan.sign, _own_indexes(plan, tags))
            recalled, unsigned = _compare(plan, fingerprints, tags, inputs, signed), why or unsigned
        existing = self._with_existing(replace(recalled, holds=False), tags)
        return replace(existing, reason=f"{existing.reason}{unsigned}{self._hint(loaded, existing)}")

    def _signed(
        self, plan: Plan, sign: Sign, indexes: Mapping[str, Manifest]
    ) -> tuple[Mapping[str, Manifest], str]:
        """Return the indexes with a signature of the config's key, and why others are not used, to follow a reason."""
        signer = signer_of(plan, sign, self._say)
        if sign.keyless:
            return {}, f"{_NOT_OURS} keyless ones are not verified"
        try:
            signed = signer.signed(Reference.parse(plan.image), tuple(indexes), self._registries)
        except (CosignFailed, MultibuildError) as error:
            return {}, f"{_NOT_OURS} {error.message}"
        found = {digest: index for digest, index in indexes.items() if digest in signed}
        return found, "" if found else f"{_NOT_OURS} none by {sign.identity} is valid"

    def _hint(self, loaded: LoadedConfig, recalled: Recalled) -> str:
        """Return which files in the context make every checkout differ, if something has to be built."""
        sent: dict[str, None] = {}
        for spec in recalled.plan.specs.values() if recalled.to_build else ():
            own = os.path.relpath(loaded.path.absolute(), loaded.project / spec.context)
            names = recalled.fingerprints.names.get(spec.platform, frozenset())
            sent |= dict.fromkeys(name for name in (own, ".git") if name in names)
        listed = " and ".join(one_line(name) for name in sent)
        return (
            f"; the context has {listed}: list it in .dockerignore, or every change of it counts"
            if sent
            else ""
        )

    def _resolve(self, names: Sequence[str]) -> Mapping[str, str | None]:
        """Return the digests of base images, each asked for once."""
        new = [name for name in names if name not in self._bases]
        self._bases |= resolve_bases(self._registries, new)
        return {name: self._bases[name] for name in names}

    def _with_existing(self, recalled: Recalled, tags: Tags) -> Recalled:
        """Return it with those children alone that are in the registry, and say what is to be done."""
        children = recalled.children
        existing = self._registries.map(self._exists, children.values())
        kept = {p: child for (p, child), exists in zip(children.items(), existing, strict=True) if exists}
        changed = replace(recalled, children=kept, index=recalled.index if kept == children else None)
        return replace(changed, reason=_reason(changed, tags))

    def _exists(self, child: RememberedChild) -> bool:
        repository = Reference.parse(child.repository)
        digests = (child.image.digest, *(one.digest for one in child.attestations))
        registry = self._registries.of(repository.host)
        try:
            return all(registry.head(repository.with_digest(digest)) is not None for digest in digests)
        except MultibuildError:
            return False


def _tags(plan: Plan) -> tuple[Reference, ...]:
    """Return every tag in every repository that the config names, those of `image` first."""
    if plan.publish.output.kind != "registry":
        return ()
    return tuple(
        Reference.parse(target.repository).with_tag(tag) for target in plan.targets for tag in target.tags
    )


def _read_index(registries: RegistrySession, tag: Reference) -> Manifest | None:
    """Return the index under a tag; None where there is none, or none that can be read."""
    with suppress(MultibuildError):
        manifest = registries.of(tag.host).manifest(tag)
        return manifest if manifest.is_index and manifest.entries else None
    return None


def _compare(
    plan: Plan,
    fingerprints: PlanFingerprints,
    tags: Tags,
    inputs: InputsAnnotations,
    indexes: Mapping[str, Manifest],
) -> Recalled:
    """Compare an image with what is under its tags, and take children from `indexes` among these."""
    children = _children(plan, tags, inputs, indexes)
    index = None
    if inputs.index and children.keys() == plan.specs.keys():
        index = compose_remembered(plan, tuple(children.values()), inputs)
    proved = all(child.is_proved for child in children.values())
    holds = index is not None and proved and all(one and one.digest == index.digest for one in tags.values())
    what = f"{len(tags)} tag{'s' * (len(tags) != 1)}"
    return Recalled(
        plan=plan,
        fingerprints=fingerprints,
        children=children,
        index=index,
        holds=holds,
        reason=f"unchanged in the registry ({what}: {index.digest[:19]}); nothing to do" if index else "",
    )


def _own_indexes(plan: Plan, tags: Tags) -> dict[str, Manifest]:
    """Return the indexes under tags of `image` by digest."""
    return {
        index.digest: index for tag, index in tags.items() if index and str(tag.with_tag(None)) == plan.image
    }


def _recorded_digests(indexes: Mapping[str, Manifest]) -> frozenset[str]:
    """Return the digests of the fingerprints from which the children of indexes were built."""
    texts = {
        entry.annotations.get(INPUTS_ANNOTATION, "") for index in indexes.values() for entry in index.entries
    }
    return frozenset(inputs.inputs for inputs in map(EntryInputs.parse, texts) if inputs is not None)


def _children(
    plan: Plan, tags: Tags, inputs: InputsAnnotations, indexes: Mapping[str, Manifest]
) -> dict[Platform, RememberedChild]:
    """Return the children of `indexes` that were built from the same, in the order of the config.

    One that a destination with such a tag lacks is left out: who can push to `image` alone reaches no other repository.
    """
    listed = [_listed_digests(tags, target.repository) for target in plan.targets[1:]]
    children: dict[Platform, RememberedChild] = {}
    for platform, text in inputs.entries.items():
        wanted = EntryInputs.parse(text)
        assert wanted is not None
        found = [child for index in indexes.values() for child in _matching(plan, platform, wanted, index)]
        allowed = [one for one in found if all(not there or one.image.digest in there for there in listed)]
        if allowed:
            children[platform] = max(allowed, key=lambda child: child.is_proved)
    return children


def _listed_digests(tags: Tags, repository: str) -> frozenset[str]:
    """Return the digests that the indexes under the tags of a repository list."""
    indexes = [index for tag, index in tags.items() if index and str(tag.with_tag(None)) == repository]
    return frozenset(entry.digest for index in indexes for entry in index.entries)


def _matching(
    plan: Plan, platform: Platform, wanted: EntryInputs, index: Manifest
) -> Iterable[RememberedChild]:
    """Yield the children of an index that were built from what is wanted for a platform."""
    for entry in index.entries:
        inputs = EntryInputs.parse(entry.annotations.get(INPUTS_ANNOTATION, ""))
        if entry.platform != platform or inputs is None or not inputs.is_built_like(wanted):
            continue
        yield RememberedChild(
            platform=platform,
            repository=plan.image,
            image=_bare(entry),
            attestations=tuple(e for e in index.entries if e.is_attestation and e.attests == entry.digest),
            fingerprint=wanted.inputs,
            is_proved=inputs.proves(wanted),
        )


def _bare(entry: Descriptor) -> Descriptor:
    """Return the descriptor of an entry's image as it is read from the image itself."""
    return replace(entry, annotations={}, extras={}, platform_extras={}, artifact_type="")


def _reason(recalled: Recalled, tags: Tags) -> str:
    """Return what is to be done with an image, in words."""
    count, to_build = len(recalled.plan.platforms), recalled.to_build
    if to_build:
        kept = f"{len(recalled.children)} of {count} platforms are in the registry"
        fingerprints = recalled.fingerprints.platforms
        unknown = dict.fromkeys(fingerprints[one].unknown for one in to_build if fingerprints[one].unknown)
        why = "".join(f"; {text} cannot be proven unchanged" for text in unknown)
        return f"{kept}; to be built: {', '.join(map(str, to_build))}{why}"
    published = {index.digest for index in tags.values() if index}
    same = recalled.index is not None and recalled.index.digest in published
    return f"nothing is to be built: {'only tags move' if same else 'the index changes'}"
