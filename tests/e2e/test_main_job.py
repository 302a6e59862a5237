"""The main job: twelve platforms from one Dockerfile, one annotated index."""

import json
import struct

import pytest
from e2e.conftest import REGISTRY, ROOT, TWELVE, docker, multibuild, own_repository

# What `uname -m` prints under QEMU: without ARM levels, byte order or 386.
MACHINES = {
    "linux/amd64": "x86_64",
    "linux/386": "x86_64",
    "linux/arm64": "aarch64",
    "linux/arm/v7": "armv7l",
    "linux/arm/v6": "armv7l",
    "linux/arm/v5": "armv7l",
    "linux/mips64le": "mips64",
    "linux/mipsle": "mips",
    "linux/ppc64le": "ppc64le",
    "linux/s390x": "s390x",
    "linux/riscv64": "riscv64",
    "linux/loong64": "loongarch64",
}
# ELF class, data, e_machine of the shell: these differ.
HEADERS = {
    "linux/amd64": (2, 1, 62),
    "linux/386": (1, 1, 3),
    "linux/arm64": (2, 1, 183),
    "linux/arm/v7": (1, 1, 40),
    "linux/arm/v6": (1, 1, 40),
    "linux/arm/v5": (1, 1, 40),
    "linux/mips64le": (2, 1, 8),
    "linux/mipsle": (1, 1, 8),
    "linux/ppc64le": (2, 1, 21),
    "linux/s390x": (2, 2, 22),
    "linux/riscv64": (2, 1, 243),
    "linux/loong64": (2, 1, 258),
}
CLASSIC = {
    ("amd64", ""), ("arm", "v5"), ("arm", "v6"), ("arm", "v7"), ("arm64", ""), ("386", ""), ("mips64le", ""),
    ("ppc64le", ""), ("s390x", ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def published(builder):
    """Return the repository that the example is published to with this builder."""
    return own_repository("hello")


@pytest.fixture(scope="module")
def hello(tmp_path_factory, lab, builder, published):
    state = tmp_path_factory.mktemp("state")
    config = "examples/hello/multibuild.yaml"
    place = f"image={REGISTRY}/{published}"
    done = multibuild(
        "all", "-f", config, "--set", place, "--builder", builder, "--state-dir", state, "--json"
    )
    assert done.code == 0, done.stderr
    return done


def test_the_index_lists_the_twelve_platforms_in_order(hello, published, registry):
    assert tuple(registry.images(published, "latest")) == TWELVE


def test_the_index_is_annotated(hello, published, registry):
    assert registry.get(published, "latest")["annotations"]["org.opencontainers.image.title"] == "hello"


def test_every_childs_config_says_its_architecture(hello, published, registry):
    for platform, entry in registry.images(published, "latest").items():
        config = registry.get(published, entry["digest"])["config"]
        document = json.loads(registry.blob(published, config["digest"]))
        assert document["architecture"] == platform.split("/")[1]


def test_the_report_has_every_platform(hello, published, registry):
    report = hello.json
    assert report["schema"] == 1
    assert report["status"] == "succeeded"
    assert [platform["platform"] for platform in report["platforms"]] == list(TWELVE)
    assert all(platform["status"] == "succeeded" for platform in report["platforms"])
    assert all(platform["test"]["status"] == "passed" for platform in report["platforms"])
    assert all(platform["content"]["status"] == "passed" for platform in report["platforms"])
    assert all(platform["manifest"] and platform["bytes"] for platform in report["platforms"])
    (moved,) = report["published"]
    assert moved["ref"] == f"{REGISTRY}/{published}:latest"
    assert moved["after"] == report["index"]["digest"]
    assert {stage["name"] for stage in report["stages"]} >= {"setup", "build", "test", "publish"}
    assert any(step["name"].endswith('RUN echo "hello from $(uname -m), built for ${TARGETPLATFORM}" > /hello.txt')
               or "RUN echo" in step["name"] for step in report["steps"])  # fmt: skip


def test_plain_docker_reads_the_nine_classic_platforms(hello, published):
    listed = json.loads(docker("manifest", "inspect", "--insecure", f"{REGISTRY}/{published}:latest").stdout)
    result = {(e["platform"]["architecture"], e["platform"].get("variant", "")) for e in listed["manifests"]}
    assert result >= CLASSIC


@pytest.mark.parametrize("platform", TWELVE)
def test_each_image_runs_and_is_what_it_claims(hello, published, registry, platform):
    digest = registry.images(published, "latest")[platform]["digest"]
    image = f"{REGISTRY}/{published}@{digest}"
    script = "uname -m; cat /hello.txt; head -c 20 /bin/busybox | hexdump -v -e '1/1 \"%02x\"'"
    out = docker(
        "run", "--rm", "--network=none", "--platform", platform, image, "sh", "-c", script
    ).stdout.splitlines()
    assert out[0] == MACHINES[platform]
    assert out[1] == f"hello from {MACHINES[platform]}, built for {platform}"
    head = bytes.fromhex(out[2])
    order = "<" if head[5] == 1 else ">"
    assert (head[4], head[5], struct.unpack_from(f"{order}H", head, 18)[0]) == HEADERS[platform]


def test_the_kube_proxy_example_stages_under_classic_names(registry, state, builder, repository):
    config = "examples/kube-proxy/multibuild.yaml"
    name = f"{repository}/kube-proxy"
    done = multibuild(
        "all", "-f", config, "--set", f"image={REGISTRY}/{name}", "--builder", builder, "--state-dir", state
    )
    assert done.code == 0, done.stderr
    for arch in ("amd64", "arm64", "mips64le"):
        assert registry.exists(f"{name}-{arch}", "v1.15.9")
    images = registry.images(name, "v1.15.9")
    assert list(images) == ["linux/amd64", "linux/arm64", "linux/arm64/unknown", "linux/mips64le"]
    assert images["linux/arm64"]["digest"] == images["linux/arm64/unknown"]["digest"]
    listed = json.loads(docker("manifest", "inspect", "--insecure", f"{REGISTRY}/{name}:v1.15.9").stdout)
    assert [e["platform"].get("variant") for e in listed["manifests"]] == [None, None, "unknown", None]


def test_inspect_shows_the_index(hello, published):
    done = multibuild("inspect", f"{REGISTRY}/{published}:latest")
    assert done.code == 0
    assert all(platform in done.stdout for platform in TWELVE)
    assert max(map(len, done.stdout.splitlines())) <= 80
    raw = multibuild("inspect", "--raw", f"{REGISTRY}/{published}:latest")
    assert json.loads(raw.stdout)["schemaVersion"] == 2


def test_report_and_runs_show_a_past_run(state, project):
    config = project()
    assert multibuild("all", "-f", config, "--state-dir", state).code == 0
    again = multibuild("report", "--json", "-f", config, "--state-dir", state).json
    (listed,) = multibuild("runs", "--json", "-f", config, "--state-dir", state).json
    assert listed["run"] == again["run"]
    assert multibuild("report", "--markdown", "-f", config, "--state-dir", state).stdout.startswith("## ")
    assert (state / "latest" / "report.html").exists()


def test_doctor_passes():
    result = multibuild("doctor", "--json", "-f", ROOT / "examples/hello/multibuild.yaml").json
    assert result["ok"] is True
    assert [row["platform"] for row in result["platforms"]] == list(TWELVE)
    assert all(row["runs"] for row in result["platforms"])
    arm64 = result["platforms"][1]
    assert not arm64["native"]
    assert "F" in arm64["emulator"]["flags"]
