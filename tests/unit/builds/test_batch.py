import base64
import json
from pathlib import Path

import pytest

from multibuild.builds.batch.bake import bake_arguments, bake_document, target_name
from multibuild.builds.batch.batch import Batch, plan_batches
from multibuild.builds.history import BuildHistory
from multibuild.buildx.rawjson_progress import Progress
from multibuild.buildx.split_progress import BatchProgress
from multibuild.plan.host_facts import MIB, HostFacts, Node
from multibuild.platforms import Platform

AMD64 = Platform.parse("linux/amd64")
HERE = Node(builder="here", driver="docker", native=AMD64)
THERE = Node(builder="there", driver="remote", native=Platform.parse("linux/arm64"))
EIGHT = "linux/amd64, linux/arm64, linux/arm/v7, linux/386, linux/mips64le, linux/ppc64le, linux/s390x, linux/riscv64"
DIGEST = f"sha256:{'a' * 64}"
LATER = "2026-01-02T00:00:01Z"


@pytest.fixture
def plan(plan_of):
    def make(more="", *, nodes=(HERE,), platforms=EIGHT, memory=16384 * MIB):
        config = f"image: localhost:5000/app\nplatforms: [{platforms}]\n{more}"
        return plan_of(config, HostFacts(nodes=nodes, cpus=2, memory=memory))

    return make


def batches_of(plan, context_bytes, *cached, **seconds):
    history = BuildHistory(
        seconds=seconds,
        context_bytes={planned.spec.dockerfile: context_bytes for planned in plan.platforms},
        cached=frozenset(map(Platform.parse, cached)),
    )
    return plan_batches(plan, plan.platforms, history)


def by_target(platforms):
    return {target_name(planned): planned for planned in platforms}


def test_a_large_context_puts_all_platforms_of_a_node_in_a_batch(plan):
    eight = plan()
    assert batches_of(eight, 300_000_000) == (Batch(platforms=eight.platforms, why="context"),)


def test_a_small_context_needs_no_batch(plan):
    assert batches_of(plan(), 40_000_000) == ()


def test_a_larger_context_is_needed_for_a_batch_of_long_builds(plan):
    assert batches_of(plan(), 300_000_000, **{"linux/arm64": 3600.0}) == ()
    assert batches_of(plan(), 300_000_000, **{"linux/arm64": 60.0}) != ()


def test_each_node_has_its_own_batch(plan):
    batches = batches_of(plan(nodes=(HERE, THERE)), 3_000_000_000)
    assert [{planned.node.builder for planned in batch.platforms} for batch in batches] == [{"here"}]
    assert len(batches[0].platforms) == 7, "the arm64 node has one platform only, which needs no batch"


@pytest.mark.parametrize(
    "more",
    [
        "build_flags: [--shm-size=1g]",
        "network: none",
        "stall_timeout: 5s",
        "context: https://example.org/a.git",
        "dockerfile: https://example.org/Dockerfile",
    ],
)
def test_a_platform_that_bake_cannot_build_is_in_no_batch(plan, more):
    assert batches_of(plan(more), 3_000_000_000) == ()


def test_a_batch_is_no_larger_than_jobs_or_memory(plan):
    assert [len(batch.platforms) for batch in batches_of(plan("jobs: 3"), 3_000_000_000)] == [3]
    small = plan(memory=7 * 768 * MIB)
    assert [len(batch.platforms) for batch in batches_of(small, 3_000_000_000)] == [7]


def test_cached_platforms_are_in_a_batch_whatever_the_context(plan):
    eight = plan()
    assert batches_of(eight, 1000, "linux/arm64", "linux/s390x") == (
        Batch(platforms=(eight.platforms[1], eight.platforms[6]), why="cached"),
    )
    assert batches_of(eight, 1000, "linux/arm64") == ()
    assert batches_of(plan("no_cache: true"), 1000, "linux/arm64", "linux/s390x") == ()
    assert batches_of(plan("build_flags: [--shm-size=1g]"), 1000, "linux/arm64", "linux/s390x") == ()


def test_the_bake_file_has_the_fields_of_the_build_flags(plan):
    one = plan(
        'args: {A: "x ${B:-y} $${c} %{d}"}\nsecrets: ["id=t,env=T"]\nattestations: {provenance: false}\n'
        'annotations: {index: "no", "manifest:a.b": "x $${c}"}',
        platforms="linux/arm/v7",
    )
    document = bake_document(by_target(one.platforms), Path("/project"))
    assert document["group"] == {"default": {"targets": ["linux-arm-v7"]}}
    assert document["target"]["linux-arm-v7"] == {
        "context": ".",
        "dockerfile": "/project/Dockerfile",
        "platforms": ["linux/arm/v7"],
        "args": {"A": "x y $${c} %%{d}"},
        "annotations": ["manifest:a.b=x $${c}"],
        "secret": ["id=t,env=T"],
        "pull": True,
        "attest": ["type=provenance,disabled=true", "type=sbom,disabled=true"],
        "output": [
            "type=image,name=localhost:5000/app:multibuild-linux-arm-v7,push=true,oci-mediatypes=true,store=false"
        ],
    }
    assert bake_arguments(one.platforms, "f.json")[:3] == ("bake", "--builder", "here")


def test_bake_has_the_limits_of_steps(plan):
    one = plan("", platforms="{name: linux/arm64, memory: 1g, cpus: 0.5}")
    target = bake_document(by_target(one.platforms), Path("/project"))["target"]["linux-arm64"]
    assert target["resources"] == {"memory": "1073741824", "cpu-period": 100000, "cpu-quota": 50000}


def test_bake_reads_the_dockerfile_that_a_build_would_read(plan):
    one = plan("context: src\ndockerfile: docker/app.Dockerfile", platforms="linux/amd64")
    target = bake_document(by_target(one.platforms), Path("/project"))["target"]["linux-amd64"]
    assert (target["context"], target["dockerfile"]) == ("src", "/project/docker/app.Dockerfile")


class Targets:
    """Targets of one bake: their progress and their logs."""

    def __init__(self, *targets):
        self.logs: dict[str, list[str]] = {target: [] for target in targets}
        self.progress = {t: Progress(self.logs[t].append, lambda _step: None) for t in targets}
        self.batch = BatchProgress(self.progress)

    def feed(self, **document):
        return list(self.batch.feed(json.dumps(document).encode()))


def vertex(name, digest="sha256:v", **more):
    return {"name": name, "digest": digest, "started": "2026-01-02T00:00:00Z", **more}


def export(target, digest="sha256:e", **more):
    return vertex(f"[{target}] exporting to image", digest, **more)


PUSHED = {"vertex": "sha256:e", "id": f"pushing manifest for reg/app:a@{DIGEST}", "completed": LATER}


def log(text, digest="sha256:v", time="1"):
    return {"vertex": digest, "data": base64.b64encode(text.encode()).decode(), "timestamp": time}


def test_each_target_gets_its_own_steps_without_the_prefix():
    targets = Targets("a", "b")
    targets.feed(
        vertexes=[vertex("[a stage-1 2/3] RUN x", "sha256:1"), vertex("[b] exporting to image", "sha256:2")]
    )
    targets.feed(logs=[log("one\n", "sha256:1"), log("two\n", "sha256:2")])
    assert targets.logs == {
        "a": ["--- [stage-1 2/3] RUN x", "one"],
        "b": ["--- exporting to image", "two"],
    }


def test_a_shared_step_is_logged_once_for_each_target():
    targets = Targets("a", "b")
    targets.feed(vertexes=[vertex("[a native 2/2] RUN make"), vertex("[b native 2/2] RUN make")])
    targets.feed(logs=[log("once\n")])
    targets.feed(logs=[log("once\n")])
    targets.feed(logs=[log("once\n", time="2")])
    assert targets.logs["a"] == targets.logs["b"] == ["--- [native 2/2] RUN make", "once", "once"]


def test_a_target_is_finished_when_its_manifest_is_pushed_and_its_export_ended():
    targets = Targets("a", "b")
    assert targets.feed(vertexes=[export("a")]) == []
    assert targets.feed(statuses=[{key: PUSHED[key] for key in ("vertex", "id")}]) == []
    assert targets.feed(statuses=[PUSHED]) == []
    done = export("a", completed=LATER)
    assert targets.feed(vertexes=[done]) == [("a", DIGEST)]
    assert targets.feed(vertexes=[done]) == []


def test_only_an_uncached_run_counts_as_a_run_step():
    targets = Targets("a")
    done = {"completed": "2026-01-02T00:00:00Z"}
    targets.feed(vertexes=[{"name": "[a 2/3] RUN make", "digest": "sha256:1"}])
    targets.feed(vertexes=[vertex("[a 2/3] RUN make", "sha256:1", cached=True, **done)])
    targets.feed(vertexes=[vertex("[a internal] load metadata", "sha256:2")])
    targets.feed(vertexes=[vertex("[a 1/3] FROM x", "sha256:3")])
    targets.feed(vertexes=[export("a", "sha256:4")])
    assert not targets.batch.has_run_step
    targets.feed(vertexes=[vertex("[a 3/3] RUN make install", "sha256:5")])
    assert targets.batch.has_run_step


def test_a_failed_export_finishes_no_target():
    targets = Targets("a")
    failed = export("a", completed=LATER, error="unexpected status: 502")
    targets.feed(vertexes=[export("a")])
    assert targets.feed(vertexes=[failed], statuses=[PUSHED]) == []
    assert targets.progress["a"].evidence().step == "exporting to image"


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b'{"vertexes": 3}', b'{"vertexes": [{"name": 7}], "logs": [{}]}', b"\xff{"]
)
def test_malformed_lines_finish_no_target(line):
    assert list(Targets("a").batch.feed(line)) == []


def test_the_final_error_goes_to_targets_that_did_not_finish():
    targets = Targets("a", "b")
    targets.feed(vertexes=[export("a")])
    targets.feed(statuses=[PUSHED], vertexes=[export("a", completed=LATER)])
    list(targets.batch.feed(b"ERROR: target b: failed to solve"))
    assert "ERROR: target b: failed to solve" not in targets.logs["a"]
    assert targets.logs["b"] == ["ERROR: failed to solve"]


def test_each_target_gets_its_own_final_error():
    """bake prints the error of one target; a target that was only cancelled gets that error, with its target's name."""
    targets = Targets("a", "b", "c", "d")
    targets.feed(
        vertexes=[
            vertex("[a native 2/2] RUN make", "sha256:n", completed=LATER, error="exit code: 1"),
            vertex("[b native 2/2] RUN make", "sha256:n", completed=LATER, error="exit code: 1"),
            export("c", "sha256:c", completed=LATER, error="snapshot x does not exist"),
            export("d", "sha256:d", completed=LATER, error="push: context canceled"),
        ]
    )
    list(targets.batch.feed(b"ERROR: target b: failed to solve: exit code: 1"))
    assert {name: log[-1] for name, log in targets.logs.items()} == {
        "a": "ERROR: failed to solve: exit code: 1",
        "b": "ERROR: failed to solve: exit code: 1",
        "c": "ERROR: failed to solve: snapshot x does not exist",
        "d": "ERROR: target b: failed to solve: exit code: 1",
    }
    assert {name: progress.evidence().step for name, progress in targets.progress.items()} == {
        "a": "[native 2/2] RUN make",
        "b": "[native 2/2] RUN make",
        "c": "exporting to image",
        "d": "",
    }
