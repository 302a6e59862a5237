"""The Dockerfile of a smoke test, alone and with others."""

import json
from pathlib import Path

import pytest

from multibuild.config.sections import SmokeTest
from multibuild.platforms import Platform
from multibuild.prove.smoke.batch import batch_dockerfile
from multibuild.prove.smoke.smoke_test import SmokeRun, dockerfile

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
