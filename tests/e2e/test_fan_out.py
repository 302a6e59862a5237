"""A run spread over several machines: each with a state directory of its own, one engine standing in for all."""

import json
import shutil

import pytest
from e2e.conftest import multibuild

THREE = ("linux/amd64", "linux/arm64", "linux/s390x")
SAME_BYTES = {"reproducible": True, "attestations": {"provenance": False}}


@pytest.fixture
def spread(project, state, tmp_path):
    """Build each platform as its own CI job does; gives the config and the state directories."""

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
    taken = multibuild("import", artifacts, "-f", config, "--state-dir", state, "--json")
    assert taken.code == 0, taken.stderr
    assert taken.json["platforms"] == sorted(THREE)
    assert taken.json["missing"] == []
    merged = multibuild("merge", "-f", config, "--state-dir", state, "--json")
    assert merged.code == 0, merged.stderr
    one = multibuild("all", "-f", config, "--state-dir", tmp_path / "one", "--tag", "one", "--json")
    assert one.code == 0, one.stderr
    assert merged.json["index"]["digest"] == one.json["index"]["digest"]
    assert set(registry.images(repository, "latest")) == set(THREE)
    told = multibuild("report", taken.json["run"], "-f", config, "--state-dir", state, "--json")
    assert [len(row["attempts"]) for row in told.json["platforms"]] == [1, 1, 1]
    logs = sorted(path.name for path in (state / "runs" / taken.json["run"] / "logs").iterdir())
    assert logs == ["linux-amd64.1.log", "linux-arm64.1.log", "linux-s390x.1.log"]


def test_what_does_not_belong_together_is_refused(spread, state, registry, repository):
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
    gone = multibuild("import", *folders, "-f", config, "--state-dir", state)
    assert (gone.code, digest in gone.stderr) == (7, True)
