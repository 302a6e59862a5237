"""The exact buildx commands of a build, a smoke test and a probe."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from contract.planning import NullDisplay, planned
from fakes.images import put_attested
from fakes.layouts import LayoutFiles

from multibuild.builds.failover import Failover
from multibuild.builds.stage import SharedBuilds, build_children
from multibuild.config.sections import SmokeTest
from multibuild.host.probe import probe_platforms, step_limits_fault
from multibuild.journal.events import AttemptWaiting, PlatformEnded, RecordForgotten
from multibuild.journal.journal import Journal
from multibuild.journal.recorder import Recorder
from multibuild.journal.runs import State
from multibuild.platforms import Platform
from multibuild.prove.smoke.smoke_test import SmokeRun, Solver, run_test

CONFIG = """
version: 1
image: localhost:5000/app
platforms: [linux/amd64, linux/arm64]
args: {VERSION: "1"}
secrets: ["id=token,env=TOKEN"]
retry: {attempts: 2, initial: 0.01s}
"""


def build(plan, tmp_path):
    run = State(tmp_path / "state").new_run(datetime.now(UTC))
    with Journal(run.journal_path) as journal:
        recorder = Recorder(journal, NullDisplay())
        results = asyncio.run(
            build_children(
                plan, run, recorder, shared=SharedBuilds.of([plan], Failover.of(plan, recorder.say))
            )
        )
    return results, run


def test_children_are_pushed_by_digest(docker, tmp_path):
    docker.answer("build")
    results, _ = build(planned(tmp_path, docker, CONFIG, "docker-container"), tmp_path)
    assert [result.digest for result in results] == ["sha256:" + "a" * 64] * 2
    call = next(call for call in docker.calls() if "linux/arm64" in call)
    metadata = call[call.index("--metadata-file") + 1]
    assert call == [
        "docker-buildx", "build", "--progress", "rawjson", "--metadata-file", metadata, "--builder", "b",
        "--platform", "linux/arm64", "--file", "Dockerfile", "--build-arg", "VERSION=1", "--secret",
        "id=token,env=TOKEN", "--pull", "--provenance=mode=min", "--sbom=false", "--output",
        "type=image,name=localhost:5000/app,push=true,push-by-digest=true,name-canonical=true,oci-mediatypes=true,store=false",
        ".",
    ]  # fmt: skip


def test_annotations_of_manifests_are_given_to_each_build_with_their_type(docker, tmp_path):
    docker.answer("build")
    annotations = "annotations: {a: index, 'manifest:b': 'x y', 'manifest-descriptor:c': entry}\n"
    build(planned(tmp_path, docker, CONFIG + annotations, "docker-container"), tmp_path)
    call = next(call for call in docker.calls() if "linux/arm64" in call)
    metadata = call[call.index("--metadata-file") + 1]
    assert call == [
        "docker-buildx", "build", "--progress", "rawjson", "--metadata-file", metadata, "--builder", "b",
        "--platform", "linux/arm64", "--file", "Dockerfile", "--build-arg", "VERSION=1", "--annotation",
        "manifest:b=x y", "--secret", "id=token,env=TOKEN", "--pull", "--provenance=mode=min", "--sbom=false",
        "--output",
        "type=image,name=localhost:5000/app,push=true,push-by-digest=true,name-canonical=true,oci-mediatypes=true,store=false",
        ".",
    ]  # fmt: skip


def test_the_docker_driver_stages_by_tag(docker, tmp_path):
    docker.answer("build")
    build(planned(tmp_path, docker, CONFIG), tmp_path)
    call = next(call for call in docker.calls() if "linux/arm64" in call)
    output = call[call.index("--output") + 1]
    assert output == (
        "type=image,name=localhost:5000/app:multibuild-linux-arm64,push=true,oci-mediatypes=true,store=false"
    )


@pytest.fixture
def layout(tmp_path):
    """Return an export of buildx: an index with an image and its attestation."""
    folder = tmp_path / "exported"
    return folder, put_attested(LayoutFiles(folder), "any", "linux/arm64", tag="latest")[0]


def test_without_a_registry_children_are_exported_into_the_run(docker, tmp_path, layout):
    folder, digest = layout
    docker.answer("build", layout=folder)
    results, run = build(planned(tmp_path, docker, CONFIG + "publish: {to: docker}\n"), tmp_path)
    assert [(r.status, r.repository, r.digest) for r in results] == [
        ("succeeded", "oci:children/linux-amd64", digest),
        ("succeeded", "oci:children/linux-arm64", digest),
    ]
    assert sorted(path.name for path in run.children.iterdir()) == ["linux-amd64", "linux-arm64"]
    call = next(call for call in docker.calls() if "linux/arm64" in call)
    metadata = call[call.index("--metadata-file") + 1]
    assert call == [
        "docker-buildx", "build", "--progress", "rawjson", "--metadata-file", metadata, "--builder", "b",
        "--platform", "linux/arm64", "--file", "Dockerfile", "--build-arg", "VERSION=1", "--secret",
        "id=token,env=TOKEN", "--pull", "--provenance=mode=min", "--sbom=false", "--output",
        f"type=oci,dest={run.children}/.linux-arm64,tar=false,oci-mediatypes=true",
        ".",
    ]  # fmt: skip


def test_an_export_with_a_missing_blob_is_a_failed_build(docker, tmp_path, layout):
    folder, _ = layout
    next(
        path
        for path in (folder / "blobs" / "sha256").iterdir()
        if path.read_bytes() == b"layer of linux/arm64"
    ).unlink()
    docker.answer("build", layout=folder)
    results, run = build(planned(tmp_path, docker, CONFIG + "publish: {to: docker}\n"), tmp_path)
    assert [result.status for result in results] == ["failed", "failed"]
    assert "not whole" in results[0].failure.evidence
    assert list(run.children.iterdir()) == []


def test_a_transient_failure_is_retried(docker, tmp_path):
    docker.answer(
        "build", stderr="ERROR: failed to push: unexpected status from PUT request to x: 503 Nope\n", code=1
    )
    results, run = build(planned(tmp_path, docker, CONFIG), tmp_path)
    assert [[a.outcome for a in result.attempts] for result in results] == [["failed", "failed"]] * 2
    assert results[0].failure.kind.name == "registry-unavailable"
    assert sorted(path.name for path in run.logs.iterdir()) == [
        "linux-amd64.1.log", "linux-amd64.2.log", "linux-arm64.1.log", "linux-arm64.2.log",
    ]  # fmt: skip
    waits = [event for event in run.events() if isinstance(event, AttemptWaiting)]
    assert [event.reason for event in waits] == ["registry-unavailable"] * 2


LOST = "sea3nv0gyzapebsmwrfahlqu7"


@pytest.mark.parametrize(
    ("lost", "pruned", "removed"), [(LOST, LOST, [LOST]), (LOST, "nothing", []), ("sha256:12", "", None)]
)
def test_a_cache_record_whose_snapshot_is_lost_is_removed(docker, tmp_path, lost, pruned, removed):
    message = f"failed to commit {lost} to oyhpxfa during finalize: snapshot {lost} does not exist: not found"
    docker.answer("build", stderr=f"ERROR: failed to build: failed to solve: {message}\n", code=1)
    docker.answer("prune", stdout=f"ID\t\tRECLAIMABLE\tSIZE\n{pruned}*   \ttrue \t\t0B\nTotal:\t0B\n")
    results, run = build(planned(tmp_path, docker, CONFIG), tmp_path)
    assert [[a.failure.kind.name for a in result.attempts] for result in results] == [
        ["lost-snapshot"] * 2
    ] * 2
    prune = ["docker-buildx", "prune", "--builder", "b", "--all", "--force", "--filter", f"id={lost}"]
    assert [call for call in docker.calls() if call[1] == "prune"] == ([] if removed is None else [prune] * 4)
    events = [event for event in run.events() if isinstance(event, RecordForgotten)]
    assert [event.id for event in events] == (removed or []) * 4


def test_a_permanent_failure_is_not_retried(docker, tmp_path):
    docker.answer(
        "build", stderr="ERROR: dockerfile parse error on line 3: unknown instruction: RUNN\n", code=1
    )
    results, _ = build(planned(tmp_path, docker, CONFIG), tmp_path)
    assert [len(result.attempts) for result in results] == [1, 1]
    assert len(docker.calls()) == 2


@pytest.mark.parametrize("metadata", ["", "[]", "{}", '{"containerimage.digest": "x"}'])
def test_a_build_without_a_digest_in_its_metadata_has_failed(docker, tmp_path, metadata):
    docker.answer("build", metadata=metadata)
    results, _ = build(planned(tmp_path, docker, CONFIG), tmp_path)
    assert {result.status for result in results} == {"failed"}
    assert "buildx ended well, but its metadata file" in results[0].failure.evidence


def test_a_smoke_test_runs_on_the_child_uncached_and_without_network(docker, tmp_path):
    docker.answer("build")
    child = "localhost:5000/app@sha256:" + "b" * 64
    buildx = (str(docker.folder / "docker-buildx"),)
    test = SmokeTest(run=("app", "--version"), timeout=10.0)
    log = tmp_path / "test.log"
    smoke_run = SmokeRun(platform=Platform.parse("arm64"), test=test, child=child, log=log)
    outcome = asyncio.run(run_test(smoke_run, Solver(builder="b", buildx=buildx)))
    assert outcome.status == "passed"
    assert docker.calls() == [
        ["docker-buildx", "build", "--progress", "rawjson", "--builder", "b", "--platform", "linux/arm64",
         "--no-cache", "--provenance=false", "--output", "type=cacheonly", "."]
    ]  # fmt: skip


def test_a_child_outside_a_registry_is_tested_from_its_layout(docker, tmp_path):
    docker.answer("build")
    child = f"oci-layout://{tmp_path}/children/linux-arm64@sha256:{'b' * 64}"
    test = SmokeTest(run=("app", "--version"), timeout=10.0)
    buildx = (str(docker.folder / "docker-buildx"),)
    smoke_run = SmokeRun(platform=Platform.parse("arm64"), test=test, child=child, log=tmp_path / "test.log")
    assert asyncio.run(run_test(smoke_run, Solver(builder="b", buildx=buildx))).status == "passed"
    assert docker.calls() == [
        ["docker-buildx", "build", "--progress", "rawjson", "--builder", "b", "--platform", "linux/arm64",
         "--build-context", f"child-linux-arm64={child}", "--no-cache", "--provenance=false", "--output", "type=cacheonly", "."]
    ]  # fmt: skip


def test_all_platforms_are_probed_in_one_solve(docker):
    docker.answer("build")
    buildx = (str(docker.folder / "docker-buildx"),)
    platforms = (Platform.parse("amd64"), Platform.parse("riscv64"))
    answers = asyncio.run(probe_platforms("b", platforms, buildx))
    assert all(answer.runs for answer in answers)
    assert docker.calls() == [
        ["docker-buildx", "build", "--progress", "rawjson", "--builder", "b", "--platform",
         "linux/amd64,linux/riscv64", "--no-cache", "--provenance=false", "--output", "type=cacheonly", "."]
    ]  # fmt: skip


OUT_OF_MEMORY = 'ERROR: failed to solve: process "/probe" did not complete successfully: exit code: 137'


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ({"code": 0}, "a step ran in less memory than a container needs"),
        ({"code": 125, "stderr": "ERROR: unknown flag: --resource"}, "buildx has no --resource"),
        ({"code": 1, "stderr": OUT_OF_MEMORY}, ""),
        ({"code": 1, "stderr": 'ERROR: no builder "b" found'}, 'no builder "b" found'),
    ],
    ids=["ignored", "old buildx", "limited", "no builder"],
)
def test_a_step_in_too_little_memory_shows_whether_limits_apply(docker, answer, fault):
    docker.answer("build", **answer)
    buildx = (str(docker.folder / "docker-buildx"),)
    assert asyncio.run(step_limits_fault("b", Platform.parse("amd64"), buildx)) == fault
    assert docker.calls() == [
        ["docker-buildx", "build", "--progress", "rawjson", "--builder", "b", "--platform", "linux/amd64", "--resource",
         "memory=512k", "--no-cache", "--provenance=false", "--output", "type=cacheonly", "."]
    ]  # fmt: skip


def test_limits_of_a_platform_are_flags_of_its_build_alone(docker, tmp_path):
    docker.answer("build")
    limited = CONFIG.replace("linux/arm64]", "{name: linux/arm64, memory: 2g, cpus: 1.5}]")
    build(planned(tmp_path, docker, limited), tmp_path)
    calls = {call[call.index("--platform") + 1]: call for call in docker.calls()}
    assert "--resource" not in calls["linux/amd64"]
    begin = calls["linux/arm64"].index("--resource")
    assert calls["linux/arm64"][begin : begin + 6] == [
        "--resource", "memory=2147483648", "--resource", "cpu-period=100000", "--resource", "cpu-quota=150000",
    ]  # fmt: skip


RUNNING = [
    {"name": "[1/2] FROM base", "digest": "sha256:a", "started": "2026-01-02T00:00:01Z", "completed": "2026-01-02T00:00:02Z"},
    {"name": "[2/2] RUN make", "digest": "sha256:b", "started": "2026-01-02T00:00:02Z"},
]  # fmt: skip


def test_an_interrupted_platform_says_where_it_was_and_for_how_long(docker, tmp_path):
    docker.answer("build", stderr=json.dumps({"vertexes": RUNNING}) + "\n", seconds=3600)
    plan = planned(tmp_path, docker, CONFIG, "docker-container")
    run = State(tmp_path / "state").new_run(datetime.now(UTC))

    async def interrupt(recorder):
        building = asyncio.create_task(
            build_children(
                plan, run, recorder, shared=SharedBuilds.of([plan], Failover.of(plan, recorder.say))
            )
        )
        while sum("RUN make" in log.read_text() for log in run.logs.glob("*.log")) < 2:  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.05)
        building.cancel()
        with pytest.raises(asyncio.CancelledError):
            await building

    with Journal(run.journal_path) as journal:
        asyncio.run(interrupt(Recorder(journal, NullDisplay())))
    ends = [event for event in run.events() if isinstance(event, PlatformEnded)]
    assert len(ends) == 2
    for end in ends:
        assert (end.status, end.reason) == ("cancelled", "stopped in [2/2] RUN make")
        assert end.seconds > 0
        assert [step["name"] for step in end.steps or ()] == ["[1/2] FROM base"]
