"""What steps fail with, for real: clients against a server that resets, compilers, crashes, hangs, kills."""

import fcntl
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from e2e.clients import make_root
from e2e.conftest import LOCKS, REGISTRY, docker, finish, multibuild, start
from e2e.download_sites import make_sites
from fakes.download_server import DownloadServer
from waiting import PATIENCE_S

from builders.lab.paths import lab as lab_of

CRASH = "qemu: uncaught target signal 11 (Segmentation fault) - core dumped"


@pytest.fixture(scope="module")
def clients(lab, tmp_path_factory):
    """Push an image with apk, git, pip, curl and bash; return its reference."""
    folder = tmp_path_factory.mktemp("clients")
    LOCKS.mkdir(exist_ok=True)
    with (LOCKS / "downloads").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_root(folder / "root", lab_of().home / "alpine")
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY root/ /\nENV PATH=/usr/bin:/usr/sbin:/bin\n")
    image = f"{REGISTRY}/e2e/clients-{os.getpid()}:latest"
    docker(
        "buildx", "build", "--builder", "default", "--platform", "linux/amd64", "--provenance=false",
        "--output", f"type=image,name={image},push=true,store=false", folder,
    )  # fmt: skip
    return image


@pytest.fixture
def server(tmp_path):
    """Serve packages to steps, from this machine's address on their bridge; it is broken at first."""
    folder = tmp_path / "www"
    make_sites(folder)
    with DownloadServer(folder, broken=True) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(lab):
    """Return this machine's address as steps see it: on the loopback they would reach themselves."""
    return docker("network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}").stdout.strip()


def repair_after_first_attempt(server, state):
    def watch():
        journal = state / "latest" / "journal.jsonl"
        while server.broken.is_set():
            if journal.exists() and '"attempt.ended"' in journal.read_text():
                server.broken.clear()
            time.sleep(0.02)

    threading.Thread(target=watch, daemon=True).start()


DOWNLOADS = {
    "apk": "apk --allow-untrusted --initdb --root /r -X $SITE/alpine add hello",
    "git": "git clone $SITE/lib.git /tmp/lib",
    "pip": "pip install --index-url $SITE/simple --trusted-host $HOST --retries 1 --target /tmp/lib hello",
    "curl": "curl -fsSLo /tmp/hello $SITE/simple/hello/index.html",
    "a script": "sh -ec 'curl -fsSL $SITE/simple/hello/index.html > /tmp/page; test -s /tmp/page'",
}


@pytest.mark.one_driver(driver="docker-container", reason="steps print the same on every BuildKit")
@pytest.mark.parametrize("client", DOWNLOADS)
def test_a_download_that_is_reset_is_tried_again(
    project, state, clients, server, gateway, repository, client
):
    dockerfile = (
        f"FROM {clients}\nARG HOST SITE\n"
        f"RUN echo 'set -e; {DOWNLOADS[client].replace(chr(39), chr(34))}' > /build.sh\n"
        f"RUN : {repository}; sh /build.sh\n"
    )
    config = project(
        dockerfile=dockerfile,
        platforms=["linux/amd64"],
        args={"HOST": gateway, "SITE": f"http://{gateway}:{server.port}"},
        retry={"initial": "0.1s"},
        verify={"content": "off"},
    )
    repair_after_first_attempt(server, state)
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 0, done.stderr
    first, second = done.json["platforms"][0]["attempts"]
    assert (first["class"], first["retry"], second["outcome"]) == ("network", "transient", "ok"), first
    assert server.resets
    assert server.answers


@pytest.mark.one_driver(driver="docker", reason="steps print the same on every BuildKit")
def test_a_compilers_unexpected_eof_is_no_network(project, state, clients, repository):
    """In a step that names programs which download, too."""
    run = f"git --version; curl --version > /dev/null; bash -c 'echo {repository}; echo \"'"
    config = project(dockerfile=f"FROM {clients}\nRUN {run}\n", platforms=["linux/amd64"])
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 4, done.stderr
    (attempt,) = done.json["platforms"][0]["attempts"]
    assert (attempt["class"], attempt["retry"]) == ("step-failed", "permanent")
    assert "unexpected EOF" in attempt["evidence"]


@pytest.mark.one_driver(driver="docker-container", reason="steps print the same on every BuildKit")
def test_a_crash_is_the_cause_however_much_comes_after_it(project, state, repository):
    run = (
        f"echo {repository}; sh -c 'kill -SEGV $$'; i=0;"
        ' while [ $i -lt 500 ]; do i=$((i+1)); echo "Setting up package $i ..."; done;'
        " echo 'E: Sub-process /usr/bin/dpkg returned an error code (1)'; exit 100"
    )
    config = project(run=run, platforms=["linux/arm64"], retry={"attempts": 1})
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 4, done.stderr
    (attempt,) = done.json["platforms"][0]["attempts"]
    assert (attempt["class"], attempt["outcome"]) == ("qemu-crash", "failed")
    assert CRASH in attempt["evidence"]
    assert CRASH in next(line for line in done.stderr.splitlines() if line.startswith("error: "))


def test_a_step_that_hangs_after_a_crash_is_ended(project, state, repository):
    """The other platform is as silent, but did not crash; the second attempt waits for half as long."""
    run = (
        f"echo {repository}; if [ \"$(uname -m)\" = aarch64 ]; then sh -c 'kill -SEGV $$'; sleep 100000; fi;"
        " sleep 45"
    )
    config = project(
        run=run,
        platforms=[{"name": "linux/arm64", "required": False}, "linux/s390x"],
        crash_timeout="8s",
        retry={"attempts": 2, "initial": "0.1s"},
    )
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 0, done.stderr
    crashed, silent = done.json["platforms"]
    assert [(a["outcome"], a["class"]) for a in crashed["attempts"]] == [("stalled", "qemu-crash")] * 2
    assert crashed["attempts"][0]["then"].endswith("waits at most 4.0s after a crash")
    for attempt in crashed["attempts"]:
        assert CRASH in attempt["evidence"]
        assert "no output and no processor time for" in attempt["evidence"]
        assert attempt["hint"].startswith("the step hung after the crash; ")
    assert [attempt["outcome"] for attempt in silent["attempts"]] == ["ok"]


@pytest.mark.one_driver(driver="docker", reason="steps print the same on every BuildKit")
def test_an_interruption_after_a_crash_names_it(project, state, repository):
    config = project(
        run=f"echo {repository}; sh -c 'kill -SEGV $$'; sleep 100000; true", platforms=["linux/riscv64"]
    )
    running = start("all", "-f", config, "--state-dir", state, "--json")
    logs = state / "latest" / "logs"
    deadline = time.monotonic() + PATIENCE_S
    while not any(CRASH in log.read_text() for log in logs.glob("*.log")):
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    done = finish(running)
    assert (done.code, done.json["status"]) == (130, "interrupted")
    (attempt,) = done.json["platforms"][0]["attempts"]
    assert (attempt["outcome"], attempt["class"]) == ("cancelled", "qemu-crash")
    assert f'hung, cancelled, after "{CRASH}"' in attempt["evidence"]


def test_a_step_that_the_kernel_kills_was_out_of_memory(project, state, repository):
    """SIGKILL from outside of the step's container is what the kernel does when memory is gone."""
    config = project(run=f"sleep 1000; echo {repository}", platforms=["linux/amd64"], retry={"attempts": 1})
    running = start("all", "-f", config, "--state-dir", state, "--json")
    os.kill(step_process(f"sleep 1000; echo {repository}"), signal.SIGKILL)
    done = finish(running)
    assert done.code == 4, done.stderr
    (attempt,) = done.json["platforms"][0]["attempts"]
    assert (attempt["class"], attempt["retry"]) == ("out-of-memory", "once")


def step_process(script):
    """Find the shell that runs a step's script: its last argument is the script."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for folder in Path("/proc").iterdir():
            try:
                words = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            except OSError:
                continue
            if words[:2] == [b"/bin/sh", b"-c"] and words[-1] == script.encode():
                return int(folder.name)
        time.sleep(0.05)
    raise AssertionError(f"no step runs {script}")
