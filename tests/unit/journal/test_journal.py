"""The journal against kills, torn lines, damage and threads."""

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, timedelta, timezone
from pathlib import Path

import pytest
from fakes.journals import NOON, read_events, write_events

from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import StepStarted, UnknownEvent
from multibuild.journal.journal import Journal, scan_journal

WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import UnknownEvent
from multibuild.journal.journal import Journal
with Journal(Path(sys.argv[1])) as journal:
    number = 0
    while True:
        event = UnknownEvent(name="n", fields={"number": number, "pad": "x" * 3000})
        journal.append(JournalEntry(time=datetime.now(UTC), event=event))
        print(number, flush=True)
        number += 1
"""


def event(kind="n", /, **fields):
    return UnknownEvent(name=kind, fields=fields)


def test_events_are_read_as_they_were_written(tmp_path):
    events = (event("a", text="ä\n\u2028\x00\r", nothing=None, list=[1]), event("b"))
    write_events(tmp_path / "j", *events)
    assert read_events(tmp_path / "j") == events
    assert (tmp_path / "j").read_bytes().count(b"\n") == 2
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o600


def test_fields_may_be_called_name_and_time(tmp_path):
    for original in (StepStarted(platform="linux/arm64", step="RUN make"), event(name="RUN make", time=3)):
        written = JournalEntry(time=NOON, event=original)
        assert JournalEntry.from_json(json.loads(json.dumps(written.to_json()))) == written


def test_times_are_utc():
    east = NOON.astimezone(timezone(timedelta(hours=2)))
    read = JournalEntry.from_json({"time": east.isoformat(), "name": "n", "fields": {}})
    assert (read.time, read.time.tzinfo) == (NOON, UTC)
    with pytest.raises(ValueError, match="no time zone"):
        JournalEntry.from_json({"time": "2026-11-24T12:00:00", "name": "n", "fields": {}})


def test_a_missing_journal_has_no_events(tmp_path):
    assert read_events(tmp_path / "none") == ()


def test_a_killed_writer_loses_at_most_the_line_it_was_writing(tmp_path):
    path = tmp_path / "j"
    root = str(Path(__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    ) as child:
        assert child.stdout is not None
        for _ in range(20):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        written = 20 + len(child.stdout.read().splitlines())
    reading = scan_journal(path)
    numbers = [entry.event.to_json()["number"] for entry in reading.entries]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= written
    assert reading.damaged == ()


@pytest.mark.parametrize("length", [1, 30, -1])
def test_a_torn_last_line_is_left_out_and_does_not_spoil_the_next(tmp_path, caplog, length):
    path = tmp_path / "j"
    write_events(path, event(number=1), event(number=2))
    first, second, _ = path.read_bytes().split(b"\n")
    path.write_bytes(first + b"\n" + second[:length])
    assert [event.to_json()["number"] for event in read_events(path)] == [1]
    assert scan_journal(path).torn
    assert not caplog.records
    write_events(path, event(number=3))
    assert [event.to_json()["number"] for event in read_events(path)] == [1, 3]


def test_a_last_line_that_lacks_only_its_end_counts(tmp_path):
    path = tmp_path / "j"
    write_events(path, event(number=1))
    path.write_bytes(path.read_bytes()[:-1])
    assert len(read_events(path)) == 1
    assert not scan_journal(path).torn


def test_damage_in_the_middle_is_a_warning(tmp_path, caplog):
    path = tmp_path / "j"
    write_events(path, event(number=1), event(number=2))
    first, second, _ = path.read_bytes().split(b"\n")
    junk = (b"\x00" * 40, b"[]", b'{"time": 1, "name": "n", "fields": {}}', b"[" * 100_000)
    path.write_bytes(b"\n".join((first, *junk, second, b"")))
    assert [event.to_json()["number"] for event in read_events(path)] == [1, 2]
    assert scan_journal(path).damaged == (2, 3, 4, 5)
    assert "4 unreadable lines" in caplog.text
    assert "line 2" in caplog.text


def test_a_write_that_fails_halfway_does_not_spoil_the_next_event(tmp_path):
    """A file size limit stops a write in the middle, as a full disk does."""
    script = """
import resource, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import UnknownEvent
from multibuild.journal.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def event(size):
    return JournalEntry(time=datetime.now(UTC), event=UnknownEvent(name="n", fields={"pad": "x" * size}))
with Journal(Path(sys.argv[1])) as journal:
    journal.append(event(10))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    try:
        journal.append(event(5000))
    except OSError as error:
        print(error.strerror)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    journal.append(event(20))
"""
    root = str(Path(__file__).parents[3])
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "j")],
        check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert result.stdout.strip() == "File too large"
    reading = scan_journal(tmp_path / "j")
    assert [len(entry.event.to_json()["pad"]) for entry in reading.entries] == [10, 20]
    assert reading.damaged == (2,)


def test_threads_do_not_mix_their_lines(tmp_path):
    path = tmp_path / "j"

    def write_ten(n):
        for _ in range(10):
            journal.append(JournalEntry(time=NOON, event=event(n=n, pad="y" * 2000)))

    with Journal(path) as journal:
        threads = [threading.Thread(target=write_ten, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(event.to_json()["n"] for event in read_events(path)) == sorted(list(range(6)) * 10)


def test_values_that_are_no_json_do_not_end_a_run(tmp_path):
    write_events(tmp_path / "j", event(path=Path("/a"), pair=(1, 2), half="\ud800"))
    (read,) = read_events(tmp_path / "j")
    assert read.to_json() == {"path": "/a", "pair": [1, 2], "half": "?"}


def test_closing_twice_is_harmless(tmp_path):
    journal = Journal(tmp_path / "j")
    journal.close()
    journal.close()
