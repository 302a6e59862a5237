"""The number of simultaneous builds with `jobs: auto`, and the events journaled before them."""

import os

import pytest
from e2e.conftest import multibuild
from fakes.journals import read_events

FOUR = ("linux/arm64", "linux/386", "linux/riscv64", "linux/s390x")
SEVEN = (*FOUR, "linux/mips64le", "linux/ppc64le", "linux/arm/v7")
WAITS = "sleep 6"
COMPUTES = "timeout 4 sh -c 'while :; do :; done' || true"


def journal(done, state):
    return read_events(state / "runs" / done.json["run"] / "journal.jsonl")


def max_concurrent(done, state):
    running, most = 0, 0
    for event in journal(done, state):
        running += (event.name == "attempt.started") - (event.name == "attempt.ended")
        most = max(most, running)
    return most


@pytest.mark.alone
def test_computing_builds_are_limited_by_the_processors_and_waiting_ones_are_not(project, state):
    def most(run):
        path = project(platforms=SEVEN, run=f"{run}; : {state}")
        done = multibuild("all", "-f", path, "--state-dir", state, "--json")
        assert done.code == 0, done.stderr
        return max_concurrent(done, state)

    assert most(WAITS) == 7
    assert most(COMPUTES) <= max(6, 3 * (os.cpu_count() or 1))


@pytest.mark.one_driver(driver="docker", reason="what is tested happens in the state directory")
def test_inputs_are_journaled_before_the_first_build(project, state):
    done = multibuild("all", "-f", project(platforms=FOUR), "--state-dir", state, "--json")
    assert done.code == 0, done.stderr
    names = [event.name for event in journal(done, state)]
    assert names.index("host.ready") < names.index("inputs.named")
    assert names.count("platform.inputs") == 4
    last = len(names) - 1 - names[::-1].index("platform.inputs")
    assert last < names.index("attempt.started")
