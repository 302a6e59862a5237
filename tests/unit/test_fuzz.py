"""A short run of every fuzz target, and that the harness sees what it must. The long one: CONTRIBUTING.md."""

import pytest
from fuzz.harness import Fault, Target, run_cases, targets

from multibuild.errors import ConfigError, MultibuildError


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_hostile_input_ends_in_a_result_or_a_clear_error(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_cases(target, target.short_cases) > target.short_cases


def _raise(error):
    raise error


def _spin(case):
    while True:
        pass


KEPT: list[bytes] = []


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda case: _raise(KeyError("x")), "KeyError"),
        (lambda case: _raise(MultibuildError("x")), "exit code 1"),
        (_spin, "processor time"),
        (lambda case: KEPT.append(b"x" * 400_000_000), "MB"),
    ],
)
def test_the_harness_finds_faults(run, message):
    target = Target(name="platform-strings", make=lambda generator, seeds: b"", run=run, cpu_s=1.0)
    with pytest.raises(Fault, match=message):
        run_cases(target, 1)
    KEPT.clear()


def test_a_clear_error_is_no_fault():
    target = Target(
        name="platform-strings", make=lambda generator, seeds: b"", run=lambda case: _raise(ConfigError("x"))
    )
    assert run_cases(target, 1)
