"""Every rule of composition, on values."""

import itertools
import json
import random

import pytest

from multibuild.errors import PublishFailed, UsageError
from multibuild.oci.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    REFERENCE_DIGEST,
    REFERENCE_TYPE,
    Descriptor,
    Manifest,
)
from multibuild.oci.reference import Reference
from multibuild.platforms import ARCHITECTURES, Platform
from multibuild.publish.compose_index import IndexChild, compose
from multibuild.publish.merge import MergeOptions, Source, merge, read_annotations, read_pairs
from multibuild.resolve.lint_index import lint


def digest(number):
    return f"sha256:{number:064x}"


def image(number, platform="linux/amd64", media_type=OCI_MANIFEST, **more):
    return Descriptor(
        media_type=media_type,
        digest=digest(number),
        size=100 + number,
        platform=Platform.literal(platform) if platform else None,
        **more,
    )


def attestation(number, about):
    return Descriptor(
        media_type=OCI_MANIFEST,
        digest=digest(number),
        size=9,
        platform=Platform.literal("unknown/unknown"),
        annotations={REFERENCE_TYPE: "attestation-manifest", REFERENCE_DIGEST: digest(about)},
    )


def platforms_of(index):
    return [str(entry.platform) for entry in index.entries]


def source(text, *children, base=None):
    return Source(text=text, reference=Reference.parse(text), children=children, base=base)


def test_entries_in_order_also_as_right_after_attestations_last():
    index = compose(
        [
            IndexChild(image=image(1), attestations=(attestation(11, 1),)),
            IndexChild(
                image=image(2, "linux/arm64"),
                also_as=(Platform.literal("linux/arm64/unknown"), Platform.literal("linux/arm64/v9")),
                attestations=(attestation(12, 2),),
            ),
            IndexChild(image=image(3, "linux/arm/v7")),
        ]
    )
    assert platforms_of(index) == [
        "linux/amd64",
        "linux/arm64",
        "linux/arm64/unknown",
        "linux/arm64/v9",
        "linux/arm/v7",
        "unknown/unknown",
        "unknown/unknown",
    ]
    assert [entry.digest for entry in index.entries[1:4]] == [digest(2)] * 3
    assert [entry.size for entry in index.entries[1:4]] == [102] * 3
    assert [entry.attests for entry in index.entries[5:]] == [digest(1), digest(2)]


def test_an_attestation_without_its_image_is_refused():
    with pytest.raises(PublishFailed, match="which is not here"):
        compose([IndexChild(image=image(1), attestations=(attestation(11, 2),))])


def test_no_children():
    with pytest.raises(PublishFailed, match="no image"):
        compose([])


def test_what_the_user_said_goes_before_the_childs_own():
    own = image(1, "linux/arm64/v8", os_version="1", os_features=("a",), annotations={"a": "own", "b": "own"})
    child = IndexChild(
        image=own,
        platform=Platform.parse("linux/arm64"),
        os_version="2",
        os_features=("b", "c"),
        annotations={"a": "said"},
    )
    (entry,) = compose([child]).entries
    assert str(entry.platform) == "linux/arm64"
    assert (entry.os_version, entry.os_features) == ("2", ("b", "c"))
    assert entry.annotations == {"a": "said", "b": "own"}
    (entry,) = compose([IndexChild(image=own)]).entries
    assert (str(entry.platform), entry.os_version) == ("linux/arm64/v8", "1")


def test_the_bytes_are_the_same_whatever_the_order_of_annotations():
    children = [IndexChild(image=image(1, annotations={"b": "1", "a": "2"}))]
    other = [IndexChild(image=image(1, annotations={"a": "2", "b": "1"}))]
    one = compose(children, annotations={"y": "1", "x": "ü"})
    assert one == compose(other, annotations={"x": "ü", "y": "1"})
    assert one.media_type == one.document["mediaType"] == OCI_INDEX
    assert one.document["annotations"] == {"x": "ü", "y": "1"}


def test_a_docker_list_of_docker_children():
    index = compose([IndexChild(image=image(1, media_type=DOCKER_MANIFEST))], media_type="docker")
    assert index.media_type == index.document["mediaType"] == DOCKER_LIST


@pytest.mark.parametrize(
    ("child", "annotations", "reason"),
    [
        (IndexChild(image=image(1)), {}, "it is application/vnd.oci"),
        (IndexChild(image=image(1, media_type=DOCKER_MANIFEST)), {"a": "b"}, "no annotations"),
        (
            IndexChild(image=image(1, media_type=DOCKER_MANIFEST), annotations={"a": "b"}),
            {},
            "no annotations",
        ),
        (
            IndexChild(image=image(1, media_type=DOCKER_MANIFEST), attestations=(attestation(2, 1),)),
            {},
            "has attestations",
        ),
    ],
)
def test_what_a_docker_list_cannot_hold_is_an_error_with_the_reason(child, annotations, reason):
    with pytest.raises(PublishFailed, match=reason):
        compose([child], annotations=annotations, media_type="docker")


def test_cpu_features_are_for_docker_lists_and_inherited_ones_stay():
    docker = IndexChild(image=image(1, media_type=DOCKER_MANIFEST), features=("sse4",))
    (entry,) = compose([docker], media_type="docker").document["manifests"]
    assert entry["platform"] == {"architecture": "amd64", "os": "linux", "features": ["sse4"]}
    with pytest.raises(PublishFailed, match="no CPU features"):
        compose([docker])
    kept = IndexChild(image=Descriptor.from_json(entry))
    assert compose([kept]).document["manifests"] == [entry]


def test_an_oci_index_holds_docker_children_too():
    children = [IndexChild(image=image(1)), IndexChild(image=image(2, "linux/arm64", DOCKER_MANIFEST))]
    assert [entry.media_type for entry in compose(children).entries] == [OCI_MANIFEST, DOCKER_MANIFEST]


def test_properties_of_composition():
    """Whatever the children: each is there once per platform, in order, and the bytes decide the digest."""
    chosen = random.Random(4)
    names = [row.name for row in ARCHITECTURES]
    for _ in range(200):
        children = []
        for number, name in enumerate(chosen.sample(names, chosen.randint(1, len(names)))):
            also = tuple(
                Platform.literal(f"linux/{name}/x{place}") for place in range(chosen.choice((0, 0, 1, 2)))
            )
            about = (attestation(1000 + number, number),) if chosen.random() < 0.5 else ()
            children.append(
                IndexChild(image=image(number, f"linux/{name}"), also_as=also, attestations=about)
            )
        index = compose(children)
        assert index.content == compose(list(children)).content
        images = [entry for entry in index.entries if not entry.is_attestation]
        assert index.entries[: len(images)] == tuple(images)
        expected = list(
            itertools.chain.from_iterable((child.image.platform, *child.also_as) for child in children)
        )
        assert [entry.platform for entry in images] == expected
        about_images = {entry.attests for entry in index.entries[len(images) :]}
        assert about_images <= {entry.digest for entry in images}
        assert json.loads(index.content)["schemaVersion"] == 2


# -- merging


def test_the_seed_flow():
    sources = [
        source("r.io/app-amd64:1", IndexChild(image=image(1))),
        source("r.io/app-arm64:1", IndexChild(image=image(2, "linux/arm64"))),
        source("r.io/app-mips64le:1", IndexChild(image=image(3, "linux/mips64le"))),
    ]
    wishes = MergeOptions(also_as=(("r.io/app-arm64:1", Platform.literal("linux/arm64/unknown")),))
    assert platforms_of(merge(sources, wishes)) == [
        "linux/amd64",
        "linux/arm64",
        "linux/arm64/unknown",
        "linux/mips64le",
    ]


def test_every_field_can_be_said():
    wishes = MergeOptions(
        platform_of=(("a:1", Platform.literal("linux/arm/v6")),),
        os_version=(("a:1", "10.0"),),
        os_features=(("a:1", ("x", "y")),),
        annotations=(("title", "app"),),
        entry_annotations=((Platform.literal("linux/arm/v6"), "note", "n"),),
    )
    index = merge([source("a:1", IndexChild(image=image(1)))], wishes)
    assert index.document["manifests"][0]["platform"] == {
        "architecture": "arm",
        "os": "linux",
        "os.version": "10.0",
        "os.features": ["x", "y"],
        "variant": "v6",
    }
    assert index.document["manifests"][0]["annotations"] == {"note": "n"}
    assert index.document["annotations"] == {"title": "app"}


def test_a_source_can_be_named_by_any_spelling():
    wishes = MergeOptions(platform_of=(("docker.io/library/a:1", Platform.literal("linux/s390x")),))
    assert platforms_of(merge([source("a:1", IndexChild(image=image(1)))], wishes)) == ["linux/s390x"]


def test_one_image_of_an_index_is_named_by_its_digest():
    both = source("r.io/app:1", IndexChild(image=image(1)), IndexChild(image=image(2, "linux/arm64")))
    wishes = MergeOptions(also_as=((f"r.io/app@{digest(2)}", Platform.literal("linux/arm64/unknown")),))
    assert platforms_of(merge([both], wishes)) == ["linux/amd64", "linux/arm64", "linux/arm64/unknown"]
    with pytest.raises(UsageError, match="holds 2 images"):
        merge([both], MergeOptions(os_version=(("r.io/app:1", "1"),)))
    with pytest.raises(UsageError, match="none of the sources"):
        merge([both], MergeOptions(os_version=(("r.io/other:1", "1"),)))


def _base(number, *entries, **more):
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [e.to_json() for e in entries],
        **more,
    }
    return Manifest.of(json.dumps(document).encode(), OCI_INDEX)


def test_a_single_index_keeps_its_bytes():
    base = _base(1, image(1), annotations={"a": "b"})
    whole = source("r.io/app:1", IndexChild(image=image(1)), base=base)
    assert merge([whole], MergeOptions()) is base
    changed = merge([whole], MergeOptions(annotations=(("c", "d"),)))
    assert changed.document["annotations"] == {"a": "b", "c": "d"}


def test_append_takes_the_place_of_the_same_platform_and_keeps_the_rest():
    subject = {"mediaType": OCI_MANIFEST, "digest": digest(77), "size": 1}
    base = _base(
        1, image(1), image(2, "linux/arm64"), annotations={"a": "b"}, subject=subject, artifactType="x/y"
    )
    onto = source(
        "r.io/app:1",
        IndexChild(image=image(1), attestations=(attestation(11, 1),)),
        IndexChild(image=image(2, "linux/arm64")),
        base=base,
    )
    added = [
        source("r.io/new:1", IndexChild(image=image(3))),
        source("r.io/s:1", IndexChild(image=image(4, "linux/s390x"))),
    ]
    index = merge(added, MergeOptions(), onto=onto)
    assert [(str(e.platform), e.digest) for e in index.entries] == [
        ("linux/amd64", digest(3)),
        ("linux/arm64", digest(2)),
        ("linux/s390x", digest(4)),
    ]
    assert index.document["annotations"] == {"a": "b"}
    assert index.document["subject"] == subject
    assert index.document["artifactType"] == "x/y"


def test_append_replaces_the_further_entries_too():
    """A new arm64 image that is also `unknown` leaves no old `unknown` behind."""
    onto = source(
        "r.io/app:1",
        IndexChild(image=image(1)),
        IndexChild(image=image(2, "linux/arm64")),
        IndexChild(image=image(2, "linux/arm64/unknown")),
        base=_base(1, image(1)),
    )
    wishes = MergeOptions(also_as=(("r.io/new:1", Platform.literal("linux/arm64/unknown")),))
    index = merge([source("r.io/new:1", IndexChild(image=image(3, "linux/arm64")))], wishes, onto=onto)
    assert [(str(e.platform), e.digest) for e in index.entries] == [
        ("linux/amd64", digest(1)),
        ("linux/arm64", digest(3)),
        ("linux/arm64/unknown", digest(3)),
    ]


def test_only_some_platforms():
    both = source(
        "r.io/app:1",
        IndexChild(image=image(1)),
        IndexChild(image=image(2, "linux/arm64/v8")),
        base=_base(1, image(1)),
    )
    assert platforms_of(merge([both], MergeOptions(only=(Platform.parse("linux/arm64"),)))) == [
        "linux/arm64/v8"
    ]


def test_an_annotation_for_a_platform_that_is_not_there():
    wishes = MergeOptions(entry_annotations=((Platform.literal("linux/s390x"), "a", "b"),))
    with pytest.raises(UsageError, match="no entry is of linux/s390x"):
        merge([source("a:1", IndexChild(image=image(1)))], wishes)


def test_annotations_as_typed():
    assert read_annotations(["a=b=c", "linux/arm64:k=v", "x:y=z"]) == (
        (("a", "b=c"), ("x:y", "z")),
        ((Platform.literal("linux/arm64"), "k", "v"),),
    )
    for wrong in ("a", "=b", "linux/arm64:=v"):
        with pytest.raises(UsageError):
            read_annotations([wrong])


@pytest.mark.parametrize("text", ["a", "a=", "=b"])
def test_pairs_as_typed(text):
    with pytest.raises(UsageError, match="--os-version"):
        read_pairs([text], "--os-version")


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/arm64/v8", "linux/arm64/v8"),
        ("linux/arm64", "linux/arm64"),
        ("linux/arm64/unknown", "linux/arm64/unknown"),
        ("aarch64", "linux/arm64"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/loongarch64", "linux/loong64"),
        ("linux/mipsle", "linux/mipsle"),
        ("windows/amd64", "windows/amd64"),
    ],
)
def test_a_platform_is_written_as_said(text, platform):
    assert str(Platform.parse_verbatim(text)) == platform


# -- the linter


@pytest.mark.parametrize(
    ("entries", "configs", "kinds"),
    [
        ([image(1), image(2, "linux/arm64")], {}, set()),
        ([image(1), image(2)], {}, {"duplicate"}),
        ([image(1, "linux/arm64"), image(1, "linux/arm64/unknown")], {}, {"unknown-variant"}),
        ([image(1, "linux/arm64/v8a")], {}, {"unreachable"}),
        ([image(1, media_type=OCI_INDEX)], {}, {"nested"}),
        ([image(1), attestation(2, 3)], {}, {"orphan"}),
        ([image(1)], {digest(1): "linux/arm64"}, {"mismatch"}),
        ([image(1, "linux/arm/v6")], {digest(1): "linux/arm/v7"}, {"mismatch"}),
        ([image(1, "linux/arm64")], {digest(1): "linux/arm64/v8"}, set()),
        ([image(1, "linux/arm/v7")], {digest(1): "linux/arm"}, set()),
        ([image(1, "linux/arm64/unknown")], {digest(1): "linux/arm64/v8"}, {"unknown-variant"}),
        ([image(1, "linux/arm64/v9"), image(2, "linux/arm64")], {}, {"order"}),
        ([image(1, "linux/arm64"), image(1, "linux/arm64/v8")], {}, set()),
        ([image(1, f"linux/{row.name}") for row in ARCHITECTURES], {}, set()),
        ([image(n, f"linux/arm/v{n}") for n in (5, 6, 7, 8)], {}, set()),
        ([image(1, None), image(2)], {}, {"order"}),
        ([image(1, "linux/mips64le"), image(2, "windows/amd64")], {}, set()),
    ],
)
def test_lint(entries, configs, kinds):
    assert {finding.kind for finding in lint(entries, configs)} == kinds
