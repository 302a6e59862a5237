"""A full disk and a restart of an engine in mid-run, on a second engine that no other test uses."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from e2e.conftest import ROOT, finish, multibuild, start
from e2e.test_failures import wait_for_event
from waiting import PATIENCE_S

from builders.lab.engine import Engine
from builders.lab.paths import lab as lab_of
from builders.lab.process import alive

pytestmark = pytest.mark.one_driver(driver="docker", reason="an engine of its own, without the image")

PLATFORMS = ["linux/amd64", "linux/arm64", "linux/riscv64"]


def lab(*arguments):
    subprocess.run(
        [sys.executable, "-m", "builders.lab", *arguments], cwd=ROOT, check=True, timeout=PATIENCE_S
    )


@contextlib.contextmanager
def second_engine(name, *options):
    """Start an engine of the test's own; return it and the environment that leads to it."""
    engine = Engine(lab=lab_of(), name=name)
    lab("engine", name, "up", *options)
    try:
        yield engine, {"DOCKER_HOST": f"unix://{engine.socket}"}
    finally:
        lab("engine", name, "down")
        assert not engine.exec_root.exists()
        shutil.rmtree(engine.data_root)


def own_name(letter):
    return f"{letter}{os.getpid() % 10**7}"


def attempts(done):
    return {row["platform"]: [a["class"] for a in row["attempts"]] for row in done.json["platforms"]}


@pytest.fixture(scope="module")
def small_engine():
    with second_engine(own_name("s"), "--disk", "400m") as engine:
        yield engine


def leave_free(disk, kilobytes):
    """Fill a disk except for that much; return the file to delete."""
    filler = disk / "filler"
    free = os.statvfs(disk)
    size = free.f_bavail * free.f_frsize - kilobytes * 1024
    assert size > 0, "the disk is too small already"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    return filler


def test_a_full_disk_fails_only_the_platforms_that_need_space(
    small_engine, project, state, registry, repository
):
    """arm64 has no room to export what it built, riscv64 none to build; amd64 needs none."""
    engine, environment = small_engine
    random = "dd if=/dev/urandom of=/big bs=1M"
    run = f"case $(uname -m) in aarch64) {random} count=20;; riscv64) {random} count=60;; *) echo > /small;; esac"
    config = project(run=run, platforms=PLATFORMS, jobs=1, retry={"initial": "0.1s"})
    filler = leave_free(engine.data_root, 35 * 1024)
    done = multibuild("all", "-f", config, "--state-dir", state, "--json", env=environment)
    assert done.code == 4, done.stderr
    assert attempts(done) == {
        "linux/amd64": [None],
        "linux/arm64": ["no-space"],
        "linux/riscv64": ["no-space"],
    }
    rows = {row["platform"]: row for row in done.json["platforms"]}
    assert rows["linux/amd64"]["status"] == "succeeded"
    for platform in PLATFORMS[1:]:
        (attempt,) = rows[platform]["attempts"]
        assert "o space left on device" in attempt["evidence"]
        assert "docker buildx prune" in attempt["hint"]
    assert not registry.exists(repository, "latest")

    filler.unlink()
    again = multibuild("all", "--resume", "-f", config, "--state-dir", state, "--json", env=environment)
    assert again.code == 0, again.stderr
    assert attempts(again) == {"linux/amd64": [], "linux/arm64": [None], "linux/riscv64": [None]}
    assert list(registry.images(repository, "latest")) == PLATFORMS


def test_a_full_disk_of_the_state_ends_the_run_with_a_hint(project, tmp_path, registry, repository):
    """What cannot be journaled is not done: no tag moves, and the next run with space continues."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "none", disk], check=True)
    try:
        config = project(run=f"echo {time.time_ns()}; yes filling the log | head -c 150000")
        filler = leave_free(disk, 100)
        done = multibuild("all", "-f", config, "--state-dir", disk / "state")
        assert done.code in {3, 4}, done.stderr  # the journal, or a log, whichever met the end of the disk
        assert "o space left on device" in done.stderr
        assert "free disk space where the state is" in done.stderr
        assert not registry.exists(repository, "latest")
        filler.unlink()
        again = multibuild("all", "--resume", "-f", config, "--state-dir", disk / "state", "--json")
        assert again.code == 0, again.stderr
    finally:
        subprocess.run(["umount", disk], check=True)
    assert list(registry.images(repository, "latest")) == ["linux/amd64", "linux/arm64"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_engine_that_restarts_costs_a_retry(project, state, registry, repository, number):
    config = project(
        run=f"echo {time.time_ns()}; sleep 5; echo ok > /x", platforms=PLATFORMS[:2], retry={"initial": "3s"}
    )
    with second_engine(own_name("r")) as (engine, environment):
        running = start("all", "-f", config, "--state-dir", state, "--json", env=environment)
        for platform in PLATFORMS[:2]:
            wait_for_event(state, "attempt.started", platform)
        logs = state / "latest" / "logs"
        deadline = time.monotonic() + PATIENCE_S
        while not all("] RUN" in path.read_text() for path in logs.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
        pid = alive(engine.record)
        assert pid is not None
        os.kill(pid, number)
        while Path(f"/proc/{pid}").exists() and alive(engine.record) is not None:
            time.sleep(0.05)
        lab("engine", engine.name, "up")
        done = finish(running)
    assert done.code == 0, done.stderr
    outcomes = attempts(done)
    assert set(outcomes) == set(PLATFORMS[:2])
    assert all(classes[-1] is None and len(classes) in {2, 3} for classes in outcomes.values()), outcomes
    assert {classes[0] for classes in outcomes.values()} <= {"builder-gone", "network", "connection-refused"}
    assert list(registry.images(repository, "latest")) == PLATFORMS[:2]
    assert json.loads((state / "latest" / "report.json").read_text())["status"] == "succeeded"
