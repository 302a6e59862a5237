"""The index against the real registry and engine: merged, published anywhere, understood by docker."""

import hashlib
import json
import os
import time

import pytest
from e2e.conftest import REGISTRY, docker, multibuild
from e2e.registries import another_registry
from e2e.test_builders import remote_builder

ARCHITECTURES = ("amd64", "arm64", "mips64le")
# Other processes run tests of this file at the same time, and make images of their own.
SEED = f"e2e/seed-{os.getpid()}-{time.time_ns() % 10**8}"


@pytest.fixture(scope="module")
def built(tmp_path_factory, lab):
    """Three per-architecture repositories, each with one attested image, as three build jobs would leave them."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "Dockerfile").write_text(f"FROM {REGISTRY}/base:latest\nRUN uname -m > /machine\n")
    for architecture in ARCHITECTURES:
        config = {
            "version": 1,
            "image": f"{REGISTRY}/{SEED}-{architecture}",
            "tags": ["v1"],
            "platforms": [f"linux/{architecture}"],
            "builder": "auto",
        }
        path = folder / "multibuild.yaml"
        path.write_text(json.dumps(config))
        done = multibuild("all", "-f", path, "--state-dir", folder.parent / f"state-{architecture}")
        assert done.code == 0, done.stderr
    return [f"{REGISTRY}/{SEED}-{architecture}:v1" for architecture in ARCHITECTURES]


def image_digest(registry, architecture):
    return registry.images(f"{SEED}-{architecture}", "v1")[f"linux/{architecture}"]["digest"]


def test_three_repositories_become_one_list(built, registry, repository):
    """The whole of create, annotate and push, in one command; the bytes are those of --dry-run."""
    target = f"{REGISTRY}/{repository}:v1"
    also = ("--also-as", f"{REGISTRY}/{SEED}-arm64:v1=linux/arm64/unknown")
    dry = multibuild("merge", target, *built, *also, "--dry-run")
    assert dry.code == 0, dry.stderr
    assert not registry.exists(repository, "v1")
    done = multibuild("merge", target, *built, *also, "--json")
    assert done.code == 0, done.stderr
    digest = "sha256:" + hashlib.sha256(dry.stdout.encode()).hexdigest()
    assert done.json["index"]["digest"] == digest
    assert digest in dry.stderr
    assert list(registry.images(repository, "v1")) == [
        "linux/amd64",
        "linux/arm64",
        "linux/arm64/unknown",
        "linux/mips64le",
    ]
    listing = json.loads(docker("manifest", "inspect", "--insecure", target).stdout)
    assert len([e for e in listing["manifests"] if e["platform"]["os"] == "linux"]) == 4
    arm64 = image_digest(registry, "arm64")
    for host, client in (
        ("linux/arm64/unknown", "docker-legacy"),
        ("linux/arm64", "containerd,docker,podman,crane"),
    ):
        answer = multibuild("resolve", target, "--host", host, "--client", client, "--json").json
        assert {choice["digest"] for choice in answer["clients"].values()} == {arm64}
    ran = docker("run", "--rm", "--pull", "always", "--platform", "linux/arm64", target, "cat", "/machine")
    assert ran.stdout.split()[-1] == "aarch64"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, lab):
    """A second real registry."""
    with another_registry(tmp_path_factory.mktemp("elsewhere")) as other:
        yield other


def test_a_merge_gives_the_same_digest_anywhere_and_signatures_follow(
    built, elsewhere, repository, readers, registry
):
    """Tags or digests, here or in another registry; a signature of an image is found beside the copy."""
    arm64 = f"{REGISTRY}/{SEED}-arm64@{image_digest(registry, 'arm64')}"
    signed = readers.oras(
        "attach", "--plain-http", "--artifact-type", "example/signature", arm64, "--annotation", "a=b"
    )
    assert signed.returncode == 0
    target = f"{elsewhere.host}/{repository}:1"
    copied = multibuild("merge", target, *built, "--tag", f"{REGISTRY}/{repository}:1", "--json")
    assert copied.code == 0, copied.stderr
    digest = copied.json["index"]["digest"]
    assert elsewhere.digest(repository, "1") == digest
    assert (
        multibuild("merge", f"{REGISTRY}/{repository}-2:1", *built, "--json").json["index"]["digest"]
        == digest
    )
    referrers = readers.oras(
        "discover",
        "--plain-http",
        "--format",
        "json",
        f"{elsewhere.host}/{repository}@{arm64.partition('@')[2]}",
    )
    assert "example/signature" in referrers.stdout


@pytest.mark.one_driver(driver="docker", reason="it names three builders itself")
def test_three_drivers_one_digest(project, tmp_path, repository, registry):
    """With `reproducible: true` and no provenance the driver does not show in the bytes."""
    with remote_builder() as remote:
        digests = {
            driver: _built_by(driver, project, tmp_path / driver, repository)
            for driver in ("default", "auto", remote)
        }
    assert len(set(digests.values())) == 1, digests


def _built_by(driver, project, state, repository):
    path = project(
        reproducible=True,
        attestations={"provenance": False, "sbom": False},
        no_cache=True,
        tags=[f"by-{driver}"],
    )
    done = multibuild("all", "-f", path, "--state-dir", state, "--builder", driver, "--json")
    assert done.code == 0, done.stderr
    return done.json["index"]["digest"]


@pytest.mark.one_driver(
    driver="docker-container", reason="what is tested happens in the registry, after the builds"
)
def test_destinations_in_another_registry(project, state, elsewhere, registry, repository):
    """Blobs are copied, digests stay, and what cannot be pushed there is heard of before the first build."""
    mirror = f"{elsewhere.host}/team/{repository}"
    path = project(destinations=[mirror], tags=["1", "latest"], publish={"staging": "{image}-{arch}:{tag}"})
    done = multibuild("all", "-f", path, "--state-dir", state, "--json")
    assert done.code == 0, done.stderr
    digest = done.json["index"]["digest"]
    assert {elsewhere.digest(f"team/{repository}", tag) for tag in ("1", "latest")} == {digest}
    assert registry.exists(f"{repository}-arm64", "1")
    assert [(tag["ref"], tag["status"]) for tag in done.json["published"]] == [
        (f"{name}:{tag}", "moved") for name in (f"{REGISTRY}/{repository}", mirror) for tag in ("1", "latest")
    ]
    ran = docker("run", "--rm", "--platform", "linux/arm64", f"{mirror}:1", "cat", "/machine")
    assert ran.stdout.split()[-1] == "aarch64"


def test_every_child_of_a_merge_runs(built, repository):
    target = f"{REGISTRY}/{repository}:v1"
    assert multibuild("merge", target, *built).code == 0
    for architecture, machine in zip(ARCHITECTURES, ("x86_64", "aarch64", "mips64"), strict=True):
        ran = docker(
            "run",
            "--rm",
            "--pull",
            "always",
            "--platform",
            f"linux/{architecture}",
            target,
            "cat",
            "/machine",
        )
        assert ran.stdout.strip().splitlines()[-1] == machine


def test_append_and_diff(built, registry, repository):
    target = f"{REGISTRY}/{repository}"
    assert multibuild("merge", f"{target}:1", built[0]).code == 0
    assert multibuild("merge", f"{target}:2", f"{target}:1").code == 0
    assert registry.get(repository, "1") == registry.get(repository, "2")
    assert multibuild("merge", f"{target}:2", built[1], "--append").code == 0
    assert list(registry.images(repository, "2")) == ["linux/amd64", "linux/arm64"]
    compared = multibuild("inspect", f"{target}:1", "--diff", f"{target}:2", "--json").json
    assert [(one["platform"], one["kind"]) for one in compared["changes"]] == [
        ("linux/amd64", "same"),
        ("linux/arm64", "added"),
    ]


def test_a_docker_list_out_of_oci_images_is_refused_with_the_reason(built, registry, repository):
    done = multibuild("merge", f"{REGISTRY}/{repository}:1", *built, "--media-type", "docker")
    assert done.code == 7
    assert "Docker manifest list cannot hold" in done.stderr
    assert not registry.exists(repository, "1")


def test_docker_children_make_a_docker_list(project, state, registry, repository):
    path = project(media_type="docker", platforms=["linux/amd64", "linux/arm64"], tags=["1"])
    done = multibuild("all", "-f", path, "--state-dir", state)
    assert done.code == 0, done.stderr
    assert registry.get(repository, "1")["mediaType"].endswith("manifest.list.v2+json")
    again = multibuild(
        "merge", f"{REGISTRY}/{repository}:2", f"{REGISTRY}/{repository}:1", "--media-type", "docker"
    )
    assert again.code == 0, again.stderr
    assert registry.get(repository, "2") == registry.get(repository, "1")


@pytest.mark.one_driver(driver="docker", reason="what is tested happens in the registry, after the builds")
def test_build_then_merge_is_all(project, state, registry, repository):
    path = project(test={"run": ["cat", "/machine"]})
    common = ("-f", path, "--state-dir", state)
    assert multibuild("merge", *common).code == 2
    assert multibuild("build", *common).code == 0
    assert not registry.exists(repository, "latest")
    dry = multibuild("merge", *common, "--dry-run")
    done = multibuild("merge", *common, "--json")
    assert done.code == 0, done.stderr
    assert done.json["index"]["digest"] == "sha256:" + hashlib.sha256(dry.stdout.encode()).hexdigest()
    assert [one["test"]["status"] for one in done.json["platforms"]] == ["passed"] * 2
    again = multibuild("merge", *common, "--json")
    assert [tag["status"] for tag in again.json["published"]] == ["unchanged"]


@pytest.mark.one_driver(driver="docker", reason="what is tested happens after the builds")
def test_a_merge_of_what_fails_its_test_moves_no_tag(project, state, registry, repository):
    path = project(test={"run": ["false"]})
    common = ("-f", path, "--state-dir", state)
    assert multibuild("build", *common).code == 0
    assert multibuild("merge", *common).code == 5
    assert not registry.exists(repository, "latest")


def test_without_a_registry_to_publish_to(project, state, registry, repository, readers, tmp_path):
    """One layout with everything: docker loads it, and it is pushed later, elsewhere, with the same digest."""
    archive = tmp_path / "app.tar"
    path = project(publish={"to": f"oci-archive:{archive}"})
    done = multibuild("all", "-f", path, "--state-dir", state, "--json")
    assert done.code == 0, done.stderr
    assert not registry.exists(repository, "latest")
    target = f"{REGISTRY}/{repository}-later:1"
    pushed = multibuild("merge", target, "--from-oci", archive, "--json")
    assert pushed.code == 0, pushed.stderr
    assert pushed.json["index"]["digest"] == done.json["index"]["digest"]
    copied = tmp_path / "copied"
    readers.skopeo("copy", "--all", f"oci-archive:{archive}:latest", f"oci:{copied}:latest")
    index = json.loads((copied / "index.json").read_text())
    assert [entry["digest"] for entry in index["manifests"]] == [done.json["index"]["digest"]]
    name = f"{REGISTRY}/{repository}:latest"
    assert name in docker("load", "--input", archive).stdout
    ran = docker("run", "--rm", "--pull", "never", "--platform", "linux/arm64", name, "cat", "/machine")
    assert ran.stdout.strip().splitlines()[-1] == "aarch64"


def test_into_the_local_engine(project, state, repository):
    path = project(publish={"to": "docker"}, tags=["here"])
    done = multibuild("all", "-f", path, "--state-dir", state)
    assert done.code == 0, done.stderr
    assert docker("image", "inspect", f"{REGISTRY}/{repository}:here").stdout


@pytest.mark.parametrize(("rule", "code", "platforms"), [
    ("omit", 0, ["linux/amd64"]),
    ("carry", 0, ["linux/amd64", "linux/arm64", "linux/arm64/unknown"]),
    ("fail", 7, ["linux/amd64", "linux/arm64", "linux/arm64/unknown"]),
])  # fmt: skip
@pytest.mark.one_driver(
    driver="docker-container", reason="what is tested happens in the registry, after the builds"
)
def test_an_optional_platform_without_a_child(rule, code, platforms, project, state, registry, repository):
    arm64 = {"name": "linux/arm64", "required": False, "also_as": ["linux/arm64/unknown"]}
    text = f"FROM {REGISTRY}/base:latest\nARG FAIL\nARG TARGETARCH\nRUN test x$FAIL != x$TARGETARCH\n"
    path = project(dockerfile=text, platforms=["linux/amd64", arm64], publish={"on_missing": rule})
    common = ("all", "-f", path, "--state-dir", state)
    assert multibuild(*common).code == 0
    before = registry.images(repository, "latest")
    done = multibuild(*common, "--set", "args.FAIL=arm64")
    assert done.code == code, done.stderr
    after = registry.images(repository, "latest")
    assert list(after) == platforms
    if rule != "omit":
        assert after["linux/arm64"]["digest"] == before["linux/arm64"]["digest"]
    assert (after["linux/amd64"] == before["linux/amd64"]) == (rule == "fail")
    again = multibuild(*common, "--if-changed")  # the first run is the last that succeeded, and it is undone
    assert again.code == 0, again.stderr


def test_resolve_offline_and_for_a_cluster(tmp_path, built, registry, repository):
    target = f"{REGISTRY}/{repository}:1"
    assert multibuild("merge", target, *built).code == 0
    index = tmp_path / "index.json"
    index.write_text(multibuild("inspect", target, "--raw").stdout)
    nodes = tmp_path / "nodes.json"
    machines = {"a": "arm64", "b": "amd64", "c": "s390x"}
    info = {"operatingSystem": "linux", "containerRuntimeVersion": "containerd://2.1.4"}
    items = [
        {"metadata": {"name": name}, "status": {"nodeInfo": {**info, "architecture": architecture}}}
        for name, architecture in machines.items()
    ]
    nodes.write_text(json.dumps({"items": items}))
    done = multibuild("resolve", "--index", index, "--nodes", nodes)
    assert done.code == 0
    assert [line.split() for line in done.stdout.splitlines()[1:4]] == [
        ["a", "containerd", "2.1.4", "arm64", "arm64", "yes"],
        ["b", "containerd", "2.1.4", "amd64", "amd64", "yes"],
        ["c", "containerd", "2.1.4", "s390x", "none", "no"],
    ]
    # One that is no index is pulled by every node; its config says where it runs.
    single = f"{REGISTRY}/{SEED}-arm64@{image_digest(registry, 'arm64')}"
    answer = multibuild("resolve", single, "--nodes", nodes, "--json").json
    assert [node["runs"] for node in answer["nodes"]] == [True, False, False]
    assert answer["cannot_run"] == ["b", "c"]
