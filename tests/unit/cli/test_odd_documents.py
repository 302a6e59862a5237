"""Documents that are no image, read by every command: one rule says what each is; one odd child hides no other."""

import json

import pytest
from fakes.images import OCI, descriptor, put_image, put_index
from fakes.odd_documents import ODD
from fakes.registry_server import FakeRegistry, digest_of

from multibuild.cli.startup import main

READING = {
    "inspect": ["inspect", "{}"],
    "inspect --raw": ["inspect", "{}", "--raw"],
    "inspect --diff": ["inspect", "{}", "--diff", "{}"],
    "resolve": ["resolve", "{}"],
    "verify": ["verify", "{}", "--content", "entrypoint"],
}
IMAGES = {name: odd for name, odd in ODD.items() if not odd.is_artifact}
ARTIFACTS = {name: odd for name, odd in ODD.items() if odd.is_artifact}


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.chdir(tmp_path)
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def run(registry, capfd):
    def run(*words):
        capfd.readouterr()
        code = main([word.replace("{}", f"{registry.host}/app:odd") for word in words])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


def put(registry, odd, tag=None):
    content = odd.make(lambda blob: registry.put_blob("app", blob))
    return registry.put("app", content, odd.media_type, tag=tag)


def put_beside_an_image(registry, odd, platform):
    """Put an index of a right image and the odd document, and tag it."""
    image = put_image(registry, "app", "linux/amd64")
    digest = put(registry, odd)
    entries = [
        descriptor(registry, "app", image, "linux/amd64"),
        {**descriptor(registry, "app", digest, platform), "mediaType": OCI},
    ]
    put_index(registry, "app", entries, tag="odd")
    return digest


def pushes(registry):
    return [line for line in registry.requests() if line.split()[0] in {"PUT", "POST", "PATCH"}]


def is_without_platform(odd):
    return odd.words in {"says no platform", "is no text"}


@pytest.mark.parametrize("odd", IMAGES.values(), ids=IMAGES)
@pytest.mark.parametrize("command", READING)
def test_a_reading_command_says_what_it_is(command, odd, registry, run):
    put(registry, odd, tag="odd")
    code, out, err = run(*READING[command])
    if is_without_platform(odd) and command != "verify":
        # It is an image, as far as a client that pulls it can see; inspect marks it.
        assert code == 0
        assert (odd.words in " ".join(out.split())) == (command == "inspect")
        return
    if command == "inspect --raw" and code == 0:
        assert out.encode() == registry.repository("app").manifests[registry.repository("app").tags["odd"]][1]
        assert odd.words in err
        return
    assert code in ({2} if odd.is_missing else {3, 6} if command == "verify" else {3})
    assert odd.words in " ".join((out + err).split())


@pytest.mark.parametrize("odd", IMAGES.values(), ids=IMAGES)
@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--append",)])
def test_it_is_not_merged(odd, options, registry, run):
    put(registry, odd, tag="odd")
    put_image(registry, "app", "linux/amd64", tag="good")
    target, good = f"{registry.host}/app:new", f"{registry.host}/app:good"
    code, _, err = run("merge", target, good, "{}", *options)
    assert code in {6, 7}, err
    assert odd.words in " ".join(err.split())
    assert pushes(registry) == []


@pytest.mark.parametrize("odd", IMAGES.values(), ids=IMAGES)
def test_inspect_shows_what_is_beside_it(odd, registry, run):
    digest = put_beside_an_image(registry, odd, "linux/arm64")
    code, out, err = run("inspect", "{}", "--json")
    assert code == 0, err
    document = json.loads(out)
    good, marked = document["entries"]
    assert (good["platform"], good["config"], good["problem"]) == ("linux/amd64", "linux/amd64", "")
    assert marked["digest"] == digest
    assert odd.words in marked["problem"]
    assert "unreadable" in {finding["kind"] for finding in document["findings"]}
    code, out, _ = run("inspect", "{}")
    assert code == 0
    assert "unreadable" in out


@pytest.mark.parametrize("odd", IMAGES.values(), ids=IMAGES)
def test_resolve_and_verify_read_what_is_beside_it(odd, registry, run):
    digest = put_beside_an_image(registry, odd, "linux/arm64")
    code, out, _ = run("resolve", "{}", "--host", "linux/amd64", "--client", "docker", "--json")
    assert code == 0
    assert json.loads(out)["clients"]["docker"]["platform"] == "linux/amd64"
    code, out, _ = run("verify", "{}", "--json")
    findings = {finding["platform"]: finding["kind"] for finding in json.loads(out)["findings"]}
    assert code == 6
    assert findings["linux/arm64"] in {"unreadable", "missing", "platform", "content", "size"}
    assert digest in {row["digest"] for row in json.loads(out)["platforms"]}


@pytest.mark.parametrize("odd", ARTIFACTS.values(), ids=ARTIFACTS)
def test_an_artifact_in_an_index_is_shown_and_verified(odd, registry, run):
    digest = put(registry, odd)
    image = put_image(registry, "app", "linux/amd64")
    entries = [descriptor(registry, "app", one) for one in (image, digest)]
    entries[0]["platform"] = {"os": "linux", "architecture": "amd64"}
    put_index(registry, "app", entries, tag="odd")
    code, out, err = run("inspect", "{}", "--json")
    assert code == 0, err
    assert json.loads(out)["entries"][1]["artifact"]
    assert {finding["kind"] for finding in json.loads(out)["findings"]} <= {"unreachable", "order"}
    _, out, _ = run("verify", "{}", "--json")
    verified = json.loads(out)["platforms"][1]
    assert (verified["digest"], verified["content"], bool(verified["artifact"])) == (digest, None, True)
    assert {finding["platform"] for finding in json.loads(out)["findings"]} <= {"linux/amd64"}


@pytest.mark.parametrize("odd", ARTIFACTS.values(), ids=ARTIFACTS)
def test_a_missing_blob_of_an_artifact_is_a_finding(odd, registry, run):
    digest = put(registry, odd)
    put_index(registry, "app", [descriptor(registry, "app", digest)], tag="odd")
    registry.repository("app").blobs.clear()
    code, out, _ = run("verify", "{}", "--json")
    assert code == 6
    assert [finding["kind"] for finding in json.loads(out)["findings"]] == ["missing"]


VAGUE = (
    "",
    "application/json",
    "text/plain",
    "text/html",
    "application/octet-stream",
    "binary/octet-stream",
    "application/vnd.example+json",
    "application/vnd.oci.image.index.v1+json; charset=utf-8",
)


@pytest.mark.parametrize("media_type", VAGUE)
@pytest.mark.parametrize("names_itself", [True, False])
def test_a_vague_type_is_read_in_one_way_by_every_command(media_type, names_itself, registry, run):
    image = put_image(registry, "app", "linux/amd64")
    document = {"schemaVersion": 2, "manifests": [descriptor(registry, "app", image, "linux/amd64")]}
    if names_itself:
        document["mediaType"] = "application/vnd.oci.image.index.v1+json"
    registry.put("app", json.dumps(document).encode(), media_type, tag="odd")
    code, out, _ = run("inspect", "{}", "--json")
    assert code == 0
    assert json.loads(out)["media_type"] == "application/vnd.oci.image.index.v1+json"
    _, out, _ = run("resolve", "{}", "--host", "linux/amd64", "--client", "crane", "--json")
    assert json.loads(out)["clients"]["crane"]["digest"] == image
    target = f"{registry.host}/app:new"
    code, out, err = run("merge", target, "{}", "--annotation", "a=b", "--dry-run")
    assert code == 0, err
    assert [entry["digest"] for entry in json.loads(out)["manifests"]] == [image]


# -- entries that are none


ODD_ENTRIES = {
    "a number": 5,
    "nothing": None,
    "no size": {"mediaType": OCI, "digest": digest_of(b"x")},
    "a size that is text": {"mediaType": OCI, "digest": digest_of(b"x"), "size": "7"},
    "a negative size": {"mediaType": OCI, "digest": digest_of(b"x"), "size": -1},
    "no digest": {"mediaType": OCI, "size": 1},
    "a digest that is a path": {"mediaType": OCI, "size": 1, "digest": "../../x"},
    "a platform that is text": {"mediaType": OCI, "size": 1, "digest": digest_of(b"x"), "platform": "linux"},
}


@pytest.mark.parametrize("odd", ODD_ENTRIES.values(), ids=ODD_ENTRIES)
def test_an_entry_that_is_none_hides_no_other(odd, registry, run, tmp_path):
    image = put_image(registry, "app", "linux/amd64")
    entries = [descriptor(registry, "app", image, "linux/amd64"), odd]
    put_index(registry, "app", entries, tag="odd")
    code, out, err = run("inspect", "{}", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["entries"][0]["config"] == "linux/amd64"
    assert "unreadable" in {finding["kind"] for finding in document["findings"]}
    code, out, _ = run("resolve", "{}", "--host", "linux/amd64", "--client", "docker", "--json")
    assert (code, json.loads(out)["clients"]["docker"]["digest"]) == (0, image)
    code, out, _ = run("verify", "{}", "--json")
    assert code == 6
    assert image in {row["digest"] for row in json.loads(out)["platforms"]}
    file = tmp_path / "the-index.json"
    file.write_bytes(json.dumps({"schemaVersion": 2, "manifests": entries}).encode())
    code, out, _ = run(
        "resolve", "--index", str(file), "--host", "linux/amd64", "--client", "docker", "--json"
    )
    assert (code, json.loads(out)["clients"]["docker"]["digest"]) == (0, image)
    code, _, _ = run("merge", f"{registry.host}/app:new", "{}", "--dry-run")
    assert code == 7


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"manifests": 7}', b'{"manifests": [5]}', b'{"schemaVersion": 1}', b"\xff"],
)
def test_resolve_names_the_file(content, run, tmp_path):
    file = tmp_path / "the-index.json"
    file.write_bytes(content)
    code, out, err = run("resolve", "--index", str(file))
    assert (code, out) == (2, "")
    assert "the-index.json" in err.splitlines()[0]


@pytest.mark.parametrize("status", [401, 403, 404, 410, 418, 451])
def test_a_child_that_the_registry_refuses_hides_no_other(status, registry, run):
    """410 and 451: taken down; 401 and 403: in a repository of its own rights."""
    good = put_image(registry, "app", "linux/amd64")
    bad = put_image(registry, "app", "linux/arm64")
    pairs = ((good, "linux/amd64"), (bad, "linux/arm64"))
    put_index(registry, "app", [descriptor(registry, "app", *pair) for pair in pairs], tag="odd")
    registry.bends = [
        lambda _registry, request, proceed: (status, b"", {}) if request.rest == bad else proceed()
    ]
    code, out, err = run("inspect", "{}", "--json")
    assert code == 0, err
    problems = [bool(entry["problem"]) for entry in json.loads(out)["entries"]]
    assert problems == [False, True]
    code, out, _ = run("verify", "{}", "--json")
    assert code == 6
    assert "linux/arm64" in {finding["platform"] for finding in json.loads(out)["findings"]}


# -- a platform that only --platform-of says


PLATFORMLESS = {
    name: odd for name, odd in ODD.items() if odd.words == "says no platform" and "cosign" not in name
}


@pytest.mark.parametrize("odd", PLATFORMLESS.values(), ids=PLATFORMLESS)
@pytest.mark.parametrize("is_listed", [False, True])
def test_platform_of_rescues_an_image_whose_config_says_none(odd, is_listed, registry, run):
    digest = put(registry, odd, tag="odd")
    if is_listed:
        put_index(registry, "app", [descriptor(registry, "app", digest)], tag="odd")
    target = f"{registry.host}/app:new"
    code, _, err = run("merge", target, "{}", "--platform-of", "{}=linux/arm64")
    assert code == 0, err
    app = registry.repository("app")
    (entry,) = json.loads(app.manifests[app.tags["new"]][1])["manifests"]
    assert (entry["digest"], entry["platform"]) == (digest, {"os": "linux", "architecture": "arm64"})
    code, out, _ = run("verify", target, "--json")
    assert [row["platform"] for row in json.loads(out)["platforms"]] == ["linux/arm64"]
    assert {finding["kind"] for finding in json.loads(out)["findings"]} <= {"content"}


@pytest.mark.parametrize("platform", [{"os": "", "architecture": ""}, {"os": "linux", "architecture": ""}])
def test_an_entry_without_os_or_architecture_is_completed_or_refused(platform, registry, run):
    good = put_image(registry, "app", "linux/s390x")
    put_index(registry, "app", [{**descriptor(registry, "app", good), "platform": platform}], tag="odd")
    target = f"{registry.host}/app:new"
    code, out, _ = run("merge", target, "{}", "--annotation", "a=b", "--dry-run")
    assert code == 0
    assert json.loads(out)["manifests"][0]["platform"] == {"os": "linux", "architecture": "s390x"}
    code, out, _ = run("inspect", "{}", "--json")
    assert "unreachable" in {finding["kind"] for finding in json.loads(out)["findings"]}
    bad = put(registry, ODD["a config without anything"])
    put_index(registry, "app", [{**descriptor(registry, "app", bad), "platform": platform}], tag="odd")
    code, out, err = run("merge", target, "{}", "--annotation", "a=b", "--dry-run")
    assert (code, out) == (6, "")
    assert "--platform-of" in err


# -- indexes within indexes


def test_what_no_flatten_writes_is_verified(registry, run):
    pairs = (("linux/amd64", "a"), ("linux/arm64", "b"))
    for platform, tag in pairs:
        put_image(registry, "app", platform, tag=tag)
    sources = [f"{registry.host}/app:{tag}" for _, tag in pairs]
    assert run("merge", f"{registry.host}/app:inner", *sources)[0] == 0
    nested = f"{registry.host}/app:nested"
    assert run("merge", nested, f"{registry.host}/app:inner", sources[0], "--no-flatten")[0] == 0
    _, out, _ = run("verify", nested, "--json")
    document = json.loads(out)
    assert [row["platform"] for row in document["platforms"]] == ["linux/amd64", "linux/arm64", "linux/amd64"]
    assert {finding["kind"] for finding in document["findings"]} <= {"content"}
    assert run("inspect", nested)[0] == 0
    assert run("merge", f"{registry.host}/app:flat", nested)[0] == 0


# -- sizes


@pytest.mark.parametrize("what", ["layers", "config"])
@pytest.mark.parametrize("change", [1, -1, 1000, -5, -(10**9), 2 * 10**6])
def test_a_wrong_size_is_an_error_that_names_the_digest(what, change, registry, run):
    """docker/for-linux issue 1296, google/go-containerregistry issue 1725, kubernetes issue 65253."""
    image = put_image(registry, "app", "linux/amd64")
    document = json.loads(registry.repository("app").manifests[image][1])
    entry = document["layers"][0] if what == "layers" else document["config"]
    entry["size"] = max(0, entry["size"] + change)
    registry.put("app", json.dumps(document).encode(), OCI, tag="odd")
    with FakeRegistry() as target:
        code, _, err = run("merge", f"{target.host}/app:1", "{}", "--platform-of", "{}=linux/amd64")
        assert (code, target.repository("app").tags) == (7, {})
    message, hint = err.splitlines()[-2:]
    assert entry["digest"] in message
    assert hint.startswith("hint:  ")


@pytest.mark.parametrize("change", [1, -1, 10**6])
def test_a_wrong_size_in_an_index_is_an_error_that_names_the_digest(change, registry, run):
    image = put_image(registry, "app", "linux/amd64")
    entry = descriptor(registry, "app", image, "linux/amd64")
    put_index(registry, "app", [{**entry, "size": entry["size"] + change}], tag="odd")
    with FakeRegistry() as target:
        for options in ((), ("--dry-run",), ("--no-flatten",)):
            code, _, err = run("merge", f"{target.host}/app:1", "{}", *options)
            if options != ("--no-flatten",):
                assert code == 7
                assert image in err
        assert target.repository("app").tags == {}
