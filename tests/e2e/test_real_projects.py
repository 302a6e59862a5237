"""The examples that are real projects: compilers under emulation, cross compilers, a module for Python, a static program."""

import io
import re
import struct
import subprocess
import sys
import tarfile

import pytest
from e2e.conftest import REGISTRY, ROOT, docker, multibuild

pytestmark = pytest.mark.one_driver(
    driver="docker-container", reason="they take a minute each; this is what most people have"
)

TOOLCHAINS = f"{REGISTRY}/toolchains"
FOUR = ("linux/amd64", "linux/arm64", "linux/mips64le", "linux/s390x")
# ELF class, byte order, e_machine.
HEADERS = {
    "linux/amd64": (2, 1, 62),
    "linux/arm64": (2, 1, 183),
    "linux/arm/v6": (1, 1, 40),
    "linux/mips64le": (2, 1, 8),
    "linux/s390x": (2, 2, 22),
}


@pytest.fixture(scope="module")
def toolchains(lab):
    """Make the images with compilers, once: the lab cannot pull those that the examples are written for."""
    subprocess.run([sys.executable, "-m", "builders.lab", "toolchains"], cwd=ROOT, check=True)


@pytest.fixture
def run_example(toolchains, repository, state):
    """Run an example from nothing, with the lab's images for its base arguments; return the report."""

    def run(name, *flags, **bases):
        args = [f"--set=args.{key}={TOOLCHAINS}/{image}" for key, image in bases.items()]
        done = multibuild(
            "all", "-f", f"examples/{name}/multibuild.yaml", "--state-dir", state, "--json",
            f"--set=image={REGISTRY}/{repository}", "--set=no_cache=true", *args, *flags, timeout=900,
        )  # fmt: skip
        assert done.code == 0, done.stderr
        times = ", ".join(f"{p['platform']} {p['seconds']:.1f} s" for p in done.json["platforms"])
        print(f"\n{name}: {done.json['seconds']:.1f} s; {times}")
        return done.json

    return run


@pytest.fixture
def read_child(registry, repository):
    """Return a published child's file whose path matches, from its topmost layer: read without multibuild."""

    def read(platform, pattern):
        digest = registry.images(repository, "latest")[platform]["digest"]
        top = registry.get(repository, digest)["layers"][-1]
        with tarfile.open(fileobj=io.BytesIO(registry.blob(repository, top["digest"]))) as layer:
            (member,) = [m for m in layer if m.isfile() and re.fullmatch(pattern, m.name)]
            content = layer.extractfile(member)
            assert content is not None
            return content.read()

    return read


@pytest.fixture
def run_child(registry, repository):
    """Run the entrypoint of a published child with docker."""

    def run(platform, *words):
        digest = registry.images(repository, "latest")[platform]["digest"]
        image = f"{REGISTRY}/{repository}@{digest}"
        return docker("run", "--rm", "--network=none", "--platform", platform, image, *words).stdout

    return run


def assert_proven(report, *platforms):
    assert [row["platform"] for row in report["platforms"]] == list(platforms)
    for row in report["platforms"]:
        assert row["status"] == "succeeded"
        assert row["test"]["status"] == "passed"
        assert row["content"]["status"] == "passed"
        assert row["content"]["checked"] > 0
        assert row["content"]["foreign"] == []


def elf_header(content):
    """Return ELF class, byte order and machine."""
    assert content[:4] == b"\x7fELF"
    order = "<" if content[5] == 1 else ">"
    return content[4], content[5], struct.unpack_from(f"{order}H", content, 18)[0]


@pytest.mark.parametrize(("example", "toolchain"), [("c-autotools", "gcc"), ("c-cross", "gcc-cross")])
def test_a_c_program_with_configure_and_make(example, toolchain, run_example, read_child, run_child):
    """Compiled under emulation, and cross-compiled."""
    report = run_example(example, TOOLCHAIN=toolchain, BASE="debian")
    assert_proven(report, *FOUR)
    for platform in FOUR:
        assert elf_header(read_child(platform, "usr/local/bin/crcsum")) == HEADERS[platform]
    assert run_child("linux/s390x", "--self-test") == "crcsum: big-endian, 64-bit: ok\n"
    # CRC-32 of no bytes at all.
    assert run_child("linux/mips64le", "/dev/null").split()[0] == "00000000"
    # The image of the stage that the lab's replaces cannot be pulled here, and is no input.
    again = run_example(example, "--if-changed", TOOLCHAIN=toolchain, BASE="debian")
    assert again["run"] == report["run"]


def test_a_python_program_with_a_module_in_c(run_example, read_child, run_child):
    report = run_example("python-c-extension", PYTHON="python", PYTHON_SLIM="python-slim")
    platforms = ("linux/amd64", "linux/arm64", "linux/s390x")
    assert_proven(report, *platforms)
    for platform in platforms:
        module = read_child(platform, r"app/closest/_distance\.cpython-\d+-\w+-linux-gnu\.so")
        assert elf_header(module) == HEADERS[platform]
    assert run_child("linux/s390x", "s309x", "amd64", "arm64", "s390x") == "s390x\n"


def test_a_go_program_cross_compiled_to_an_image_of_its_own(run_example, read_child, run_child):
    report = run_example("go-cross", GOLANG="golang")
    platforms = ("linux/amd64", "linux/arm64", "linux/arm/v6", "linux/mips64le", "linux/s390x")
    assert_proven(report, *platforms)
    for platform in platforms:
        assert elf_header(read_child(platform, "endian")) == HEADERS[platform]
    assert [run_child(platform, "0x0102").strip() for platform in ("linux/arm/v6", "linux/s390x")] == [
        "0201000000000000",
        "0000000000000102",
    ]
