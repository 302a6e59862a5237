"""Compose an index (image-spec, image-index): a pure function from children to bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Literal

from multibuild.errors import MultibuildError, PublishFailed
from multibuild.frozen import frozen
from multibuild.oci.document import MAX_DOCUMENT_BYTES
from multibuild.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, Descriptor, Manifest
from multibuild.oci.manifests.identity import EntryIdentity
from multibuild.oci.manifests.inputs_annotation import INPUTS_ANNOTATION, NO_INPUTS, InputsAnnotations
from multibuild.platforms import Platform

if TYPE_CHECKING:
    from multibuild.plan.children import PlatformChild, RememberedChild
    from multibuild.plan.plan import Plan
    from multibuild.plan.planned_platform import PlannedPlatform


@frozen
class IndexChild:
    """One child and the fields of its entry in the index.

    `platform` None keeps the child's own. `also_as` adds entries for the same digest right after it. `features` are
    those of a CPU, which a Docker list can name. `needs_zstd`: its layers do, whether or not its entry says so.
    `problem` is why it cannot be merged; of an image whose config says no platform, NoPlatform.
    """

    image: Descriptor
    attestations: tuple[Descriptor, ...] = ()
    platform: Platform | None = None
    also_as: tuple[Platform, ...] = ()
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    needs_zstd: bool = False
    problem: MultibuildError | None = None

    @property
    def entries(self) -> tuple[Descriptor, ...]:
        """The entries of its image."""
        return tuple(_images(self))

    @property
    def identities(self) -> tuple[EntryIdentity, ...]:
        """What tells its entries apart from others."""
        own = (EntryIdentity.of(entry) for entry in self.entries)
        return tuple(replace(one, is_zstd=one.is_zstd or self.needs_zstd) for one in own)

    @property
    def digests(self) -> tuple[str, ...]:
        """The digests that the index lists for the child."""
        return (self.image.digest, *(attestation.digest for attestation in self.attestations))


@frozen
class IndexBase:
    """The fields of an earlier index (image-spec, image-index) that the new one keeps."""

    subject: Mapping[str, Any] | None = None
    artifact_type: str = ""


def compose(
    children: Sequence[IndexChild],
    *,
    annotations: Mapping[str, str] | None = None,
    media_type: Literal["oci", "docker"] = "oci",
    base: IndexBase = IndexBase(),
) -> Manifest:
    """Compose an index: images in the given order, `also_as` right after each, attestations after all images.

    The bytes are deterministic. Raises PublishFailed for no children, and for `media_type` "docker" with OCI
    children or with annotations, which a Docker list cannot hold.
    """
    if not children:
        raise PublishFailed("there is no image to put into the index")
    if media_type == "docker":
        _require_docker(children, annotations or {})
        if base.subject or base.artifact_type:
            raise PublishFailed(
                "a Docker manifest list has no subject and no artifactType", hint="use `media_type: oci`"
            )
    elif any(child.features for child in children):
        raise PublishFailed(
            "an OCI index has no CPU features (image-spec: reserved)",
            hint="a Docker list has: `media_type: docker`",
        )
    entries = [*(entry for child in children for entry in child.entries), *_attestations(children)]
    _require_platforms(entries)
    index_type = OCI_INDEX if media_type == "oci" else DOCKER_LIST
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": index_type}
    if base.artifact_type:
        document["artifactType"] = base.artifact_type
    document["manifests"] = [entry.to_json() for entry in entries]
    if base.subject:
        document["subject"] = dict(base.subject)
    if annotations:
        document["annotations"] = dict(sorted(annotations.items()))
    return Manifest.of(_encode(document), index_type)


def _require_platforms(entries: Sequence[Descriptor]) -> None:
    """Raise PublishFailed for a platform without os or architecture (image-spec, image-index: both are required)."""
    for entry in entries:
        platform = entry.platform
        if platform is not None and not (platform.os and platform.architecture):
            raise PublishFailed(
                f"{entry.digest} would be listed without {'an architecture' if platform.os else 'an os'}",
                hint="say it with --platform-of, or leave the image out",
            )


def _encode(document: Mapping[str, Any]) -> bytes:
    """Return the bytes of an index; PublishFailed for text that UTF-8 cannot hold, and for too many bytes."""
    try:
        content = json.dumps(document, indent=2, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        text = error.object[max(error.start - 20, 0) : error.start]
        raise PublishFailed(
            f"an index is UTF-8, and what follows {text!r} in its annotations or options is not",
            hint="look for an --annotation in another encoding",
        ) from None
    if len(content) > MAX_DOCUMENT_BYTES:
        raise PublishFailed(
            f"the index has {len(content)} bytes", hint=f"registries take {MAX_DOCUMENT_BYTES} at most"
        )
    return content


def _images(child: IndexChild) -> Iterable[Descriptor]:
    own = child.image
    features = {"features": list(child.features)} if child.features else {}
    first = replace(
        own,
        platform=child.platform or own.platform,
        os_version=child.os_version or own.os_version,
        os_features=child.os_features or own.os_features,
        platform_extras={**own.platform_extras, **features},
        annotations={**own.annotations, **child.annotations},
    )
    yield first
    for platform in child.also_as:
        yield replace(first, platform=platform)


def _attestations(children: Sequence[IndexChild]) -> list[Descriptor]:
    """Return every attestation once; PublishFailed for one about an image that is not in the index."""
    images = {child.image.digest for child in children}
    attestations: dict[str, Descriptor] = {}
    for child in children:
        for attestation in child.attestations:
            if attestation.attests not in images:
                raise PublishFailed(
                    f"the attestation {attestation.digest} is about {attestation.attests}, which is not here"
                )
            attestations.setdefault(attestation.digest, attestation)
    return list(attestations.values())


def _require_docker(children: Sequence[IndexChild], annotations: Mapping[str, str]) -> None:
    if annotations or any(child.annotations or child.image.annotations for child in children):
        raise PublishFailed(
            "a Docker manifest list has no annotations", hint="use `media_type: oci`, or leave them out"
        )
    for child in children:
        if child.image.media_type != DOCKER_MANIFEST or child.attestations:
            what = "has attestations" if child.attestations else f"is {child.image.media_type}"
            raise PublishFailed(
                f"a Docker manifest list cannot hold {child.image.digest}: it {what}",
                hint="build with `media_type: docker` and without attestations, or publish an OCI index",
            )


def compose_children(
    plan: Plan,
    children: Sequence[PlatformChild],
    carried: Mapping[Platform, IndexChild] | None = None,
    inputs: InputsAnnotations = NO_INPUTS,
) -> Manifest:
    """Compose the index of a plan's children and the carried ones, in config order; raises what `compose` raises.

    `inputs` are the annotations of `remember`: of the index only if no platform of the plan is missing or carried over.
    """
    own = {child.planned.platform: index_child(child, inputs) for child in children}
    listed = own | dict(carried or {})
    is_complete = own.keys() == plan.specs.keys()
    remembered = {INPUTS_ANNOTATION: inputs.index} if inputs.index and is_complete else {}
    return compose(
        [listed[planned.platform] for planned in plan.platforms if planned.platform in listed],
        annotations={**plan.annotations, **remembered},
        media_type=plan.media_type,
    )


def compose_remembered(
    plan: Plan, children: Sequence[RememberedChild], inputs: InputsAnnotations
) -> Manifest:
    """Compose the index that children of all platforms, which an index has already, would have now."""
    listed = {child.platform: child for child in children}
    own = [
        _index_child(planned, listed[planned.platform].image, listed[planned.platform].attestations, inputs)
        for planned in plan.platforms
    ]
    return compose(
        own,
        annotations={**plan.annotations, INPUTS_ANNOTATION: inputs.index},
        media_type=plan.media_type,
    )


def index_child(child: PlatformChild, inputs: InputsAnnotations = NO_INPUTS) -> IndexChild:
    """Return a child's part of the index: its descriptor with the platform and fields of the config."""
    return _index_child(child.planned, child.child.image, child.child.attestations, inputs)


def _index_child(
    planned: PlannedPlatform,
    image: Descriptor,
    attestations: tuple[Descriptor, ...],
    inputs: InputsAnnotations,
) -> IndexChild:
    entry, text = planned.entry, inputs.entries.get(planned.platform)
    return IndexChild(
        image=image,
        attestations=attestations,
        platform=planned.platform,
        also_as=entry.also_as,
        os_version=entry.os_version,
        os_features=entry.os_features,
        annotations={**entry.annotations, **({INPUTS_ANNOTATION: text} if text else {})},
    )
