"""The recipe that a child's test is run with, alone and with others."""

import json
from pathlib import Path

import pytest

from multibuild.config.sections import SmokeTest
from multibuild.platforms import Platform
from multibuild.prove.smoke.batch import batch_dockerfile
from multibuild.prove.smoke.smoke_test import SmokeRun, dockerfile

CHILD = "localhost:5000/app@sha256:" + "a" * 64


def test_a_test_has_no_network():
    test = SmokeTest(run=("app", "--version"), timeout=10.0)
    assert dockerfile(test, CHILD) == f'FROM {CHILD}\nRUN --network=none ["app", "--version"]\n'


def test_network_is_had_by_asking():
    test = SmokeTest(run=("app",), timeout=10.0, network=True)
    assert dockerfile(test, CHILD) == f'FROM {CHILD}\nRUN ["app"]\n'


@pytest.mark.parametrize(
    ("cpu", "written"),
    [
        ("arm1176", '"arm1176"'),
        ("max,sve=off", '"max,sve=off"'),
        ('a "b" $HOME\\', r'"a \"b\" \$HOME\\"'),
        ("max\nRUN id", '"max RUN id"'),
    ],
)
def test_an_emulated_cpu_is_named_to_qemu(cpu, written):
    test = SmokeTest(run=("app",), timeout=10.0, emulator_cpu=cpu)
    assert dockerfile(test, CHILD).splitlines()[1] == f"ENV QEMU_CPU={written}"


@pytest.mark.parametrize("word", ['say "no"', "two\nlines", "$HOME", "ünï", "back\\slash", "`id`"])
def test_words_arrive_as_they_are(word):
    """Exec form is JSON: one line whatever is in it, so no word becomes an instruction."""
    lines = dockerfile(SmokeTest(run=("app", word), timeout=10.0), CHILD).splitlines()
    assert len(lines) == 2
    assert json.loads(lines[1].removeprefix("RUN --network=none ")) == ["app", word]


def test_each_has_a_stage_of_its_own_where_many_are_tested_together():
    def trial(platform, letter, **test):
        settled = SmokeTest(**{"run": ("app",), "timeout": 10.0, **test})
        child = CHILD.replace("a" * 64, letter * 64)
        return SmokeRun(platform=Platform.parse(platform), test=settled, child=child, log=Path("log"))

    lines = batch_dockerfile(
        [trial("amd64", "b"), trial("arm/v6", "c", run=("other",), emulator_cpu="arm1176", network=True)]
    )
    assert lines.splitlines() == [
        "ARG TARGETOS TARGETARCH TARGETVARIANT",
        f"FROM localhost:5000/app@sha256:{'b' * 64} AS linux-amd64",
        'RUN --network=none ["app"]',
        f"FROM localhost:5000/app@sha256:{'c' * 64} AS linux-arm-v6",
        'ENV QEMU_CPU="arm1176"',
        'RUN ["other"]',
        "FROM ${TARGETOS}-${TARGETARCH}${TARGETVARIANT:+-${TARGETVARIANT}}",
    ]
