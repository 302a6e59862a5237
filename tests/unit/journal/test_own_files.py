"""What others put into or near a state directory: never followed, changed, deleted or waited for."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.journals import NOON, write_events

from multibuild.errors import EnvironmentFault, MultibuildError
from multibuild.files import UnsafeFile, open_private, read_plain, remove_tree
from multibuild.journal.events import PlatformEnded, RunStarted
from multibuild.journal.journal import Journal, read_journal
from multibuild.journal.local_children import export_folder, remove_stale
from multibuild.journal.runs import State, open_log

NOW = datetime(2026, 11, 24, 15, 45, 1, tzinfo=UTC)
OLD_ID = "20260101-120000-0001"
ANOTHER_USER = 12345
is_root = os.geteuid() == 0
as_root = pytest.mark.skipif(not is_root, reason="files of another user take root")


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "state")


@pytest.fixture
def treasure(tmp_path):
    """A file and a directory outside, which nothing may change."""
    folder = tmp_path / "treasure"
    folder.mkdir(mode=0o755)
    (folder / "gold").write_text("do not touch")
    (folder / ".hidden").mkdir()
    yield folder
    assert sorted(path.name for path in folder.iterdir()) == [".hidden", "gold"]
    assert (folder / "gold").read_text() == "do not touch"
    assert mode(folder) == 0o755


def mode(path):
    return path.stat().st_mode & 0o777


def make_old_state(path):
    """A state directory as version 0.1 left it, with one run."""
    run = path / "runs" / OLD_ID
    (run / "logs").mkdir(parents=True)
    write_events(run / "journal.jsonl", RunStarted(command="build", image="app"))
    (path / "lock").touch()
    (path / "latest").symlink_to(f"runs/{OLD_ID}")
    (path / "facts.json").write_text(json.dumps({"for_builder": "auto", "nodes": []}))
    return run


def link(path, treasure):
    path.symlink_to(treasure / "gold")


def hard_link(path, treasure):
    path.hardlink_to(treasure / "gold")


def folder(path, treasure):
    path.mkdir()


def pipe(path, treasure):
    os.mkfifo(path)


def zeros(path, treasure):
    path.symlink_to("/dev/zero")


HOSTILE = [link, hard_link, folder, pipe, zeros]


@pytest.mark.parametrize("make", HOSTILE)
def test_a_lock_that_is_no_plain_file_of_ours_is_an_error(state, treasure, make):
    state.new_run(NOW)
    make(state.path / "lock", treasure)
    with pytest.raises(EnvironmentFault, match=r"cannot be used: .*/lock: "), state.lock():
        pass


@pytest.mark.parametrize("make", HOSTILE)
@pytest.mark.parametrize("name", ["journal.jsonl", "plan.json", "report.json"])
def test_a_document_that_is_no_plain_file_is_not_read(state, treasure, make, name):
    run = state.new_run(NOW)
    make(run.path / name, treasure)
    assert read_journal(run.journal_path) == ()
    assert (run.load_plan(), run.report(), run.whole_report()) == (None, None, None)


@pytest.mark.parametrize("make", HOSTILE)
def test_facts_that_are_no_plain_file_are_replaced_and_never_followed(state, treasure, make):
    state.new_run(NOW)
    make(state.path / "facts.json", treasure)
    assert state.load_facts() is None
    try:
        state.save_facts({"cpus": 2})
    except EnvironmentFault:
        assert make is folder
    else:
        assert state.load_facts() == {"cpus": 2}


@pytest.mark.parametrize("make", HOSTILE)
@pytest.mark.parametrize("append", [False, True])
def test_a_log_is_never_written_to_what_is_no_plain_file_of_ours(tmp_path, treasure, make, append):
    make(tmp_path / "log", treasure)
    with pytest.raises(UnsafeFile):
        open_log(tmp_path / "log", append=append)


@pytest.mark.parametrize("make", HOSTILE)
def test_a_journal_is_never_written_to_what_is_no_plain_file_of_ours(tmp_path, treasure, make):
    make(tmp_path / "j", treasure)
    with pytest.raises(EnvironmentFault, match="the journal cannot be written"):
        Journal(tmp_path / "j")


@pytest.mark.parametrize("size", [17 << 20, 1 << 40])
def test_a_document_of_excessive_size_is_not_read(state, size):
    run = state.new_run(NOW)
    for name in ("plan.json", "report.json", "../../facts.json"):
        (run.path / name).touch()
        os.truncate(run.path / name, size)
    assert (run.load_plan(), run.report(), state.load_facts()) == (None, None, None)


# What a state directory is.


@pytest.mark.parametrize("names", [("runs",), (f"runs/{OLD_ID}",), ("runs/train1", "weights")])
def test_a_directory_of_runs_of_others_is_refused_as_it_is(tmp_path, names):
    for name in names:
        (tmp_path / "theirs" / name / "model").mkdir(parents=True)
    for path in ("theirs", "theirs/runs"):
        (tmp_path / path).chmod(0o755)
    with pytest.raises(EnvironmentFault, match=r"theirs/runs is not multibuild's") as raised:
        State(tmp_path / "theirs").new_run(NOW)
    assert "--state-dir" in (raised.value.hint or "")
    assert {mode(tmp_path / path) for path in ("theirs", "theirs/runs")} == {0o755}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lock", "my notes"),
        ("lock", "pid of my server: 7\nmore"),
        ("facts.json", '{"ansible_facts": {}}'),
        ("facts.json", "no JSON"),
        ("latest", "v1.2"),
        ("layers/model.safetensors", "weights"),
        ("multibuild-state/x", "a directory"),
    ],
)
def test_a_file_of_others_with_a_name_of_ours_is_left_alone(tmp_path, name, content):
    (tmp_path / "theirs" / name).parent.mkdir(parents=True)
    (tmp_path / "theirs" / name).write_text(content)
    with (
        pytest.raises(EnvironmentFault, match=r"is not multibuild's|cannot be used"),
        State(tmp_path / "theirs").lock(),
    ):
        pass
    assert (tmp_path / "theirs" / name).read_text() == content


def test_a_state_directory_of_version_0_1_works_and_is_cleaned(state):
    old = make_old_state(state.path)
    (old / "report.json").write_text("{}")
    new = state.new_run(NOW)
    with state.lock():
        assert [run.id for run in state.runs()] == [new.id, OLD_ID]
        assert all(run.is_own() for run in state.runs())
        for run in state.runs():
            run.remove()
    assert state.runs() == ()


@pytest.mark.parametrize("damage", ["", "{", "journal"])
def test_a_state_directory_of_version_0_1_whose_only_run_is_damaged_works(state, damage):
    old = make_old_state(state.path)
    (old / "journal.jsonl").write_text(damage)
    (state.path / "facts.json").write_text("no JSON")
    (state.path / "lock").write_text("pid 7 on")
    with state.lock():
        state.save_facts({"cpus": 3})
    (run,) = state.runs()
    assert not run.is_own()


def test_an_empty_state_directory_of_version_0_1_works(state):
    shutil.rmtree(make_old_state(state.path))
    with state.lock():
        state.save_facts({"cpus": 3})


@pytest.mark.parametrize(
    ("files", "is_own"),
    [
        ({}, False),
        ({"logs/": ""}, True),
        ({"logs/": "", "model.bin": "x"}, False),
        ({"logs/x.log": "x"}, False),
        ({"journal.jsonl": '{"event": "epoch"}\n'}, False),
        ({"journal.jsonl": '{"time":"2026-01-01T00:00:00+00:00","name":"n","fields":{}}\n'}, False),
        ({"journal.jsonl": '{"time":"2026-01-01T00:00:00+00:00","name":"run.started","fields":{}}\n'}, True),
        ({"journal.jsonl": '{"time":"2026-01-01T00:00:00+00:00","name":"run.st'}, False),
        ({"multibuild-run": "multibuild run 1\n"}, True),
        ({"multibuild-run": "multibuild run\n"}, False),
        ({"multibuild-run": "x" * 1000}, False),
        ({"multibuild-run/": ""}, False),
    ],
)
def test_a_run_proves_itself_by_its_marker_or_its_first_event(state, files, is_own):
    state.new_run(NOW)
    path = state.path / "runs" / OLD_ID
    path.mkdir()
    for name, content in files.items():
        target = path / name
        target.parent.mkdir(exist_ok=True)
        target.mkdir() if name.endswith("/") else target.write_text(content)
    (run,) = [run for run in state.runs() if run.id == OLD_ID]
    assert run.is_own() is is_own


@pytest.mark.parametrize(
    "name",
    [
        "train1",
        ".20260101-120000-0001",
        "20260101-120000-0001x",
        "2026\n",
        "20260101-120000-000g",
        "20260101",
    ],
)
def test_what_has_no_name_of_a_run_is_none(state, name):
    run = state.new_run(NOW)
    shutil.copytree(run.path, run.path.with_name(name))
    assert state.runs() == (run,)


def test_a_link_is_no_run(state, treasure):
    run = state.new_run(NOW)
    (run.path.parent / OLD_ID).symlink_to(treasure)
    (run.path.parent / "20260101-120000-0002").symlink_to(run.path)
    assert state.runs() == (run,)


def test_a_run_with_its_children_somewhere_else_is_no_run(state, treasure):
    run = state.new_run(NOW)
    run.children.symlink_to(treasure)
    assert state.runs() == ()
    assert not run.is_own()


@pytest.mark.parametrize("place", ["images", "images/app", "images/app/children"])
def test_children_of_an_image_that_are_somewhere_else_are_not_removed(state, tmp_path, place):
    outside = tmp_path / "outside"
    precious = [outside / folder / ".part" for folder in (".", "children", "app/children")]
    for folder in precious:
        folder.mkdir(parents=True)
    run = state.new_run(NOW)
    (run.path / place).parent.mkdir(parents=True, exist_ok=True)
    (run.path / place).symlink_to(outside)
    run.remove_children()
    remove_stale(state.of_image("app").runs(), state.new_run(NOW).of_image("app"))
    assert all(folder.is_dir() for folder in precious)


def test_children_of_each_image_are_removed(state):
    run = state.new_run(NOW)
    for name in ("app", "worker"):
        run.of_image(name).create()
        export_folder("linux-amd64", run.of_image(name))
    run.remove_children()
    assert not [*run.path.rglob("children")]


def test_links_in_a_run_are_removed_and_not_followed(state, treasure):
    run = state.new_run(NOW)
    run.logs.rmdir()
    run.logs.symlink_to(treasure)
    (run.path / "deep" / "deeper").mkdir(parents=True)
    (run.path / "deep" / "deeper" / "out").symlink_to(treasure)
    (run.path / "gold").symlink_to(treasure / "gold")
    (run.path / "twin").hardlink_to(treasure / "gold")
    run.remove()
    assert not run.path.exists()


def test_a_link_to_a_run_is_not_removed(state, treasure):
    run = state.new_run(NOW)
    shutil.rmtree(run.path)
    run.path.symlink_to(treasure)
    with pytest.raises(OSError, match="symbolic link"):
        run.remove()
    with pytest.raises(OSError, match="symbolic link"):
        remove_tree(run.path)


@pytest.mark.parametrize("action", ["new_run", "lock", "save_facts"])
def test_runs_somewhere_else_are_an_error(state, treasure, action):
    state.path.mkdir()
    (state.path / "runs").symlink_to(treasure)
    assert state.runs() == ()
    with pytest.raises(EnvironmentFault, match="runs"):
        use(state, action)


def use(state, action):
    if action == "lock":
        with state.lock():
            pass
    else:
        {
            "new_run": lambda: state.new_run(NOW),
            "save_facts": lambda: state.save_facts({}),
            "load_facts": state.load_facts,
        }[action]()


ACTIONS = ["new_run", "lock", "save_facts", "load_facts"]


@as_root
@pytest.mark.parametrize("action", ACTIONS)
def test_a_state_directory_of_another_user_is_refused(state, action):
    state.new_run(NOW)
    os.chown(state.path, ANOTHER_USER, -1)
    with pytest.raises(EnvironmentFault, match="belongs to another user") as raised:
        use(state, action)
    assert raised.value.exit_code == 3


@as_root
@pytest.mark.parametrize("action", ACTIONS)
def test_a_link_of_another_user_to_a_state_directory_is_refused(state, tmp_path, action):
    state.new_run(NOW)
    (tmp_path / "link").symlink_to(state.path)
    os.chown(tmp_path / "link", ANOTHER_USER, -1, follow_symlinks=False)
    with pytest.raises(EnvironmentFault, match="belongs to another user"):
        use(State(tmp_path / "link"), action)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("bits", [0o777, 0o703, 0o1777, 0o722])
def test_a_state_directory_that_others_can_write_is_refused(state, action, bits):
    state.new_run(NOW)
    (state.path / "more").touch()
    state.path.chmod(bits)
    with pytest.raises(EnvironmentFault, match="can be written by other users") as raised:
        use(state, action)
    assert "chmod go-w" in (raised.value.hint or "")


@as_root
def test_the_group_of_a_user_alone_is_not_others_and_any_other_group_is(state):
    state.new_run(NOW)
    (state.path / "more").touch()
    state.path.chmod(0o775)
    os.chown(state.path, -1, os.getgid())
    state.new_run(NOW)
    os.chown(state.path, -1, ANOTHER_USER)
    with pytest.raises(EnvironmentFault, match="can be written by other users"):
        state.new_run(NOW)


@as_root
def test_a_run_of_another_user_is_not_ours(state):
    run = state.new_run(NOW)
    os.chown(run.path, ANOTHER_USER, -1)
    assert state.runs() == ()
    assert not run.is_own()
    with pytest.raises(OSError, match="belongs to another user"):
        run.remove()


def test_parents_may_be_links_and_a_directory_of_all(tmp_path):
    (tmp_path / "all" / "real").mkdir(parents=True)
    (tmp_path / "all").chmod(0o1777)
    (tmp_path / "link").symlink_to(tmp_path / "all" / "real")
    state = State(tmp_path / "link" / "state")
    run = state.new_run(NOW)
    assert State(tmp_path / "all" / "real" / "state").find(None).id == run.id
    (tmp_path / "other").symlink_to(tmp_path / "all" / "real" / "state")
    assert State(tmp_path / "other").new_run(NOW) == State(tmp_path / "other").find(None)


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_state_is_private_whatever_the_umask(tmp_path, umask):
    previous = os.umask(umask)
    try:
        state = State(tmp_path / "a" / "b" / "state")
        run = state.new_run(NOW)
        run.save_plan({})
        run.save_report({}, {"report.md": ""})
        write_events(run.journal_path, RunStarted())
        with state.lock(), open_log(run.path / run.log_name("linux-amd64", 1)) as log:
            log.write("a secret")
        image = run.of_image("app")
        image.create()
        with open_log(run.path / image.log_name("linux-amd64", 1)) as log:
            log.write("a secret")
        export_folder("linux-amd64", image)
        state.save_facts({})
    finally:
        os.umask(previous)
    paths = [path for path in (state.path, *state.path.rglob("*")) if not path.is_symlink()]
    assert {mode(path) for path in paths if path.is_dir()} == {0o700}
    assert {mode(path) for path in paths if path.is_file()} == {0o600}
    assert not {mode(path) & 0o022 for path in (tmp_path / "a", tmp_path / "a" / "b")} - {0}


def test_modes_of_earlier_directories_and_files_become_private(state):
    old = make_old_state(state.path)
    for path in (state.path, old.parent):
        path.chmod(0o755)
    (state.path / "lock").chmod(0o644)
    (old / "journal.jsonl").chmod(0o644)
    (old / "logs" / "a.log").write_text("first\n")
    (old / "logs" / "a.log").chmod(0o644)
    with state.lock(), open_log(old / "logs" / "a.log", append=True) as log:
        log.write("second\n")
        write_events(old / "journal.jsonl", RunStarted())
    assert (old / "logs" / "a.log").read_text() == "first\nsecond\n"
    assert {mode(path) for path in (state.path, old.parent)} == {0o700}
    files = (state.path / "lock", old / "journal.jsonl", old / "logs" / "a.log")
    assert {mode(path) for path in files} == {0o600}
    with open_log(old / "logs" / "a.log") as log:
        log.write("anew\n")
    assert (old / "logs" / "a.log").read_text() == "anew\n"


# The lock.

HOLDER = """
import sys
from pathlib import Path
from multibuild.journal.runs import State
with State(Path(sys.argv[1])).lock():
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(state):
    root = str(Path(__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root},
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == b"locked\n"
        yield child
        child.kill()


def unlink(path):
    path.unlink()


def replace(path):
    (path.parent / "new").write_text("")
    (path.parent / "new").replace(path)


def move_away(path):
    path.rename(path.with_name("old"))


def empty(path):
    path.write_text("")


def fill(path):
    path.write_text("\x1b[31mred\n" * 1000)


@pytest.mark.parametrize("change", [unlink, replace, move_away, empty, fill])
def test_a_lock_that_is_changed_while_it_is_held_gives_no_second_holder(state, holder, change):
    change(state.path / "lock")
    with (
        pytest.raises(EnvironmentFault, match="another run of this project is at work") as raised,
        state.lock(),
    ):
        pass
    assert "\x1b" not in raised.value.message
    holder.stdin.close()
    holder.wait()
    with state.lock():
        pass


def test_a_lock_of_version_0_1_is_respected(state):
    state.new_run(NOW)
    with (state.path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EnvironmentFault, match="another run"), state.lock():
            pass


# The order of runs.


def test_runs_are_ordered_as_they_were_made_whatever_the_clock_says(state):
    times = [NOW, NOW.replace(year=9999), NOW.replace(year=1970), NOW - timedelta(days=1), NOW]
    made = [state.new_run(time) for time in times]
    assert [run.id for run in reversed(state.runs())] == [run.id for run in made]
    assert state.latest() == made[-1]
    assert state.runs_before(made[2]) == (made[1], made[0])


def test_runs_of_version_0_1_come_first_even_those_of_a_wrong_clock(state):
    make_old_state(state.path)
    future = state.path / "runs" / "99991231-235959-ffff"
    shutil.copytree(state.path / "runs" / OLD_ID, future)
    new = state.new_run(NOW)
    assert [run.id for run in state.runs()] == [new.id, future.name, OLD_ID]
    assert state.latest() == state.find(None) == new


@pytest.mark.parametrize(
    "text", ["", "multibuild run -1\n", "multibuild run 1e9\n", f"multibuild run {'9' * 90}\n", "\x00"]
)
def test_a_damaged_marker_orders_a_run_like_one_of_version_0_1(state, text):
    first = state.new_run(NOW)
    second = state.new_run(NOW)
    (second.path / "multibuild-run").write_text(text)
    assert state.runs() == (first, second)
    third = state.new_run(NOW.replace(year=2000))
    assert state.runs() == (third, first, second)


def test_the_last_id_of_a_second_is_followed_by_one_of_four_digits(state):
    run = state.new_run(NOW)
    run.path.rename(run.path.with_name("20261124-154501-ffff"))
    following = state.new_run(NOW)
    assert following in state.runs()
    assert len(following.id) == len(run.id)


@pytest.mark.parametrize("target", ["../treasure", "runs/../../treasure", "/etc", "runs/gone", "latest"])
def test_latest_never_leads_out_of_the_runs(state, treasure, target):
    run = state.new_run(NOW)
    (state.path / "latest").unlink()
    (state.path / "latest").symlink_to(target)
    assert state.latest() == state.find("latest") == run


# Small things.


def test_reading_within_limits(tmp_path):
    (tmp_path / "f").write_bytes(b"12345")
    assert read_plain(tmp_path / "f", max_bytes=5) == b"12345"
    with pytest.raises(UnsafeFile, match="more than 4 bytes"):
        read_plain(tmp_path / "f", max_bytes=4)
    with pytest.raises(UnsafeFile, match="no plain file"):
        read_plain(Path("/dev/zero"), max_bytes=4)
    with pytest.raises(UnsafeFile):
        read_plain(Path("/proc/self/maps"), max_bytes=4)
    with pytest.raises(FileNotFoundError):
        read_plain(tmp_path / "none", max_bytes=4)


def test_open_private_leaks_no_file_after_an_error(tmp_path, treasure):
    (tmp_path / "twin").hardlink_to(treasure / "gold")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        with pytest.raises(UnsafeFile):
            open_private(tmp_path / "twin", os.O_WRONLY)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_an_error_in_the_state_names_the_file_and_what_to_do(state):
    state.new_run(NOW)
    (state.path / "lock").mkdir()
    with pytest.raises(MultibuildError) as raised, state.lock():
        pass
    assert str(state.path / "lock") in raised.value.message
    assert raised.value.exit_code == 3
    assert "--state-dir" in (raised.value.hint or "")


def test_events_of_a_run_that_another_run_left_are_read(state):
    run = state.new_run(NOW)
    write_events(run.journal_path, PlatformEnded(platform="p", status="failed", digest=None), time=NOON)
    assert [event.name for event in run.events()] == ["platform.ended"]
