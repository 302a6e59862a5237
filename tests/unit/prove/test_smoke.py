"""The Dockerfile of a smoke test, alone and with others."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.config.sections import SmokeTest
from multibuild.plan.host_facts import assumed_facts
from multibuild.plan.placement import Placement
from multibuild.plan.plan import make_plan
from multibuild.platforms import Platform
from multibuild.prove.smoke.batch import batch_dockerfile
from multibuild.prove.smoke.smoke_test import SmokeRun, dockerfile
from multibuild.prove.smoke.stage import smoke_test_of
from multibuild.qemu.cpu_models import faster_cpu


@pytest.fixture
def plan_of(tmp_path):
    """Return a function that makes the plan of a config."""

    def make(config):
        path = tmp_path / "multibuild.yaml"
        path.write_text(f"version: 1\n{config}")
        now = datetime(2026, 1, 2, tzinfo=UTC)
        return make_plan(load_config(path, environ={}, overrides=Overrides(), now=now), assumed_facts("auto"))

    return make


CHILD = "localhost:5000/app@sha256:" + "a" * 64


@pytest.mark.parametrize(("network", "option"), [(False, "--network=none "), (True, "")])
def test_a_test_has_no_network_unless_it_requests_it(network, option):
    test = SmokeTest(run=("app", "--version"), timeout=10.0, network=network)
    assert dockerfile(test, CHILD) == f'FROM {CHILD}\nRUN {option}["app", "--version"]\n'


@pytest.mark.parametrize(
    ("cpu", "written"),
    [
        ("arm1176", '"arm1176"'),
        ("max,sve=off", '"max,sve=off"'),
        ('a "b" $HOME\\', r'"a \"b\" \$HOME\\"'),
        ("max\nRUN id", '"max RUN id"'),
    ],
)
def test_an_emulated_cpu_is_passed_to_qemu(cpu, written):
    test = SmokeTest(run=("app",), timeout=10.0, emulator_cpu=cpu)
    assert dockerfile(test, CHILD).splitlines()[1] == f"ENV QEMU_CPU={written}"


@pytest.mark.parametrize("word", ['say "no"', "two\nlines", "$HOME", "ünï", "back\\slash", "`id`"])
def test_words_of_a_command_are_not_interpreted(word):
    """Exec form is JSON: one line whatever is in it, so no word becomes an instruction."""
    lines = dockerfile(SmokeTest(run=("app", word), timeout=10.0), CHILD).splitlines()
    assert len(lines) == 2
    assert json.loads(lines[1].removeprefix("RUN --network=none ")) == ["app", word]


def test_each_platform_of_a_batch_has_its_own_stage():
    def smoke_run(platform, letter, **fields):
        test = SmokeTest(**{"run": ("app",), "timeout": 10.0, **fields})
        child = CHILD.replace("a" * 64, letter * 64)
        return SmokeRun(platform=Platform.parse(platform), test=test, child=child, log=Path("log"))

    other = smoke_run("arm/v6", "c", run=("other",), emulator_cpu="arm1176", network=True)
    assert batch_dockerfile([smoke_run("amd64", "b"), other]).splitlines() == [
        "ARG TARGETOS TARGETARCH TARGETVARIANT",
        f"FROM localhost:5000/app@sha256:{'b' * 64} AS linux-amd64",
        'RUN --network=none ["app"]',
        f"FROM localhost:5000/app@sha256:{'c' * 64} AS linux-arm-v6",
        'ENV QEMU_CPU="arm1176"',
        'RUN ["other"]',
        "FROM ${TARGETOS}-${TARGETARCH}${TARGETVARIANT:+-${TARGETVARIANT}}",
    ]


FASTER = faster_cpu("arm64", "7.2.0")


def planned_test(plan_of, more="", **planned):
    config = f"image: r.example/app\nplatforms: [linux/arm64]\ntest: {{run: [app]{more}}}\n"
    return smoke_test_of(replace(plan_of(config).platforms[0], **planned), lambda _platform: FASTER)


def test_an_emulated_test_runs_on_a_faster_cpu_that_is_as_good(plan_of):
    assert planned_test(plan_of).emulator_cpu == "max,pauth-impdef=on"


def test_a_cpu_is_not_chosen_for_tests_that_need_none(plan_of):
    assert planned_test(plan_of, emulated=False).emulator_cpu is None
    assert planned_test(plan_of, ", emulator_cpu: cortex-a53").emulator_cpu == "cortex-a53"
    assert planned_test(plan_of, test=None) is None


def test_a_cpu_is_not_chosen_where_another_node_may_run_the_test(plan_of):
    (planned,) = plan_of("image: r.example/app\nplatforms: [linux/arm64]\n").platforms
    standby = (Placement(node=planned.node, staging=planned.staging, emulated=True),)
    assert planned_test(plan_of, standby=standby).emulator_cpu is None
