"""The exact bake commands of batches, and the platforms that are then built alone."""

import asyncio
import json
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from contract.planning import NullDisplay, planned
from fakes.docker import FakeDocker
from fakes.images import put_attested
from fakes.layouts import LayoutFiles
from waiting import NEVER_S, PATIENCE_S

from multibuild.builds.failover import Failover
from multibuild.builds.history import BuildHistory
from multibuild.builds.stage import SharedBuilds, build_children
from multibuild.journal.events import AttemptEnded, AttemptGivenUp, AttemptWaiting, BatchStarted
from multibuild.journal.journal import Journal
from multibuild.journal.recorder import Recorder
from multibuild.journal.runs import State

CONFIG = """
version: 1
image: localhost:5000/app
platforms: [linux/amd64, linux/arm64]
retry: {attempts: 2, initial: 0.01s}
"""
DIGEST = f"sha256:{'b' * 64}"
LAYER = b"layer of linux/amd64"
NOW = "2026-01-02T00:00:01Z"
LARGE = BuildHistory(context_bytes={"Dockerfile": 10**9})


@pytest.fixture
def plan(tmp_path, docker: FakeDocker):
    return planned(tmp_path, docker, CONFIG)


def build(plan, tmp_path):
    """Build platforms that were built before."""
    history = BuildHistory(cached=frozenset(planned.platform for planned in plan.platforms))
    results, events = build_ahead(plan, tmp_path, history)
    return results, [event for event in events if isinstance(event, AttemptEnded)]


def build_ahead(plan, tmp_path, history):
    run = State(tmp_path / "state").new_run(datetime.now(UTC))
    with Journal(run.journal_path) as journal:
        recorder = Recorder(journal, NullDisplay())
        results = asyncio.run(
            build_children(
                plan,
                run,
                recorder,
                shared=SharedBuilds.of([plan], Failover.of(plan, recorder.say)),
                history=history,
            )
        )
    return results, run.events()


def pushed(target):
    """Return what BuildKit prints of a target that was cached and pushed."""
    run = {
        "name": f"[{target} 2/2] RUN x",
        "digest": "sha256:r",
        "started": NOW,
        "completed": NOW,
        "cached": True,
    }
    export = {"name": f"[{target}] exporting to image", "digest": f"sha256:{target}", "started": NOW}
    done = {"vertex": f"sha256:{target}", "id": f"pushing manifest for reg/app:x@{DIGEST}", "completed": NOW}
    return [{"vertexes": [run, export]}, {"statuses": [done], "vertexes": [{**export, "completed": NOW}]}]


def running(target):
    return [{"vertexes": [{"name": f"[{target} 2/2] RUN x", "digest": "sha256:q", "started": NOW}]}]


def lines(*documents):
    return "".join(json.dumps(document) + "\n" for document in documents)


def test_cached_platforms_are_built_in_one_process(docker, plan, tmp_path):
    docker.answer("bake", stderr=lines(*pushed("linux-amd64"), *pushed("linux-arm64")))
    results, attempts = build(plan, tmp_path)
    assert [result.digest for result in results] == [DIGEST, DIGEST]
    assert [event.outcome for event in attempts] == ["ok", "ok"]
    (call,) = docker.calls()
    file, metadata = call[-1], call[call.index("--metadata-file") + 1]
    assert call == [
        "docker-buildx", "bake", "--progress", "rawjson", "--metadata-file", metadata, "--builder", "b",
        "--allow", "fs=*", "--allow", "ssh", "--file", file,
    ]  # fmt: skip


def build_images(plan, tmp_path, *, awaited=("app", "worker")):
    """Build two images of a run, whose platforms were built before, of the `awaited` ones; results and events of both."""
    history = BuildHistory(cached=frozenset(planned.platform for planned in plan.platforms))
    run = State(tmp_path / "state").new_run(datetime.now(UTC))
    plans = {name: replace(plan, name=name) for name in awaited}

    async def build_image(name, shared, recorder):
        view = run.of_image(name)
        view.create()
        return await build_children(
            plans[name], view, recorder.of_image(name), shared=shared, history=history
        )

    async def build_both(recorder):
        shared = SharedBuilds.of([*plans.values()], Failover.of(plan, recorder.say))
        builds = [asyncio.create_task(build_image(name, shared, recorder)) for name in ("app", "worker")]
        await asyncio.sleep(0)
        for name in set(awaited) - {"app", "worker"}:
            shared.close(name)
        return await asyncio.gather(*builds)

    with Journal(run.journal_path) as journal:
        results = asyncio.run(build_both(Recorder(journal, NullDisplay())))
    return results, [run.of_image(name).events() for name in ("app", "worker")]


TARGETS = ("0_linux-amd64", "1_linux-arm64", "2_linux-amd64", "3_linux-arm64")


@pytest.mark.parametrize("awaited", [("app", "worker"), ("app", "worker", "fails-before")])
def test_cached_platforms_of_several_images_are_built_in_one_process(docker, plan, tmp_path, awaited):
    docker.answer("bake", stderr=lines(*(line for target in TARGETS for line in pushed(target))))
    results, events = build_images(plan, tmp_path, awaited=awaited)
    assert [[result.digest for result in image] for image in results] == [[DIGEST, DIGEST], [DIGEST, DIGEST]]
    assert [call[1] for call in docker.calls()] == ["bake"]
    for own in events:
        started = [event.platforms for event in own if isinstance(event, BatchStarted)]
        assert started == [("linux/amd64", "linux/arm64")]
        assert [event.outcome for event in own if isinstance(event, AttemptEnded)] == ["ok", "ok"]


def test_what_a_batch_of_several_images_lost_is_built_alone(docker, plan, tmp_path):
    docker.answer("bake", stderr=lines(*pushed(TARGETS[0]), *running(TARGETS[3])))
    docker.answer("build")
    results, _ = build_images(plan, tmp_path)
    assert [result.digest for result in results[0]] == [DIGEST, f"sha256:{'a' * 64}"]
    assert all(result.built for result in results[1])
    assert [call[1] for call in docker.calls()] == ["bake", "build", "build", "build"]


def test_a_batch_that_has_pushed_everything_is_ended(docker, plan, tmp_path):
    docker.answer("bake", stderr=lines(*pushed("linux-amd64"), *pushed("linux-arm64")), seconds=3600)
    results, _ = build(plan, tmp_path)
    assert [result.digest for result in results] == [DIGEST, DIGEST]
    assert docker.completed() == []


def test_a_batch_that_still_writes_a_cache_is_waited_for(docker, tmp_path):
    caching = planned(tmp_path, docker, f"{CONFIG}cache: {{to: ['type=registry,ref=reg/cache:{{slug}}']}}\n")
    docker.answer("bake", stderr=lines(*pushed("linux-amd64"), *pushed("linux-arm64")), seconds=1)
    results, _ = build(caching, tmp_path)
    assert [result.digest for result in results] == [DIGEST, DIGEST]
    assert docker.completed() == ["bake"]


def test_a_batch_ends_as_soon_as_a_step_runs(docker, plan, tmp_path):
    docker.answer("bake", stderr=lines(*pushed("linux-amd64"), *running("linux-arm64")))
    docker.answer("build")
    results, attempts = build(plan, tmp_path)
    assert [result.digest for result in results] == [DIGEST, f"sha256:{'a' * 64}"]
    assert [call[1] for call in docker.calls()] == ["bake", "build"]
    assert [event.number for event in attempts] == [1, 1], "looking into the cache is no attempt"


def test_a_buildx_without_the_bake_flags_builds_platforms_alone(docker, plan, tmp_path):
    docker.answer("bake", stderr="unknown flag: --allow\n", code=1)
    docker.answer("build")
    results, attempts = build(plan, tmp_path)
    assert all(result.status == "succeeded" for result in results)
    assert [event.number for event in attempts] == [1, 1]


def test_a_cached_batch_in_which_every_platform_fails_is_not_built_again(docker, plan, tmp_path):
    """A Dockerfile without RUN never misses the cache: what the registry or the context refuses was really tried."""
    refused = "failed to push reg/app: unexpected status from PUT request to http://reg/x: 403 Forbidden"
    failed = {"started": NOW, "completed": NOW, "error": refused}
    exports = [
        {"name": f"[{target}] exporting to image", "digest": f"sha256:{target}", **failed}
        for target in ("linux-amd64", "linux-arm64")
    ]
    message = f"ERROR: target linux-arm64: failed to solve: {refused}\n"
    docker.answer("bake", stderr=lines({"vertexes": exports}) + message, code=1)
    docker.answer("build")
    results, attempts = build(plan, tmp_path)
    assert [call[1] for call in docker.calls()] == ["bake"]
    assert [(event.number, event.outcome, event.failure_class) for event in attempts] == [
        (1, "failed", "denied")
    ] * 2
    assert {result.status for result in results} == {"failed"}


def test_of_a_cached_batch_only_what_another_cancelled_is_built_alone(docker, plan, tmp_path):
    own = {"name": "[linux-arm64 2/2] COPY x /", "digest": "sha256:c", "started": NOW, "completed": NOW}
    cut = {"name": "[linux-amd64] exporting to image", "digest": "sha256:e", "started": NOW, "completed": NOW}
    progress = {"vertexes": [{**own, "error": '"/x": not found'}, {**cut, "error": "push: context canceled"}]}
    message = 'ERROR: target linux-arm64: failed to solve: failed to compute cache key: "/x": not found\n'
    docker.answer("bake", stderr=lines(progress) + message, code=1)
    docker.answer("build")
    results, attempts = build(plan, tmp_path)
    calls = docker.calls()
    assert [call[1] for call in calls] == ["bake", "build"]
    assert calls[1][calls[1].index("--platform") + 1] == "linux/amd64"
    assert {event.platform: (event.number, event.outcome) for event in attempts} == {
        "linux/amd64": (1, "ok"),
        "linux/arm64": (1, "failed"),
    }
    assert results[1].failure.kind.name == "missing-file"


def test_a_shared_step_that_fails_is_run_once_and_fails_every_platform(docker, plan, tmp_path):
    step = {"digest": "sha256:n", "started": NOW, "completed": NOW, "error": 'process "make" exit code: 2'}
    ran = [
        {"vertexes": [{"name": f"[linux-{name} native 2/2] RUN x", **step} for name in ("amd64", "arm64")]}
    ]
    message = 'ERROR: target linux-arm64: failed to solve: process "make" exit code: 2\n'
    docker.answer("bake", stderr=lines(*ran) + message, code=1)
    results, events = build_ahead(plan, tmp_path, LARGE)
    assert [call[1] for call in docker.calls()] == ["bake"]
    outcomes = [event.outcome for event in events if isinstance(event, AttemptEnded)]
    assert outcomes == ["failed", "failed"]
    assert {result.failure.evidence.splitlines()[0] for result in results} == {"[native 2/2] RUN x"}


def test_a_platform_cancelled_by_another_is_built_alone(docker, plan, tmp_path):
    own = {"name": "[linux-arm64 2/2] COPY arm64 /", "digest": "sha256:c", "started": NOW, "completed": NOW}
    cut = {"name": "[linux-amd64] exporting to image", "digest": "sha256:e", "started": NOW, "completed": NOW}
    progress = [
        {"vertexes": [{**own, "error": '"/arm64": not found'}, {**cut, "error": "push: context canceled"}]}
    ]
    message = 'ERROR: target linux-arm64: failed to solve: failed to compute cache key: "/arm64": not found\n'
    docker.answer("bake", stderr=lines(*progress) + message, code=1)
    docker.answer("build")
    results, _ = build_ahead(plan, tmp_path, LARGE)
    assert [(r.status, [a.outcome for a in r.attempts]) for r in results] == [
        ("succeeded", ["cancelled", "ok"]),
        ("failed", ["failed"]),
    ]
    assert results[1].failure.kind.name == "missing-file"


def test_events_after_an_attempt_have_its_number(docker, plan, tmp_path):
    docker.answer("bake", stderr="ERROR: something\n", code=1)
    docker.answer("build", stderr="ERROR: failed to push: unexpected status from PUT: 503\n", code=1)
    results, events = build_ahead(plan, tmp_path, LARGE)
    assert {result.status for result in results} == {"failed"}
    decisions = (AttemptEnded, AttemptWaiting, AttemptGivenUp)
    assert [
        (event.name, event.number, getattr(event, "outcome", None))
        for event in events
        if isinstance(event, decisions) and event.platform == "linux/arm64"
    ] == [
        ("attempt.ended", 1, "cancelled"),
        ("attempt.ended", 2, "failed"),
        ("attempt.waiting", 2, None),
        ("attempt.ended", 3, "failed"),
        ("attempt.given_up", 3, None),
    ]


@pytest.mark.parametrize("metadata", ["", "[]", '{"linux-amd64": {}, "linux-arm64": 1}'])
def test_a_batch_without_digests_in_its_metadata_is_built_again(docker, plan, tmp_path, metadata):
    docker.answer("bake", metadata=metadata)
    docker.answer("build")
    results, _ = build(plan, tmp_path)
    assert {result.digest for result in results} == {f"sha256:{'a' * 64}"}


def test_a_cached_batch_that_stalls_is_ended(docker, tmp_path):
    """A registry takes a push and never answers: the batch must not wait for the timeout of hours."""
    docker.answer("bake", stderr=lines(*pushed("linux-amd64")), seconds=NEVER_S)
    docker.answer("build")
    stalling = planned(tmp_path, docker, f"{CONFIG}stall_timeout: 5s\n")
    began = time.monotonic()
    results, attempts = build(stalling, tmp_path)
    assert time.monotonic() - began < PATIENCE_S
    assert [result.digest for result in results] == [DIGEST, f"sha256:{'a' * 64}"]
    assert [event.number for event in attempts] == [1, 1]


# Children that are not pushed.


@pytest.fixture
def local(tmp_path, docker):
    return planned(tmp_path, docker, f"{CONFIG}publish: {{to: docker}}\n")


@pytest.fixture
def layout(tmp_path):
    folder = tmp_path / "exported"
    return folder, put_attested(LayoutFiles(folder), "any", "linux/amd64", tag="latest")[0]


def exported(tmp_path):
    return sorted(path.name for path in tmp_path.glob("state/runs/*/children/*"))


def test_a_batch_is_exported_by_one_process(docker, local, layout, tmp_path):
    folder, digest = layout
    both = {
        "linux-amd64": {"containerimage.digest": digest},
        "linux-arm64": {"containerimage.digest": digest},
    }
    docker.answer("bake", layout=folder, metadata=json.dumps(both))
    results, attempts = build(local, tmp_path)
    assert [(result.status, result.digest) for result in results] == [("succeeded", digest)] * 2
    assert [event.outcome for event in attempts] == ["ok", "ok"]
    assert [call[1] for call in docker.calls()] == ["bake"]
    assert exported(tmp_path) == ["linux-amd64", "linux-arm64"]


def test_a_platform_exported_before_another_failed_is_not_built_again(docker, local, layout, tmp_path):
    """bake writes no digests when it fails: a finished export is found in its directory."""
    folder, digest = layout
    docker.answer("bake", layout=folder, exports=["linux-amd64"], code=1)
    docker.answer("build", layout=folder)
    results, events = build_ahead(local, tmp_path, LARGE)
    attempts = [event for event in events if event.name == "attempt.ended"]
    assert [(result.status, result.digest) for result in results] == [("succeeded", digest)] * 2
    calls = docker.calls()
    assert [call[1] for call in calls] == ["bake", "build"]
    assert calls[1][calls[1].index("--platform") + 1] == "linux/arm64"
    assert [event.outcome for event in attempts] == ["ok", "cancelled", "ok"]
    assert exported(tmp_path) == ["linux-amd64", "linux-arm64"]


def test_an_incomplete_export_of_a_batch_is_built_again(docker, local, layout, tmp_path):
    folder, digest = layout
    half = tmp_path / "half"
    shutil.copytree(folder, half)
    next(path for path in (half / "blobs" / "sha256").iterdir() if path.read_bytes() == LAYER).unlink()
    docker.answer("bake", layout=half, code=1)
    docker.answer("build", layout=folder)
    results, _ = build_ahead(local, tmp_path, LARGE)
    assert [(result.status, result.digest) for result in results] == [("succeeded", digest)] * 2
    assert [call[1] for call in docker.calls()] == ["bake", "build", "build"]
