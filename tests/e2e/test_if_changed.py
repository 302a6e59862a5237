"""`--if-changed` against the real registry: at rest when nothing changed, at work when anything did."""

import json

import pytest
from e2e.conftest import REGISTRY, docker, multibuild


def runs(state, path):
    return multibuild("runs", "--json", "-f", path, "--state-dir", state).json


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens in the state directory")
def test_only_what_changed_is_built(project, repository, state, registry, tmp_path):
    dockerfile = f"FROM {REGISTRY}/base:latest\nCOPY . /src\nRUN cat /etc/os-release 2>/dev/null; true\n"
    path = project(dockerfile=dockerfile, test={"run": ["true"]})
    report = tmp_path / "report.json"
    command = ("all", "-f", path, "--state-dir", state, "--if-changed", "--progress", "plain")
    first = multibuild(*command)
    assert first.code == 0, first.stderr
    assert "no run that succeeded" in first.stderr

    # No engine is needed to see that nothing is to be done.
    env = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
    second = multibuild(*command, "--json", "--report", report, env=env)
    assert second.code == 0, second.stderr
    assert "nothing to do" in second.stderr
    assert second.json == json.loads(report.read_text())
    assert [run["run"] for run in runs(state, path)] == [second.json["run"]]
    assert second.json["status"] == "succeeded"

    (path.parent / "new.txt").write_text("new")
    third = multibuild(*command)
    assert third.code == 0, third.stderr
    assert ": context" in third.stderr
    assert len(runs(state, path)) == 2

    # Another client moves the tag.
    child = registry.images(repository, "latest")["linux/arm64"]["digest"]
    source = f"{REGISTRY}/{repository}@{child}"
    docker("buildx", "imagetools", "create", "--tag", f"{REGISTRY}/{repository}:latest", source)
    fourth = multibuild(*command)
    assert fourth.code == 0, fourth.stderr
    assert f"{repository}:latest holds" in fourth.stderr
    assert set(registry.images(repository, "latest")) == {"linux/amd64", "linux/arm64"}
    assert "nothing to do" in multibuild(*command, env=env).stderr
