"""Other clients read published indexes: docker, skopeo, crane and oras; dockerd runs each platform."""

import json
import random
import shutil

import pytest
from e2e.conftest import REGISTRY, TWELVE, docker, multibuild
from e2e.pushing import INDEX, Workbench, descriptor_platform
from e2e.registries import RealRegistry

from multibuild.oci.manifest import Manifest, digest_of
from multibuild.platforms import Platform
from multibuild.resolve.client_rules import resolve
from multibuild.resolve.resolve import entries_of

pytestmark = pytest.mark.one_driver(
    driver="docker-container", reason="what is read is in a registry or a layout"
)

HERE = RealRegistry(REGISTRY)
MACHINES = {"amd64": "x86_64", "386": "x86_64", "arm64": "aarch64", "arm": "armv7l", "mips64le": "mips64"}
MACHINES |= {"mipsle": "mips", "loong64": "loongarch64"}


@pytest.fixture(scope="module")
def twelve(lab, tmp_path_factory):
    """Copy twelve platforms into a repository of their own, arm64 also as `unknown`."""
    repository = f"e2e/understood-{tmp_path_factory.mktemp('name').parent.name}-{random.randrange(10**8)}"
    target = f"{REGISTRY}/{repository}:1"
    arm64 = next(
        entry["digest"]
        for entry in HERE.document("base", "latest")["manifests"]
        if entry["platform"]["architecture"] == "arm64"
    )
    also = f"{REGISTRY}/base@{arm64}=linux/arm64/unknown"
    done = multibuild(
        "merge", target, f"{REGISTRY}/base:latest", "--also-as", also, "--annotation", "org.x=y"
    )
    assert done.code == 0, done.stderr
    return repository


def raw(repository, tag):
    return HERE.send("GET", f"{repository}/manifests/{tag}", headers={"Accept": "*/*"})


def test_other_clients_read_the_same_bytes(twelve, readers):
    ref = f"{REGISTRY}/{twelve}:1"
    digest = HERE.digest(twelve, "1")
    skopeo = readers.skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{ref}").stdout
    crane = readers.crane("manifest", ref).stdout
    oras = readers.oras("manifest", "fetch", "--plain-http", ref).stdout
    buildx = docker("buildx", "imagetools", "inspect", "--raw", ref).stdout
    for answer in (skopeo, crane, oras, buildx):
        assert digest_of(answer.strip().encode()) == digest
    assert readers.crane("digest", ref).stdout.strip() == digest
    listing = json.loads(docker("manifest", "inspect", "--insecure", ref).stdout)
    assert len(listing["manifests"]) == len(TWELVE) + 1


@pytest.mark.parametrize("platform", TWELVE)
def test_dockerd_pulls_and_runs(platform, twelve):
    ref = f"{REGISTRY}/{twelve}:1"
    ran = docker("run", "--rm", "--pull", "always", "--platform", platform, ref, "uname", "-m")
    architecture = platform.split("/")[1]
    assert ran.stdout.split()[-1] == MACHINES.get(architecture, architecture)


# -- layouts


@pytest.fixture
def layout(project, state, tmp_path):
    """Publish to `oci:DIR`, with attestations; return the directory and the index's digest."""
    folder = tmp_path / "layout"
    path = project(publish={"to": f"oci:{folder}"}, tags=["1"])
    done = multibuild("all", "-f", path, "--state-dir", state, "--json")
    assert done.code == 0, done.stderr
    return folder, done.json["index"]["digest"]


def test_other_clients_read_a_layout(layout, registry, repository, readers, tmp_path):
    """Pushed by skopeo, crane, oras and multibuild the index has the same digest; buildx builds from it."""
    folder, digest = layout
    assert not registry.exists(repository, "1")
    to = f"{REGISTRY}/{repository}"
    readers.skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{folder}:1", f"docker://{to}:skopeo")
    readers.oras("copy", "--from-oci-layout", "--to-plain-http", f"{folder}:1", f"{to}:oras")
    readers.crane("push", folder, f"{to}:crane")
    assert multibuild("merge", f"{to}:ours", "--from-oci", f"{folder}:1").code == 0
    assert {
        tag: HERE.digest(repository, tag) for tag in ("skopeo", "oras", "crane", "ours")
    } == dict.fromkeys(("skopeo", "oras", "crane", "ours"), digest)
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM app\nRUN test -s /machine\n")
    build = ("buildx", "build", "--platform", "linux/arm64", "--output", "type=cacheonly", "--quiet")
    docker(*build, "--build-context", f"app=oci-layout://{folder}:1", context)
    shutil.make_archive(str(tmp_path / "app"), "tar", folder)
    copied = f"oci:{tmp_path / 'copied'}:1"
    readers.skopeo("copy", "--all", f"oci-archive:{tmp_path / 'app.tar'}:1", copied)
    index = json.loads((tmp_path / "copied" / "index.json").read_text())
    assert [entry["digest"] for entry in index["manifests"]] == [digest]


# -- resolve, against the clients themselves

POOL = (
    *("linux/amd64", "linux/amd64/v2", "linux/386", "linux/arm64", "linux/arm64/v8", "linux/arm64/unknown"),
    *("linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm", "linux/s390x", "windows/amd64", None),
)
HOSTS = ("linux/amd64", "linux/arm64", "linux/arm64/v8", "linux/arm/v6", "linux/arm/v7", "linux/386")


@pytest.fixture(scope="module")
def menu(lab, tmp_path_factory):
    """One tiny image per platform of the pool; its config names the platform it is listed as."""
    bench = Workbench(
        f"e2e/resolve-{random.randrange(10**8)}-{tmp_path_factory.mktemp('n').parent.name}",
        tmp_path_factory.mktemp("menu"),
    )
    layer = bench.layer(b"\0" * 1024)
    images = {
        name: bench.push([layer], platform=name or "linux/amd64", Labels={"listed": str(name)})
        for name in POOL
    }
    return bench, images


@pytest.mark.parametrize("seed", range(12))
def test_resolve_agrees_with_crane_and_skopeo(seed, menu, readers):
    bench, images = menu
    chosen = random.Random(seed)
    names = chosen.sample(POOL, chosen.randint(1, 6))
    entries = [
        {**images[name], **({"platform": descriptor_platform(name)} if name else {})} for name in names
    ]
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    HERE.put(bench.repository, f"seed-{seed}", document)
    index = Manifest.of(json.dumps(document).encode(), INDEX)
    for host in chosen.sample(HOSTS, 3):
        answer = resolve(entries_of(index), Platform.literal(host))
        assert _crane(readers, f"{bench.image}:seed-{seed}", host) == _digest(answer["crane"]), (names, host)
        assert _skopeo(readers, f"{bench.image}:seed-{seed}", host) == _label(answer["podman"], images), (
            names,
            host,
        )


def _digest(choice):
    return choice.digest if choice else None


def _label(choice, images):
    return (
        next(str(name) for name, image in images.items() if image["digest"] == choice.digest)
        if choice
        else None
    )


def _crane(readers, ref, host):
    done = readers.crane("digest", "--platform", host, ref, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _skopeo(readers, ref, host):
    system, architecture, variant = (*host.split("/"), "")[:3]
    flags = ["--override-os", system, "--override-arch", architecture]
    flags += ["--override-variant", variant] if variant else []
    done = readers.skopeo(*flags, "inspect", "--config", "--tls-verify=false", f"docker://{ref}", check=False)
    return json.loads(done.stdout)["config"]["Labels"]["listed"] if done.returncode == 0 else None
