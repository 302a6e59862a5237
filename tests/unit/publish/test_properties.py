"""Properties of random indexes; the seed is in the test's name."""

import json
import random

import pytest

from multibuild.architectures import ARCHITECTURES
from multibuild.errors import PublishFailed
from multibuild.oci.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    REFERENCE_DIGEST,
    REFERENCE_TYPE,
    Descriptor,
    digest_of,
)
from multibuild.oci.reference import Reference
from multibuild.platforms import Platform
from multibuild.publish.compose_index import IndexChild, compose
from multibuild.publish.merge import MergeOptions, Source, merge

NAMES = [
    f"linux/{row.name}{f'/{variant}' if variant else ''}"
    for row in ARCHITECTURES
    for variant in ("", *row.variants, "unknown")
]


class RandomChildren:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.number = 0

    def digest(self):
        self.number += 1
        return digest_of(f"{self.number}".encode())

    def maybe(self, value, empty):
        return value if self.rng.random() < 0.4 else empty

    def image(self):
        return Descriptor(
            media_type=self.rng.choice((OCI_MANIFEST, DOCKER_MANIFEST)),
            digest=self.digest(),
            size=self.rng.randint(1, 10**9),
            platform=self.maybe(Platform.literal(self.rng.choice(NAMES)), None),
            os_version=self.maybe("10.0.1", ""),
            os_features=self.maybe(("b", "a"), ()),
            annotations=self.maybe({"z": "ü", "a": "1\n2"}, {}),
            artifact_type=self.maybe("x/y", ""),
            extras=self.maybe({"urls": ["https://example.org"], "data": "eA=="}, {}),
            platform_extras=self.maybe({"features": ["sse4"]}, {}),
        )

    def attestation(self, image):
        return Descriptor(
            media_type=OCI_MANIFEST,
            digest=self.digest(),
            size=9,
            platform=Platform.literal("unknown/unknown"),
            annotations={REFERENCE_TYPE: "attestation-manifest", REFERENCE_DIGEST: image.digest},
        )

    def child(self):
        image = self.image()
        return IndexChild(
            image=image,
            attestations=tuple(self.attestation(image) for _ in range(self.rng.choice((0, 0, 1, 2)))),
            platform=self.maybe(Platform.literal(self.rng.choice(NAMES)), None),
            also_as=tuple(map(Platform.literal, self.rng.sample(NAMES, self.rng.choice((0, 0, 1, 3))))),
            os_version=self.maybe("7", ""),
            annotations=self.maybe({"own": "1"}, {}),
        )

    def children(self):
        return [self.child() for _ in range(self.rng.randint(1, 8))]


def children_of(index):
    """Return the children of an index as `read_source` reads them."""
    entries = index.entries
    return [
        IndexChild(image=entry, attestations=tuple(e for e in entries if e.attests == entry.digest))
        for entry in entries
        if not entry.is_attestation
    ]


def source(children, base=None):
    text = "r.io/app:1"
    return Source(text=text, reference=Reference.parse(text), children=tuple(children), base=base)


def source_of(index):
    return source(children_of(index), index)


def child(content, platform):
    platform = Platform.literal(platform)
    image = Descriptor(media_type=OCI_MANIFEST, digest=digest_of(content), size=1, platform=platform)
    return IndexChild(image=image)


@pytest.mark.parametrize("seed", range(200))
def test_an_index_has_every_child_in_order_with_every_field(seed):
    random_children = RandomChildren(seed)
    children = random_children.children()
    annotations = random_children.maybe({"b": "2", "a": "1"}, {})
    index = compose(children, annotations=annotations)
    assert index.digest == digest_of(index.content)
    assert compose(list(children), annotations=dict(reversed(annotations.items()))) == index
    # Each image in order with its also_as right after it, then every attestation, about a listed image.
    images = [entry for entry in index.entries if not entry.is_attestation]
    assert list(index.entries[: len(images)]) == images
    expected = [(child.image.digest, platform) for child in children for platform in platforms_of(child)]
    assert [(entry.digest, entry.platform) for entry in images] == expected
    digests = {entry.digest for entry in images}
    others = index.entries[len(images) :]
    assert {entry.attests for entry in others} <= digests
    assert len(others) == sum(len(child.attestations) for child in children)
    # Nothing of a descriptor is lost.
    first = {entry.digest: entry for entry in reversed(images)}
    for child in children:
        entry = first[child.image.digest]
        assert (entry.size, entry.media_type) == (child.image.size, child.image.media_type)
        assert (entry.extras, entry.artifact_type) == (child.image.extras, child.image.artifact_type)
        assert {**child.image.annotations, **child.annotations} == entry.annotations
    assert json.loads(index.content)["schemaVersion"] == 2
    assert json.loads(index.content)["mediaType"] == index.media_type == OCI_INDEX


def platforms_of(child):
    return (child.platform or child.image.platform, *child.also_as)


@pytest.mark.parametrize("seed", range(200))
def test_the_children_of_an_index_compose_to_the_same_bytes(seed):
    random_children = RandomChildren(seed)
    index = compose(random_children.children(), annotations=random_children.maybe({"a": "1"}, {}))
    annotations = index.document.get("annotations") or {}
    assert compose(children_of(index), annotations=annotations) == index
    assert merge([source_of(index)], MergeOptions()) is index
    annotated = merge([source_of(index)], MergeOptions(annotations=(("new", "1"),)))
    again = merge([source_of(annotated)], MergeOptions(annotations=(("new", "1"),)))
    assert again.digest == annotated.digest


@pytest.mark.parametrize("seed", range(200))
def test_appending_an_existing_child_changes_nothing_and_a_new_one_comes_last(seed):
    children = [c for c in RandomChildren(seed).children() if c.platform or c.image.platform]
    index = distinct(compose(children or [child(b"0", NAMES[0])]))
    own = [c for c in children_of(index) if c.image.platform is not None]
    if own:
        assert merge([source(own[:1])], MergeOptions(), onto=source_of(index)).digest == index.digest
    new = child(b"new", "windows/amd64")
    extended = merge([source([new])], MergeOptions(), onto=source_of(index))
    images = [entry for entry in extended.entries if not entry.is_attestation]
    assert images[-1].digest == new.image.digest
    assert [entry.digest for entry in images[:-1]] == [c.image.digest for c in children_of(index)]


def distinct(index):
    """Return the index with each platform once in normal form: `--append` replaces the first of a platform."""
    children: dict[Platform | None, IndexChild] = {}
    for listed in children_of(index):
        platform = listed.image.platform
        children.setdefault(platform.normalised() if platform else None, listed)
    return compose(list(children.values()))


@pytest.mark.parametrize("seed", range(100))
def test_a_docker_list_has_only_docker_children_or_is_refused(seed):
    children = RandomChildren(seed).children()
    try:
        index = compose(children, media_type="docker")
    except PublishFailed:
        assert any(
            child.image.media_type != DOCKER_MANIFEST
            or child.attestations
            or child.annotations
            or child.image.annotations
            for child in children
        )
    else:
        assert index.media_type == DOCKER_LIST
        assert {entry.media_type for entry in index.entries} == {DOCKER_MANIFEST}
