import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from multibuild.buildx.process import MAX_LINE_BYTES, ProcessLimits, run_process

ROOT = Path(__file__).resolve().parents[3]
TIMEOUT_S = 8.0


async def run_shell(script: str, folder: Path, **limits):
    lines: list[bytes] = []
    result = await run_process(
        ["sh", "-c", script], cwd=folder, on_line=lines.append, limits=ProcessLimits(**limits)
    )
    return result, lines


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


async def ends(pid: int, timeout_s: float = TIMEOUT_S) -> bool:
    def watch() -> bool:
        until = time.monotonic() + timeout_s
        while is_alive(pid) and time.monotonic() < until:
            time.sleep(0.02)
        return not is_alive(pid)

    return await asyncio.to_thread(watch)


async def read_pid(path: Path) -> int:
    """Wait for a pid that a script writes."""

    def watch() -> int:
        until = time.monotonic() + TIMEOUT_S
        while time.monotonic() < until:
            if path.exists() and (text := path.read_text()).endswith("\n"):
                return int(text)
            time.sleep(0.01)
        raise TimeoutError(path)

    return await asyncio.to_thread(watch)


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Path]:
    """A folder for pids that scripts write; processes that a failed test leaves are ended."""
    folder = tmp_path / "pids"
    folder.mkdir()
    yield folder
    for path in folder.iterdir():
        pid = int(path.read_text() or "0")
        with contextlib.suppress(OSError):
            if pid and Path(f"/proc/{pid}/cwd").readlink() == tmp_path.resolve():
                os.kill(pid, signal.SIGKILL)


async def test_lines_of_both_streams_and_the_exit_code(tmp_path):
    result, lines = await run_shell("echo one; echo two >&2; printf three; exit 7", tmp_path)
    assert lines == [b"one", b"two", b"three"]
    assert (result.code, result.end_reason) == (7, "exited")
    assert 0 < result.seconds < TIMEOUT_S


async def test_a_signal_is_a_negative_code(tmp_path):
    result, _ = await run_shell("kill -TERM $$", tmp_path)
    assert (result.code, result.end_reason) == (-signal.SIGTERM, "exited")


async def test_working_directory_and_environment(tmp_path):
    lines: list[bytes] = []
    environ = {"PATH": os.environ["PATH"], "COLOUR": "green"}
    await run_process(
        ["sh", "-c", 'pwd; echo "$COLOUR"; cat'], cwd=tmp_path, on_line=lines.append, environ=environ
    )
    assert lines == [str(tmp_path.resolve()).encode(), b"green"]


async def test_a_program_that_cannot_be_started_is_an_oserror(tmp_path):
    with pytest.raises(OSError):
        await run_process([str(tmp_path / "nothing")], cwd=tmp_path, on_line=print)


async def test_a_process_group_of_its_own(tmp_path):
    result, lines = await run_shell("cut -d' ' -f1,5 /proc/self/stat; echo $$", tmp_path)
    group, leader = int(lines[0].split()[1]), int(lines[1])
    assert result.code == 0
    assert group == leader != os.getpgrp()


async def test_bytes_that_are_no_text_are_passed_on(tmp_path):
    _, lines = await run_shell(r"printf '\377\000\001\n'", tmp_path)
    assert lines == [b"\xff\x00\x01"]


async def test_a_long_line_is_cut_and_the_next_is_whole(tmp_path):
    script = f"head -c {3 * MAX_LINE_BYTES} /dev/zero | tr '\\0' x; echo; echo after"
    _, lines = await run_shell(script, tmp_path)
    assert [len(line) for line in lines] == [MAX_LINE_BYTES, 5]
    assert lines[1] == b"after"


async def test_a_line_of_the_maximum_length_is_whole(tmp_path):
    _, lines = await run_shell(f"head -c {MAX_LINE_BYTES} /dev/zero | tr '\\0' x; echo; echo after", tmp_path)
    assert [len(line) for line in lines] == [MAX_LINE_BYTES, 5]


async def test_a_timeout_interrupts_first(tmp_path):
    script = "trap 'echo asked; exit 3' INT; echo up; while :; do sleep 0.05; done"
    result, lines = await run_shell(script, tmp_path, timeout=0.4)
    assert result.end_reason == "timeout"
    assert result.code == 3
    assert lines == [b"up"]
    assert result.seconds < TIMEOUT_S


async def test_a_timeout_ends_grandchildren_that_hold_the_pipe(tmp_path, pids):
    script = f"sh -c 'echo $$ > {pids}/grandchild; sleep 60; :'; :"
    result, _ = await run_shell(script, tmp_path, timeout=0.3)
    assert result.end_reason == "timeout"
    assert await ends(await read_pid(pids / "grandchild"))
    assert result.seconds < TIMEOUT_S


@pytest.mark.slow
async def test_a_process_that_ignores_signals_is_killed(tmp_path, pids):
    script = f"trap '' INT TERM; sleep 60 & echo $! > {pids}/grandchild; while :; do sleep 0.2; done"
    result, _ = await run_shell(script, tmp_path, timeout=0.3)
    assert (result.end_reason, result.code) == ("timeout", -signal.SIGKILL)
    assert await ends(await read_pid(pids / "grandchild"))
    assert 14 < result.seconds < 22


# A shell that is not interactive starts `&` children with INT ignored: this one outlives the first signal.
async def test_a_grandchild_without_the_pipe_ends_with_its_leader(tmp_path, pids):
    script = f"sleep 60 >/dev/null 2>&1 & echo $! > {pids}/grandchild; trap 'exit 0' INT; while :; do sleep 0.05; done"
    await run_shell(script, tmp_path, timeout=0.3)
    assert await ends(await read_pid(pids / "grandchild"), timeout_s=1)


async def test_stragglers_of_a_leader_that_exits_are_ended(tmp_path, pids):
    result, _ = await run_shell(f"sleep 60 >/dev/null 2>&1 & echo $! > {pids}/straggler", tmp_path)
    assert (result.code, result.end_reason) == (0, "exited")
    assert await ends(await read_pid(pids / "straggler"))


async def test_a_straggler_with_the_pipe_does_not_delay_the_exit(tmp_path, pids):
    script = f"sleep 60 & echo $! > {pids}/straggler; exit 5"
    result, _ = await run_shell(script, tmp_path, timeout=2)
    assert (result.code, result.end_reason) == (5, "exited")
    assert await ends(await read_pid(pids / "straggler"))


async def test_a_timeout_applies_after_the_pipe_is_closed(tmp_path, pids):
    script = f"echo $$ > {pids}/leader; exec >&- 2>&-; sleep 60"
    result, _ = await run_shell(script, tmp_path, timeout=1)
    assert result.end_reason == "timeout"
    assert await ends(await read_pid(pids / "leader"))


async def test_cancelling_ends_the_whole_group(tmp_path, pids):
    script = f"sh -c 'echo $$ > {pids}/child; sleep 60; :' ; :"
    task = asyncio.create_task(run_shell(script, tmp_path))
    child = await read_pid(pids / "child")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ends(child)


async def test_cancelling_during_the_start_ends_the_whole_group(tmp_path, pids):
    script = f"sh -c 'echo $$ > {pids}/child; sleep 60; :' ; :"
    task = asyncio.create_task(run_shell(script, tmp_path))
    while not (pids / "child").exists():
        # The process exists and has a child, but asyncio has not reported it yet.
        await asyncio.sleep(0)
        time.sleep(0.5)  # noqa: ASYNC251
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=TIMEOUT_S)
    assert done
    assert task.cancelled()
    assert await ends(await read_pid(pids / "child"))


async def test_an_error_of_the_line_reader_ends_the_process(tmp_path, pids):
    class Refused(Exception):
        pass

    def refuse(_line: bytes) -> None:
        raise Refused

    script = f"echo $$ > {pids}/leader; echo line; sleep 60"
    with pytest.raises(Refused):
        await run_process(["sh", "-c", script], cwd=tmp_path, on_line=refuse)
    assert await ends(await read_pid(pids / "leader"))


async def test_silence_is_a_stall(tmp_path):
    result, lines = await run_shell("echo up; sleep 60", tmp_path, stall=0.3)
    assert result.end_reason == "stalled"
    assert lines == [b"up"]
    assert result.seconds < TIMEOUT_S


async def test_a_process_with_output_does_not_stall(tmp_path):
    result, lines = await run_shell("for i in 1 2 3 4 5; do echo $i; sleep 0.2; done", tmp_path, stall=0.7)
    assert result.end_reason == "exited"
    assert len(lines) == 5


async def test_a_busy_process_does_not_stall(tmp_path):
    calls = []

    def busy() -> bool:
        calls.append(time.monotonic())
        return True

    result, _ = await run_shell("sleep 0.9; echo done", tmp_path, stall=0.2, is_busy=busy)
    assert result.end_reason == "exited"
    assert 2 <= len(calls) <= 5


async def test_a_process_stalls_when_it_is_no_longer_busy(tmp_path):
    answers = [True, True]
    result, _ = await run_shell(
        "sleep 60", tmp_path, stall=0.15, is_busy=lambda: bool(answers) and answers.pop()
    )
    assert result.end_reason == "stalled"
    assert 0.4 < result.seconds < TIMEOUT_S


async def test_a_busy_process_still_times_out(tmp_path):
    result, _ = await run_shell("sleep 60", tmp_path, timeout=0.5, stall=0.1, is_busy=lambda: True)
    assert result.end_reason == "timeout"


async def test_a_process_is_ended_when_it_is_called_hung(tmp_path):
    """Whatever it prints: another one of its steps may."""
    asked = []

    def is_hung() -> bool:
        asked.append(time.monotonic())
        return len(asked) == 2

    script = "while :; do echo on; sleep 0.2; done"
    result, lines = await run_shell(script, tmp_path, is_hung=is_hung)
    assert (result.end_reason, len(asked)) == ("hung", 2)
    assert lines[0] == b"on"


PARENT = """
import asyncio, sys
from pathlib import Path
from multibuild.buildx.process import run_process
script = f"echo $$ > {sys.argv[1]}/child; exec sleep 60"
asyncio.run(run_process(["sh", "-c", script], cwd=Path(sys.argv[1]).parent, on_line=print))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux's")
async def test_the_child_dies_when_its_parent_is_killed(pids):
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, str(pids), cwd=ROOT)
    try:
        child = await read_pid(pids / "child")
        assert is_alive(child)
    finally:
        parent.kill()
        await parent.wait()
    assert await ends(child)
