"""The recipe that a child's test is run with."""

import pytest

from multibuild.config.sections import SmokeTest
from multibuild.prove.smoke import dockerfile

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
    import json

    lines = dockerfile(SmokeTest(run=("app", word), timeout=10.0), CHILD).splitlines()
    assert len(lines) == 2
    assert json.loads(lines[1].removeprefix("RUN --network=none ")) == ["app", word]
