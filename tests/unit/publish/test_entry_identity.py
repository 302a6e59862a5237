"""Which entries of an index are the same: --append, carry, --diff and lint tell them apart by the same rule.

Sources of the pairs: os.version of Windows (int128/docker-manifest-create-action issue 273, estesp/manifest-tool issue
27), os.features (nydus.remoteimage.v1, image-spec's win32k), CPU features of a Docker list, zstd beside gzip
(containers/image pull request 1789), SOCI's artifactType.
"""

import json
from datetime import UTC, datetime

import pytest
from fakes.images import DOCKER, DOCKER_LIST, OCI, descriptor, put_image, put_index
from fakes.registry_server import FakeRegistry, digest_of

from multibuild.cli.commands.inspect import as_diff
from multibuild.cli.display.display import make_display
from multibuild.cli.startup import main
from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.journal.recorder import Recorder
from multibuild.oci.manifest import Descriptor
from multibuild.oci.manifests.identity import ZSTD_ANNOTATION, EntryIdentity
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.host_facts import assumed_facts
from multibuild.plan.plan import make_plan
from multibuild.publish.on_missing import carry_missing
from multibuild.resolve.diff_index import compare
from multibuild.resolve.inspect_index import inspect_reference
from multibuild.resolve.lint_index import lint

ZSTD_LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
WINDOWS = {"os": "windows", "architecture": "amd64"}
LINUX = {"os": "linux", "architecture": "amd64"}
ARM64 = {"os": "linux", "architecture": "arm64"}

DIFFERENT = {
    "builds of Windows": (
        {"platform": {**WINDOWS, "os.version": "10.0.17763.4974"}},
        {"platform": {**WINDOWS, "os.version": "10.0.20348.2031"}},
    ),
    "a build of Windows, and any": (
        {"platform": {**WINDOWS, "os.version": "10.0.17763.4974"}},
        {"platform": WINDOWS},
    ),
    "os.features": (
        {"platform": LINUX},
        {"platform": {**LINUX, "os.features": ["nydus.remoteimage.v1"]}},
    ),
    "features of a CPU": ({"platform": LINUX}, {"platform": {**LINUX, "features": ["sse4"]}}),
    "a field of the future": ({"platform": LINUX}, {"platform": {**LINUX, "org.example.gpu": "a100"}}),
    "gzip and zstd": ({"platform": LINUX}, {"platform": LINUX, "annotations": {ZSTD_ANNOTATION: "true"}}),
    "an image and its SOCI index": (
        {"platform": LINUX},
        {"platform": LINUX, "artifactType": "application/vnd.amazon.soci.index.v2+json"},
    ),
    "variants": ({"platform": {**ARM64, "variant": "v9"}}, {"platform": ARM64}),
    "the unknown variant": ({"platform": {**ARM64, "variant": "unknown"}}, {"platform": ARM64}),
}

SAME = {
    "the same platform": ({"platform": LINUX}, {"platform": LINUX}),
    "v8 and none": ({"platform": {**ARM64, "variant": "v8"}}, {"platform": ARM64}),
    "v1 and none": ({"platform": {**LINUX, "variant": "v1"}}, {"platform": LINUX}),
    "os.features in another order": (
        {"platform": {**LINUX, "os.features": ["a", "b"]}},
        {"platform": {**LINUX, "os.features": ["b", "a"]}},
    ),
    "empty fields": ({"platform": {**LINUX, "os.version": "", "features": []}}, {"platform": LINUX}),
    "an annotation that says nothing": (
        {"platform": LINUX, "annotations": {"org.example.note": "x"}},
        {"platform": LINUX},
    ),
    "zstd that is not": ({"platform": LINUX, "annotations": {ZSTD_ANNOTATION: "false"}}, {"platform": LINUX}),
}


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.chdir(tmp_path)
    with FakeRegistry() as fake:
        yield fake


def entry(registry, number, fields, *, name="app"):
    """Return an entry with these fields for an image of its own."""
    digest = put_image(registry, name, "linux/amd64", layer=f"layer {number}".encode())
    return {**descriptor(registry, name, digest), **fields}


def listed(registry, tag, name="app"):
    repository = registry.repository(name)
    return json.loads(repository.manifests[repository.tags[tag]][1])["manifests"]


def digests(entries):
    return [one["digest"] for one in entries]


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_append_keeps_an_entry_that_is_told_apart(one, other, registry):
    first, second = entry(registry, 1, one), entry(registry, 2, other)
    put_index(registry, "app", [first], tag="1")
    put_index(registry, "app", [second], tag="new")
    assert main(["merge", f"{registry.host}/app:1", f"{registry.host}/app:new", "--append"]) == 0
    assert listed(registry, "1") == [first, second]


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_append_replaces_an_entry_of_the_same_identity(one, other, registry):
    first, second = entry(registry, 1, one), entry(registry, 2, other)
    last = entry(registry, 3, {"platform": {"os": "linux", "architecture": "s390x"}})
    put_index(registry, "app", [first, last], tag="1")
    put_index(registry, "app", [second], tag="new")
    assert main(["merge", f"{registry.host}/app:1", f"{registry.host}/app:new", "--append"]) == 0
    assert digests(listed(registry, "1")) == digests([second, last])


@pytest.mark.parametrize(("one", "other"), [*DIFFERENT.values(), *SAME.values()], ids=[*DIFFERENT, *SAME])
def test_two_sources_of_one_append_never_replace_each_other(one, other, registry):
    first, second = entry(registry, 1, one), entry(registry, 2, other)
    old = entry(registry, 3, {"platform": {"os": "linux", "architecture": "s390x"}})
    put_index(registry, "app", [old], tag="1")
    for tag, new in (("a", first), ("b", second)):
        put_index(registry, "app", [new], tag=tag)
    sources = [f"{registry.host}/app:{tag}" for tag in "ab"]
    assert main(["merge", f"{registry.host}/app:1", *sources, "--append"]) == 0
    assert digests(listed(registry, "1")) == digests([old, first, second])


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_lint_does_not_call_them_duplicates(one, other, registry):
    entries = [Descriptor.from_json(entry(registry, n, fields)) for n, fields in enumerate((one, other))]
    assert {finding.kind for finding in lint(entries, {})}.isdisjoint({"duplicate"})
    twice = [*entries, Descriptor.from_json(entry(registry, 3, other))]
    assert "duplicate" in {finding.kind for finding in lint(twice, {})}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_a_difference_pairs_entries_of_one_identity(one, other, registry):
    """The first is removed, the second changed: by their place the first would have changed."""
    put_index(registry, "app", [entry(registry, 1, one), entry(registry, 2, other)], tag="old")
    put_index(registry, "app", [entry(registry, 3, other)], tag="new")
    with RegistrySession({}, on_wait=print) as session:
        before, after = (
            inspect_reference(Reference.parse(f"{registry.host}/app:{tag}"), session)
            for tag in ("old", "new")
        )
    difference = compare(before, after)
    assert [change.kind for change in difference.changes] == ["removed", "changed"]
    assert max(map(len, as_diff(difference).splitlines())) <= 100


def test_entries_without_a_platform_are_told_apart_by_their_digest(registry):
    chart = {"platform": None, "artifactType": "application/vnd.cncf.helm.config.v1+json"}
    entries = [{k: v for k, v in entry(registry, n, chart).items() if v} for n in (1, 2)]
    identities = [EntryIdentity.of(Descriptor.from_json(one)) for one in entries]
    assert identities[0] != identities[1]
    assert identities[0] == EntryIdentity.of(Descriptor.from_json(entries[0]))


def test_two_spellings_of_a_platform_both_get_the_new_image(registry):
    """podman and crane compare exact strings: `arm64/v8` would keep the old image, or be lost."""
    image = entry(registry, 1, {})
    old = [{**image, "platform": ARM64}, {**image, "platform": {**ARM64, "variant": "v8"}}]
    put_index(registry, "app", old, tag="1")
    new = put_index(registry, "app", [entry(registry, 2, {"platform": ARM64})], tag="new")
    assert new
    assert main(["merge", f"{registry.host}/app:1", f"{registry.host}/app:new", "--append"]) == 0
    entries = listed(registry, "1")
    assert [one["platform"].get("variant") for one in entries] == [None, "v8"]
    assert len(set(digests(entries))) == 1
    assert digests(entries)[0] != image["digest"]


# -- zstd that only the layers say


def put_zstd(registry, *, tag):
    blob = json.dumps({"os": "linux", "architecture": "amd64"}).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": registry.put_blob("app", blob),
            "size": len(blob),
        },
        "layers": [{"mediaType": ZSTD_LAYER, "digest": registry.put_blob("app", b"zstd"), "size": 4}],
    }
    return registry.put("app", json.dumps(document).encode(), OCI, tag=tag)


@pytest.mark.parametrize("is_index", [False, True])
def test_zstd_beside_gzip_is_kept_and_annotated_though_nothing_said_so(is_index, registry):
    """Podman prefers it by that annotation alone, and the next --append tells them apart by it."""
    gzip = put_image(registry, "app", "linux/amd64")
    put_index(registry, "app", [descriptor(registry, "app", gzip, "linux/amd64")], tag="1")
    zstd = put_zstd(registry, tag="zstd")
    if is_index:
        put_index(registry, "app", [descriptor(registry, "app", zstd, "linux/amd64")], tag="zstd")
    for _ in range(2):
        assert main(["merge", f"{registry.host}/app:1", f"{registry.host}/app:zstd", "--append"]) == 0
        first, second = listed(registry, "1")
        assert (first["digest"], first.get("annotations")) == (gzip, None)
        assert (second["digest"], second["annotations"]) == (zstd, {ZSTD_ANNOTATION: "true"})


def test_zstd_alone_gets_no_annotation(registry):
    put_zstd(registry, tag="zstd")
    assert main(["merge", f"{registry.host}/app:1", f"{registry.host}/app:zstd"]) == 0
    assert "annotations" not in listed(registry, "1")[0]


def test_a_docker_list_keeps_builds_of_windows(registry):
    entries = []
    for number, version in enumerate(("10.0.17763.1", "10.0.20348.1")):
        digest = put_image(
            registry,
            "app",
            "windows/amd64",
            media_type=DOCKER,
            layer=f"{number}".encode(),
            **{"os.version": version},
        )
        fields = {"platform": {**WINDOWS, "os.version": version}}
        entries.append({**descriptor(registry, "app", digest), **fields})
    put_index(registry, "app", entries[:1], tag="1", media_type=DOCKER_LIST)
    put_index(registry, "app", entries[1:], tag="new", media_type=DOCKER_LIST)
    assert main(["merge", f"{registry.host}/app:1", f"{registry.host}/app:new", "--append"]) == 0
    assert listed(registry, "1") == entries


# -- carry


def planned(registry, tmp_path, **fields):
    config = {
        "version": 1,
        "image": f"{registry.host}/app",
        "platforms": [{"name": "windows/amd64", **fields}],
        "publish": {"on_missing": "carry"},
    }
    path = tmp_path / "multibuild.yaml"
    path.write_text(json.dumps(config))
    loaded = load_config(path, environ={}, overrides=Overrides(), now=datetime(2026, 1, 1, tzinfo=UTC))
    return make_plan(loaded, assumed_facts(loaded.config.builder))


@pytest.mark.parametrize(("version", "index"), [("10.0.20348.2031", 1), ("10.0.17763.4974", 0), ("", 0)])
def test_carry_takes_the_entry_of_the_configured_build_of_windows(version, index, registry, tmp_path):
    old = [entry(registry, n, fields) for n, fields in enumerate(DIFFERENT["builds of Windows"])]
    put_index(registry, "app", old, tag="latest")
    plan = planned(registry, tmp_path, **({"os_version": version} if version else {}))
    recorder = Recorder(None, make_display("quiet", quiet=True))
    with RegistrySession({}, on_wait=print) as session:
        carried = carry_missing(plan, [], Reference.parse(f"{registry.host}/app"), session, recorder)
    (child,) = carried.values()
    assert child.image.digest == old[index]["digest"]


def test_carry_takes_no_other_build_of_windows(registry, tmp_path):
    put_index(registry, "app", [entry(registry, 1, DIFFERENT["builds of Windows"][0])], tag="latest")
    plan = planned(registry, tmp_path, os_version="10.0.26100.1")
    recorder = Recorder(None, make_display("quiet", quiet=True))
    with RegistrySession({}, on_wait=print) as session:
        assert carry_missing(plan, [], Reference.parse(f"{registry.host}/app"), session, recorder) == {}


def test_an_identity_is_readable():
    fields = {**WINDOWS, "os.version": "10.0", "os.features": ["win32k"]}
    one = Descriptor.from_json({"mediaType": OCI, "digest": digest_of(b""), "size": 1, "platform": fields})
    assert str(EntryIdentity.of(one)) == "windows/amd64 10.0 (win32k)"
