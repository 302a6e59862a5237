"""Promotion between real registries: other clients see the same digests, and find what refers to them."""

import json

import pytest
from e2e.conftest import REGISTRY, TWELVE, multibuild
from e2e.registries import RealRegistry, another_registry

HERE = RealRegistry(REGISTRY)


@pytest.fixture(scope="module")
def elsewhere(lab, tmp_path_factory):
    with another_registry(tmp_path_factory.mktemp("elsewhere")) as registry:
        yield registry


@pytest.fixture
def signed(repository, readers, tmp_path):
    """Copy the lab's base of twelve platforms with crane, and attach to index and arm64 what oras and cosign would."""
    name = f"{REGISTRY}/{repository}"
    readers.crane("copy", "--insecure", f"{REGISTRY}/base:latest", f"{name}:rc")
    digest = HERE.digest(repository, "rc")
    (tmp_path / "sbom.json").write_text("{}")
    file = f"{tmp_path / 'sbom.json'}:application/json"
    for subject in (digest, arm64_of(repository)):
        flags = ("--plain-http", "--disable-path-validation", "--artifact-type", "application/example.sbom")
        readers.oras("attach", *flags, f"{name}@{subject}", file)
        tag = f"{name}:{subject.replace(':', '-')}.sig"
        readers.oras("push", "--plain-http", "--disable-path-validation", tag, file)
    return digest


def arm64_of(repository):
    entries = HERE.document(repository, "rc")["manifests"]
    return next(entry["digest"] for entry in entries if entry["platform"]["architecture"] == "arm64")


def test_to_another_registry(signed, repository, elsewhere, readers):
    source, target = f"{REGISTRY}/{repository}:rc", f"{elsewhere.host}/team/app"
    done = multibuild(
        "promote", source, f"{target}:1", f"{target}:latest", f"{REGISTRY}/{repository}:1", "--json"
    )
    assert done.code == 0, done.stderr
    assert {row["status"] for row in done.json["targets"]} == {"moved"}
    for ref in (f"{target}:1", f"{target}:latest", f"{REGISTRY}/{repository}:1"):
        assert readers.crane("digest", "--insecure", ref).stdout.strip() == signed
        raw = readers.skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{ref}").stdout
        assert len(json.loads(raw)["manifests"]) >= len(TWELVE)
    readers.crane("validate", "--insecure", "--remote", f"{target}:1")
    for subject in (signed, arm64_of(repository)):
        listed = readers.oras("discover", "--plain-http", "--format", "json", f"{target}@{subject}").stdout
        assert "application/example.sbom" in listed
        tag = f"{subject.replace(':', '-')}.sig"
        assert elsewhere.digest("team/app", tag) == HERE.digest(repository, tag) is not None
    assert f"{target}:{signed.replace(':', '-')}.sig" in done.json["companions"]["copied"]


def test_an_image_and_a_part(signed, repository, elsewhere, readers, tmp_path):
    arm64 = arm64_of(repository)
    source, target = f"{REGISTRY}/{repository}", f"{elsewhere.host}/team/parts"
    assert multibuild("promote", f"{source}@{arm64}", f"{target}:image", "--verify").code == 0
    assert readers.crane("digest", "--insecure", f"{target}:image").stdout.strip() == arm64
    done = multibuild(
        "promote", f"{source}:rc", f"{target}:part", "--platform", "linux/arm64,linux/s390x", "--verify"
    )
    assert done.code == 0, done.stderr
    entries = elsewhere.document("team/parts", "part")["manifests"]
    whole = HERE.document(repository, "rc")["manifests"]
    assert entries == [entry for entry in whole if entry["platform"]["architecture"] in {"arm64", "s390x"}]
    pulled = f"dir:{tmp_path / 'pulled'}"
    flags = ("--override-arch", "s390x", "--src-tls-verify=false")
    readers.skopeo(*flags[:2], "copy", flags[2], f"docker://{target}:part", pulled)


def test_a_registry_that_is_away_moves_no_tag(signed, repository, elsewhere):
    done = multibuild(
        "promote", f"{REGISTRY}/{repository}:rc", f"{elsewhere.host}/team/none:1", "localhost:1/team/none:1"
    )
    assert done.code == 7
    assert elsewhere.digest("team/none", "1") is None
