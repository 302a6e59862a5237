import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from multibuild.builds.batch.bake import bake_arguments, bake_document
from multibuild.builds.batch.batch import Batch, waves
from multibuild.builds.history import BuildHistory
from multibuild.buildx.progress import Progress
from multibuild.buildx.split_progress import BatchProgress
from multibuild.config.load import load_config
from multibuild.config.overrides import Overrides
from multibuild.plan.host_facts import MIB, HostFacts, Node
from multibuild.plan.plan import make_plan
from multibuild.platforms import Platform

AMD64 = Platform.parse("linux/amd64")
HERE = Node(builder="here", driver="docker", native=AMD64)
THERE = Node(builder="there", driver="remote", native=Platform.parse("linux/arm64"))
EIGHT = "linux/amd64, linux/arm64, linux/arm/v7, linux/386, linux/mips64le, linux/ppc64le, linux/s390x, linux/riscv64"
DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture
def plan(tmp_path):
    def make(more="", *, nodes=(HERE,), platforms=EIGHT, memory=16384 * MIB):
        path = tmp_path / "multibuild.yaml"
        path.write_text(f"version: 1\nimage: localhost:5000/app\nplatforms: [{platforms}]\n{more}\n")
        loaded = load_config(path, environ={}, overrides=Overrides(), now=datetime(2026, 1, 2, tzinfo=UTC))
        return make_plan(loaded, HostFacts(nodes=nodes, cpus=2, memory=memory))

    return make


def chosen(plan, size, *known, **seconds):
    ahead = BuildHistory(
        seconds=seconds,
        context_bytes={item.spec.dockerfile: size for item in plan.platforms},
        known=frozenset(map(Platform.parse, known)),
    )
    return waves(plan, plan.platforms, ahead)


def test_a_large_context_carries_all_platforms_of_a_node(plan):
    made = plan()
    assert chosen(made, 300_000_000) == (Batch(items=made.platforms, why="context"),)


def test_a_small_context_keeps_builds_isolated(plan):
    assert chosen(plan(), 40_000_000) == ()


def test_long_builds_stay_isolated_whatever_the_context(plan):
    assert chosen(plan(), 300_000_000, **{"linux/arm64": 3600.0}) == ()
    assert chosen(plan(), 300_000_000, **{"linux/arm64": 60.0}) != ()


def test_one_wave_per_node(plan):
    found = chosen(plan(nodes=(HERE, THERE)), 3_000_000_000)
    assert [{item.node.builder for item in wave.items} for wave in found] == [{"here"}]
    assert len(found[0].items) == 7, "the arm64 node has one platform only, which needs no company"


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
def test_what_bake_has_no_word_for_stays_isolated(plan, more):
    assert chosen(plan(more), 3_000_000_000) == ()


def test_a_wave_is_no_larger_than_jobs_or_memory(plan):
    assert [len(wave.items) for wave in chosen(plan("jobs: 3"), 3_000_000_000)] == [3]
    assert [len(wave.items) for wave in chosen(plan(memory=7 * 768 * MIB), 3_000_000_000)] == [7]


def test_what_was_built_before_from_the_same_inputs_goes_together(plan):
    made = plan()
    assert chosen(made, 1000, "linux/arm64", "linux/s390x") == (
        Batch(items=(made.platforms[1], made.platforms[6]), why="cached"),
    )
    assert chosen(made, 1000, "linux/arm64") == ()
    assert chosen(plan("no_cache: true"), 1000, "linux/arm64", "linux/s390x") == ()
    assert chosen(plan("build_flags: [--shm-size=1g]"), 1000, "linux/arm64", "linux/s390x") == ()


def test_the_bake_file_says_what_the_flags_say(plan):
    made = plan(
        'args: {A: "x ${B:-y} $${c} %{d}"}\nsecrets: ["id=t,env=T"]\nattestations: {provenance: false}',
        platforms="linux/arm/v7",
    )
    document = bake_document(made.platforms, Path("/project"))
    assert document["group"] == {"default": {"targets": ["linux-arm-v7"]}}
    assert document["target"]["linux-arm-v7"] == {
        "context": ".",
        "dockerfile": "/project/Dockerfile",
        "platforms": ["linux/arm/v7"],
        "args": {"A": "x y $${c} %%{d}"},
        "secret": ["id=t,env=T"],
        "pull": True,
        "attest": ["type=provenance,disabled=true", "type=sbom,disabled=true"],
        "output": [
            "type=image,name=localhost:5000/app:multibuild-linux-arm-v7,push=true,oci-mediatypes=true,store=false"
        ],
    }
    assert bake_arguments(made.platforms, "f.json")[:3] == ("bake", "--builder", "here")


def test_bake_reads_the_dockerfile_that_a_build_would_read(plan):
    made = plan("context: src\ndockerfile: docker/app.Dockerfile", platforms="linux/amd64")
    target = bake_document(made.platforms, Path("/project"))["target"]["linux-amd64"]
    assert (target["context"], target["dockerfile"]) == ("src", "/project/docker/app.Dockerfile")


class Listener:
    def __init__(self, *targets):
        self.logs: dict[str, list[str]] = {target: [] for target in targets}
        self.progress = {t: Progress(self.logs[t].append, lambda _step: None) for t in targets}
        self.wave = BatchProgress(self.progress)

    def feed(self, **document):
        return list(self.wave.feed(json.dumps(document).encode()))


def vertex(name, digest="sha256:v", **more):
    return {"name": name, "digest": digest, "started": "2026-01-02T00:00:00Z", **more}


def log(text, digest="sha256:v", time="1"):
    return {"vertex": digest, "data": base64.b64encode(text.encode()).decode(), "timestamp": time}


def test_each_target_gets_its_own_steps_without_the_prefix():
    heard = Listener("a", "b")
    heard.feed(
        vertexes=[vertex("[a stage-1 2/3] RUN x", "sha256:1"), vertex("[b] exporting to image", "sha256:2")]
    )
    heard.feed(logs=[log("one\n", "sha256:1"), log("two\n", "sha256:2")])
    assert heard.logs == {
        "a": ["--- [stage-1 2/3] RUN x", "one"],
        "b": ["--- exporting to image", "two"],
    }


def test_what_targets_share_is_logged_once_for_each():
    heard = Listener("a", "b")
    heard.feed(vertexes=[vertex("[a native 2/2] RUN make"), vertex("[b native 2/2] RUN make")])
    heard.feed(logs=[log("once\n")])
    heard.feed(logs=[log("once\n")])
    heard.feed(logs=[log("once\n", time="2")])
    assert heard.logs["a"] == heard.logs["b"] == ["--- [native 2/2] RUN make", "once", "once"]


def test_a_target_is_finished_when_its_manifest_is_pushed_and_its_export_ended():
    heard = Listener("a", "b")
    pushed = {"vertex": "sha256:e", "id": f"pushing manifest for reg/app:a@{DIGEST}"}
    assert heard.feed(vertexes=[vertex("[a] exporting to image", "sha256:e")]) == []
    assert heard.feed(statuses=[pushed]) == []
    assert heard.feed(statuses=[{**pushed, "completed": "2026-01-02T00:00:01Z"}]) == []
    done = vertex("[a] exporting to image", "sha256:e", completed="2026-01-02T00:00:01Z")
    assert heard.feed(vertexes=[done]) == [("a", DIGEST)]
    assert heard.feed(vertexes=[done]) == []


def test_only_a_run_that_really_runs_counts_as_one():
    heard = Listener("a")
    done = {"completed": "2026-01-02T00:00:00Z"}
    heard.feed(vertexes=[{"name": "[a 2/3] RUN make", "digest": "sha256:1"}])
    heard.feed(vertexes=[vertex("[a 2/3] RUN make", "sha256:1", cached=True, **done)])
    heard.feed(
        vertexes=[vertex("[a internal] load metadata", "sha256:2"), vertex("[a 1/3] FROM x", "sha256:3")]
    )
    heard.feed(vertexes=[vertex("[a] exporting to image", "sha256:4")])
    assert not heard.wave.has_run_step
    heard.feed(vertexes=[vertex("[a 3/3] RUN make install", "sha256:5")])
    assert heard.wave.has_run_step


def test_an_export_that_failed_finishes_nothing():
    heard = Listener("a")
    pushed = {
        "vertex": "sha256:e",
        "id": f"pushing manifest for reg/app:a@{DIGEST}",
        "completed": "2026-01-02T00:00:01Z",
    }
    failed = vertex(
        "[a] exporting to image", "sha256:e", completed="2026-01-02T00:00:01Z", error="unexpected status: 502"
    )
    heard.feed(vertexes=[vertex("[a] exporting to image", "sha256:e")])
    assert heard.feed(vertexes=[failed], statuses=[pushed]) == []
    assert heard.progress["a"].evidence().step == "exporting to image"


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b'{"vertexes": 3}', b'{"vertexes": [{"name": 7}], "logs": [{}]}', b"\xff{"]
)
def test_lines_of_any_shape_end_nothing(line):
    assert list(Listener("a").wave.feed(line)) == []


def test_the_last_words_go_to_those_that_did_not_finish():
    heard = Listener("a", "b")
    pushed = {
        "vertex": "sha256:e",
        "id": f"pushing manifest for reg/app:a@{DIGEST}",
        "completed": "2026-01-02T00:00:01Z",
    }
    heard.feed(vertexes=[vertex("[a] exporting to image", "sha256:e")])
    heard.feed(
        statuses=[pushed],
        vertexes=[vertex("[a] exporting to image", "sha256:e", completed="2026-01-02T00:00:01Z")],
    )
    list(heard.wave.feed(b"ERROR: target b: failed to solve"))
    assert "ERROR: target b: failed to solve" not in heard.logs["a"]
    assert heard.logs["b"] == ["ERROR: failed to solve"]


def test_the_last_words_are_each_targets_own():
    """bake names one target, whatever failed for the others; what was only cut short hears whose fault it was."""
    heard = Listener("a", "b", "c", "d")
    over = "2026-01-02T00:00:01Z"
    heard.feed(
        vertexes=[
            vertex("[a native 2/2] RUN make", "sha256:n", completed=over, error="exit code: 1"),
            vertex("[b native 2/2] RUN make", "sha256:n", completed=over, error="exit code: 1"),
            vertex("[c] exporting to image", "sha256:c", completed=over, error="snapshot x does not exist"),
            vertex("[d] exporting to image", "sha256:d", completed=over, error="push: context canceled"),
        ]
    )
    list(heard.wave.feed(b"ERROR: target b: failed to solve: exit code: 1"))
    assert {name: log[-1] for name, log in heard.logs.items()} == {
        "a": "ERROR: failed to solve: exit code: 1",
        "b": "ERROR: failed to solve: exit code: 1",
        "c": "ERROR: failed to solve: snapshot x does not exist",
        "d": "ERROR: target b: failed to solve: exit code: 1",
    }
    assert {name: progress.evidence().step for name, progress in heard.progress.items()} == {
        "a": "[native 2/2] RUN make",
        "b": "[native 2/2] RUN make",
        "c": "exporting to image",
        "d": "",
    }
