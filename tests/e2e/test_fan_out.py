"""A run spread over several machines: each with a state directory of its own, one engine standing in for all."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from e2e.conftest import REGISTRY, ROOT, multibuild
from waiting import PATIENCE_S

pytestmark = pytest.mark.one_driver(
    driver="docker-container", reason="what is tested happens in the registry, after the builds"
)

THREE = ("linux/amd64", "linux/arm64", "linux/s390x")
SAME_BYTES = {"reproducible": True, "attestations": {"provenance": False}}


@pytest.fixture
def spread(project, state, tmp_path):
    """Build each platform as its own CI job does; return the config and the state directories."""

    def build(platforms=THREE, **more):
        config = project(platforms=THREE, **{**SAME_BYTES, **more})
        folders = []
        for platform in platforms:
            folder = tmp_path / f"job-{platform.replace('/', '-')}"
            done = multibuild("build", "-f", config, "--state-dir", folder, "--platform", platform)
            assert done.code == 0, done.stderr
            folders.append(folder)
        return config, folders

    return build


def test_three_machines_give_the_index_of_one(spread, state, tmp_path, registry, repository):
    config, folders = spread()
    # As artifacts of CI jobs they come in one folder, without links.
    artifacts = tmp_path / "artifacts"
    for folder in folders:
        shutil.copytree(folder, artifacts / folder.name, ignore=shutil.ignore_patterns("latest", "lock"))
    imported = multibuild("import", artifacts, "-f", config, "--state-dir", state, "--json")
    assert imported.code == 0, imported.stderr
    assert imported.json["platforms"] == sorted(THREE)
    assert imported.json["missing"] == []
    merged = multibuild("merge", "-f", config, "--state-dir", state, "--json")
    assert merged.code == 0, merged.stderr
    one = multibuild("all", "-f", config, "--state-dir", tmp_path / "one", "--tag", "one", "--json")
    assert one.code == 0, one.stderr
    assert merged.json["index"]["digest"] == one.json["index"]["digest"]
    assert set(registry.images(repository, "latest")) == set(THREE)
    report = multibuild("report", imported.json["run"], "-f", config, "--state-dir", state, "--json")
    assert [len(row["attempts"]) for row in report.json["platforms"]] == [1, 1, 1]
    logs = sorted(path.name for path in (state / "runs" / imported.json["run"] / "logs").iterdir())
    assert logs == ["linux-amd64.1.log", "linux-arm64.1.log", "linux-s390x.1.log"]


def test_runs_that_do_not_match_are_refused(spread, state, registry, repository):
    config, folders = spread(THREE[:2])
    partial = multibuild("import", *folders, "-f", config, "--state-dir", state, "--json")
    assert (partial.code, partial.json["missing"]) == (0, ["linux/s390x"])
    merge = multibuild("merge", "-f", config, "--state-dir", state)
    assert (merge.code, "linux/s390x" in merge.stderr) == (7, True)

    other = multibuild("import", folders[0], "-f", config, "--state-dir", state, "--set", "labels.a=b")
    assert (other.code, "another config" in other.stderr) == (2, True)

    nothing = multibuild("import", folders[0] / "runs", "--state-dir", state, "-f", config)
    assert nothing.code == 0, nothing.stderr
    empty = multibuild("import", config.parent, "--state-dir", state, "-f", config)
    assert (empty.code, "holds no run" in empty.stderr) == (2, True)

    (run,) = (folders[0] / "runs").iterdir()
    events = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    (digest,) = [e["fields"]["digest"] for e in events if e["name"] == "platform.ended"]
    registry.delete(repository, digest)
    result = multibuild("import", *folders, "-f", config, "--state-dir", state)
    assert (result.code, digest in result.stderr) == (7, True)


def test_the_makefile_in_a_github_job(project, tmp_path, registry, repository):
    """The unchanged template, in the environment of a GitHub runner."""
    config = project(platforms=THREE)
    output, summary = tmp_path / "output", tmp_path / "summary"
    environment = {
        "MULTIBUILD": f"{sys.executable} -m multibuild",
        "CONFIG": config,
        "STATE": tmp_path / "jobs",
    }
    done = subprocess.run(
        ["make", "-f", str(ROOT / "examples" / "ci" / "Makefile"), "-j3", "release"]
        + [f"{name}={value}" for name, value in environment.items()],
        cwd=ROOT,
        env={
            **os.environ,
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(registry.images(repository, "latest")) == set(THREE)
    digests = [line for line in output.read_text().splitlines() if line.startswith("digest=")]
    assert digests[:-1] == ["digest="] * 3  # the builds make no index
    index_digest = digests[-1].removeprefix("digest=")
    assert registry.get(repository, index_digest) == registry.get(repository, "latest")
    assert summary.read_text().count("\n## ") + 1 == 4
    assert "::error" not in done.stderr


TARGETS = f"""FROM {REGISTRY}/base:latest AS app
ARG TARGETARCH
RUN echo $TARGETARCH > /arch
FROM app AS worker
RUN echo worker >> /arch
"""


@pytest.mark.one_driver(driver="docker-container", reason="jobs differ in what they build, not in how")
def test_two_jobs_of_two_images_give_the_indexes_of_one_machine(
    tmp_path, state, registry, repository, builder
):
    """The jobs of `matrix --by platform`, each with the command line of its row."""
    config = tmp_path / "project" / "multibuild.yaml"
    config.parent.mkdir()
    (config.parent / "Dockerfile").write_text(TARGETS)
    (config.parent / ".dockerignore").write_text("*\n")
    document = {
        "version": 1,
        "image": f"{REGISTRY}/{repository}/{{name}}",
        "platforms": THREE[:2],
        "builder": builder,
        "images": {"app": {"target": "app"}, "worker": {"target": "worker"}},
        **SAME_BYTES,
    }
    config.write_text(json.dumps(document))
    rows = multibuild("matrix", "--by", "platform", "-f", config, "--json").json
    folders = [tmp_path / "jobs" / row["slug"] for row in rows]
    for row, folder in zip(rows, folders, strict=True):
        words = (*row["images"].split(), "--platform", row["platform"], "--state-dir", folder)
        done = multibuild("build", "-f", config, *words)
        assert done.code == 0, done.stderr
    first = multibuild("import", folders[0], "-f", config, "--state-dir", state, "--json")
    assert [image["missing"] for image in first.json["images"]] == [["linux/arm64"]] * 2
    imported = multibuild("import", tmp_path / "jobs", "-f", config, "--state-dir", state, "--json")
    assert imported.code == 0, imported.stderr
    both = sorted(THREE[:2])
    assert imported.json["images"] == [
        {"name": name, "platforms": both, "missing": []} for name in ("app", "worker")
    ]
    merged = multibuild("merge", "-f", config, "--state-dir", state, "--json")
    assert merged.code == 0, merged.stderr
    one = multibuild("all", "-f", config, "--state-dir", tmp_path / "one", "--tag", "one", "--json")
    assert one.code == 0, one.stderr
    digests = [[image["index"]["digest"] for image in run.json["images"]] for run in (merged, one)]
    assert digests[0] == digests[1]
    assert all(
        set(registry.images(f"{repository}/{name}", "latest")) == set(both) for name in ("app", "worker")
    )
