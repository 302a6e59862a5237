"""Signatures and what refers to an image: copied where they can be, checked, listed by what their manifests say."""

import json

import pytest
from fakes.images import OCI, OCI_INDEX, descriptor, put_image, put_index, put_referrer
from fakes.registry_habits import (
    NO_API,
    answers,
    companion_tags,
    lists_a_stranger,
    lists_wrongly,
    referrers,
    resolves_dashes,
)
from fakes.registry_server import FakeRegistry, digest_of

from multibuild.cli.startup import main

SIGNATURE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAGE = {"content": b"<html>Sign in</html>", "headers": {"Content-Type": "text/html"}}


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
    """Merge `app:1` of the source into `mirror:1` of the target; return the exit code, stderr and the JSON."""

    def merged(*options):
        capfd.readouterr()
        words = [f"{target.host}/mirror:1", f"{source.host}/app:1", *options]
        code = main(["merge", *words, "--json"])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return code, err, json.loads(out) if code == 0 else {}

    return merged


def dashed(digest):
    return digest.replace(":", "-")


def listed(registry, tag, name="mirror"):
    repository = registry.repository(name)
    return json.loads(repository.manifests[repository.tags[tag]][1])["manifests"]


# -- left out, and said


def put_signed(source):
    """Put an image with a cosign tag and a referrer; return their digests."""
    image = put_image(source, "app", "linux/amd64", tag="1")
    cosign = put_referrer(source, "app", image, kind="application/simplesigning")
    source.repository("app").tags[f"{dashed(image)}.sig"] = cosign
    return image, cosign, put_referrer(source, "app", image, kind=SIGNATURE)


def gone(registry, request, proceed):
    """Answer 404 for every manifest that refers to something: listed, and gone."""
    stored = registry.repository(request.name).manifests.get(request.rest)
    if (
        request.kind == "manifests"
        and request.method in {"GET", "HEAD"}
        and stored
        and b'"subject"' in stored[1]
    ):
        return 404, b"", {}
    return proceed()


FAULTS = {
    "cosign's tag: 403": answers(403, companion_tags()),
    "cosign's tag: 401": answers(401, companion_tags(), code="UNAUTHORIZED"),
    "cosign's tag: 429": answers(429, companion_tags(), code="TOOMANYREQUESTS"),
    "cosign's tag: 500": answers(500, companion_tags(), code="UNKNOWN"),
    "cosign's tag: a page for people": answers(200, companion_tags(), **PAGE),
    "cosign's tag: an error with status 200": answers(
        200, companion_tags(), content=b'{"errors": [{"code": "UNKNOWN"}]}', headers={"Content-Type": "application/json"}
    ),
    "the API: 403": answers(403, referrers),
    "the API: 429": answers(429, referrers, code="TOOMANYREQUESTS"),
    "the API: 500": answers(500, referrers, code="UNKNOWN"),
    "the API: a page for people": answers(200, referrers, **PAGE),
    "the API: an image": answers(200, referrers, content=b'{"schemaVersion": 2, "config": {"size": 1}}'),
    "the API: another host without an answer": answers(
        307, referrers, headers={"Location": "http://127.0.0.1:1/referrers"}
    ),
    "a referrer that is listed and gone": gone,
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_read_is_left_out_and_said(fault, source, target, merged):
    image, *_ = put_signed(source)
    source.bends = [fault]
    code, err, document = merged()
    assert code == 0, err
    assert image in target.repository("mirror").manifests
    assert target.repository("mirror").tags["1"]
    assert document["left_out"]
    assert "left out: " in err


# With all retries, which take a while: not each status that is retried.
@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - {"cosign's tag: 429", "the API: 500"}))
def test_required_signatures_fail_and_nothing_is_published(fault, source, target, merged):
    put_signed(source)
    source.bends = [FAULTS[fault]]
    code, err, _ = merged("--require-signatures")
    assert code == 7
    assert "--require-signatures" in err.splitlines()[-1]
    assert "1" not in target.repository("mirror").tags


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_an_option_asks_for_none(fault, source, target, merged):
    _, cosign, referrer = put_signed(source)
    source.bends = [fault]
    code, err, document = merged("--no-signatures")
    assert (code, document["left_out"]) == (0, [])
    assert "left out" not in err
    assert {cosign, referrer}.isdisjoint(target.repository("mirror").manifests)
    assert not [line for line in source.requests() if "referrers" in line or "sha256-" in line]


def test_required_and_none_exclude_each_other(source, merged):
    put_signed(source)
    code, err, _ = merged("--no-signatures", "--require-signatures")
    assert code == 2
    assert "--require-signatures" in err


@pytest.mark.parametrize("is_signed", [True, False])
@pytest.mark.parametrize("is_near", [True, False])
def test_every_image_must_be_signed_where_that_is_required(is_signed, is_near, source, target, capfd):
    images = [put_image(source, "app", platform) for platform in ("linux/amd64", "linux/arm64")]
    for image in images if is_signed else images[:1]:
        source.repository("app").tags[f"{dashed(image)}.sig"] = put_referrer(source, "app", image)
    sources = [f"{source.host}/app@{image}" for image in images]
    to = f"{source.host}/app:2" if is_near else f"{target.host}/mirror:1"
    code = main(["merge", to, *sources, "--require-signatures"])
    assert code == (0 if is_signed else 7)
    if not is_signed:
        assert images[1] in capfd.readouterr().err


def test_a_signature_of_the_whole_index_is_enough_for_a_copy(source, target, merged):
    image = put_image(source, "app", "linux/amd64")
    index = put_index(source, "app", [descriptor(source, "app", image, "linux/amd64")], tag="1")
    source.repository("app").tags[f"{dashed(index)}.sig"] = put_referrer(source, "app", index)
    assert merged("--require-signatures")[0] == 0
    assert f"{dashed(index)}.sig" in target.repository("mirror").tags


TARGET_FAULTS = {
    "no artifacts": (405, lambda r: r.method == "PUT" and b'"subject"' in r.body),
    "no signatures": (400, lambda r: r.method == "PUT" and r.rest.endswith(".sig")),
    "no kinds of artifacts": (415, lambda r: r.method == "PUT" and SIGNATURE.encode() in r.body),
    "no blobs of signatures": (
        403,
        lambda r: r.method == "PUT" and r.is_upload and b"about sha256" in r.body,
    ),
    "no rights to the fallback tag": (403, lambda r: r.method == "PUT" and r.rest.startswith("sha256-")),
}


@pytest.mark.parametrize(("status", "matches"), TARGET_FAULTS.values(), ids=TARGET_FAULTS)
def test_what_the_target_refuses_is_left_out_and_said(status, matches, source, target, merged):
    put_signed(source)
    target.referrers = False
    target.bends = [answers(status, matches)]
    code, err, document = merged()
    assert code == 0, err
    assert document["left_out"]
    assert target.repository("mirror").tags["1"]


# -- not believed


def test_a_descriptor_is_made_of_the_manifest(source, target, merged):
    """goharbor/harbor issue 20187 (sizes), NVIDIA/aicr issue 1957 (types), sigstore/cosign issue 4641 (annotations)."""
    image = put_image(source, "app", "linux/amd64", tag="1")
    blob = source.put_blob("app", b"{}")
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": blob, "size": 2}
    document = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "artifactType": SIGNATURE,
        "config": config,
        "layers": [],
        "subject": {"mediaType": OCI, "digest": image, "size": 1},
        "annotations": {"org.example.note": "x"},
    }
    content = json.dumps(document).encode()
    digest = source.put("app", content, OCI)
    wrong = {
        "size": 999,
        "mediaType": OCI_INDEX,
        "artifactType": "application/vnd.oci.empty.v1+json",
        "annotations": {},
    }
    source.bends = [lists_wrongly(**wrong)]
    target.referrers = False
    assert merged()[2]["left_out"] == []
    assert listed(target, dashed(image)) == [
        {
            "mediaType": OCI,
            "digest": digest,
            "size": len(content),
            "artifactType": SIGNATURE,
            "annotations": {"org.example.note": "x"},
        }
    ]


@pytest.mark.parametrize(
    "entry",
    [
        {"size": "12"},
        {"mediaType": 7},
        {"size": -1},
        {"annotations": []},
        {"platform": "linux"},
    ],
)  # fmt: skip
def test_an_odd_descriptor_of_a_referrer_is_no_reason_to_lose_it(entry, source, target, merged):
    _, _, referrer = put_signed(source)
    source.bends = [lists_wrongly(**entry)]
    assert merged()[0] == 0
    assert referrer in target.repository("mirror").manifests


def test_the_type_of_a_config_is_the_kind_of_an_artifact_that_names_none(source, target, merged):
    image = put_image(source, "app", "linux/amd64", tag="1")
    referrer = put_referrer(source, "app", image, kind="application/example")
    document = json.loads(source.repository("app").manifests[referrer][1])
    del document["artifactType"]
    content = json.dumps(document).encode()
    del source.repository("app").manifests[referrer]
    source.put("app", content, OCI)
    target.referrers = False
    assert merged()[0] == 0
    assert [entry["artifactType"] for entry in listed(target, dashed(image))] == ["application/example"]


def test_what_is_about_something_else_is_not_copied(source, target, merged):
    image, _, referrer = put_signed(source)
    stranger = put_referrer(source, "app", digest_of(b"another image"), kind="application/stranger")
    source.bends = [lists_a_stranger]
    code, _, document = merged()
    assert code == 0
    manifests = target.repository("mirror").manifests
    assert (referrer in manifests, stranger in manifests) == (True, False)
    assert any(stranger in line for line in document["left_out"])
    assert image in manifests


@pytest.mark.parametrize("is_index", [True, False])
def test_a_registry_that_takes_the_fallback_tag_for_the_subject_has_no_list(is_index, source, target, merged):
    """oras-project/oras-go issue 1396: the children of a multi-arch image were its own referrers."""
    image = put_image(source, "app", "linux/amd64", tag="1")
    if is_index:
        put_index(source, "app", [descriptor(source, "app", image, "linux/amd64")], tag="1")
    source.bends = [NO_API, resolves_dashes]
    target.referrers = False
    code, _, document = merged()
    assert (code, document["left_out"]) == (0, [])
    assert [tag for tag in target.repository("mirror").tags if tag.startswith("sha256-")] == []


def test_a_fallback_tag_that_holds_an_image_is_no_list(source, target, merged):
    image = put_image(source, "app", "linux/amd64", tag="1")
    other = put_image(source, "app", "linux/arm64", tag=dashed(image))
    source.bends = [NO_API]
    code, _, document = merged()
    assert code == 0
    assert dashed(image) in document["left_out"][0]
    assert other not in target.repository("mirror").manifests


# -- the fallback tag (distribution-spec, "Referrers Tag Schema")


def test_without_oci_subject_the_fallback_tag_is_written(source, target, merged):
    image, _, referrer = put_signed(source)
    target.referrers = False
    assert merged()[0] == 0
    assert referrer in {entry["digest"] for entry in listed(target, dashed(image))}


def test_with_oci_subject_it_is_not(source, target, merged):
    image, _, referrer = put_signed(source)
    assert merged()[0] == 0
    assert dashed(image) not in target.repository("mirror").tags
    assert referrer in target.repository("mirror").manifests


def test_what_the_fallback_tag_lists_already_stays_and_is_listed_once(source, target, merged):
    image, cosign, referrer = put_signed(source)
    target.referrers = False
    own = put_referrer(target, "mirror", image, kind="application/own")
    entries = [{"mediaType": OCI, "digest": own, "size": 5, "annotations": {"a": "b"}}]
    put_index(target, "mirror", entries, tag=dashed(image), annotations={"of": "the list"})
    for _ in range(2):
        assert merged()[0] == 0
        after = listed(target, dashed(image))
        assert after[0] == entries[0]
        digests = [entry["digest"] for entry in after]
        assert sorted(digests) == sorted({own, cosign, referrer})
    tags = target.repository("mirror").tags
    assert json.loads(target.repository("mirror").manifests[tags[dashed(image)]][1])["annotations"] == {
        "of": "the list"
    }


def test_a_referrer_that_the_target_had_already_is_listed_too(source, target, merged):
    image, _, referrer = put_signed(source)
    target.referrers = False
    media_type, content = source.repository("app").manifests[referrer]
    target.put("mirror", content, media_type)
    assert merged()[0] == 0
    assert referrer in {entry["digest"] for entry in listed(target, dashed(image))}


def test_a_fallback_tag_of_something_else_is_not_overwritten(source, target, merged):
    image, *_ = put_signed(source)
    target.referrers = False
    other = put_image(target, "mirror", "linux/arm64", tag=dashed(image))
    code, _, document = merged()
    assert code == 0
    assert target.repository("mirror").tags[dashed(image)] == other
    assert any("not overwritten" in line for line in document["left_out"])


@pytest.mark.parametrize("has_api", [True, False])
def test_an_index_with_a_subject_is_listed_too(has_api, source, target, merged):
    subject = digest_of(b"the subject")
    image = put_image(source, "app", "linux/amd64")
    about = {"mediaType": OCI, "digest": subject, "size": 11}
    entries = [descriptor(source, "app", image, "linux/amd64")]
    put_index(source, "app", entries, tag="1", subject=about, artifactType="application/example.list")
    target.referrers = has_api
    code, _, document = merged("--annotation", "a=b")
    assert (code, document["left_out"]) == (0, [])
    tags = target.repository("mirror").tags
    assert (dashed(subject) in tags) != has_api
    if not has_api:
        (entry,) = listed(target, dashed(subject))
        content = target.repository("mirror").manifests[tags["1"]][1]
        assert entry == {
            "mediaType": OCI_INDEX,
            "digest": tags["1"],
            "size": len(content),
            "artifactType": "application/example.list",
            "annotations": {"a": "b"},
        }
