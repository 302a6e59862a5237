"""The state directory: IDs, links, modes, and the lock between real processes."""

import os
import pwd
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from multibuild.errors import EnvironmentFault, UsageError
from multibuild.files import write_atomic
from multibuild.journal.runs import State, default_state_dir

NOW = datetime(2026, 11, 24, 15, 45, 1, tzinfo=UTC)
HOLDER = """
import sys, time
from pathlib import Path
from multibuild.journal.runs import State
sys.argv = ["multibuild", "all"]
with State(Path({path!r})).lock():
    print("locked", flush=True)
    time.sleep(3600)
"""


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "state")


@pytest.fixture
def holder(state):
    root = str(Path(__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER.format(path=str(state.path))],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"locked\n"
        yield child
        child.kill()


def mode(path):
    return path.stat().st_mode & 0o777


def test_the_default_is_below_xdg_state_home(tmp_path):
    project = tmp_path / "app"
    folder = default_state_dir(project, {"XDG_STATE_HOME": "/s", "HOME": "/h"})
    assert folder.parent == Path("/s/multibuild")
    assert folder.name.startswith("app-")
    assert len(folder.name) == len("app-") + 8
    assert default_state_dir(project / ".." / "app", {"XDG_STATE_HOME": "/s"}) == folder
    assert default_state_dir(tmp_path / "other" / "app", {"XDG_STATE_HOME": "/s"}) != folder


@pytest.mark.parametrize("environ", [{}, {"XDG_STATE_HOME": ""}, {"XDG_STATE_HOME": "relative"}])
def test_the_default_without_xdg_state_home(tmp_path, environ):
    assert default_state_dir(tmp_path, {**environ, "HOME": "/h"}).parent == Path("/h/.local/state/multibuild")


def test_an_account_without_a_home_is_told_what_to_set(tmp_path, monkeypatch):
    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(EnvironmentFault) as caught:
        default_state_dir(tmp_path, {})
    assert "XDG_STATE_HOME" in (caught.value.hint or "")
    assert default_state_dir(tmp_path, {"XDG_STATE_HOME": "/s"}).parent == Path("/s/multibuild")


def test_ids_name_the_second_in_utc_and_sort_by_time(state):
    east = NOW.astimezone(timezone(timedelta(hours=5)))
    runs = [state.new_run(east) for _ in range(20)] + [state.new_run(NOW + timedelta(seconds=1))]
    assert runs[0].id.startswith("20261124-154501-")
    assert [run.id for run in state.runs()] == [run.id for run in reversed(runs)]
    assert state.latest() == runs[-1]


def test_state_is_private(state):
    run = state.new_run(NOW)
    run.save_plan({"a": 1})
    state.save_facts({})
    with state.lock():
        pass
    assert {mode(path) for path in (state.path, state.path / "runs", run.path, run.logs)} == {0o700}
    assert {mode(path) for path in (run.plan_path, state.path / "facts.json", state.path / "lock")} == {0o600}


def test_a_directory_with_other_things_in_it_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "else").touch()
    run = State(tmp_path).new_run(NOW)
    assert (mode(tmp_path), mode(tmp_path / "runs"), mode(run.path)) == (0o755, 0o700, 0o700)


def test_an_empty_directory_becomes_private(tmp_path):
    (tmp_path / "s").mkdir(mode=0o755)
    State(tmp_path / "s").new_run(NOW)
    assert mode(tmp_path / "s") == 0o700


def test_a_directory_that_cannot_be_created_is_an_environment_fault(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFault, match="cannot be used: Not a directory"):
        State(tmp_path / "file" / "state").new_run(NOW)


def test_the_files_of_a_run(state):
    run = state.new_run(NOW)
    assert (run.load_plan(), run.report()) == (None, None)
    run.save_plan({"image": "i"})
    run.save_report({"schema": 1}, {"report.md": "half \ud800"})
    assert (run.load_plan(), run.report()) == ({"image": "i"}, {"schema": 1})
    assert (run.path / "report.md").read_text() == "half ?"
    assert run.log_name("linux-arm-v7", 2) == "logs/linux-arm-v7.2.log"
    assert run.journal_path == run.path / "journal.jsonl"


def test_damaged_documents_are_none(state):
    run = state.new_run(NOW)
    run.plan_path.write_text('{"half": ')
    assert run.load_plan() is None
    run.plan_path.write_bytes(b"\xff")
    assert run.load_plan() is None


def test_finding_runs(state):
    first, second = state.new_run(NOW), state.new_run(NOW + timedelta(days=1))
    assert state.find(None) == state.find("latest") == second
    assert state.find(first.id) == state.find("20261124") == first
    with pytest.raises(UsageError, match="is the beginning of 2 runs"):
        state.find("2026112")
    with pytest.raises(UsageError, match="'no' is no run") as raised:
        state.find("no")
    assert raised.value.hint == f"the newest are {second.id}, {first.id}"


def test_finding_without_runs(state):
    assert (state.runs(), state.latest()) == ((), None)
    with pytest.raises(UsageError, match="there are no runs"):
        state.find(None)


def test_latest_is_a_relative_link_that_may_be_missing_or_dangling(state):
    run = state.new_run(NOW)
    link = state.path / "latest"
    assert link.readlink() == Path("runs") / run.id
    link.unlink()
    assert state.latest() == run
    link.symlink_to("runs/gone")
    assert state.find("latest") == run
    later = state.new_run(NOW)
    assert state.latest() == later


def test_facts_are_saved(state):
    assert state.load_facts() is None
    state.save_facts({"cpus": 2})
    assert state.load_facts() == {"cpus": 2}


def test_files_are_written_atomically(tmp_path):
    path = tmp_path / "f"
    write_atomic(path, b"old", mode=0o640)
    assert mode(path) == 0o640
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomic(tmp_path / "folder", "new")
    write_atomic(path, "new")
    assert (path.read_text(), mode(path)) == ("new", 0o600)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["f", "folder"]


def test_the_error_of_a_second_process_names_the_holder(state, holder):
    since = r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    expected = f"at work: pid {holder.pid} on {socket.gethostname()} {since} \\(all\\)"
    with pytest.raises(EnvironmentFault, match=expected), state.lock():
        pass


def test_a_killed_holder_frees_the_lock(state, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (state.path / "lock").read_text()
    with state.lock():
        assert (state.path / "lock").read_text().startswith(f"pid {os.getpid()} ")


def test_an_error_frees_the_lock(state):
    with pytest.raises(RuntimeError), state.lock():
        raise RuntimeError
    assert (state.path / "lock").read_text() == ""
    with state.lock():
        pass


def test_a_child_process_does_not_inherit_the_lock(state):
    """A build that still runs must not lock out the next run."""
    with state.lock():
        child = subprocess.Popen(["sleep", "30"])
    try:
        with state.lock():
            pass
    finally:
        child.kill()
        child.wait()


# Runs that go on.

COMMAND_HOLDER = """
import sys
from pathlib import Path
from multibuild.journal.runs import State
sys.argv = ["multibuild", {command!r}]
with State(Path({path!r})).lock():
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def held_by(command, path):
    """Let another process hold the project's lock, as the command does."""
    script = COMMAND_HOLDER.format(command=command, path=str(path))
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_run_is_running_while_its_process_lives(tmp_path):
    state = State(tmp_path / "state")
    older, newest = (state.new_run(datetime(2026, 1, day, tzinfo=UTC)) for day in (1, 2))
    with held_by("all", state.path):
        assert state.is_running(newest)
        assert not state.is_running(older)
    assert not state.is_running(newest), "it was killed, and its lock file tells of it still"


@pytest.mark.parametrize("command", ["clean", "import", "test"])
def test_a_command_without_a_run_runs_none(tmp_path, command):
    state = State(tmp_path / "state")
    run = state.new_run(datetime(2026, 1, 1, tzinfo=UTC))
    with held_by(command, state.path):
        assert not state.is_running(run)


def test_a_run_with_a_report_is_over(tmp_path):
    state = State(tmp_path / "state")
    run = state.new_run(datetime(2026, 1, 1, tzinfo=UTC))
    run.save_report({"status": "failed"}, {})
    with held_by("all", state.path):
        assert not state.is_running(run)


@pytest.mark.parametrize(
    "text",
    ["", "pid 1", "pid x on here since now (all)", "\x00", "pid 99999999 on {host} since {time} (all)"],
)
def test_a_lock_file_of_no_process_holds_nothing(tmp_path, text):
    state = State(tmp_path / "state")
    run = state.new_run(datetime(2026, 1, 1, tzinfo=UTC))
    text = text.format(host=os.uname().nodename, time="2026-01-01 00:00:00 UTC")
    (state.path / "lock").write_text(text)
    assert not state.is_running(run)
