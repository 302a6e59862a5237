import hashlib
import json

import pytest

from multibuild.errors import PublishFailed, UsageError
from multibuild.platforms import Platform
from multibuild.publish.index import IndexChild, compose
from multibuild.publish.reference import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Descriptor


def digest(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def image(platform, media_type=OCI_MANIFEST, **fields):
    return Descriptor(
        media_type=media_type,
        digest=digest(platform),
        size=100,
        platform=Platform.literal(platform),
        **fields,
    )


def attestation(about):
    return Descriptor(
        media_type=OCI_MANIFEST,
        digest=digest(f"about {about}"),
        size=9,
        platform=Platform.literal("unknown/unknown"),
        annotations={
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": about,
        },
    )


def platforms(index):
    return [str(entry.platform) for entry in index.entries]


def test_order_also_as_and_attestations_last():
    arm, amd = image("linux/arm64"), image("linux/amd64")
    index = compose(
        [
            IndexChild(
                image=arm,
                attestations=(attestation(arm.digest),),
                also_as=(Platform.literal("linux/arm64/unknown"),),
            ),
            IndexChild(image=amd, attestations=(attestation(amd.digest),)),
        ]
    )
    assert platforms(index) == [
        "linux/arm64",
        "linux/arm64/unknown",
        "linux/amd64",
        "unknown/unknown",
        "unknown/unknown",
    ]
    first, second, *_, third, fourth = index.entries
    assert (first.digest, first.size) == (second.digest, second.size)
    assert (third.attests, fourth.attests) == (arm.digest, amd.digest)
    assert index.media_type == index.document["mediaType"] == OCI_INDEX


@pytest.mark.parametrize(
    ("own", "said", "written"),
    [
        ("linux/arm64/v8", None, "linux/arm64"),
        ("linux/arm64", None, "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64/v8", "linux/arm64/v8"),
        ("linux/arm64", "linux/arm64/unknown", "linux/arm64/unknown"),
        ("linux/arm64/v9", None, "linux/arm64/v9"),
        ("linux/arm/v6", None, "linux/arm/v6"),
        ("linux/arm", None, "linux/arm"),
        ("linux/arm/v7", "linux/arm/v5", "linux/arm/v5"),
        ("linux/amd64/v1", None, "linux/amd64"),
        ("linux/amd64/v3", None, "linux/amd64/v3"),
    ],
)
def test_variants_as_said_else_the_childs_own(own, said, written):
    platform = Platform.literal(said) if said else None
    assert platforms(compose([IndexChild(image=image(own), platform=platform)])) == [written]


def test_fields_of_an_entry_said_else_own():
    own = image("windows/amd64", os_version="10.0.1", os_features=("a",), annotations={"k": "own", "o": "1"})
    kept = compose([IndexChild(image=own)]).entries[0]
    assert (kept.os_version, kept.os_features, kept.annotations) == ("10.0.1", ("a",), {"k": "own", "o": "1"})
    said = compose(
        [IndexChild(image=own, os_version="10.0.2", os_features=("b",), annotations={"k": "said"})]
    ).entries[0]
    assert (said.os_version, said.os_features, said.annotations) == (
        "10.0.2",
        ("b",),
        {"k": "said", "o": "1"},
    )


def test_same_inputs_same_bytes_whatever_the_order_of_annotations():
    children = [IndexChild(image=image("linux/amd64"), annotations={"b": "2", "a": "1"})]
    turned = [IndexChild(image=image("linux/amd64"), annotations={"a": "1", "b": "2"})]
    one, two = (
        compose(children, annotations={"x": "ü", "a": "1"}),
        compose(turned, annotations={"a": "1", "x": "ü"}),
    )
    assert one.content == two.content
    assert one.digest == "sha256:" + hashlib.sha256(one.content).hexdigest()
    assert not one.content.endswith(b"\n")


def test_subject_and_artifact_type_are_kept():
    index = compose([IndexChild(image=image("linux/amd64"))], artifact_type="x/y", subject=image("linux/386"))
    assert index.document["artifactType"] == "x/y"
    assert index.document["subject"]["digest"] == digest("linux/386")


def test_an_attestation_needs_its_image():
    child = IndexChild(image=image("linux/amd64"), attestations=(attestation(digest("elsewhere")),))
    with pytest.raises(PublishFailed, match="not here"):
        compose([child])


def test_an_attestation_is_listed_once():
    amd = image("linux/amd64")
    child = IndexChild(image=amd, attestations=(attestation(amd.digest),))
    assert len(compose([child, child]).entries) == 3


def test_nothing_to_compose():
    with pytest.raises(PublishFailed, match="no image"):
        compose([])


def test_a_docker_list_of_docker_children():
    child = IndexChild(image=image("linux/amd64", DOCKER_MANIFEST))
    index = compose([child], media_type="docker")
    assert index.media_type == index.document["mediaType"] == DOCKER_LIST
    assert "annotations" not in json.dumps(index.document)


@pytest.mark.parametrize(
    ("child", "options", "error", "reason"),
    [
        (IndexChild(image=image("linux/amd64")), {}, PublishFailed, OCI_MANIFEST.replace("+", ".")),
        (
            IndexChild(image=image("linux/amd64", DOCKER_MANIFEST)),
            {"annotations": {"a": "b"}},
            UsageError,
            "annotations",
        ),
        (
            IndexChild(image=image("linux/amd64", DOCKER_MANIFEST), annotations={"a": "b"}),
            {},
            UsageError,
            "annotations",
        ),
        (
            IndexChild(image=image("linux/amd64", DOCKER_MANIFEST)),
            {"artifact_type": "x"},
            UsageError,
            "artifact",
        ),
        (
            IndexChild(
                image=image("linux/amd64", DOCKER_MANIFEST),
                attestations=(attestation(digest("linux/amd64")),),
            ),
            {},
            PublishFailed,
            "attestations",
        ),
    ],
)
def test_what_a_docker_list_cannot_hold_is_an_error(child, options, error, reason):
    with pytest.raises(error, match=reason):
        compose([child], media_type="docker", **options)


def test_docker_children_may_stand_in_an_oci_index():
    index = compose([IndexChild(image=image("linux/amd64", DOCKER_MANIFEST))], annotations={"a": "b"})
    assert (index.media_type, index.entries[0].media_type) == (OCI_INDEX, DOCKER_MANIFEST)
