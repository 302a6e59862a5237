"""Signals to a process under `supervise`."""

import os
import pty
import signal
import subprocess
import sys

from waiting import PATIENCE_S

WORK = """
import asyncio, os, sys
from multibuild.cli.supervise import supervise
from multibuild.errors import Interrupted

async def work():
    os.write(1, b"ready\\n")
    try:
        if sys.argv[1] == "reading":
            await asyncio.to_thread(sys.stdin.readline)
            os.write(1, b"read\\n")
        else:
            await asyncio.sleep(3600)
    finally:
        os.write(1, b"ending\\n")
        if sys.argv[1] == "stubborn":
            await asyncio.sleep(3600)
        if sys.argv[1] == "slow":
            await asyncio.to_thread(sys.stdin.readline)
            os.write(1, b"ended\\n")

try:
    supervise(work())
except Interrupted as error:
    sys.exit(error.exit_code)
"""


def start(kind, stderr, *, through=()):
    return subprocess.Popen(
        [*through, sys.executable, "-c", WORK, kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        bufsize=1,
    )


def test_the_first_signal_cancels_the_work():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process = start("compliant", subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, out) == (130, "ending\n")
        assert "once more to stop at once" in err


def test_a_hangup_is_no_second_signal():
    for number in (signal.SIGTERM, signal.SIGHUP):
        process = start("slow", subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == "ending\n"
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate("go on\n", timeout=PATIENCE_S)
        assert (process.returncode, out) == (130, "ended\n")


def test_a_hangup_ends_nothing_under_nohup():
    process = start("reading", subprocess.PIPE, through=["nohup"])
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate("go on\n", timeout=PATIENCE_S)
    assert (process.returncode, out) == (0, "read\nending\n")
    assert "interrupted" not in err


def test_the_second_signal_exits_at_once_and_shows_the_cursor():
    terminal, slave = pty.openpty()
    try:
        process = start("stubborn", slave)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "ending\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 130
        assert os.read(terminal, 10_000).endswith(b"\x1b[?25h")
    finally:
        os.close(slave)
        os.close(terminal)


def test_a_signal_works_when_stderr_is_closed():
    reading, writing = os.pipe()
    process = start("compliant", writing)
    os.close(writing)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.close(reading)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (130, "ending\n")
