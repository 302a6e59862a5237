"""What the end of a probe says of the builder, and the error about platforms that do not run."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fakes.engine import ENGINE

from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.errors import EnvironmentFault
from multibuild.host.host import BuilderReport, Host, NodeReport, require_step_limits
from multibuild.host.probe import ProbeResult
from multibuild.host.requirements import HostRequirements
from multibuild.host.setup import require_runnable
from multibuild.plan.host_facts import Node
from multibuild.platforms import Platform

AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
NOT_EXECUTABLE = (
    'process "/probe" did not complete successfully: exit code: 255: exec /probe: exec format error'
)
REFUSED = 'process "/probe" did not complete successfully: exit code: 1: runc run failed: can\'t mask dir "/proc/acpi"'


def failed(detail, platform=ARM64):
    return ProbeResult(platform=platform, runs=False, detail=detail)


@pytest.mark.parametrize(
    ("detail", "executed", "gone"),
    [
        (NOT_EXECUTABLE, True, False),
        (
            'process "/dev/.buildkit_qemu_emulator /probe" did not complete successfully: exit code: 1',
            True,
            False,
        ),
        ('no builder "multibuild" found', False, True),
        ('Unavailable: closing transport, received prior goaway: debug data: "graceful_stop"', False, True),
        ("Error response from daemon: No such container: buildx_buildkit_multibuild0", False, True),
        ("Error response from daemon: container 3b75 is not running", False, True),
        ("failed to read dockerfile: no space left on device", False, False),
    ],
)
def test_a_probe_tells_a_builder_that_is_gone(detail, executed, gone):
    result = failed(detail)
    assert (result.executed, result.builder_is_gone) == (executed, gone)


def host_of(*probes):
    node = NodeReport(
        node=Node(builder="team", driver="docker-container", native=AMD64),
        probes=probes,
        registry_warnings=(),
        cache_entry={},
        in_engine=True,
    )
    report = BuilderReport(
        builder="team", nodes=(node,), unreachable={}, changes=(), planned_builders=(), planned_emulators=()
    )
    return Host(engine=ENGINE, reports=(report,))


def error_of(*probes):
    requirements = HostRequirements(
        builders=(), required=(AMD64, ARM64), emulators="auto", emulator_image="binfmt"
    )
    with pytest.raises(EnvironmentFault) as caught:
        require_runnable(host_of(*probes), requirements)
    return caught.value


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (None, 'no builder "team" found', 'the builder team is gone: no builder "team" found'),
        ("driver not running", NOT_EXECUTABLE, "the builder team is gone: driver not running"),
        (REFUSED, REFUSED, f"the builder team does not build: {REFUSED}"),
        (None, "no space left on device", "the builder team does not build: no space left on device"),
    ],
)
def test_a_fault_of_the_builder_is_no_matter_of_emulators(first, second, message):
    native = failed(first, AMD64) if first else ProbeResult(platform=AMD64, runs=True)
    error = error_of(native, failed(second))
    assert error.message == message
    assert "QEMU" not in (error.hint or "")
    assert "docker buildx inspect team" in (error.hint or "")


def test_a_foreign_program_that_cannot_be_executed_is_one():
    error = error_of(ProbeResult(platform=AMD64, runs=True), failed(NOT_EXECUTABLE))
    assert error.message.startswith("the builder team cannot run linux/arm64: ")
    assert "QEMU" in (error.hint or "")


def test_a_builder_that_does_not_limit_steps_is_an_error_where_limits_are_wanted():
    host = host_of(ProbeResult(platform=AMD64, runs=True))
    require_step_limits(host)
    (report,) = host.reports
    node = replace(report.nodes[0], limits_fault="buildx has no --resource")
    with pytest.raises(EnvironmentFault) as caught:
        require_step_limits(replace(host, reports=(replace(report, nodes=(node,)),)))
    assert caught.value.message == (
        "`memory` and `cpus` of platforms would have no effect on team (buildx has no --resource)"
    )
    assert "buildx 0.35" in (caught.value.hint or "")


def test_builders_limit_steps_where_a_platform_of_theirs_has_limits(tmp_path):
    config = """
version: 1
image: r.example/app
builder: one
platforms: [linux/amd64, {name: linux/arm64, builder: two, cpus: 2}]
"""
    path = tmp_path / "multibuild.yaml"
    path.write_text(config)
    loaded = load_config(path, environ={}, overrides=Overrides(), now=datetime(2026, 1, 2, tzinfo=UTC))
    requirements = HostRequirements.from_config(loaded.config, loaded.project)
    assert {one.builder: one.limits_steps for one in requirements.builders} == {"one": False, "two": True}
    together = HostRequirements.of_images([requirements, requirements])
    assert {one.builder: one.limits_steps for one in together.builders} == {"one": False, "two": True}


def test_what_is_not_needed_is_not_required_of_the_host(tmp_path):
    config = """
version: 1
image: r.example/app
builder: one
platforms: [linux/amd64, linux/riscv64, {name: linux/arm64, builder: two, cpus: 2}, {name: linux/386, required: false}]
"""
    path = tmp_path / "multibuild.yaml"
    path.write_text(config)
    loaded = load_config(path, environ={}, overrides=Overrides(), now=datetime(2026, 1, 2, tzinfo=UTC))
    only = {Platform.parse("linux/amd64"), Platform.parse("linux/386")}
    requirements = HostRequirements.from_config(loaded.config, loaded.project, only)
    (one,) = requirements.builders
    assert (one.builder, list(map(str, one.platforms))) == ("one", ["linux/amd64", "linux/386"])
    assert list(map(str, requirements.required)) == ["linux/amd64"]
    other = HostRequirements.from_config(loaded.config, loaded.project, {Platform.parse("linux/arm64")})
    assert [(one.builder, len(one.platforms), one.limits_steps) for one in other.builders] == [
        ("one", 0, False),
        ("two", 1, True),
    ]
