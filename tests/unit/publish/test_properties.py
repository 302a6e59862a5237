"""What holds of every composition, on a thousand made up ones; a seed that fails is in the test's name."""

import json
import random

import pytest

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
from multibuild.platforms import ARCHITECTURES, Platform
from multibuild.publish.compose_index import IndexChild, compose
from multibuild.publish.merge import MergeOptions, Source, merge

NAMES = [
    f"linux/{row.name}{f'/{variant}' if variant else ''}"
    for row in ARCHITECTURES
    for variant in ("", *row.variants, "unknown")
]


class Maker:
    """Makes up children, sources and wishes from a seed."""

    def __init__(self, seed):
        self.chosen = random.Random(seed)
        self.number = 0

    def digest(self):
        self.number += 1
        return digest_of(f"{self.number}".encode())

    def maybe(self, value, empty):
        return value if self.chosen.random() < 0.4 else empty

    def image(self):
        return Descriptor(
            media_type=self.chosen.choice((OCI_MANIFEST, DOCKER_MANIFEST)),
            digest=self.digest(),
            size=self.chosen.randint(1, 10**9),
            platform=self.maybe(Platform.literal(self.chosen.choice(NAMES)), None),
            os_version=self.maybe("10.0.1", ""),
            os_features=self.maybe(("b", "a"), ()),
            annotations=self.maybe({"z": "ü", "a": "1\n2"}, {}),
            artifact_type=self.maybe("x/y", ""),
            extras=self.maybe({"urls": ["https://example.org"], "data": "eA=="}, {}),
            platform_extras=self.maybe({"features": ["sse4"]}, {}),
        )

    def attestation(self, about):
        return Descriptor(
            media_type=OCI_MANIFEST,
            digest=self.digest(),
            size=9,
            platform=Platform.literal("unknown/unknown"),
            annotations={REFERENCE_TYPE: "attestation-manifest", REFERENCE_DIGEST: about},
        )

    def child(self):
        image = self.image()
        return IndexChild(
            image=image,
            attestations=tuple(
                self.attestation(image.digest) for _ in range(self.chosen.choice((0, 0, 1, 2)))
            ),
            platform=self.maybe(Platform.literal(self.chosen.choice(NAMES)), None),
            also_as=tuple(map(Platform.literal, self.chosen.sample(NAMES, self.chosen.choice((0, 0, 1, 3))))),
            os_version=self.maybe("7", ""),
            annotations=self.maybe({"said": "so"}, {}),
        )

    def children(self):
        return [self.child() for _ in range(self.chosen.randint(1, 8))]


def read_again(index):
    """The children of an index as a registry would give them back."""
    entries = index.entries
    about = {entry.digest: tuple(e for e in entries if e.attests == entry.digest) for entry in entries}
    return [
        IndexChild(image=entry, attestations=about[entry.digest])
        for entry in entries
        if not entry.is_attestation
    ]


def source(index, text="r.io/app:1"):
    return Source(text=text, reference=Reference.parse(text), children=tuple(read_again(index)), base=index)


@pytest.mark.parametrize("seed", range(200))
def test_composition(seed):
    maker = Maker(seed)
    children = maker.children()
    annotations = maker.maybe({"b": "2", "a": "1"}, {})
    index = compose(children, annotations=annotations)
    assert index.digest == digest_of(index.content)
    assert compose(list(children), annotations=dict(reversed(annotations.items()))) == index
    # Each image in order with what else it is right after it, then every attestation, about one that is there.
    images = [entry for entry in index.entries if not entry.is_attestation]
    assert list(index.entries[: len(images)]) == images
    expected = [(child.image.digest, platform) for child in children for platform in _platforms(child)]
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
    assert json.loads(index.content)["mediaType"] == index.media_type == OCI_INDEX


def _platforms(child):
    return (child.platform or child.image.platform, *child.also_as)


@pytest.mark.parametrize("seed", range(200))
def test_what_was_composed_composes_to_the_same_bytes(seed):
    """Reading an index and writing it is no change: a merge of the same children gives the same digest anywhere."""
    maker = Maker(seed)
    index = compose(maker.children(), annotations=maker.maybe({"a": "1"}, {}))
    annotations = index.document.get("annotations") or {}
    assert compose(read_again(index), annotations=annotations) == index
    assert merge([source(index)], MergeOptions()) is index
    again = merge([source(index)], MergeOptions(annotations=(("new", "1"),)))
    back = merge([source(again)], MergeOptions(annotations=(("new", "1"),)))
    assert back.digest == again.digest


@pytest.mark.parametrize("seed", range(200))
def test_appending_what_is_there_changes_nothing_and_something_new_comes_last(seed):
    maker = Maker(seed)
    base = compose(
        [child for child in maker.children() if child.platform or child.image.platform] or [_plain()]
    )
    distinct = _distinct(base)
    own = [child for child in read_again(distinct) if child.image.platform is not None]
    if own:
        again = Source(text="a:1", reference=Reference.parse("a:1"), children=(own[0],))
        assert merge([again], MergeOptions(), onto=source(distinct)).digest == distinct.digest
    new = IndexChild(
        image=Descriptor(media_type=OCI_MANIFEST, digest=maker.digest(), size=1, platform=WINDOWS)
    )
    added = Source(text="b:1", reference=Reference.parse("b:1"), children=(new,))
    grown = merge([added], MergeOptions(), onto=source(distinct))
    images = [entry for entry in grown.entries if not entry.is_attestation]
    assert images[-1].digest == new.image.digest
    assert [entry.digest for entry in images[:-1]] == [child.image.digest for child in read_again(distinct)]


WINDOWS = Platform.literal("windows/amd64")


def _plain():
    return IndexChild(
        image=Descriptor(
            media_type=OCI_MANIFEST, digest=digest_of(b"0"), size=1, platform=Platform.literal(NAMES[0])
        )
    )


def _distinct(index):
    """The same index with each platform once in normal form: appending takes the place of the first of a platform."""
    seen, kept = set(), []
    for child in read_again(index):
        said = child.image.platform.normalised() if child.image.platform else None
        if said not in seen:
            kept.append(child)
        seen.add(said)
    return compose(kept)


@pytest.mark.parametrize("seed", range(100))
def test_a_docker_list_is_whole_or_an_error(seed):
    """Never OCI children in it, never anything dropped: what it cannot hold is refused."""
    children = Maker(seed).children()
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
