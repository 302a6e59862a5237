"""Faults by real means: a proxy that fails, signals, a builder that goes away. Finished platforms stay finished."""

import asyncio
import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from e2e.conftest import REGISTRY, ROOT, TWELVE, docker, finish, free_port, multibuild, start
from e2e.pushing import copy_image
from fakes.faulty_proxy import FaultyProxy
from waiting import PATIENCE_S

from builders.lab.paths import lab as lab_of
from multibuild.buildx.process import ProcessLimits, run_process
from multibuild.qemu.activity import EmulatorActivity

REGISTRY_PORT = int(REGISTRY.rpartition(":")[2])


@pytest.fixture
def proxy():
    with FaultyProxy(REGISTRY_PORT) as proxy:
        yield proxy


def attempts(done):
    return {row["platform"]: [a["outcome"] for a in row["attempts"]] for row in done.json["platforms"]}


def lift_after_first_attempt(rule, state, platform):
    """Lift a fault once the journal has the platform's first failure."""

    def watch():
        journal = state / "latest" / "journal.jsonl"
        while not rule.cancelled.is_set():
            lines = journal.read_text().splitlines() if journal.exists() else []
            if any('"attempt.ended"' in line and f'"{platform}"' in line for line in lines):
                rule.cancelled.set()
            time.sleep(0.02)

    threading.Thread(target=watch, daemon=True).start()


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens in our own process")
def test_only_the_failed_one_of_twelve_platforms_is_retried(project, state, proxy, registry, repository):
    config = project(
        platforms=TWELVE,
        image=f"{proxy.host}/{repository}",
        run=f"echo {time.time_ns()}",
        retry={"initial": "0.2s"},
        publish={"staging": "tag"},
    )
    rule = proxy.rule("PUT", "/manifests/multibuild-linux-riscv64", 503)
    lift_after_first_attempt(rule, state, "linux/riscv64")
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 0, done.stderr
    outcomes = attempts(done)
    assert outcomes.pop("linux/riscv64") == ["failed", "ok"]
    assert all(outcome == ["ok"] for outcome in outcomes.values())
    assert tuple(registry.images(repository, "latest")) == TWELVE


PUSH_FAULTS = {
    "linux/arm64": (502, {}, "registry-unavailable"),
    "linux/arm/v7": (503, {"Retry-After": "1"}, "registry-unavailable"),
    "linux/arm/v6": (400, {}, "lost-blob"),
    "linux/386": (429, {"Retry-After": "1"}, "rate-limited"),
    "linux/mips64le": (429, {}, "rate-limited"),
    "linux/mipsle": ("reset", {}, "network"),
    "linux/ppc64le": (401, {}, "unauthorized"),
    "linux/s390x": ("hang", {}, "timeout"),
}


def test_a_fault_while_pushing_costs_one_platform_a_retry(project, state, proxy, registry, repository):
    """Every platform but the first meets another fault until its first attempt failed; a hang is ended by `timeout`."""
    platforms = ["linux/amd64", *PUSH_FAULTS]
    config = project(
        image=f"{proxy.host}/{repository}",
        platforms=[*platforms[:-1], {"name": "linux/s390x", "timeout": "20s"}],
        run=f"echo {time.time_ns()}",
        retry={"initial": "0.1s", "max": "0.2s"},
        publish={"staging": "tag"},
    )
    for platform, (action, headers, _) in PUSH_FAULTS.items():
        manifest = f"/manifests/multibuild-{platform.replace('/', '-')}$"
        rule = proxy.rule("PUT", manifest, action, headers=headers)
        lift_after_first_attempt(rule, state, platform)
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 0, done.stderr
    classes = {row["platform"]: [a["class"] for a in row["attempts"]] for row in done.json["platforms"]}
    assert classes.pop("linux/amd64") == [None]
    assert classes == {platform: [name, None] for platform, (_, _, name) in PUSH_FAULTS.items()}
    assert list(registry.images(repository, "latest")) == platforms


def test_short_faults_in_blobs_cost_no_attempt(project, state, proxy, registry, repository):
    """BuildKit's own retries handle these: a reset in mid-blob, a slow upload, an error."""
    run = f"echo {time.time_ns()}; head -c 100000 /dev/urandom > /x"
    config = project(image=f"{proxy.host}/{repository}", run=run)
    rules = [proxy.rule("PUT", "/blobs/uploads/", action, times=1) for action in ("reset", "drip", 503)]
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 0, done.stderr
    assert [rule.hits for rule in rules] == [1, 1, 1]
    assert attempts(done) == {"linux/amd64": ["ok"], "linux/arm64": ["ok"]}
    assert list(registry.images(repository, "latest")) == ["linux/amd64", "linux/arm64"]


def test_blobs_that_are_cut_repeatedly_cost_a_retry(project, state, proxy, registry, repository):
    """Until BuildKit has given up on the first platform; the second finds the network repaired."""
    run = f"echo {time.time_ns()}; head -c 100000 /dev/urandom > /x"
    config = project(image=f"{proxy.host}/{repository}", run=run, jobs=1, retry={"initial": "0.1s"})
    lift_after_first_attempt(proxy.rule("PUT", "/blobs/uploads/", "reset"), state, "linux/amd64")
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 0, done.stderr
    assert attempts(done) == {"linux/amd64": ["failed", "ok"], "linux/arm64": ["ok"]}
    assert done.json["platforms"][0]["attempts"][0]["class"] == "network"
    assert list(registry.images(repository, "latest")) == ["linux/amd64", "linux/arm64"]


def test_tokens_that_expire_in_mid_run(project, state, proxy, registry, repository):
    """What a build of hours meets: the token it began with is refused when it pushes, and again when tags move."""
    proxy.requires_tokens = True
    config = project(
        image=f"{proxy.host}/{repository}",
        run=f"echo {time.time_ns()}",
        tags=["one", "two"],
        retry={"initial": "0.1s"},
        publish={"staging": "tag"},
    )
    proxy.at(1, proxy.expire_tokens, match="PUT .*/manifests/multibuild-linux-arm64", answered=True)
    proxy.at(1, proxy.expire_tokens, match="HEAD .*/manifests/one")
    proxy.at(1, proxy.expire_tokens, match="PUT .*/manifests/one", answered=True)
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 0, done.stderr
    assert proxy.token_count >= 4
    assert all(outcomes[-1] == "ok" for outcomes in attempts(done).values())
    assert list(registry.images(repository, "two")) == ["linux/amd64", "linux/arm64"]


@pytest.mark.one_driver(driver="docker", reason="what is tested happens in the registry, after the builds")
def test_a_tag_that_cannot_be_moved_rolls_the_others_back(project, state, proxy, registry, repository):
    image, tags = f"{proxy.host}/{repository}", ["one", "two", "three"]
    config = project(image=image, tags=tags, run="echo first > /x")
    assert multibuild("all", "-f", config, "--state-dir", state).code == 0
    before = {tag: registry.get(repository, tag) for tag in tags}
    config = project(image=image, tags=tags, run="echo second > /x")
    proxy.rule("PUT", "/manifests/three", 403)
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 7
    assert {tag: registry.get(repository, tag) for tag in tags} == before
    assert [row["status"] for row in done.json["published"]] == ["put-back", "put-back", "failed"]


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens in the state directory")
def test_a_finished_platform_is_not_built_again(project, state, registry, repository):
    """A compile error on one of four: the next --resume builds that one alone."""
    run = 'if [ "$(uname -m)" = riscv64 ]; then echo "main.c:1: error: x"; exit 1; fi; echo ok > /x'
    config = project(platforms=(*TWELVE[:3], "linux/riscv64"), run=run)
    first = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert first.code == 4
    assert [len(row["attempts"]) for row in first.json["platforms"]] == [1] * 4
    again = multibuild("all", "--resume", "-f", config, "--state-dir", state, "--json")
    assert again.code == 4
    built = [row["platform"] for row in again.json["platforms"] if row["attempts"]]
    assert built == ["linux/riscv64"]
    assert sum(row["status"] == "reused" for row in again.json["platforms"]) == 3
    assert not registry.exists(repository, "latest")


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens in the state directory")
def test_a_child_whose_inputs_changed_is_built_again(project, state, registry, repository):
    base = f"{repository}-base"
    copy_image("base", base, "1")
    dockerfile = f"FROM {REGISTRY}/{base}:1\nARG WHAT=1\nCOPY . /src\nRUN echo $WHAT; test ! -e /src/fail\n"
    config = project(dockerfile=dockerfile, platforms=["linux/amd64"], test={"run": ["false"]})
    folder = config.parent
    (folder / "ignored").write_text("1")
    (folder / ".dockerignore").write_text("ignored\n")

    def resume():
        done = multibuild("all", "--resume", "-f", config, "--state-dir", state, "--json")
        assert done.code == 5, done.stderr
        return done.json["platforms"][0]

    first = resume()
    assert first["status"] == "succeeded"
    (folder / "ignored").write_text("2")
    assert resume()["status"] == "reused"
    registry.delete(repository, first["digest"])
    changes = {
        "gone": lambda: None,
        "context": lambda: (folder / "new").write_text("x"),
        "dockerfile": lambda: (folder / "Dockerfile").write_text(dockerfile + "RUN true\n"),
        "args": lambda: config.write_text(
            json.dumps({**json.loads(config.read_text()), "args": {"WHAT": "2"}})
        ),
        "ignore file": lambda: (folder / ".dockerignore").write_text(""),
        "base": lambda: copy_image(
            "base", base, "1", registry.images("base", "latest")["linux/amd64"]["digest"]
        ),
    }
    for change, make in changes.items():
        make()
        assert resume()["status"] == "succeeded", change
    assert resume()["status"] == "reused"


def test_a_stalled_build_is_ended_and_the_others_succeed(project, state, registry, repository):
    run = f'echo {time.time_ns()}; if [ "$(uname -m)" = riscv64 ]; then sleep 1000; fi'
    config = project(
        run=run,
        platforms=["linux/amd64", {"name": "linux/riscv64", "required": False}],
        stall_timeout="5s",
        retry={"attempts": 1},
    )
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 0, done.stderr
    assert attempts(done) == {"linux/amd64": ["ok"], "linux/riscv64": ["stalled"]}
    assert done.json["platforms"][1]["attempts"][0]["seconds"] < 500
    assert list(registry.images(repository, "latest")) == ["linux/amd64"]


COMPUTES = "end=$(($(date +%s) + 10)); while [ $(date +%s) -lt $end ]; do :; done"


@pytest.mark.alone  # whatever else computes under the same emulator counts as a sign of life
@pytest.mark.parametrize(("command", "ending"), [(COMPUTES, "exited"), ("sleep 60", "stalled")])
def test_a_silent_build_that_computes_is_left_alone(tmp_path, command, ending):
    """What `stall_timeout: auto` does, with its patience shorten: only idle emulators count as a stall."""
    (tmp_path / "Dockerfile").write_text(
        f"FROM {REGISTRY}/base:latest\nRUN echo {time.time_ns()}; {command}\n"
    )
    argv = (
        "docker", "buildx", "build", "--progress", "rawjson", "--platform", "linux/riscv64", "--output",
        "type=cacheonly", ".",
    )  # fmt: skip
    activity = EmulatorActivity("riscv64")
    limits = ProcessLimits(timeout=120, stall=6.0, is_busy=activity.is_busy)
    ended = asyncio.run(run_process(argv, cwd=tmp_path, on_line=lambda line: None, limits=limits))
    assert ended.end_reason == ending
    assert ended.seconds > 6


CRASHES = {
    "linux/arm64": ("SEGV", "qemu-crash", 3),
    "linux/arm/v7": ("ABRT", "qemu-crash", 3),
    "linux/mips64le": ("ILL", "qemu-illegal-instruction", 1),
    "linux/ppc64le": ("TRAP", "qemu-crash", 3),
    "linux/s390x": ("BUS", "qemu-crash", 3),
    "linux/riscv64": ("FPE", "qemu-crash", 3),
    "linux/loong64": ("KILL", "out-of-memory", 2),
}


def test_crashes_under_emulation_are_retried_and_then_built_alone(project, state):
    """A crash: again, then alone, then a hint that names the emulator. Killed for memory: again, alone."""
    config = project(
        dockerfile=f"FROM {REGISTRY}/base:latest\nARG SIGNAL=0\n"
        f"RUN echo {time.time_ns()}; sh -c 'kill -$SIGNAL $$' || exit $?\n",
        platforms=["linux/amd64", *({"name": p, "args": {"SIGNAL": s}} for p, (s, _, _) in CRASHES.items())],
        retry={"initial": "0.1s"},
    )
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 4, done.stderr
    rows = {row["platform"]: row["attempts"] for row in done.json["platforms"]}
    assert [attempt["outcome"] for attempt in rows.pop("linux/amd64")] == ["ok"]
    assert {platform: [attempt["class"] for attempt in tries] for platform, tries in rows.items()} == {
        platform: [name] * tries for platform, (_, name, tries) in CRASHES.items()
    }
    for platform, (_, name, _) in CRASHES.items():
        if name.startswith("qemu"):
            assert re.search(r"\(now: \S*qemu-\S+, version \d+\.\d", rows[platform][-1]["hint"])
    everything = [(platform, attempt) for platform, tries in rows.items() for attempt in tries]
    for platform, tries in rows.items():
        for before, attempt in itertools.pairwise(tries):
            if before["then"].endswith(", alone"):
                end = attempt["began"] + attempt["seconds"]
                beside = [
                    other
                    for who, other in everything
                    if who != platform
                    and other["began"] < end
                    and attempt["began"] < other["began"] + other["seconds"]
                ]
                assert beside == []


@contextlib.contextmanager
def forwarder(port):
    process = subprocess.Popen(
        [sys.executable, "-m", "builders.lab", "forward", "/var/run/docker.sock", str(port)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.one_driver(driver="docker", reason="the builder is of driver remote")
def test_a_builder_that_comes_back_costs_a_retry(project, state, registry, repository):
    port, name = free_port(), f"multibuild-cut-{os.getpid()}"
    # The way back has to be there before the second attempt, on a busy machine too.
    config = project(run=f"echo {time.time_ns()}; sleep 4; echo ok > /x", retry={"initial": "5s"})
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(forwarder(port))
        docker("buildx", "create", "--name", name, "--driver", "remote", f"tcp://127.0.0.1:{port}")
        stack.callback(docker, "buildx", "rm", "--force", name, check=False)
        running = start("all", "-f", config, "--state-dir", state, "--builder", name, "--json")
        journal = state / "latest" / "journal.jsonl"
        while not journal.exists() or journal.read_text().count('"attempt.started"') < 2:
            assert running.poll() is None
            time.sleep(0.05)
        time.sleep(1)
        first.kill()
        first.wait()
        stack.enter_context(forwarder(port))
        done = finish(running)
    assert done.code == 0, done.stderr
    assert attempts(done) == {"linux/amd64": ["failed", "ok"], "linux/arm64": ["failed", "ok"]}
    classes = {row["attempts"][0]["class"] for row in done.json["platforms"]}
    assert classes <= {"builder-gone", "network", "connection-refused"}
    assert list(registry.images(repository, "latest")) == ["linux/amd64", "linux/arm64"]


def test_a_second_signal_ends_the_run_at_once(project, state):
    config = project(run=f"echo {time.time_ns()}; trap '' INT TERM; sleep 1000")
    running = start("all", "-f", config, "--state-dir", state)
    journal = state / "latest" / "journal.jsonl"
    while not journal.exists() or '"attempt.started"' not in journal.read_text():
        time.sleep(0.05)
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    time.sleep(0.05)
    began = time.monotonic()
    running.send_signal(signal.SIGINT)
    assert finish(running).code == 130
    assert time.monotonic() - began < 100


def test_no_build_outlives_a_killed_run(project, state):
    config = project(run=f"echo {time.time_ns()}; sleep 1000")
    running = start("all", "-f", config, "--state-dir", state)
    journal = state / "latest" / "journal.jsonl"
    while not journal.exists() or journal.read_text().count('"attempt.started"') < 2:
        time.sleep(0.05)
    time.sleep(0.5)
    running.kill()
    running.communicate()
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and builds_of(config.parent):
        time.sleep(0.1)
    assert builds_of(config.parent) == []


def builds_of(folder):
    pids = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                words = (path / "cmdline").read_bytes()
                if b"rawjson" in words and (path / "cwd").readlink() == folder:
                    pids.append(path.name)
    return pids


@pytest.mark.one_driver(driver="docker", reason="what is tested happens after the builds")
def test_an_optional_platform_that_fails_its_test_makes_the_run_partial(project, state, registry, repository):
    """The journal has it too: --resume reuses what it built, and a later failure leaves its tags unchanged."""
    optional = {"name": "linux/arm64", "required": False}
    config = project(
        platforms=["linux/amd64", optional], test={"run": ["sh", "-c", "test $(uname -m) = x86_64"]}
    )
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert (done.code, done.json["status"]) == (0, "partial")
    journal = (state / "runs" / done.json["run"] / "journal.jsonl").read_text()
    assert json.loads(journal.splitlines()[-1])["fields"]["status"] == "partial"
    assert list(registry.images(repository, "latest")) == ["linux/amd64"]
    again = multibuild("all", "--resume", "-f", config, "--state-dir", state, "--json")
    assert [row["status"] for row in again.json["platforms"]] == ["reused", "reused"]
    assert [row["before"] for row in again.json["published"]] == [done.json["index"]["digest"]]
    assert [row["status"] for row in again.json["published"]] == ["unchanged"]


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens after the builds")
def test_merge_repeats_proofs_when_the_config_changed(project, state):
    """A proof of the last run counts only for the same settings: not for another test or a stricter proof."""
    settings = {"platforms": ["linux/amd64"], "test": {"run": ["true"]}}
    config = project(**settings)
    assert multibuild("all", "-f", config, "--state-dir", state).code == 0
    same = multibuild("merge", "-f", config, "--state-dir", state, "--json")
    assert (same.code, stages(same) & {"test", "content"}) == (0, set())
    closer = project(**settings, verify={"content": "all"})
    looked = multibuild("merge", "-f", closer, "--state-dir", state, "--json")
    assert (looked.code, stages(looked) & {"test", "content"}) == (0, {"test", "content"})
    other = project(platforms=["linux/amd64"], test={"run": ["false"]}, verify={"content": "all"})
    assert multibuild("merge", "-f", other, "--state-dir", state).code == 5


def stages(done):
    return {stage["name"] for stage in done.json["stages"]}


def test_a_lost_snapshot_is_removed_from_the_cache_and_built_again(tmp_path, repository, registry):
    """A cache record without its snapshot, as BuildKit leaves it when builds are cancelled."""
    tmp_path, state = tmp_path / "project", tmp_path / "state"
    tmp_path.mkdir()
    mark = repository.replace("/", "-")
    (tmp_path / "Dockerfile").write_text(f"FROM {REGISTRY}/base:latest\nCOPY {mark} /mark\n")
    (tmp_path / mark).write_text(mark)
    config = tmp_path / "multibuild.yaml"
    config.write_text(
        f"version: 1\nimage: {REGISTRY}/{repository}\nplatforms: [linux/amd64]\nbuilder: default\n"
    )
    # Not exported, so that its snapshot is not committed yet.
    docker("buildx", "build", "--pull", "--provenance=false", "--output=type=cacheonly", tmp_path)
    described = docker("buildx", "du", "--verbose").stdout.split("\n\n")
    (record,) = re.findall(r"ID:\s+(\S+)", next(one for one in described if f"COPY {mark} " in one))
    here = lab_of()
    snapshots = [f"{here.prefix}/usr/bin/ctr", "--address", f"{here.run}/engine/containerd/containerd.sock"]
    snapshots += ["--namespace", "moby", "snapshots", "--snapshotter", "overlayfs", "rm", record]
    subprocess.run(snapshots, check=True, env=here.environment())
    done = multibuild("all", "-f", config, "--state-dir", state, "--json", "--set", "retry.initial=0.1s")
    assert done.code == 0, done.stderr
    (row,) = done.json["platforms"]
    assert [made["class"] for made in row["attempts"]] == ["lost-snapshot", None]
    assert record in done.stderr
    assert set(registry.images(repository, "latest")) == {"linux/amd64"}
