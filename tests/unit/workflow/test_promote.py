"""Promotion: the same bytes under other names, with what belongs to them; all targets or none."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from fakes.images import (
    DOCKER,
    DOCKER_LIST,
    OCI,
    OCI_INDEX,
    descriptor,
    put_attested,
    put_image,
    put_index,
    put_referrer,
)
from fakes.layers import tar
from fakes.registry_server import FakeRegistry, Faults, digest_of
from waiting import PATIENCE_S

from multibuild.cli.commands.promote import progress
from multibuild.cli.startup import main
from multibuild.errors import PublishFailed
from multibuild.journal.events import TagEnded
from multibuild.oci.copy.companions import CompanionPolicy
from multibuild.oci.http import RetryPolicy
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.qemu.probe_program import build_probe
from multibuild.workflow.promote import plan_promotion, promote

NO_RETRY = RetryPolicy(tries=1, initial_wait_s=0.0)
SIGNATURE = "application/vnd.dev.sigstore.bundle.v0.3+json"


@pytest.fixture(autouse=True)
def _no_logins(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def source():
    with FakeRegistry(referrers=True) as fake:
        yield fake


@pytest.fixture
def target():
    with FakeRegistry(referrers=True) as fake:
        yield fake


@pytest.fixture
def run(capfd):
    """Run `promote` with arguments; return exit code, stderr and, after success, the JSON."""

    def run(*words):
        capfd.readouterr()
        code = main(["promote", *map(str, words), "--json"])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        assert code == 0 or out == ""
        return code, err, json.loads(out) if out else {}

    return run


def dashed(digest):
    return digest.replace(":", "-")


def tags_of(registry, name):
    return dict(registry.repository(name).tags)


def writes(registry):
    return [
        request for request in registry.requests() if request.split()[0] in {"PUT", "POST", "PATCH", "DELETE"}
    ]


# -- what is promoted


def put_signature(registry, name, digest, suffix="sig", keys="A", layer=b"signed"):
    """Put what cosign writes under its tag: what each key signed is a layer, the signature its annotation."""
    entry = {
        "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
        "digest": digest_of(layer),
        "size": len(layer),
    }
    entries = [{**entry, "annotations": {"dev.cosignproject.cosign/signature": key}} for key in keys]
    for blob in (b"{}", layer):
        registry.put_blob(name, blob)
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(b"{}"), "size": 2}
    document = {"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": entries}
    return registry.put(name, json.dumps(document).encode(), OCI, tag=f"{dashed(digest)}.{suffix}")


def two_platforms(registry):
    images = [put_image(registry, "app", name) for name in ("linux/amd64", "linux/arm64")]
    entries = [
        descriptor(registry, "app", image, name)
        for image, name in zip(images, ("linux/amd64", "linux/arm64"), strict=True)
    ]
    return put_index(registry, "app", entries, tag="1")


def docker_list(registry):
    image = put_image(registry, "app", "linux/s390x", media_type=DOCKER)
    entries = [descriptor(registry, "app", image, "linux/s390x")]
    return put_index(registry, "app", entries, tag="1", media_type=DOCKER_LIST)


def nested(registry):
    inner, *_ = put_attested(registry, "app", "linux/arm64")
    entries = [
        descriptor(registry, "app", inner),
        descriptor(registry, "app", put_image(registry, "app"), "odd/machine"),
    ]
    return put_index(registry, "app", entries, tag="1", annotations={"of": "the index"})


def artifact(registry):
    subject = put_image(registry, "app", "linux/riscv64")
    return put_referrer(registry, "app", subject, tag="1", kind="application/vnd.cncf.helm.config.v1+json")


def odd_white_space(registry):
    entry = descriptor(registry, "app", put_image(registry, "app", "linux/386"), "linux/386")
    text = f'{{ "manifests":[\n\n{json.dumps(entry)} ] ,"schemaVersion" :2,"x":{{"manifests":1}}}}\n'
    return registry.put("app", text.encode(), OCI_INDEX, tag="1")


SOURCES = {
    "an index": two_platforms,
    "a Docker list": docker_list,
    "an index with an index, attestations and an unknown platform": nested,
    "an image": lambda registry: put_image(registry, "app", "linux/arm/v7", tag="1"),
    "a Docker image": lambda registry: put_image(registry, "app", tag="1", media_type=DOCKER),
    "an artifact": artifact,
    "an index in other white space": odd_white_space,
}


def require_same(source, target, digest, name="mirror", origin="app"):
    """Check that all below a digest is in the target, byte by byte."""
    kept = source.repository(origin).manifests[digest]
    assert target.repository(name).manifests[digest] == kept
    document = json.loads(kept[1])
    for entry in document.get("manifests", ()):
        require_same(source, target, entry["digest"], name, origin)
    for blob in (document.get("config"), *document.get("layers", ())):
        if blob:
            key = blob["digest"]
            assert target.repository(name).blobs[key] == source.repository(origin).blobs[key]


@pytest.mark.parametrize("put", SOURCES.values(), ids=SOURCES)
def test_the_same_bytes_elsewhere(put, source, target, run):
    digest = put(source)
    code, err, document = run(
        f"{source.host}/app:1", f"{target.host}/mirror:1", f"{target.host}/mirror:latest"
    )
    assert code == 0, err
    assert document == {
        "source": f"{source.host}/app@{digest}",
        "digest": digest,
        "targets": [
            {"ref": f"{target.host}/mirror:{tag}", "before": None, "after": digest, "status": "moved"}
            for tag in ("1", "latest")
        ],
        "companions": {"copied": [], "left_out": []},
    }
    assert tags_of(target, "mirror") == {"1": digest, "latest": digest}
    require_same(source, target, digest)


@pytest.mark.parametrize("put", SOURCES.values(), ids=SOURCES)
def test_another_repository_of_the_registry_gets_its_blobs_mounted(put, source, run):
    digest = put(source)
    assert run(f"{source.host}/app:1", f"{source.host}/mirror:1")[0] == 0
    require_same(source, source, digest)
    assert not [request for request in source.requests("PUT") if "/blobs/" in request]
    assert [request for request in source.requests("POST") if "mount=" in request]


def test_the_same_repository_only_gets_a_tag(source, run):
    digest = two_platforms(source)
    source.forget_requests()
    code, _, document = run(f"{source.host}/app:1", f"{source.host}/app:1", ":2", ":latest")
    assert code == 0
    assert [row["status"] for row in document["targets"]] == ["unchanged", "moved", "moved"]
    assert tags_of(source, "app") == {"1": digest, "2": digest, "latest": digest}
    assert not [request for request in source.requests() if "/blobs/" in request]


def test_what_the_target_has_is_not_uploaded_again(source, target, run):
    two_platforms(source)
    assert run(f"{source.host}/app:1", f"{target.host}/mirror:1")[0] == 0
    target.forget_requests()
    code, _, document = run(f"{source.host}/app:1", f"{target.host}/mirror:1", f"{target.host}/mirror:2")
    assert (code, [row["status"] for row in document["targets"]]) == (0, ["unchanged", "moved"])
    assert not [request for request in target.requests() if "/blobs/" in request]


# -- what belongs to it


@pytest.mark.parametrize("source_lists", [True, False])
@pytest.mark.parametrize("target_lists", [True, False])
def test_what_refers_to_index_and_images_comes_along(source_lists, target_lists, source, target, run):
    source.referrers, target.referrers = source_lists, target_lists
    digest = two_platforms(source)
    subjects = [
        digest,
        *(
            entry["digest"]
            for entry in json.loads(source.repository("app").manifests[digest][1])["manifests"]
        ),
    ]
    tags, referrers = {}, {}
    for subject in subjects:
        for suffix in ("sig", "att", "sbom"):
            tags[f"{dashed(subject)}.{suffix}"] = put_signature(source, "app", subject, suffix)
        referrers[subject] = put_referrer(source, "app", subject, kind=SIGNATURE)
        if not source_lists:
            entry = descriptor(source, "app", referrers[subject], artifactType=SIGNATURE)
            put_index(source, "app", [entry], tag=dashed(subject))
    code, err, document = run(f"{source.host}/app:1", f"{target.host}/mirror:1")
    assert code == 0, err
    stored = target.repository("mirror")
    assert {tag: stored.tags[tag] for tag in tags} == tags
    for subject, referrer in referrers.items():
        require_same(source, target, referrer)
        assert (dashed(subject) in stored.tags) != target_lists
    assert document["companions"] == {
        "copied": sorted(
            [f"{target.host}/mirror:{tag}" for tag in tags]
            + [f"{target.host}/mirror@{referrer}" for referrer in referrers.values()]
        ),
        "left_out": [],
    }


def test_signatures_within_an_index_within_an_index_come_along(source, target, run):
    inner, image, _ = put_attested(source, "app", "linux/arm64")
    put_index(source, "app", [descriptor(source, "app", inner)], tag="1")
    signature = put_signature(source, "app", image)
    assert run(f"{source.host}/app:1", f"{target.host}/mirror:1")[0] == 0
    assert tags_of(target, "mirror")[f"{dashed(image)}.sig"] == signature


def test_the_signature_of_an_sbom_comes_along(source, target, run):
    digest = two_platforms(source)
    sbom = put_referrer(source, "app", digest, kind="application/spdx+json")
    signature = put_referrer(source, "app", sbom, kind=SIGNATURE)
    cosign = put_signature(source, "app", sbom)
    assert run(f"{source.host}/app:1", f"{target.host}/mirror:1")[0] == 0
    require_same(source, target, signature)
    assert tags_of(target, "mirror")[f"{dashed(sbom)}.sig"] == cosign


@pytest.mark.parametrize(("depth", "code"), [(4, 0), (5, 7)])
def test_referrers_to_referrers_are_followed_or_refused(depth, code, source, target, run):
    last = two_platforms(source)
    for _ in range(depth):
        last = put_referrer(source, "app", last, kind="application/example")
    result, err, _ = run(f"{source.host}/app:1", f"{target.host}/mirror:1")
    assert (result, "referrers deep" in err) == (code, code != 0)
    assert ("1" in tags_of(target, "mirror")) == (code == 0)
    if code == 0:
        require_same(source, target, last)


@pytest.mark.parametrize(("theirs", "code"), [("A", 0), ("AB", 0), ("B", 7)])
def test_a_signature_at_the_target_is_never_lost_nor_taken_for_another(theirs, code, source, target, run):
    """Two keys sign the same text: the layer is the same."""
    digest = two_platforms(source)
    put_signature(source, "app", digest)
    stored = put_signature(target, "mirror", digest, keys=theirs)
    result, err, _ = run(f"{source.host}/app:1", f"{target.host}/mirror:1")
    assert result == code
    assert ("not overwritten" in err) == (code != 0)
    assert tags_of(target, "mirror")[f"{dashed(digest)}.sig"] == stored
    assert ("1" in tags_of(target, "mirror")) == (code == 0)


def refuses_signatures(_registry, request, proceed):
    if request.method == "PUT" and request.rest.endswith(".sig"):
        return 400, b'{"errors": [{"code": "MANIFEST_INVALID"}]}', {}
    return proceed()


@pytest.mark.parametrize(
    ("flags", "code", "lines"),
    [((), 7, None), (("--allow-missing-signatures",), 0, 1), (("--no-signatures",), 0, 0)],
)
def test_a_signature_that_cannot_be_copied_stops_all_unless_it_may_be_missing(
    flags, code, lines, source, target, run
):
    digest = two_platforms(source)
    put_signature(source, "app", digest)
    target.bends = [refuses_signatures]
    result, err, document = run(f"{source.host}/app:1", f"{target.host}/mirror:1", *flags)
    assert result == code
    assert ("1" in tags_of(target, "mirror")) == (code == 0)
    if lines is None:
        assert "--allow-missing-signatures" in err
    else:
        assert len(document["companions"]["left_out"]) == lines


def refuses_fallback_tags(_registry, request, proceed):
    if request.method == "PUT" and request.rest.startswith("sha256-"):
        return 403, b'{"errors": [{"code": "DENIED"}]}', {}
    return proceed()


def test_an_image_that_refers_to_another_is_listed_or_refused(source, target, run):
    artifact(source)
    target.referrers, target.bends = False, [refuses_fallback_tags]
    words = (f"{source.host}/app:1", f"{target.host}/mirror:1")
    assert run(*words)[0] == 7
    assert tags_of(target, "mirror") == {}
    code, _, document = run(*words, "--allow-missing-signatures")
    assert (code, len(document["companions"]["left_out"])) == (0, 1)


# -- a part


def test_a_part_of_an_index_keeps_the_bytes_of_its_entries(source, target, run):
    platforms = ("linux/amd64", "linux/arm64", "linux/arm/v7")
    images = [put_image(source, "app", name) for name in platforms]
    entries = [
        descriptor(source, "app", image, name, **{"x-own": [1.50, "é"]})
        for image, name in zip(images, platforms, strict=True)
    ]
    about = [
        {
            **descriptor(source, "app", put_referrer(source, "app", image), "unknown/unknown"),
            "annotations": {
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": image,
            },
        }
        for image in images[:2]
    ]
    texts = [json.dumps(entry, indent=k).replace("1.5", "1.50") for k, entry in enumerate((*entries, *about))]
    text = '{"schemaVersion":2,\n "manifests" : [ ' + " ,\n".join(texts) + '\n ], "annotations": {"a": "b"} }'
    digest = source.put("app", text.encode(), OCI_INDEX, tag="1")
    put_signature(source, "app", digest)
    of_image = put_signature(source, "app", images[1])
    code, err, document = run(
        f"{source.host}/app:1", f"{target.host}/mirror:1", "--platform", "linux/arm64,linux/arm/v7"
    )
    assert code == 0, err
    stored = target.repository("mirror")
    content = stored.manifests[stored.tags["1"]][1].decode()
    kept = ",\n".join((texts[1], texts[2], texts[4]))
    assert content == '{"schemaVersion":2,\n "manifests" : [\n' + kept + '\n ], "annotations": {"a": "b"} }'
    assert images[0] not in stored.manifests
    assert {tag for tag in stored.tags if tag.startswith("sha256-")} == {f"{dashed(images[1])}.sig"}
    assert stored.tags[f"{dashed(images[1])}.sig"] == of_image
    assert document["source"].endswith(digest)
    assert document["digest"] == digest_of(content.encode())


def test_every_platform_is_the_index_itself(source, target, run):
    digest = two_platforms(source)
    platforms = ("--platform", "linux/arm64", "--platform", "linux/amd64")
    assert run(f"{source.host}/app:1", f"{target.host}/mirror:1", *platforms)[2]["digest"] == digest


@pytest.mark.parametrize("put", [two_platforms, SOURCES["an image"]])
def test_a_platform_that_the_source_has_not_is_refused(put, source, target, run):
    put(source)
    code, err, _ = run(f"{source.host}/app:1", f"{target.host}/mirror:1", "--platform", "linux/s390x")
    assert (code, writes(target)) == (2, [])
    assert "linux/ar" in err, "what there is"


def test_an_image_of_the_platform_is_promoted(source, target, run):
    digest = put_image(source, "app", "linux/arm/v7", tag="1")
    code, _, document = run(f"{source.host}/app:1", f"{target.host}/mirror:1", "--platform", "linux/arm/v7")
    assert (code, document["digest"]) == (0, digest)


# -- checks first


def test_a_dry_run_writes_nothing_and_says_what_would_move(source, target, run):
    digest = two_platforms(source)
    old = put_image(target, "mirror", tag="1")
    target.forget_requests()
    code, _, document = run(
        f"{source.host}/app:1", f"{target.host}/mirror:1", f"{source.host}/app:1", "--dry-run"
    )
    assert (code, writes(source), writes(target)) == (0, [], [])
    assert [(row["before"], row["after"], row["status"]) for row in document["targets"]] == [
        (old, digest, "planned"),
        (digest, digest, "unchanged"),
    ]


@pytest.mark.parametrize("wrong", ["@sha256:" + "0" * 64, "latest"])
def test_what_is_no_tag_is_no_target(wrong, source, run):
    two_platforms(source)
    text = f"{source.host}/app{wrong}" if wrong.startswith("@") else wrong
    assert run(f"{source.host}/app:1", text)[0] == 2
    assert writes(source) == []


def put_program(registry, architecture, of):
    """Put an image whose entrypoint is a program of another architecture, or of its own."""
    layer = tar({"app": build_probe(of)})
    return put_image(registry, "app", f"linux/{architecture}", layer=layer, config={"Cmd": ["/app"]}), layer


@pytest.mark.parametrize(("of", "code"), [("arm64", 0), ("amd64", 6)])
def test_verify_comes_before_anything_is_written(of, code, source, target, run):
    image, _ = put_program(source, "arm64", of)
    good, _ = put_program(source, "amd64", "amd64")
    entries = [
        descriptor(source, "app", good, "linux/amd64"),
        descriptor(source, "app", image, "linux/arm64"),
    ]
    put_index(source, "app", entries, tag="1")
    words = (f"{source.host}/app:1", f"{target.host}/mirror:1", "--verify")
    result, err, _ = run(*words)
    assert result == code
    assert (writes(target) == []) == (code != 0)
    assert ("linux/arm64: content" in err) == (code != 0)
    assert run(*words, "--platform", "linux/amd64")[0] == 0, "a part is verified by itself"


def test_verify_with_a_config_of_other_platforms(source, target, run, tmp_path):
    image, _ = put_program(source, "arm64", "arm64")
    put_index(source, "app", [descriptor(source, "app", image, "linux/arm64")], tag="1")
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "multibuild.yaml").write_text("version: 1\nimage: r.io/app\nplatforms: [linux/amd64]\n")
    words = (f"{source.host}/app:1", f"{target.host}/mirror:1", "--verify", "--platform", "linux/arm64")
    code, err, _ = run(*words, "--state-dir", tmp_path.parent / "promote-state")
    assert code == 0, err


@pytest.fixture
def cosign(tmp_path, monkeypatch):
    """Put a program named cosign on PATH: it writes its arguments down and ends as told."""

    def install(code, message="no matching signatures"):
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "cosign"
        lines = (
            "#!/bin/sh",
            'for word; do printf "%s\\n" "$word"; done >> "$0.log"',
            f'echo "Error: {message}" >&2',
        )
        program.write_text("\n".join((*lines, f"exit {code}", "")))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return folder / "cosign.log"

    return install


@pytest.mark.parametrize("ending", [0, 1, 10, 12])
def test_cosign_verifies_the_digest_before_anything_is_written(ending, source, target, run, cosign):
    digest = two_platforms(source)
    log = cosign(ending)
    code, err, _ = run(
        f"{source.host}/app:1",
        f"{target.host}/mirror:1",
        "--signed-by",
        "a key.pub",
        "--signed-by",
        "env://B",
    )
    name = f"{source.host}/app@{digest}"
    first, second = (
        ["verify", "--key", key, "--allow-http-registry", name] for key in ("a key.pub", "env://B")
    )
    assert log.read_text().splitlines() == [*first, *(second if ending == 0 else ())]
    assert code == (6 if ending else 0)
    assert (writes(target) == []) == (ending != 0)
    assert ("no matching signatures" in err) == (ending != 0)


def test_without_cosign_nothing_is_written(source, target, run, tmp_path, monkeypatch):
    two_platforms(source)
    monkeypatch.setenv("PATH", str(tmp_path))
    code, err, _ = run(f"{source.host}/app:1", f"{target.host}/mirror:1", "--signed-by", "cosign.pub")
    assert (code, writes(target)) == (3, [])
    assert "cosign is not on PATH" in err


def test_a_promotion_that_takes_longer_says_how_far_it_is():
    said = threading.Event()
    lines = []

    def say(text):
        lines.append(text)
        if "uploaded" in text:
            said.set()

    with progress(say, "copying", every_s=0.001) as count:
        count(5_000_000)
        assert said.wait(PATIENCE_S)
    assert lines[-1].startswith("copying for ")
    assert lines[-1].endswith(" 5.0 MB uploaded")


# -- all targets or none

PLACES = (("first", "mirror"), ("second", "team/mirror"))
TAGS = ("1", "latest")


def put_old(registry, name):
    for tag in TAGS:
        put_image(registry, name, "linux/s390x", tag=tag)


def put_signed(registry):
    entries = [descriptor(registry, "app", put_image(registry, "app"), "linux/amd64")]
    digest = put_index(registry, "app", entries, tag="1")
    put_signature(registry, "app", digest)
    put_referrer(registry, "app", digest, kind=SIGNATURE)
    return digest


def promote_to(registries, emit=lambda _event, /: None, retry=NO_RETRY):
    """Promote `app:1` of the first registry to both places."""
    first, second = registries
    names = (f"{first.host}/mirror", f"{second.host}/team/mirror")
    destinations = [Destination(repository=Reference.parse(name), tags=TAGS) for name in names]
    with RegistrySession({}, on_wait=print, retry=retry) as session:
        promotion = plan_promotion(Reference.parse(f"{first.host}/app:1"), destinations, session)
        promote(promotion, session, emit=emit, companions=CompanionPolicy(mode="complete"))


def state(registries):
    return {
        f"{registry.host}/{name}:{tag}": registry.repository(name).tags.get(tag)
        for registry, (_, name) in zip(registries, PLACES, strict=True)
        for tag in TAGS
    }


def prepare(registries, *, existed=True):
    for registry in registries:
        registry.reset()
        registry.referrers = True
    digest = put_signed(registries[0])
    for registry, (_, name) in zip(registries, PLACES, strict=True):
        if existed:
            put_old(registry, name)
        registry.forget_requests()
    return digest


MAX_REQUESTS = (63, 30)
"""Sent to each of the two registries; a number, as each worker of the suite must collect the same tests."""

REQUESTS = [(where, n + 1) for where, count in enumerate(MAX_REQUESTS) for n in range(count)]


@pytest.fixture(scope="module")
def pair():
    with FakeRegistry() as first, FakeRegistry() as second:
        yield first, second


def test_each_request_is_among_those_that_fail_in_turn(pair):
    prepare(pair)
    promote_to(pair)
    assert tuple(len(registry.log) for registry in pair) == MAX_REQUESTS


@pytest.mark.parametrize(
    ("fault", "existed", "lasting"),
    [("before", True, True), ("before", False, False), ("after", True, False)],
)
@pytest.mark.parametrize(("where", "number"), REQUESTS)
def test_after_a_fault_at_any_request_tags_are_old_or_new_or_reported(
    where, number, fault, existed, lasting, pair
):
    digest = prepare(pair, existed=existed)
    before = state(pair)
    pair[where].faults = Faults({number: fault}, lasting=lasting)
    outcomes, message = {}, ""

    def emit(event, /):
        if isinstance(event, TagEnded):
            outcomes[event.ref] = event

    try:
        promote_to(pair, emit)
    except PublishFailed as error:
        message = error.message
    after = state(pair)
    if not message:
        assert set(after.values()) == {digest}
        for registry, (_, name) in zip(pair, PLACES, strict=True):
            require_same(pair[0], registry, digest, name)
            assert f"{dashed(digest)}.sig" in registry.repository(name).tags
        return
    for reference, now in after.items():
        if now != before[reference]:
            assert outcomes[reference].status in {"left", "failed"}
            assert reference in message


def test_faults_that_pass_are_retried(pair):
    digest = prepare(pair)
    pair[0].faults, pair[1].faults = Faults({2: "before", 9: "after", 14: 503}), Faults({3: 500, 8: "after"})
    promote_to(pair, retry=RetryPolicy(tries=4, initial_wait_s=0.001))
    assert set(state(pair).values()) == {digest}


KILLS = [("POST", "/blobs/", 1), ("PUT", "/blobs/", 1), ("PUT", "/manifests/sha256:", 1), ("PUT", "/manifests/sha256:", 2),
         ("PUT", ".sig", 1), ("PUT", "/manifests/sha256:", 3), ("PUT", "/manifests/1", 1),
         ("PUT", "/manifests/latest", 1)]  # fmt: skip


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("point", KILLS, ids=lambda point: "-".join(map(str, point)))
def test_a_killed_promotion_is_finished_by_the_same_command(point, answered, pair, tmp_path):
    """No tag ever leads to what is not whole, with its signatures; the next run moves the others."""
    digest = prepare(pair)
    old = set(state(pair).values())
    method, part, number = point
    words = [f"{pair[0].host}/app:1", *state(pair)]
    command = [sys.executable, "-m", "multibuild", "promote", *words]
    started, seen, killed, lock = threading.Event(), [0], threading.Event(), threading.Lock()
    processes: list[subprocess.Popen[bytes]] = []

    def kill(_registry, request, proceed):
        with lock:
            is_point = request.method == method and part in request.path
            seen[0] += is_point
            is_now = is_point and seen[0] == number
        if not is_now:
            return proceed()
        answer = proceed() if answered else (503, b"", {})
        started.wait()
        os.kill(processes[0].pid, signal.SIGKILL)
        processes[0].wait()
        killed.set()
        return answer

    pair[1].bends = [kill]
    environ = {**os.environ, "DOCKER_CONFIG": str(tmp_path / "docker")}
    processes.append(
        subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    )
    started.set()
    assert killed.wait(PATIENCE_S)
    assert processes[0].wait() == -signal.SIGKILL
    pair[1].bends = []
    assert set(state(pair).values()) <= old | {digest}
    for registry, (_, name) in zip(pair, PLACES, strict=True):
        if digest in registry.repository(name).tags.values():
            require_same(pair[0], registry, digest, name)
            assert f"{dashed(digest)}.sig" in registry.repository(name).tags
    again = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert set(state(pair).values()) == {digest}
    require_same(pair[0], pair[1], digest, "team/mirror")
