"""The exact commands of `doctor`, and its findings about builders on other machines."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from fakes.docker import INFO

from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.engine.docker import DockerEngine
from multibuild.host.doctor import diagnose

CONFIG = """
version: 1
image: localhost:5000/app
builder: far
platforms: [linux/amd64, linux/mipsle, {name: linux/riscv64, required: false}]
"""
FAILED = (
    'ERROR: failed to build: failed to solve: process "/probe" did not complete successfully: exit code: '
)
NODE = {"Name": "far0", "Endpoint": "tcp://far:1234", "Status": "running", "Platforms": ["linux/amd64"]}
FAR = json.dumps({"Name": "far", "Driver": "remote", "Nodes": [NODE]}) + "\n"


def probe(platforms):
    return [
        "docker-buildx", "build", "--progress", "rawjson", "--builder", "far", "--platform", platforms,
        "--no-cache", "--provenance=false", "--output", "type=cacheonly", ".",
    ]  # fmt: skip


@pytest.fixture
def far(docker):
    docker.answer("info", stdout=json.dumps(INFO).replace("BUILDX", str(docker.folder / "docker-buildx")))
    docker.answer("ls", stdout=FAR)
    return docker


def diagnosis_of(tmp_path, text=CONFIG):
    path = tmp_path / "multibuild.yaml"
    path.write_text(text)
    loaded = load_config(path, environ={}, overrides=Overrides(), now=datetime.now(UTC))
    return asyncio.run(diagnose([loaded], DockerEngine()))


def test_all_platforms_are_probed_in_one_solve(far, tmp_path):
    far.answer("build")
    diagnosis = diagnosis_of(tmp_path)
    assert far.calls() == [
        ["docker", "info", "--format", "{{json .}}"],
        ["docker-buildx", "ls", "--format", "{{json .}}"],
        probe("linux/amd64,linux/mipsle,linux/riscv64"),
    ]
    assert diagnosis.ok
    assert [row.runs for row in diagnosis.platforms] == [True, True, True]
    assert [row.native for row in diagnosis.platforms] == [True, False, False]


def test_after_a_failure_each_platform_is_probed_alone(far, tmp_path):
    """The fake answers by how a call begins: alone, every probe ends with 1, and amd64's with its 42."""
    prefix = ("build", "--progress", "rawjson", "--builder", "far", "--platform")
    far.answer(*prefix, "linux/amd64", "--no-cache", stderr=FAILED + "42", code=1)
    far.answer("build", stderr=FAILED + "1", code=1)
    diagnosis = diagnosis_of(tmp_path)
    first, *alone = [call for call in far.calls() if call[1] == "build"]
    assert first == probe("linux/amd64,linux/mipsle,linux/riscv64")
    assert sorted(alone) == sorted(map(probe, ("linux/amd64", "linux/mipsle", "linux/riscv64")))
    checks = {check.name: check for check in diagnosis.checks}
    assert not diagnosis.ok
    assert (checks["linux/mipsle"].status, checks["linux/riscv64"].status) == ("fail", "warn")
    assert "package qemu-user" in checks["linux/mipsle"].hint  # the binfmt image has none for it
    assert (
        "on the builder's machine: docker run --privileged --rm tonistiigi/binfmt"
        in checks["linux/riscv64"].hint
    )
    assert checks["linux/riscv64"].hint.endswith("--install riscv64")
    assert [row.emulator for row in diagnosis.platforms] == [None, None, None]


def test_a_broken_builder_is_distinguished_from_a_program_that_does_not_run(far, tmp_path):
    far.answer("build", stderr="ERROR: failed to build: no space left on device", code=1)
    checks = {check.name: check for check in diagnosis_of(tmp_path).checks}
    assert "no space left on device" in checks["linux/amd64"].detail
    assert "docker buildx inspect --bootstrap far" in checks["linux/amd64"].hint


def test_an_unreachable_node_is_a_warning(docker, tmp_path):
    profile = tmp_path / "two.yaml"
    profile.write_text(
        "driver: remote\nname: two\nnodes:\n"
        "  - {name: far, endpoint: 'tcp://far:1234'}\n  - {name: gone, endpoint: 'tcp://gone:1234'}\n"
    )
    inactive = {**NODE, "Name": "gone0", "Endpoint": "tcp://gone:1234", "Status": "inactive"}
    answer = json.dumps({"Name": "gone", "Driver": "remote", "Nodes": [inactive]}) + "\n"
    docker.answer("info", stdout=json.dumps(INFO).replace("BUILDX", str(docker.folder / "docker-buildx")))
    docker.answer("ls", stdout=FAR + answer)
    docker.answer("build")
    diagnosis = diagnosis_of(tmp_path, CONFIG.replace("builder: far", "builder: ./two.yaml"))
    builders = [(check.status, check.detail) for check in diagnosis.checks if check.name == "builder"]
    assert [status for status, _ in builders] == ["ok", "warn"]
    assert "gone does not answer" in builders[1][1]
    assert diagnosis.ok


# Before the first setup.

OWN = {"Name": "default", "Endpoint": "default", "Status": "running", "Platforms": ["linux/amd64"]}
DEFAULT = json.dumps({"Name": "default", "Driver": "docker", "Nodes": [OWN]}) + "\n"
FIRST = """
version: 1
image: localhost:5000/app
platforms: [linux/amd64, linux/riscv64]
"""


@pytest.fixture
def fresh(docker):
    """An engine that has BuildKit's image, and no builder but its own."""
    docker.answer("info", stdout=json.dumps(INFO).replace("BUILDX", str(docker.folder / "docker-buildx")))
    docker.answer("ls", stdout=DEFAULT)
    docker.answer("image", "inspect", stdout="[]")
    missing = "Error response from daemon: No such container\n"
    docker.answer("container", "inspect", stderr=missing, code=1)
    docker.answer("container", "cp", stderr=missing, code=1)
    return docker


def test_before_the_first_setup_the_engines_own_builder_probes(fresh, tmp_path):
    fresh.answer("build")
    diagnosis = diagnosis_of(tmp_path, FIRST)
    assert diagnosis.ok
    builder = next(check for check in diagnosis.checks if check.name == "builder")
    assert builder.detail == (
        "`all` will create the docker-container builder multibuild; until then the probes run through default"
    )
    assert [(row.platform, row.runs) for row in diagnosis.platforms] == [
        ("linux/amd64", True),
        ("linux/riscv64", True),
    ]
    assert diagnosis.facts is None, "a plan must not be made from a builder that will not build"


def test_before_the_first_setup_a_platform_that_does_not_run_fails(fresh, tmp_path):
    prefix = ("build", "--progress", "rawjson", "--builder", "default", "--platform")
    fresh.answer(*prefix, "linux/amd64", "--no-cache", stderr=FAILED + "42", code=1)
    fresh.answer("build", stderr=FAILED + "1", code=1)
    diagnosis = diagnosis_of(tmp_path, FIRST)
    assert not diagnosis.ok
    assert [(row.platform, row.runs) for row in diagnosis.platforms] == [
        ("linux/amd64", True),
        ("linux/riscv64", False),
    ]


def test_a_builder_that_passes_over_limits_is_a_failure(far, tmp_path):
    far.answer("build")
    diagnosis = diagnosis_of(tmp_path, CONFIG.replace("linux/amd64,", "{name: linux/amd64, memory: 1g},"))
    (check,) = (check for check in diagnosis.checks if check.name == "limits")
    assert (check.status, check.detail) == (
        "fail",
        "far does not limit steps: a step ran in less memory than a container needs",
    )
    assert far.calls()[-1] == [*probe("linux/amd64")[:8], "--resource", "memory=512k", *probe("")[8:]]
