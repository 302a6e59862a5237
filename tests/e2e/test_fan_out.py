"""A run spread over several machines: each with a state directory of its own, one engine standing in for all."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from e2e.conftest import ROOT, multibuild

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
        timeout=240,
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
