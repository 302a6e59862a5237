"""Children handed over through the registry alone: nothing else passes from the jobs that build to the one that merges."""

import json
import os
import re
import signal

import pytest
from e2e.ci_jobs import run_job
from e2e.conftest import REGISTRY

THREE = ("linux/amd64", "linux/arm64", "linux/s390x")
SAME_BYTES = {"reproducible": True, "attestations": {"provenance": False}}

pytestmark = pytest.mark.one_driver(
    driver="docker", reason="how a child is built does not matter to who takes it from the registry"
)


@pytest.fixture
def job(tmp_path):
    """Run a command as a CI job does: in a checkout and with a state directory of its own."""

    def run(name, config, *arguments, **more):
        return run_job(tmp_path / name, config, *arguments, **more)

    return run


def hand_over_tags(registry, repository):
    return [tag for tag in registry.tags(repository) if re.match("multibuild-[0-9a-f]{12}-", tag)]


def test_jobs_that_share_no_file_give_the_index_of_one_machine(project, job, registry, repository):
    config = project(platforms=THREE, test={"run": ["grep", "-q", ".", "/machine"]}, **SAME_BYTES)
    for platform in THREE:
        built = job(platform, config, "build", "--platform", platform, "--hand-over")
        assert built.code == 0, built.stderr
        (row,) = built.json["platforms"]
        assert (row["test"]["status"], row["content"]["status"]) == ("passed", "passed")
    assert not registry.exists(repository, "latest")
    assert len(hand_over_tags(registry, repository)) == 3

    merged = job("merge", config, "merge", "--handed-over")
    assert merged.code == 0, merged.stderr
    assert {row["test"]["status"] for row in merged.json["platforms"]} == {"passed"}
    assert hand_over_tags(registry, repository) == []
    one = job("one", config, "all", "--tag", "one")
    assert merged.json["index"]["digest"] == one.json["index"]["digest"]
    assert registry.get(repository, "latest") == registry.get(repository, "one")


def test_a_job_takes_the_image_that_its_own_is_built_from(job, tmp_path, registry, repository, builder):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {REGISTRY}/base:latest\nRUN echo app > /app\n")
    (folder / "Dockerfile.worker").write_text("FROM app\nRUN test -f /app && echo worker > /worker\n")
    config = folder / "multibuild.yaml"
    images = {"app": {}, "worker": {"dockerfile": "Dockerfile.worker", "contexts": {"app": "image:app"}}}
    document = {
        "image": f"{REGISTRY}/{repository}/{{name}}",
        "platforms": ["linux/amd64"],
        "builder": builder,
    }
    config.write_text(json.dumps({"version": 1, **document, "images": images}))
    app = job("app", config, "build", "app", "--hand-over")
    assert app.code == 0, app.stderr
    worker = job("worker", config, "build", "worker", "--hand-over")
    assert worker.code == 0, worker.stderr
    rows = {image["name"]: image["platforms"][0] for image in worker.json["images"]}
    assert {name: row["status"] for name, row in rows.items()} == {"app": "reused", "worker": "succeeded"}
    assert rows["app"]["digest"] == app.json["images"][0]["platforms"][0]["digest"]
    # No test was run where they were built: the machine that merges runs those of its config.
    wrong = job("wrong", config, "merge", "--handed-over", "--set", 'test.run=["test", "-f", "/nothing"]')
    assert wrong.code == 5, wrong.stderr
    assert not registry.exists(f"{repository}/app", "latest")
    merged = job("merge", config, "merge", "--handed-over", "--set", 'test.run=["test", "-f", "/app"]')
    assert merged.code == 0, merged.stderr
    tests = [row["test"]["status"] for image in merged.json["images"] for row in image["platforms"]]
    assert tests == ["passed", "passed"]
    for image in ("app", "worker"):
        assert registry.exists(f"{repository}/{image}", "latest")
        assert hand_over_tags(registry, f"{repository}/{image}") == []


def test_a_job_that_failed_goes_on_with_what_it_handed_over(project, job, registry, repository):
    """A secret's value is no part of a name: what went wrong outside of the files can be mended."""
    dockerfile = (
        f"FROM {REGISTRY}/base:latest\nARG TARGETARCH\n"
        f"RUN --mount=type=secret,id=key : {repository}; [ $TARGETARCH = amd64 ] || grep -q good /run/secrets/key\n"
    )
    config = project(dockerfile=dockerfile, secrets=["id=key,env=KEY"], retry={"attempts": 1})
    failed = job("first", config, "build", "--hand-over", env={"KEY": "bad"})
    assert failed.code == 4, failed.stderr
    (tag,) = hand_over_tags(registry, repository)
    assert tag.endswith("linux-amd64")
    missing = job("early", config, "merge", "--handed-over")
    assert (missing.code, "linux/arm64: looked for" in missing.stderr) == (7, True)
    again = job("again", config, "build", "--hand-over", "--resume", env={"KEY": "good"})
    assert again.code == 0, again.stderr
    assert [row["status"] for row in again.json["platforms"]] == ["reused", "succeeded"]
    merged = job("merge", config, "merge", "--handed-over")
    assert merged.code == 0, merged.stderr
    assert len(registry.images(repository, "latest")) == 2


KILLS = {
    "build": ("inputs.held", "test.ended", "content.ended", "child.handed_over", "attempt.started"),
    "merge": ("platform.inputs", "index.composed", "tag.planned", "tag.ended", "content.ended"),
}
"""Command → events after which it is killed; `MULTIBUILD_E2E_KILLS=all` is for a change of the hand-over itself."""

POINTS = [(command, event) for command, events in KILLS.items() for event in events]
FEW = [("build", "attempt.started"), ("build", "inputs.held"), ("merge", "index.composed")]
CHOSEN = POINTS if os.environ.get("MULTIBUILD_E2E_KILLS") == "all" else FEW


@pytest.mark.parametrize(("command", "event"), CHOSEN)
def test_a_job_that_is_killed_is_run_again_by_itself(
    project, job, tmp_path, registry, repository, command, event
):
    """With a state directory that is empty again; the index is that of a pipeline without a kill."""
    config = project(platforms=THREE[:2], test={"run": ["true"]}, **SAME_BYTES)
    jobs: list[tuple[str, ...]] = [("build", "--platform", platform, "--hand-over") for platform in THREE[:2]]
    jobs.append(("merge", "--handed-over"))
    for number, arguments in enumerate(jobs):
        if arguments[0] == command and number != 0:
            killed = job(f"killed-{number}", config, *arguments, kill_after=event)
            assert killed.code in {-signal.SIGKILL, 0}, killed.stderr  # 0: it ended meanwhile
        done = job(f"job-{number}", config, *arguments)
        assert done.code == 0, done.stderr
    one = job("one", config, "all", "--tag", "one")
    assert registry.get(repository, "latest") == registry.get(repository, "one")
    assert one.code == 0, one.stderr
    assert hand_over_tags(registry, repository) == []
