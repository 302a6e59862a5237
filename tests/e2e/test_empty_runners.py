"""Two pipelines on runners that start empty: the registry alone tells each job what the others built."""

import signal

import pytest
from e2e.ci_jobs import run_job, without_docker
from e2e.conftest import REGISTRY
from fakes.faulty_proxy import FaultyProxy

TWO = ["linux/amd64", "linux/arm64"]
MAX_REQUESTS = 12


@pytest.fixture
def proxy():
    with FaultyProxy(int(REGISTRY.rpartition(":")[2])) as proxy:
        yield proxy


def statuses(done):
    return {row["platform"]: row["status"] for row in done.json["platforms"]}


def test_jobs_hand_over_and_the_next_pipeline_builds_what_changed_alone(
    project, repository, registry, proxy, tmp_path
):
    def write(*platforms):
        dockerfile = f"FROM {proxy.host}/base:latest\nARG A\nRUN echo {repository} $A > /a\n"
        image = f"{proxy.host}/{repository}"
        path = project(dockerfile=dockerfile, image=image, platforms=platforms, remember=True)
        (path.parent / ".dockerignore").write_text("multibuild.yaml\n")
        return path

    def job(name, *arguments, **more):
        return run_job(tmp_path / name, config, *arguments, **more)

    config = write(*TWO)
    native = job("native", "build", "--platform", TWO[0], "--hand-over")
    assert native.code == 0, native.stderr
    emulated = ("build", "--platform", TWO[1], "--hand-over")
    killed = job("killed", *emulated, kill_after="attempt.started")
    assert killed.code in {-signal.SIGKILL, 0}, killed.stderr
    again = job("again", *emulated)
    assert again.code == 0, again.stderr
    assert not registry.exists(repository, "latest")
    merged = job("merge", "merge", "--handed-over")
    assert merged.code == 0, merged.stderr
    index = registry.get(repository, "latest")
    assert list(registry.images(repository, "latest")) == TWO

    env, called = without_docker(tmp_path / "bin")
    planned = job("plan", "plan", "--if-changed", env=env)
    assert (planned.code, planned.json["platforms"]) == (0, [])
    proxy.log.clear()
    unchanged = job("unchanged", "all", "--if-changed", env=env)
    assert unchanged.code == 0, unchanged.stderr
    assert statuses(unchanged) == dict.fromkeys(TWO, "reused")
    print(f"{len(proxy.log)} requests")
    assert 0 < len(proxy.log) <= MAX_REQUESTS, proxy.log
    assert not called.exists(), called.read_text()
    assert registry.get(repository, "latest") == index

    config = write(TWO[0], {"name": TWO[1], "args": {"A": "1"}})
    changed = job("changed", "all", "--if-changed")
    assert changed.code == 0, changed.stderr
    assert statuses(changed) == {TWO[0]: "reused", TWO[1]: "succeeded"}
    now = registry.get(repository, "latest")["manifests"]
    # The platform's own entry, and that of its attestation.
    assert [old == new for old, new in zip(index["manifests"], now, strict=True)] == [
        True,
        False,
        True,
        False,
    ]
