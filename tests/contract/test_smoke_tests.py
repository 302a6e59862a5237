"""The exact buildx commands of a run's smoke tests, and the outcomes read from its output."""

import asyncio
import base64
import json
from datetime import UTC, datetime

import pytest
from contract.planning import NullDisplay, planned
from fakes.docker import FakeDocker

from multibuild.builds.failover import Failover
from multibuild.errors import EnvironmentFault, TestFailed
from multibuild.journal.events import SmokeTestEnded, SmokeTestWaiting
from multibuild.journal.journal import Journal
from multibuild.journal.local_children import child_reference
from multibuild.journal.recorder import Recorder
from multibuild.journal.runs import State
from multibuild.prove.smoke.stage import raise_for_environment, raise_for_tests, run_tests

CONFIG = """
version: 1
image: localhost:5000/app
platforms: [linux/amd64, linux/arm64, linux/s390x]
retry: {attempts: 3, initial: 0.01s, max: 0.01s}
test: {run: [app, "connection refused"]}
"""
BEGUN, ENDED = "2026-01-02T00:00:00Z", "2026-01-02T00:00:02.5Z"
ALL = "linux/amd64,linux/arm64,linux/s390x"
EXIT_1 = 'process "app connection refused" did not complete successfully: exit code: 1'
GONE = "ERROR: failed to solve: dial unix /run/buildkit/buildkitd.sock: connect: connection refused\n"


@pytest.fixture
def plan(tmp_path, docker: FakeDocker):
    return planned(tmp_path, docker, CONFIG)


def run_all(plan, tmp_path, repository="localhost:5000/app"):
    """Run the tests of identical children; return the outcomes by platform, the logs and the journal."""
    run = State(tmp_path / "state").new_run(datetime.now(UTC))
    with Journal(run.journal_path) as journal:
        recorder = Recorder(journal, NullDisplay())
        failover = Failover.of(plan, recorder.say)
        children = [
            (item, child_reference(repository.format(slug=item.slug), f"sha256:{'b' * 64}"))
            for item in plan.platforms
        ]
        outcomes = asyncio.run(run_tests(plan, children, recorder, run=run, failover=failover))
    return {str(name): found for name, found in outcomes.items()}, run.logs, run.events()


def ran(platform, error="", output="", completed=ENDED):
    """Return BuildKit's output of a test that ran in a solve of several."""
    slug = platform.replace("/", "-")
    vertex = {"digest": f"sha256:{slug}", "name": f'[{platform} {slug} 2/2] RUN ["app"]', "started": BEGUN}
    log = {"vertex": vertex["digest"], "data": base64.b64encode(output.encode()).decode()}
    end = {**vertex, "completed": completed, "error": error}
    return "".join(
        json.dumps(line) + "\n" for line in ({"vertexes": [vertex]}, {"logs": [log]}, {"vertexes": [end]})
    )


def argv(platforms):
    return [
        "docker-buildx", "build", "--progress", "rawjson", "--builder", "b", "--platform", platforms,
        "--no-cache", "--provenance=false", "--output", "type=cacheonly", ".",
    ]  # fmt: skip


def answer(docker, platforms, **what):
    docker.answer(*argv(platforms)[1:8], **what)


def test_all_are_tested_in_one_solve(docker, plan, tmp_path):
    docker.answer("build", stderr="".join(ran(name, output=f"I am {name}\n") for name in ALL.split(",")))
    outcomes, logs, _ = run_all(plan, tmp_path)
    assert docker.calls() == [argv(ALL)]
    assert {name: (outcome.status, outcome.seconds) for name, outcome in outcomes.items()} == dict.fromkeys(
        ALL.split(","), ("passed", 2.5)
    )
    for name in ALL.split(","):
        (line,) = [line for line in (logs / f"{name.replace('/', '-')}.test.log").read_text().splitlines()
                   if line.startswith("I am")]  # fmt: skip
        assert line == f"I am {name}"


def test_children_outside_a_registry_are_tested_in_one_solve_too(docker, plan, tmp_path):
    docker.answer("build", stderr="".join(ran(name) for name in ALL.split(",")))
    outcomes, logs, _ = run_all(plan, tmp_path, "oci:children/{slug}")
    contexts = [
        word
        for slug in ALL.replace("/", "-").split(",")
        for word in (
            "--build-context",
            f"child-{slug}=oci-layout://{logs.parent.resolve()}/children/{slug}@sha256:{'b' * 64}",
        )
    ]
    assert docker.calls() == [[*argv(ALL)[:8], *contexts, *argv(ALL)[8:]]]
    assert {outcome.status for outcome in outcomes.values()} == {"passed"}


def test_platforms_without_a_result_are_tested_alone(docker, plan, tmp_path):
    cancelled = f"{EXIT_1}: context canceled: context canceled"
    progress = [
        ran("linux/amd64"),
        ran("linux/arm64", error=EXIT_1, output="connection refused\n"),
        ran("linux/s390x", error=cancelled),
    ]
    answer(docker, ALL, stderr="".join(progress) + f"ERROR: failed to solve: {EXIT_1}\n", code=1)
    answer(docker, "linux/s390x")
    outcomes, _, journal = run_all(plan, tmp_path)
    assert docker.calls() == [argv(ALL), argv("linux/s390x")]
    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        "linux/amd64": "passed",
        "linux/arm64": "failed",
        "linux/s390x": "passed",
    }
    failed = outcomes["linux/arm64"]
    assert (failed.detail, failed.environment_failure) == ("connection refused\nexit code: 1", None)
    assert not [event for event in journal if isinstance(event, SmokeTestWaiting)]
    with pytest.raises(TestFailed, match="the test failed on linux/arm64: exit code: 1"):
        raise_for_tests(tuple(outcomes.values()), hint="")
    raise_for_environment(tuple(outcomes.values()))


def test_a_test_killed_beside_others_is_retried_alone(docker, plan, tmp_path):
    """Exit code 137 is most likely a lack of memory, because many tests ran at once."""
    killed = EXIT_1.replace("code: 1", "code: 137")
    progress = [ran("linux/amd64"), ran("linux/arm64"), ran("linux/s390x", error=killed)]
    answer(docker, ALL, stderr="".join(progress), code=1)
    answer(docker, "linux/s390x")
    outcomes, _, _ = run_all(plan, tmp_path)
    assert docker.calls() == [argv(ALL), argv("linux/s390x")]
    assert outcomes["linux/s390x"].status == "passed"


def alone(tmp_path, docker):
    return planned(tmp_path, docker, CONFIG.replace(f"[{ALL.replace(',', ', ')}]", "[linux/arm64]"))


def test_a_failed_test_is_not_retried_whatever_it_printed(docker, tmp_path):
    vertex = ran("linux/arm64", error=EXIT_1, output="dial tcp: connection refused\n502 Bad Gateway\n")
    docker.answer("build", stderr=f"{vertex}ERROR: failed to build: failed to solve: {EXIT_1}\n", code=1)
    outcomes, _, _ = run_all(alone(tmp_path, docker), tmp_path)
    assert docker.calls() == [argv("linux/arm64")]
    outcome = outcomes["linux/arm64"]
    assert (outcome.status, outcome.environment_failure) == ("failed", None)
    assert outcome.detail == "dial tcp: connection refused\n502 Bad Gateway\nexit code: 1"


@pytest.mark.parametrize(
    ("output", "code", "kind", "calls"),
    [
        (GONE, 1, "connection-refused", 3),
        ("ERROR: failed to solve: unexpected status from HEAD request to http://r/v2/: 503 Service\n", 1,
         "registry-unavailable", 3),
        ("", 130, "killed", 3),
        ("ERROR: failed to solve: Canceled: context canceled\n", 1, "killed", 3),
        ("ERROR: failed to solve: r/app@sha256:b: not found\n", 1, "not-found", 1),
    ],
)  # fmt: skip
def test_what_keeps_a_test_from_running_is_retried_and_reported_as_its_class(
    docker, tmp_path, output, code, kind, calls
):
    docker.answer("build", stderr=output, code=code)
    outcomes, logs, journal = run_all(alone(tmp_path, docker), tmp_path)
    assert docker.calls() == [argv("linux/arm64")] * calls
    outcome = outcomes["linux/arm64"]
    assert outcome.status == "failed"
    assert outcome.environment_failure is not None
    assert outcome.environment_failure.kind.name == kind
    assert (logs / "linux-arm64.test.log").read_text().count("=== attempt") == calls - 1
    assert len([event for event in journal if isinstance(event, SmokeTestWaiting)]) == calls - 1
    (ended,) = [event for event in journal if isinstance(event, SmokeTestEnded)]
    assert ended.failure_class == kind
    raise_for_tests(tuple(outcomes.values()), hint="")
    with pytest.raises(EnvironmentFault, match=rf"could not be run on linux/arm64 \({kind}\)") as raised:
        raise_for_environment(tuple(outcomes.values()))
    assert raised.value.hint


def test_a_killed_client_leaves_the_other_tests_to_run_alone(docker, plan, tmp_path):
    answer(docker, ALL, stderr=ran("linux/amd64"), code=130)
    for name in ("linux/arm64", "linux/s390x"):
        answer(docker, name)
    outcomes, _, _ = run_all(plan, tmp_path)
    assert sorted(docker.calls()) == sorted([argv(ALL), argv("linux/arm64"), argv("linux/s390x")])
    assert {outcome.status for outcome in outcomes.values()} == {"passed"}


def test_a_test_that_does_not_end_shows_what_it_printed_last(docker, tmp_path):
    """A crash of QEMU, perhaps, after which the command hangs."""
    crash = "qemu: uncaught target signal 11 (Segmentation fault) - core dumped"
    config = (
        CONFIG.replace("run: [app", "timeout: 2s, run: [app")
        .replace("linux/amd64, ", "")
        .replace(", linux/s390x", "")
    )
    begun = {"digest": "sha256:t", "name": '[2/2] RUN ["app"]', "started": BEGUN}
    log = {"vertex": "sha256:t", "data": base64.b64encode(f"{crash}\n".encode()).decode()}
    output = json.dumps({"vertexes": [begun]}) + "\n" + json.dumps({"logs": [log]}) + "\n"
    docker.answer("build", stderr=output, seconds=3600)
    outcomes, _, _ = run_all(planned(tmp_path, docker, config), tmp_path)
    assert outcomes["linux/arm64"].detail == f"{crash}\nno end after 2 s"
