"""A signal that ends a command while tags move, or while its output waits for a reader that does not come."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
from contextlib import contextmanager, suppress

import pytest
from fakes.docker import FakeDocker
from fakes.images import put_image, put_index
from fakes.registry_server import FakeRegistry
from waiting import NEVER_S, PATIENCE_S, comes


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", ["promote", "merge"])
def test_a_signal_between_two_tags_leaves_none_moved(command, number, tmp_path):
    processes: list[subprocess.Popen[str]] = []

    def end(_registry, request, proceed):
        if (request.method, request.rest) == ("PUT", "b") and processes:
            processes.pop().send_signal(number)
        return proceed()

    with FakeRegistry() as registry:
        registry.bends.append(end)
        put_image(registry, "app", tag="new")
        before = put_image(registry, "app", "linux/riscv64", tag="a")
        name = f"{registry.host}/app"
        words = {
            "promote": [f"{name}:new", f"{name}:a", f"{name}:b"],
            "merge": [f"{name}:a", f"{name}:new", "--tag", "b"],
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "multibuild", command, *words[command]],
            cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path)},
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        _, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, "interrupted" in err) == (130, True)
        tags = registry.repository("app").tags
        assert (tags["a"], "b" in tags) == (before, False)


class UnreadPipe:
    """A pipe of one page that nobody reads."""

    def __init__(self):
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 1)

    def is_full(self):
        """Whether a process that writes more waits for a reader."""
        waiting = fcntl.ioctl(self.reader, termios.FIONREAD, bytes(4))
        return int.from_bytes(waiting, sys.byteorder) == fcntl.fcntl(self.reader, fcntl.F_GETPIPE_SZ)


MORE_THAN_A_PAGE = 100_000


@contextmanager
def unread(*words, cwd, **environ):
    """Start multibuild with a stdout that nobody reads; yield the process and the pipe."""
    pipe = UnreadPipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "multibuild", *words],
        cwd=cwd,
        env={**os.environ, "HOME": str(cwd), **environ},
        stdout=pipe.writer,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process, pipe
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with what it asks docker
        process.communicate()
        os.close(pipe.writer)
        os.close(pipe.reader)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("flag", ["--raw", "--json"])
def test_one_signal_ends_a_command_whose_output_nobody_reads(number, flag, tmp_path):
    with FakeRegistry() as registry:
        put_index(registry, "app", [], tag="1", annotations={"long": "x" * MORE_THAN_A_PAGE})
        with unread("inspect", flag, f"{registry.host}/app:1", cwd=tmp_path) as (process, pipe):
            assert comes(pipe.is_full)
            process.send_signal(number)
            assert process.wait(timeout=PATIENCE_S) == 130
            assert process.stderr.read() == ""


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_run_whose_report_nobody_reads(first, second, tmp_path):
    """The first one ends the work; the report of what was done comes before the end, or would."""
    config = {"version": 1, "image": "localhost:1/app", "platforms": ["linux/amd64"], "builder": "nobody"}
    config["tags"] = [f"{number:0120}" for number in range(MORE_THAN_A_PAGE // 120)]
    for folder in ("project", "bin"):
        (tmp_path / folder).mkdir()
    (tmp_path / "project" / "multibuild.yaml").write_text(json.dumps(config))
    (tmp_path / "project" / "Dockerfile").write_text("FROM scratch\n")
    docker = FakeDocker(tmp_path / "bin")
    docker.answer("info", seconds=NEVER_S)
    words = ("all", "--json", "--state-dir", str(tmp_path / "state"))
    with unread(*words, cwd=tmp_path / "project", PATH=docker.path) as (process, pipe):
        assert comes(docker.calls)
        process.send_signal(first)
        assert comes(pipe.is_full)
        process.send_signal(second)
        assert process.wait(timeout=PATIENCE_S) == 130
        message = process.stderr.read()
    assert ("once more to stop at once" in message, "Traceback" in message) == (True, False)
