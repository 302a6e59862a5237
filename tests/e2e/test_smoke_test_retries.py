"""Smoke tests that cannot run: retried, and reported as their failure class when that does not help."""

import os
import signal
import time
from pathlib import Path

import pytest
from e2e.conftest import REGISTRY, finish, multibuild, start
from fakes.faulty_proxy import FaultyProxy
from waiting import PATIENCE_S

RETRY = {"initial": "0.1s", "max": "0.2s"}


@pytest.fixture
def proxy():
    with FaultyProxy(int(REGISTRY.rpartition(":")[2])) as proxy:
        yield proxy


@pytest.mark.one_driver(driver="docker", reason="what is tested happens after the builds")
def test_an_unreadable_child_is_not_a_failed_test(project, state, proxy, registry, repository):
    """BuildKit asks with HEAD, multibuild itself reads children with GET."""
    config = project(image=f"{proxy.host}/{repository}", test={"run": ["/bin/busybox", "true"]}, retry=RETRY)
    assert multibuild("build", "-f", config, "--state-dir", state).code == 0
    rule = proxy.rule("HEAD", "/manifests/sha256:", 503)
    done = multibuild("merge", "-f", config, "--state-dir", state)
    assert done.code == 3, done.stderr
    assert "the test could not be run on linux/amd64, linux/arm64 (registry-unavailable)" in done.stderr
    assert "no tag was moved" in done.stderr
    assert "hint:" in done.stderr
    report = multibuild("report", "-f", config, "--state-dir", state, "--json").json
    assert [(row["test"]["status"], row["test"]["class"]) for row in report["platforms"]] == [
        ("failed", "registry-unavailable")
    ] * 2
    assert not registry.exists(repository, "latest")
    rule.cancelled.set()
    again = multibuild("merge", "-f", config, "--state-dir", state)
    assert again.code == 0, again.stderr
    assert list(registry.images(repository, "latest")) == ["linux/amd64", "linux/arm64"]


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens after the builds")
def test_a_registry_that_comes_back_costs_another_attempt(project, state, proxy, repository):
    config = project(
        image=f"{proxy.host}/{repository}",
        platforms=["linux/arm64"],
        test={"run": ["/bin/busybox", "true"]},
        retry={"attempts": 20, **RETRY},
    )
    assert multibuild("build", "-f", config, "--state-dir", state).code == 0
    rule = proxy.rule("HEAD", "/manifests/sha256:", 503)
    running = start("test", "-f", config, "--state-dir", state, "--json")
    wait_for(lambda: "test.waiting" in (state / "latest" / "journal.jsonl").read_text())
    rule.cancelled.set()
    done = finish(running)
    assert done.code == 0, done.stderr
    assert [row["status"] for row in done.json["platforms"]] == ["passed"]
    assert "registry-unavailable, trying again" in done.stderr


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens after the builds")
def test_a_test_that_never_began_is_not_a_timeout(project, state, proxy, repository):
    config = project(
        image=f"{proxy.host}/{repository}",
        platforms=["linux/arm64"],
        test={"run": ["/bin/busybox", "true"], "timeout": "3s"},
        retry=RETRY,
    )
    assert multibuild("build", "-f", config, "--state-dir", state).code == 0
    rule = proxy.rule("HEAD", "/manifests/sha256:", "hang")
    done = multibuild("test", "-f", config, "--state-dir", state)
    rule.cancelled.set()
    assert done.code == 3, done.stderr
    assert "linux/arm64 (timeout)" in done.stderr
    assert "test.timeout" in done.stderr


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def client_of(pid):
    """Return the buildx process that runs a test for the process `pid`."""
    for process in Path("/proc").iterdir():
        try:
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            if parent == str(pid) and "multibuild-test-" in str((process / "cwd").readlink()):
                return int(process.name)
        except (OSError, IndexError):
            continue
    return None


@pytest.mark.one_driver(driver="docker", reason="what is tested happens in our own process")
def test_a_client_that_is_killed_is_started_again(project, state):
    config = project(
        platforms=["linux/arm64"], test={"run": ["/bin/busybox", "sleep", "10"]}, retry={"initial": "0.1s"}
    )
    assert multibuild("build", "-f", config, "--state-dir", state).code == 0
    running = start("test", "-f", config, "--state-dir", state, "--json")
    log = state / "latest" / "logs" / "linux-arm64.test.log"
    wait_for(lambda: log.exists() and "] RUN" in log.read_text())
    os.killpg(wait_for(lambda: client_of(running.pid)), signal.SIGKILL)
    done = finish(running)
    assert done.code == 0, done.stderr
    assert "test not run: killed, trying again" in done.stderr
    assert "=== attempt 2" in log.read_text()
    assert [row["status"] for row in done.json["platforms"]] == ["passed"]
