"""References as docker reads them, descriptors as the image-spec writes them."""

import json

import pytest

from multibuild.errors import PublishFailed, UsageError
from multibuild.oci.manifest import Descriptor, Manifest, digest_of
from multibuild.oci.reference import Reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag", "digest"),
    [
        ("busybox", "docker.io", "library/busybox", None, None),
        ("busybox:1", "docker.io", "library/busybox", "1", None),
        ("team/app", "docker.io", "team/app", None, None),
        ("docker.io/busybox:1", "docker.io", "library/busybox", "1", None),
        ("docker.io/team/app", "docker.io", "team/app", None, None),
        ("index.docker.io/busybox", "docker.io", "library/busybox", None, None),
        ("127.0.0.1:5000/app", "127.0.0.1:5000", "app", None, None),
        ("localhost/app", "localhost", "app", None, None),
        ("localhost:5000/app:1", "localhost:5000", "app", "1", None),
        ("reg.example.org/a/b/c:v1.0-rc.1", "reg.example.org", "a/b/c", "v1.0-rc.1", None),
        (f"reg.example.org/app@{DIGEST}", "reg.example.org", "app", None, DIGEST),
        (f"reg.example.org/app:1@{DIGEST}", "reg.example.org", "app", "1", DIGEST),
        ("[::1]:5000/app", "[::1]:5000", "app", None, None),
        ("reg.example.org/a__b/c-d/e.f", "reg.example.org", "a__b/c-d/e.f", None, None),
    ],
)
def test_parse(text, host, repository, tag, digest):
    found = Reference.parse(text)
    assert (found.host, found.repository, found.tag, found.digest) == (host, repository, tag, digest)


@pytest.mark.parametrize(
    "text",
    ["", ":1", "App", "reg.example.org/", "a/b:", "a b", "app:-x", "app@sha256:12", f"app@{DIGEST}x", "a//b"],
)
def test_no_reference(text):
    with pytest.raises(UsageError):
        Reference.parse(text)


@pytest.mark.parametrize(
    "host",
    [
        "localhost:5000#.example.org",
        "a.b?c",
        "a\\b.c",
        "a.b:80:90",
        "a.b:",
        ".a",
        "a..b",
        "[::1",
        "a.b:８",
        "a b.c",
    ],
)
def test_no_host(host):
    with pytest.raises(UsageError):
        Reference.parse(f"{host}/app")


def test_what_is_asked_for():
    assert Reference.parse("a/b").target == "latest"
    assert Reference.parse(f"a/b:1@{DIGEST}").target == DIGEST
    assert str(Reference.parse("r.io/b:1").with_digest(DIGEST)) == f"r.io/b@{DIGEST}"


def test_a_descriptor_keeps_what_it_does_not_know():
    document = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": DIGEST,
        "size": 7,
        "artifactType": "application/x",
        "annotations": {"a": "1"},
        "platform": {
            "architecture": "amd64",
            "os": "windows",
            "os.version": "10.0.1",
            "os.features": ["win32k"],
            "variant": "v2",
        },
        "data": "e30=",
        "urls": ["https://example.org/x"],
    }
    assert Descriptor.from_json(document).to_json() == document


WHOLE = {"mediaType": "x", "digest": DIGEST, "size": 7}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"mediaType": "x", "digest": "y"},
        {"size": "many"},
        {**WHOLE, "size": float("inf")},
        {**WHOLE, "size": -1},
        {**WHOLE, "size": True},
        {**WHOLE, "digest": 7},
        {**WHOLE, "platform": ["linux"]},
        {**WHOLE, "platform": {"os": {}}},
        {**WHOLE, "annotations": {"a": 1}},
        "text",
    ],
)
def test_no_descriptor(document):
    with pytest.raises(PublishFailed):
        Descriptor.from_json(document)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_no_manifest(content):
    with pytest.raises(PublishFailed):
        _ = Manifest.of(content, "x").document


def test_null_is_an_empty_text():
    platform = {"os": "linux", "architecture": "arm", "variant": None, "os.version": None}
    read = Descriptor.from_json({**WHOLE, "platform": platform, "artifactType": None, "annotations": None})
    assert (str(read.platform), read.os_version, read.artifact_type) == ("linux/arm", "", "")


@pytest.mark.parametrize("listed", [5, {"a": 1}, "text", [5], [None]])
def test_lists_that_are_none(listed):
    index = Manifest.of(json.dumps({"manifests": listed}).encode(), "x")
    with pytest.raises(PublishFailed):
        _ = index.entries


@pytest.mark.parametrize("digest", ["latest", "../../other/manifests/latest", "sha256:short", ""])
def test_no_digest_becomes_a_path(digest):
    with pytest.raises(PublishFailed, match="no digest"):
        Reference.parse("r.io/app").with_digest(digest)


def test_digest():
    assert digest_of(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
