"""`remember` on the real engine and registry: machines that share nothing but the registry build what changed."""

import json

import pytest
from e2e.ci_jobs import without_docker
from e2e.conftest import REGISTRY, multibuild

THREE = ["linux/amd64", "linux/arm64", "linux/riscv64"]
ANNOTATION = "io.multibuild.inputs"

pytestmark = pytest.mark.one_driver(
    driver="docker", reason="what is remembered does not depend on the driver"
)


@pytest.fixture
def machine(tmp_path):
    """Return the flags and the environment of a machine that starts empty and has no docker."""
    return without_docker(tmp_path / "bin")


def statuses(done):
    return {row["platform"]: row["status"] for row in done.json["platforms"]}


def test_machines_that_start_empty_build_only_what_changed(project, repository, registry, tmp_path, machine):
    env, called = machine
    more = {"remember": True, "test": {"run": ["true"]}, "tags": ["latest"]}

    def empty(name):
        return ("-f", path, "--state-dir", tmp_path / name)

    path = project(platforms=THREE, **more)
    (path.parent / ".dockerignore").write_text("multibuild.yaml\n")
    first = multibuild("all", *empty("first"), "--if-changed", "--json")
    assert first.code == 0, first.stderr
    before = registry.get(repository, "latest")
    assert before["annotations"][ANNOTATION].startswith("1 inputs=")

    again = multibuild("all", *empty("second"), "--if-changed", "--json", env=env)
    assert again.code == 0, again.stderr
    assert "nothing to do" in again.stderr
    assert statuses(again) == dict.fromkeys(THREE, "reused")
    assert again.json["index"]["digest"] == first.json["index"]["digest"]
    assert [tag["status"] for tag in again.json["published"]] == ["unchanged"]
    jobs = multibuild("matrix", *empty("third"), "--if-changed", "--format", "github", env=env)
    assert (jobs.code, jobs.json) == (0, {"include": []})
    planned = multibuild("plan", *empty("third"), "--if-changed", env=env)
    assert (planned.code, planned.stdout) == (0, "nothing to build\n")

    project(platforms=THREE, **{**more, "tags": ["latest", "next"]})
    moved = multibuild("all", *empty("fourth"), "--if-changed", "--json", env=env)
    assert moved.code == 0, moved.stderr
    assert [tag["status"] for tag in moved.json["published"]] == ["unchanged", "moved"]
    assert registry.get(repository, "next") == before
    assert not called.exists(), called.read_text()

    project(platforms=[THREE[0], {"name": THREE[1], "args": {"A": "1"}}, THREE[2]], **more)
    changed = multibuild("all", *empty("fifth"), "--if-changed", "--json")
    assert changed.code == 0, changed.stderr
    assert statuses(changed) == {THREE[0]: "reused", THREE[1]: "succeeded", THREE[2]: "reused"}
    after = registry.get(repository, "latest")
    kept = [entry for entry in before["manifests"] if entry in after["manifests"]]
    assert [e["platform"]["architecture"] for e in kept] == ["amd64", "riscv64", "unknown", "unknown"]
    assert len(after["manifests"]) == len(before["manifests"]) == 6
    assert multibuild("verify", f"{REGISTRY}/{repository}:latest", *empty("fifth")).code == 0


def test_jobs_build_what_changed_and_the_last_one_takes_the_rest_from_the_registry(
    project, repository, registry, tmp_path
):
    def empty(name):
        return ("-f", path, "--state-dir", tmp_path / name)

    more = {"remember": True, "verify": {"content": "all"}}
    path = project(platforms=THREE, **more)
    (path.parent / ".dockerignore").write_text("multibuild.yaml\n")
    assert multibuild("all", *empty("first")).code == 0
    before = registry.get(repository, "latest")
    project(platforms=[THREE[0], THREE[1], {"name": THREE[2], "labels": {"a": "b"}}], **more)
    jobs = multibuild("matrix", *empty("plan"), "--if-changed", "--json").json
    assert [job["platform"] for job in jobs] == [THREE[2]]
    job = multibuild("build", *empty("job"), "--platform", jobs[0]["platform"])
    assert job.code == 0, job.stderr
    assert multibuild("import", tmp_path / "job", *empty("last")).code == 0
    preview = multibuild("merge", *empty("last"), "--dry-run")
    merged = multibuild("merge", *empty("last"), "--json")
    assert merged.code == 0, merged.stderr
    after = registry.get(repository, "latest")
    assert json.loads(preview.stdout) == after
    assert before["manifests"][0] in after["manifests"]
    assert (
        after["manifests"][2]["annotations"][ANNOTATION] != before["manifests"][2]["annotations"][ANNOTATION]
    )
    assert sum("vnd.docker.reference.type" in e.get("annotations", {}) for e in after["manifests"]) == 3
    # What the jobs made is remembered as what one machine makes: nothing is left to be done, nor to be merged.
    jobs = multibuild("matrix", *empty("next"), "--if-changed", "--json")
    assert jobs.json == []
    merged = multibuild("merge", *empty("next"), "--json")
    assert [tag["status"] for tag in merged.json["published"]] == ["unchanged"]

    project(platforms=[THREE[0], THREE[1], {"name": THREE[2], "labels": {"a": "c"}}], **more)
    job = multibuild("build", *empty("hand"), "--platform", THREE[2], "--hand-over")
    assert job.code == 0, job.stderr
    preview = multibuild("merge", *empty("over"), "--handed-over", "--dry-run")
    merged = multibuild("merge", *empty("over"), "--handed-over", "--json")
    assert merged.code == 0, merged.stderr
    last = registry.get(repository, "latest")
    assert json.loads(preview.stdout) == last
    assert [entry for entry in after["manifests"] if entry in last["manifests"]] == [
        entry for entry in after["manifests"] if entry["digest"] not in changed_in(after, last)
    ]
    assert len(changed_in(after, last)) == 2


def changed_in(before, after):
    """Return the digests of an index that a later one lacks: of an image and its attestation."""
    kept = {entry["digest"] for entry in after["manifests"]}
    return {entry["digest"] for entry in before["manifests"]} - kept
