"""Public reports about signatures, SBOMs and lists of referrers that were copied wrongly or stopped a copy.

Each row is a report: what a registry does there, merged with `multibuild merge`, and what is at the target after it.
"""

import json

import pytest
from fakes.images import OCI, OCI_INDEX, descriptor, put_image, put_index, put_referrer
from fakes.registry_habits import (
    answers,
    changed,
    companion_tags,
    error,
    manifests,
    referrers,
)
from fakes.registry_server import FakeRegistry

from multibuild.cli.startup import main

GITHUB = "https://github.com"
HTML = {"Content-Type": "text/html"}


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.chdir(tmp_path)
    with FakeRegistry(referrers=True) as fake:
        yield fake


@pytest.fixture
def target():
    with FakeRegistry(referrers=True) as fake:
        yield fake


@pytest.fixture
def merged(source, target, capfd):
    """Merge `app:1` of the source into `mirror:1` of the target; return what was left out, and the target's repository."""

    def merged(*options):
        capfd.readouterr()
        code = main(["merge", f"{target.host}/mirror:1", f"{source.host}/app:1", "--json", *options])
        out, err = capfd.readouterr()
        assert code == 0, err
        assert "Traceback" not in err
        return json.loads(out)["left_out"], target.repository("mirror")

    return merged


def dashed(digest):
    return digest.replace(":", "-")


def put_signed(source):
    """Put an index of one image that has cosign's tag and a referrer; return the three digests."""
    image = put_image(source, "app", "linux/amd64")
    put_index(source, "app", [descriptor(source, "app", image, "linux/amd64")], tag="1")
    cosign = put_referrer(source, "app", image, kind="application/simplesigning")
    source.repository("app").tags[f"{dashed(image)}.sig"] = cosign
    return image, cosign, put_referrer(source, "app", image)


# -- the answers of these reports, to cosign's tags or the API: the image is merged, and what was lost is said

LOST = {
    f"{GITHUB}/carvel-dev/imgpkg/issues/548": answers(401, companion_tags(), content=b"access denied"),
    f"{GITHUB}/openshift/oc-mirror/pull/1516": answers(502, companion_tags(), content=b"", headers=HTML),
    f"{GITHUB}/giantswarm/retagger/issues/1227": answers(
        429, referrers, content=error("TOOMANYREQUESTS", "exceeded the per-identity ListReferrers rate limit")
    ),
    f"{GITHUB}/giantswarm/retagger/pull/1239": answers(503, referrers, headers={"Retry-After": "60"}),
    f"{GITHUB}/docker/build-push-action/issues/1194": answers(429, companion_tags(), content=b""),
    f"{GITHUB}/apache/apisix-docker/issues/64": answers(
        403, referrers, content=b"<html><head><title>403 Forbidden</title></head></html>", headers=HTML
    ),
    f"{GITHUB}/distribution/distribution/issues/4477": answers(401, referrers, content=b""),
    f"{GITHUB}/goharbor/harbor/issues/18432": answers(200, referrers, content=b"<html></html>", headers=HTML),
}  # fmt: skip


@pytest.mark.parametrize("bend", LOST.values(), ids=LOST)
def test_what_a_source_does_not_give_is_said(bend, source, merged):
    image, *_ = put_signed(source)
    source.bends = [bend]
    left_out, mirror = merged()
    assert left_out
    assert image in mirror.manifests
    assert mirror.tags["1"]


# -- answers that mean "there is none": nothing was lost, and nothing is said

NONE = {
    f"{GITHUB}/containers/image/issues/2203": answers(
        404, companion_tags(), content=error("NOT_FOUND", "artifact images/test:sha256-x.sig not found")
    ),
    f"{GITHUB}/openshift/oc-mirror/pull/1162": answers(404, companion_tags(), code="NAME_UNKNOWN"),
    f"{GITHUB}/sigstore/cosign/issues/4553": answers(404, companion_tags(), content=b""),
    f"{GITHUB}/moby/moby/issues/30798": answers(302, companion_tags(), headers={"Location": "/not-here"}),
    f"{GITHUB}/moby/moby/issues/41420": answers(
        404, companion_tags(), content=b"<html><head><title>404 Not Found</title></head></html>", headers=HTML
    ),
}  # fmt: skip


@pytest.mark.parametrize("bend", NONE.values(), ids=NONE)
def test_a_tag_that_is_not_there_is_no_loss(bend, source, merged):
    _, _, referrer = put_signed(source)
    source.bends = [bend]
    left_out, mirror = merged()
    assert left_out == []
    assert referrer in mirror.manifests


# -- lists of referrers that are read all the same

LISTS = {
    # google/go-containerregistry: another type than that of an index; statuses that mean "no such API"
    f"{GITHUB}/google/go-containerregistry/issues/1760": (changed(referrers, content_type="text/plain"), False),
    f"{GITHUB}/google/go-containerregistry/issues/1962": (answers(406, referrers, content=b""), True),
    f"{GITHUB}/google/go-containerregistry/issues/1647": (answers(404, referrers, code="MANIFEST_UNKNOWN"), True),
    f"{GITHUB}/oras-project/rust-oci-client/pull/259": (answers(404, referrers, content=b"404 page not found"), True),
    f"{GITHUB}/regclient/regclient/pull/801": (
        changed(manifests("HEAD"), docker_content_digest=None),
        False,
    ),
    f"{GITHUB}/goharbor/harbor/issues/18413": (changed(referrers, oci_filters_applied="artifactType"), False),
}  # fmt: skip


@pytest.mark.parametrize(("bend", "is_tagged"), LISTS.values(), ids=LISTS)
def test_a_list_in_another_form_is_read(bend, is_tagged, source, merged):
    image, _, referrer = put_signed(source)
    if is_tagged:
        put_index(source, "app", [descriptor(source, "app", referrer)], tag=dashed(image))
    source.bends = [bend]
    left_out, mirror = merged()
    assert referrer in mirror.manifests
    assert left_out == []


def test_what_refers_to_a_referrer_is_copied_too(source, target, merged):
    """aquasecurity/trivy-plugin-referrer pull 7: a signature of an SBOM of an image."""
    _, _, sbom = put_signed(source)
    signature = put_referrer(source, "app", sbom, kind="application/vnd.cncf.notary.signature")
    target.referrers = False
    left_out, mirror = merged()
    assert left_out == []
    assert signature in mirror.manifests
    listed = json.loads(mirror.manifests[mirror.tags[dashed(sbom)]][1])["manifests"]
    assert [entry["digest"] for entry in listed] == [signature]


def test_referrers_of_referrers_have_an_end(source, merged):
    _, _, last = put_signed(source)
    chain = [last]
    for _ in range(6):
        chain.append(put_referrer(source, "app", chain[-1], kind="application/example.note"))
    left_out, mirror = merged()
    assert left_out == []
    assert [digest in mirror.manifests for digest in chain] == [True] * 5 + [False] * 2


def test_an_index_without_referrers_is_copied_with_those_of_its_images(source, merged):
    """oras-project/oras issue 1728."""
    _, cosign, referrer = put_signed(source)
    left_out, mirror = merged()
    assert left_out == []
    assert mirror.tags["1"] == source.repository("app").tags["1"]
    assert {cosign, referrer} <= set(mirror.manifests)


def test_a_target_that_deletes_nothing_gets_one_list_of_all(source, target, merged):
    """oras-project/oras issue 952: a list is replaced for each referrer, and the old one cannot be deleted."""
    image, cosign, first = put_signed(source)
    others = [put_referrer(source, "app", image, kind=f"application/note-{number}") for number in range(3)]
    target.referrers, target.deletes = False, False
    left_out, mirror = merged()
    assert left_out == []
    assert target.requests("DELETE") == []
    lists = [line for line in target.requests("PUT") if line.endswith(f"/manifests/{dashed(image)}")]
    assert len(lists) == 1
    listed = json.loads(mirror.manifests[mirror.tags[dashed(image)]][1])["manifests"]
    assert {entry["digest"] for entry in listed} == {cosign, first, *others}


@pytest.mark.parametrize("has_api", [True, False])
def test_the_fallback_tag_is_no_signature_of_its_own(has_api, source, target, merged):
    """regclient/regclient pull 471: where the target has the API, the source's list is not copied beside it."""
    image, _, referrer = put_signed(source)
    put_index(source, "app", [descriptor(source, "app", referrer)], tag=dashed(image))
    source.referrers, target.referrers = False, has_api
    left_out, mirror = merged()
    assert left_out == []
    assert referrer in mirror.manifests
    assert (dashed(image) in mirror.tags) != has_api


def test_annotations_are_in_the_list(source, target, merged):
    """google/go-containerregistry pull 2441: cosign finds its bundles by them."""
    image, *_ = put_signed(source)
    note = {"dev.sigstore.bundle.content": "dsse-envelope"}
    blob = source.put_blob("app", b"{}")
    document = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": blob, "size": 2},
        "layers": [],
        "subject": {"mediaType": OCI, "digest": image, "size": 1},
        "annotations": note,
    }
    bundle = source.put("app", json.dumps(document).encode(), OCI)
    target.referrers = False
    _, mirror = merged()
    listed = json.loads(mirror.manifests[mirror.tags[dashed(image)]][1])["manifests"]
    assert [entry.get("annotations") for entry in listed if entry["digest"] == bundle] == [note]


def test_the_fallback_tag_of_sha512_is_cut(source, target, merged):
    """opencontainers/distribution-spec pull 563: 64 digits of it, as a tag has at most 128 characters."""
    subject = f"sha512:{'ab' * 64}"
    image = put_image(source, "app", "linux/amd64")
    about = {"mediaType": OCI, "digest": subject, "size": 11}
    put_index(source, "app", [descriptor(source, "app", image, "linux/amd64")], tag="1", subject=about)
    target.referrers = False
    left_out, mirror = merged()
    assert left_out == []
    listed = json.loads(mirror.manifests[mirror.tags[f"sha512-{'ab' * 32}"]][1])["manifests"]
    assert [entry["mediaType"] for entry in listed] == [OCI_INDEX]
