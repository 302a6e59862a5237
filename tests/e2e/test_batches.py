"""Batches: one upload of a large context, and a failure inside a batch."""

import json
import os

import pytest
from e2e.conftest import REGISTRY, multibuild

FOUR = ("linux/amd64", "linux/386", "linux/arm64", "linux/s390x")


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """110 MB: four uploads of it are worth a batch. Its own Dockerfile must not be used."""
    folder = tmp_path_factory.mktemp("large")
    (folder / "tree").mkdir()
    (folder / "tree" / "blob").write_bytes(os.urandom(1024 * 1024) * 110)
    (folder / "tree" / "Dockerfile").write_text(f"FROM {REGISTRY}/base:latest\nRUN uname -m && exit 9\n")
    return folder


def config(folder, repository, dockerfile, builder, platforms=FOUR):
    (folder / "Dockerfile").write_text(dockerfile)
    path = folder / "multibuild.yaml"
    settings = {
        "version": 1,
        "image": f"{REGISTRY}/{repository}",
        "platforms": list(platforms),
        "context": "tree",
        "builder": builder,
    }
    path.write_text(json.dumps(settings))
    return path


def test_a_large_context_is_uploaded_once(large, builder, repository, state, registry):
    dockerfile = f"FROM {REGISTRY}/base:latest\nRUN --mount=type=bind,target=/c uname -m > /machine\n"
    done = multibuild(
        "all", "-f", config(large, repository, dockerfile, builder), "--state-dir", state, "--json"
    )
    assert done.code == 0, done.stderr
    assert {row["status"] for row in done.json["platforms"]} == {"succeeded"}
    assert set(registry.images(repository, "latest")) == set(FOUR)
    for row in done.json["platforms"]:
        assert len(row["attempts"]) == 1
    steps = {step["platform"] for step in done.json["steps"] if "uname -m" in step["name"]}
    assert steps == set(FOUR)
    assert [sorted(batch) for batch in batches(done, state)] == [sorted(FOUR)]


def test_a_failure_in_a_batch_leaves_the_others_to_finish_alone(large, builder, repository, state):
    # arm64 fails while s390x is in a long step: they wait for each other in a cache mount, whose id BuildKit's cache
    # of the steps does not look at.
    sync = f"--mount=type=cache,id={repository},target=/sync : {repository};"
    dockerfile = f"""FROM {REGISTRY}/base:latest
RUN --mount=type=bind,target=/c uname -m > /machine
RUN {sync} if [ $(uname -m) = s390x ] && ! [ -e /sync/failing ]; then touch /sync/begun; sleep 600; fi
RUN {sync} if [ $(uname -m) = aarch64 ]; then until [ -e /sync/begun ]; do sleep 0.1; done; \\
    touch /sync/failing; echo "error: no such type"; exit 1; fi
"""
    done = multibuild(
        "all", "-f", config(large, repository, dockerfile, builder), "--state-dir", state, "--json"
    )
    assert done.code == 4, done.stderr
    rows = {row["platform"]: row for row in done.json["platforms"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "linux/amd64": "succeeded",
        "linux/386": "succeeded",
        "linux/arm64": "failed",
        "linux/s390x": "succeeded",
    }
    assert "error: no such type" in rows["linux/arm64"]["attempts"][0]["evidence"]
    assert [attempt["outcome"] for attempt in rows["linux/arm64"]["attempts"]] == ["failed"]
    assert [attempt["outcome"] for attempt in rows["linux/s390x"]["attempts"]] == ["cancelled", "ok"]


def test_unchanged_platforms_take_one_process_and_changed_ones_their_own(
    project, repository, state, registry
):
    path = project(platforms=FOUR)
    command = ("all", "-f", path, "--state-dir", state, "--json")
    first, second = multibuild(*command), multibuild(*command)
    assert (first.code, second.code) == (0, 0), second.stderr
    assert batches(first, state) == []
    assert [sorted(batch) for batch in batches(second, state)] == [sorted(FOUR)]
    assert {row["status"] for row in second.json["platforms"]} == {"succeeded"}
    assert {len(row["attempts"]) for row in second.json["platforms"]} == {1}
    assert all(step["cached"] for step in second.json["steps"] if "RUN" in step["name"])
    project(platforms=FOUR, run="uname -a > /machine")
    third = multibuild(*command)
    assert third.code == 0, third.stderr
    assert batches(third, state) == []
    assert set(registry.images(repository, "latest")) == set(FOUR)


def batches(done, state):
    journal = (state / "runs" / done.json["run"] / "journal.jsonl").read_text()
    events = [json.loads(line) for line in journal.splitlines()]
    return [event["fields"]["platforms"] for event in events if event["name"] == "wave.started"]
