"""Daemons are known by pid, start time and boot."""

from __future__ import annotations

import json
import os
import sys

import pytest

from builders.lab import process
from builders.lab.paths import LabError

SLEEP = [sys.executable, "-c", "import time; time.sleep(3600)"]


@pytest.fixture
def record(tmp_path):
    path = tmp_path / "run" / "daemon.json"
    yield path
    process.stop(path, seconds=2)


@pytest.fixture
def daemon(record, tmp_path):
    """The test is its parent, so it must also collect it: else it stays as a zombie."""
    process.start(record, SLEEP, log=tmp_path / "log" / "daemon.log")
    pid = process.alive(record)
    assert pid is not None
    yield pid
    process.stop(record, seconds=2)
    os.waitpid(pid, 0)


def test_a_started_daemon_is_alive_in_its_own_session(daemon, record):
    assert os.getsid(daemon) == daemon
    assert process.alive(record) == daemon


def test_a_stopped_daemon_leaves_no_record(daemon, record):
    assert process.stop(record)
    assert not record.exists()
    assert not process.stop(record)


@pytest.mark.parametrize("change", [{"started": "1"}, {"boot": "another"}, {"started": None}])
def test_a_pid_used_again_by_another_process_is_left_alone(daemon, record, change):
    noted = record.read_text()
    record.write_text(json.dumps(json.loads(noted) | change))
    assert process.alive(record) is None
    assert not process.stop(record)
    record.write_text(noted)
    assert process.alive(record) == daemon


@pytest.mark.parametrize("text", ["", "{", None])
def test_a_torn_record_names_no_process(record, text):
    if text is not None:
        record.parent.mkdir()
        record.write_text(text)
    assert process.alive(record) is None


def test_waiting_ends():
    assert process.wait_until(lambda: True, 0)
    assert not process.wait_until(lambda: False, 0.01)


def test_a_failing_command_tells_its_last_words():
    with pytest.raises(LabError, match="no such mirror") as caught:
        process.run([sys.executable, "-c", "import sys; sys.exit('no such mirror')"], hint="look")
    assert caught.value.hint == "look"


def test_a_command_that_is_not_there_is_no_traceback():
    with pytest.raises(LabError, match="not installed"):
        process.run(["no-such-program-here"], hint="install it")
