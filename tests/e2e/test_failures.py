"""Failures of real life: killed builds, signals, and everything that can be missing."""

import base64
import json
import os
import re
import shutil
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from e2e.conftest import REGISTRY, ROOT, finish, multibuild, start
from fakes.faulty_proxy import FaultyProxy
from waiting import PATIENCE_S, ends

SLOW = "i=0; while [ $i -lt 40 ]; do sleep 0.1; i=$((i+1)); done; uname -m > /machine"


def build_process(platform, folder):
    """Find the buildx process that builds `platform` from the project in `folder`."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                try:
                    words = (process / "cmdline").read_bytes().split(b"\0")
                    if (process / "cwd").readlink() != folder:
                        continue
                except OSError:
                    continue
                if b"rawjson" in words and platform.encode() in words and b"--metadata-file" in words:
                    return int(process.name)
        time.sleep(0.05)
    raise AssertionError(f"no build of {platform} was seen")


def wait_for_event(state, name, platform):
    journal = state / "latest" / "journal.jsonl"
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        lines = journal.read_text().splitlines() if journal.exists() else []
        if any(f'"{name}"' in line and f'"{platform}"' in line for line in lines):
            return
        time.sleep(0.05)
    raise AssertionError(f"no {name} of {platform}")


def test_a_killed_build_is_retried_and_the_others_continue(project, state, registry, repository):
    platforms = ["linux/amd64", "linux/arm64", "linux/riscv64"]
    config = project(run=f"echo {time.time_ns()}; {SLOW}", platforms=platforms, retry={"initial": "0.2s"})
    running = start("all", "-f", config, "--state-dir", state, "--json")
    wait_for_event(state, "attempt.started", "linux/arm64")
    victim = build_process("linux/arm64", config.parent)
    time.sleep(1.0)
    assert os.getpgid(victim) == victim  # a group of its own
    os.killpg(victim, signal.SIGKILL)
    done = finish(running)
    assert done.code == 0, done.stderr
    tries = {row["platform"]: [a["outcome"] for a in row["attempts"]] for row in done.json["platforms"]}
    assert tries == {"linux/amd64": ["ok"], "linux/arm64": ["failed", "ok"], "linux/riscv64": ["ok"]}
    failed = done.json["platforms"][1]["attempts"][0]
    assert (failed["class"], failed["retry"]) == ("killed", "transient")
    assert list(registry.images(repository, "latest")) == platforms


def test_one_failing_platform_leaves_the_others_alone(project, state, registry, repository):
    run = 'if [ "$(uname -m)" = riscv64 ]; then echo "cc: error: connection reset"; exit 3; fi'
    config = project(run=run, platforms=["linux/amd64", "linux/arm64", "linux/riscv64"])
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 4
    rows = {row["platform"]: row for row in done.json["platforms"]}
    assert [rows[p]["status"] for p in rows] == ["succeeded", "succeeded", "failed"]
    (attempt,) = rows["linux/riscv64"]["attempts"]
    assert (attempt["class"], attempt["retry"]) == ("step-failed", "permanent")
    assert "connection reset" in attempt["evidence"]
    assert "linux/riscv64" in done.stderr
    assert not registry.exists(repository, "latest")


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens in our own process")
def test_an_optional_platform_may_fail(project, state, registry, repository):
    config = project(
        run='[ "$(uname -m)" != riscv64 ]',
        platforms=["linux/amd64", {"name": "linux/riscv64", "required": False}],
    )
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 0, done.stderr
    assert done.json["status"] == "partial"
    assert list(registry.images(repository, "latest")) == ["linux/amd64"]


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens after the builds")
def test_a_failing_test_moves_no_tag(project, state, registry, repository):
    config = project(test={"run": ["grep", "-q", "x86_64", "/machine"]})
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 5
    assert {row["platform"]: row["test"]["status"] for row in done.json["platforms"]} == {
        "linux/amd64": "passed",
        "linux/arm64": "failed",
    }
    assert not registry.exists(repository, "latest")


@pytest.mark.one_driver(driver="docker", reason="what is tested happens after the builds")
def test_a_foreign_binary_moves_no_tag(project, state, registry, repository):
    """An amd64 binary put into every image: what a careless `COPY --from` of the build platform does."""
    dockerfile = (
        f"FROM --platform=$BUILDPLATFORM {REGISTRY}/base:latest AS tools\n"
        f'FROM {REGISTRY}/base:latest\nCOPY --from=tools /bin/busybox /app\nENTRYPOINT ["/app", "true"]\n'
    )
    config = project(dockerfile=dockerfile)
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 6, done.stderr
    assert "linux/arm64" in done.stderr
    assert {row["platform"]: row["content"]["status"] for row in done.json["platforms"]} == {
        "linux/amd64": "passed",
        "linux/arm64": "failed",
    }
    assert not registry.exists(repository, "latest")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_and_its_builds(project, state, registry, repository, number):
    config = project(run=f"echo {time.time_ns()}; {SLOW}")
    running = start("all", "-f", config, "--state-dir", state, "--json")
    wait_for_event(state, "attempt.started", "linux/arm64")
    victim = build_process("linux/arm64", config.parent)
    running.send_signal(number)
    done = finish(running)
    assert done.code == 130
    assert done.json["status"] == "interrupted"
    assert json.loads((state / "latest" / "report.json").read_text())["status"] == "interrupted"
    assert ends(victim)
    assert not registry.exists(repository, "latest")


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens in our own process")
@pytest.mark.parametrize(
    ("method", "path", "stage"),
    [
        ("POST", "/blobs/uploads/", "preflight"),
        ("GET", "/manifests/sha256:", "read"),
        ("GET", "/blobs/", "read"),
    ],
)
def test_a_signal_does_not_wait_for_a_silent_registry(project, state, repository, method, path, stage):
    with FaultyProxy(int(REGISTRY.rpartition(":")[2])) as proxy:
        config = project(image=f"{proxy.host}/{repository}")
        rule = proxy.rule(method, path, "hang")
        running = start("all", "-f", config, "--state-dir", state, "--json")
        wait_for_event(state, "stage.started", stage)
        deadline = time.monotonic() + PATIENCE_S
        while not rule.hits:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        began = time.monotonic()
        running.send_signal(signal.SIGINT)
        done = finish(running)
        assert time.monotonic() - began < 25, "the registry says nothing for a minute"
    assert (done.code, done.json["status"]) == (130, "interrupted")


@pytest.mark.one_driver(driver="docker", reason="what is tested happens in the registry, after the builds")
@pytest.mark.parametrize(
    ("request_", "moved"), [("PUT .*/manifests/sha256:", False), ("PUT .*/manifests/two", True)]
)
def test_a_signal_while_publishing_moves_every_tag_or_none(
    project, state, registry, repository, request_, moved
):
    """Before the first tag has moved none does; later the rest follows at once, and the report lists them."""
    with FaultyProxy(int(REGISTRY.rpartition(":")[2])) as proxy:
        config = project(image=f"{proxy.host}/{repository}", tags=["one", "two"])
        running = start("all", "-f", config, "--state-dir", state, "--json")

        def interrupt():
            running.send_signal(signal.SIGINT)
            time.sleep(1)  # the time the registry takes from now on must not matter

        proxy.at(1, interrupt, match=request_, lost=False)
        done = finish(running)
    assert done.code == 130, done.stderr
    assert done.json["status"] == "interrupted"
    assert [row["status"] for row in done.json["published"]] == (["moved", "moved"] if moved else [])
    assert [registry.exists(repository, tag) for tag in ("one", "two")] == [moved, moved]


def test_fail_fast_ends_the_others(project, state, registry, repository):
    config = project(run=f'echo {time.time_ns()}; [ "$(uname -m)" != x86_64 ] || exit 3; sleep 1000')
    done = multibuild("all", "--fail-fast", "-f", config, "--state-dir", state, "--json")
    assert done.code == 4
    rows = {row["platform"]: row for row in done.json["platforms"]}
    assert (rows["linux/amd64"]["status"], rows["linux/arm64"]["status"]) == ("failed", "cancelled")
    assert not registry.exists(repository, "latest")


@pytest.mark.one_driver(driver="docker-container", reason="it ends before a builder is asked")
def test_a_second_run_names_the_run_that_holds_the_project(project, state):
    config = project(run=f"echo {time.time_ns()}; {SLOW}")
    running = start("all", "-f", config, "--state-dir", state)
    wait_for_event(state, "run.started", f"{json.loads(config.read_text())['image']}")
    second = multibuild("all", "-f", config, "--state-dir", state)
    assert second.code == 3
    assert f"pid {running.pid}" in second.stderr
    assert re.search(r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", second.stderr)
    assert finish(running).code == 0


# -- missing things: an exit code, a message, a next step, in seconds


def assert_explained(done, code, *words):
    assert done.code == code, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    assert "hint:" in done.stderr or "perhaps you meant" in done.stderr


def test_a_missing_config_is_explained(tmp_path):
    assert_explained(multibuild("all", cwd=tmp_path), 2, "multibuild.yaml")


@pytest.mark.one_driver(driver="docker-container", reason="it ends before a builder is asked")
def test_a_registry_that_is_down_is_explained(project, state):
    config = project(image="localhost:1/app")
    assert_explained(multibuild("all", "-f", config, "--state-dir", state), 3, "localhost:1")


class RefusingRegistry(BaseHTTPRequestHandler):
    """Requires a login and refuses all."""

    def answer(self):
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="lab"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


@pytest.mark.one_driver(driver="docker-container", reason="it ends before a builder is asked")
def test_a_refused_login_is_explained(project, state, tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), RefusingRegistry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        host = f"localhost:{server.server_port}"
        home = tmp_path / "config"
        shutil.copytree(Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"), home, symlinks=True)
        login = base64.b64encode(b"somebody:s3cret-word").decode()
        (home / "config.json").write_text(json.dumps({"auths": {host: {"auth": login}}}))
        config = project(image=f"{host}/app")
        done = multibuild(
            "all", "-f", config, "--state-dir", state, "--json", env={"DOCKER_CONFIG": str(home)}
        )
    finally:
        server.shutdown()
        server.server_close()
    assert_explained(done, 3, host, "docker login")
    assert "s3cret-word" not in done.stdout + done.stderr
    assert login not in done.stdout + done.stderr


@pytest.mark.one_driver(driver="docker", reason="what is tested happens in our own process")
def test_a_platform_that_cannot_run_is_found_before_the_first_build(project, state):
    config = project(platforms=["linux/amd64", "linux/mips64"], emulators={"source": "none"})
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert_explained(done, 3, "linux/mips64")
    assert "build" not in {stage["name"] for stage in done.json["stages"]}


def test_the_lab_is_where_the_examples_expect_it():
    assert (ROOT / "examples/hello/multibuild.yaml").read_text().count(REGISTRY) >= 1
