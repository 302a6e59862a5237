"""References are parsed like Docker's, descriptors like the image-spec's."""

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
def test_references_are_parsed(text, host, repository, tag, digest):
    expected = Reference(host=host, repository=repository, tag=tag, digest=digest)
    assert Reference.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", ":1", "App", "reg.example.org/", "a/b:", "a b", "app:-x", "app@sha256:12", f"app@{DIGEST}x", "a//b"],
)
def test_an_invalid_reference_is_an_error(text):
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
def test_an_invalid_host_is_an_error(host):
    with pytest.raises(UsageError):
        Reference.parse(f"{host}/app")


def test_the_target_is_the_digest_else_the_tag_else_latest():
    assert Reference.parse("a/b").target == "latest"
    assert Reference.parse(f"a/b:1@{DIGEST}").target == DIGEST
    assert str(Reference.parse("r.io/b:1").with_digest(DIGEST)) == f"r.io/b@{DIGEST}"


def test_a_descriptor_keeps_unknown_fields():
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


VALID = {"mediaType": "x", "digest": DIGEST, "size": 7}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"mediaType": "x", "digest": "y"},
        {"size": "many"},
        {**VALID, "size": float("inf")},
        {**VALID, "size": -1},
        {**VALID, "size": True},
        {**VALID, "digest": 7},
        {**VALID, "platform": ["linux"]},
        {**VALID, "platform": {"os": {}}},
        {**VALID, "annotations": {"a": 1}},
        "text",
    ],
)
def test_an_invalid_descriptor_is_an_error(document):
    with pytest.raises(PublishFailed):
        Descriptor.from_json(document)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_an_invalid_manifest_is_an_error(content):
    with pytest.raises(PublishFailed):
        _ = Manifest.of(content, "x").document


def test_null_is_an_empty_string():
    platform = {"os": "linux", "architecture": "arm", "variant": None, "os.version": None}
    parsed = Descriptor.from_json({**VALID, "platform": platform, "artifactType": None, "annotations": None})
    assert (str(parsed.platform), parsed.os_version, parsed.artifact_type) == ("linux/arm", "", "")


@pytest.mark.parametrize("manifests", [5, {"a": 1}, "text", [5], [None]])
def test_entries_that_are_no_list_are_an_error(manifests):
    index = Manifest.of(json.dumps({"manifests": manifests}).encode(), "x")
    with pytest.raises(PublishFailed):
        _ = index.entries


@pytest.mark.parametrize("digest", ["latest", "../../other/manifests/latest", "sha256:short", ""])
def test_an_invalid_digest_never_becomes_a_path(digest):
    with pytest.raises(PublishFailed, match="no digest"):
        Reference.parse("r.io/app").with_digest(digest)


def test_the_digest_of_bytes_is_sha256():
    assert digest_of(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    "host", ["10.9.9.999", "10.9.9.999:5000", "[fd00:::1]", "[::1]:65536", "r.example.org:99999"]
)
def test_a_host_that_no_connection_can_be_made_to_is_no_registry(host):
    """Docker's grammar takes them, and docker fails later."""
    with pytest.raises(UsageError, match="is not a registry"):
        Reference.parse(f"{host}/app:1")


@pytest.mark.parametrize("host", ["10.9.9.9", "[fd00::1]:5000", "1.2.3", "10.9.9.9.9", "r.example.org:65535"])
def test_a_host_of_numbers_may_be_a_registry(host):
    assert Reference.parse(f"{host}/app:1").host == host
