import json

import pytest

from multibuild.errors import PublishFailed, UsageError
from multibuild.platforms import Platform
from multibuild.publish.reference import OCI_INDEX, Descriptor, Manifest, Reference

D = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag", "digest"),
    [
        ("busybox", "docker.io", "library/busybox", None, None),
        ("docker.io/busybox:1", "docker.io", "library/busybox", "1", None),
        ("index.docker.io/busybox", "docker.io", "library/busybox", None, None),
        ("team/app", "docker.io", "team/app", None, None),
        ("localhost/app", "localhost", "app", None, None),
        ("localhost:5000/a/b:c", "localhost:5000", "a/b", "c", None),
        ("registry.example.org/app@" + D, "registry.example.org", "app", None, D),
        ("[::1]:5000/app", "[::1]:5000", "app", None, None),
        (f"r.example.org/a__b/c-d:V1.0@{D}", "r.example.org", "a__b/c-d", "V1.0", D),
    ],
)
def test_docker_rules(text, host, repository, tag, digest):
    found = Reference.parse(text)
    assert (found.host, found.repository, found.tag, found.digest) == (host, repository, tag, digest)
    assert Reference.parse(str(found)) == found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Team/app", "lower case"),
        ("registry.example.org/App:1", "lower case"),
        ("app:", "not a tag"),
        ("app:a b", "not a tag"),
        ("app@sha256:12", "not a digest"),
        ("https://registry.example.org/app", "https://"),
        ("", "not an image reference"),
        ("reg..example.org/app", "not a registry"),
        ("r.example.org/" + "a" * 260, "255"),
        ("app@" + D + "\n", "not a digest"),
        ("r.example.org/../x", "not an image reference"),
    ],
)
def test_what_is_no_reference_and_why(text, reason):
    with pytest.raises(UsageError, match=reason):
        Reference.parse(text)


def test_tag_and_digest_replace_each_other():
    reference = Reference.parse("localhost:5000/a:1")
    assert str(reference.with_digest(D)) == f"localhost:5000/a@{D}"
    assert str(reference.with_digest(D).with_tag("2")) == "localhost:5000/a:2"
    assert reference.name == "localhost:5000/a"


def test_a_descriptor_survives_the_way_to_json_and_back():
    descriptor = Descriptor(
        media_type="m",
        digest=D,
        size=7,
        platform=Platform.literal("windows/amd64/v2"),
        os_version="10.0.1",
        os_features=("win32k",),
        annotations={"b": "1", "a": "2"},
        artifact_type="t",
    )
    assert Descriptor.from_json(json.loads(json.dumps(descriptor.to_json()))) == descriptor


@pytest.mark.parametrize(
    "wrong",
    [
        {"digest": "sha256:../../x"},
        {"size": "x"},
        {"platform": "linux"},
        {"annotations": [1]},
        {"digest": None},
    ],
)
def test_what_is_no_descriptor_is_refused(wrong):
    with pytest.raises(PublishFailed):
        Descriptor.from_json({"mediaType": "m", "digest": D, "size": 1} | wrong)


@pytest.mark.parametrize("content", [b"[]", b"{", b"[" * 100_000, b"\xff"])
def test_what_is_no_manifest_is_refused(content):
    with pytest.raises(PublishFailed):
        _ = Manifest.of(content, OCI_INDEX).document


def test_an_index_whose_manifests_are_no_list():
    with pytest.raises(PublishFailed):
        _ = Manifest.of(b'{"manifests": {"a": 1}}', OCI_INDEX).entries
