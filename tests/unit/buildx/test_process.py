import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import NEVER_S, PATIENCE_S, ends, is_alive, read_pid

from multibuild.buildx.process import MAX_LINE_BYTES, ProcessLimits, run_process

ROOT = Path(__file__).resolve().parents[3]

ENOUGH_S = 2.0
"""A limit within which a shell starts and runs its first lines on any machine."""


async def run_shell(script: str, folder: Path, **limits):
    lines: list[bytes] = []
    result = await run_process(
        ["sh", "-c", script], cwd=folder, on_line=lines.append, limits=ProcessLimits(**limits)
    )
    return result, lines


async def ended(pid: int) -> bool:
    return await asyncio.to_thread(ends, pid)


async def written_pid(path: Path) -> int:
    return await asyncio.to_thread(read_pid, path)


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
    assert 0 < result.seconds < PATIENCE_S


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
    result, lines = await run_shell(script, tmp_path, timeout=ENOUGH_S)
    assert result.end_reason == "timeout"
    assert result.code == 3
    assert lines == [b"up"]
    assert result.seconds < PATIENCE_S


async def test_a_timeout_ends_grandchildren_that_hold_the_pipe(tmp_path, pids):
    script = f"sh -c 'echo $$ > {pids}/grandchild; sleep {NEVER_S}; :'; :"
    result, _ = await run_shell(script, tmp_path, timeout=ENOUGH_S)
    assert result.end_reason == "timeout"
    assert await ended(await written_pid(pids / "grandchild"))
    assert result.seconds < PATIENCE_S


@pytest.mark.slow
async def test_a_process_that_ignores_signals_is_killed(tmp_path, pids):
    script = f"trap '' INT TERM; sleep {NEVER_S} & echo $! > {pids}/grandchild; while :; do sleep 0.2; done"
    result, _ = await run_shell(script, tmp_path, timeout=ENOUGH_S)
    assert (result.end_reason, result.code) == ("timeout", -signal.SIGKILL)
    assert await ended(await written_pid(pids / "grandchild"))
    assert 14 < result.seconds < PATIENCE_S


# A shell that is not interactive starts `&` children with INT ignored: this one outlives the first signal.
async def test_a_grandchild_without_the_pipe_ends_with_its_leader(tmp_path, pids):
    script = f"sleep {NEVER_S} >/dev/null 2>&1 & echo $! > {pids}/grandchild; trap 'exit 0' INT; while :; do sleep 0.05; done"
    await run_shell(script, tmp_path, timeout=ENOUGH_S)
    assert await ended(await written_pid(pids / "grandchild"))


async def test_stragglers_of_a_leader_that_exits_are_ended(tmp_path, pids):
    result, _ = await run_shell(f"sleep {NEVER_S} >/dev/null 2>&1 & echo $! > {pids}/straggler", tmp_path)
    assert (result.code, result.end_reason) == (0, "exited")
    assert await ended(await written_pid(pids / "straggler"))


async def test_a_straggler_with_the_pipe_does_not_delay_the_exit(tmp_path, pids):
    script = f"sleep {NEVER_S} & echo $! > {pids}/straggler; exit 5"
    result, _ = await run_shell(script, tmp_path, timeout=600)
    assert (result.code, result.end_reason) == (5, "exited")
    assert await ended(await written_pid(pids / "straggler"))


async def test_a_timeout_applies_after_the_pipe_is_closed(tmp_path, pids):
    script = f"echo $$ > {pids}/leader; exec >&- 2>&-; sleep {NEVER_S}"
    result, _ = await run_shell(script, tmp_path, timeout=ENOUGH_S)
    assert result.end_reason == "timeout"
    assert await ended(await written_pid(pids / "leader"))


async def test_cancelling_ends_the_whole_group(tmp_path, pids):
    script = f"sh -c 'echo $$ > {pids}/child; sleep {NEVER_S}; :' ; :"
    task = asyncio.create_task(run_shell(script, tmp_path))
    child = await written_pid(pids / "child")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ended(child)


async def test_cancelling_during_the_start_ends_the_whole_group(tmp_path, pids):
    script = f"sh -c 'echo $$ > {pids}/child; sleep {NEVER_S}; :' ; :"
    task = asyncio.create_task(run_shell(script, tmp_path))
    while not (pids / "child").exists():
        # The process exists and has a child, but asyncio has not reported it yet.
        await asyncio.sleep(0)
        time.sleep(0.5)  # noqa: ASYNC251
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
    assert done
    assert task.cancelled()
    assert await ended(await written_pid(pids / "child"))


async def test_an_error_of_the_line_reader_ends_the_process(tmp_path, pids):
    class Refused(Exception):
        pass

    def refuse(_line: bytes) -> None:
        raise Refused

    script = f"echo $$ > {pids}/leader; echo line; sleep {NEVER_S}"
    with pytest.raises(Refused):
        await run_process(["sh", "-c", script], cwd=tmp_path, on_line=refuse)
    assert await ended(await written_pid(pids / "leader"))


async def test_silence_is_a_stall(tmp_path):
    result, lines = await run_shell(f"echo up; sleep {NEVER_S}", tmp_path, stall=ENOUGH_S)
    assert result.end_reason == "stalled"
    assert lines == [b"up"]
    assert result.seconds < PATIENCE_S


async def test_a_process_with_output_does_not_stall(tmp_path):
    result, lines = await run_shell(
        "for i in 1 2 3 4 5; do echo $i; sleep 0.6; done", tmp_path, stall=ENOUGH_S
    )
    assert result.end_reason == "exited"
    assert len(lines) == 5


async def test_a_busy_process_does_not_stall(tmp_path):
    calls = []

    def busy() -> bool:
        calls.append(time.monotonic())
        if len(calls) == 3:
            (tmp_path / "asked").touch()
        return True

    script = f"while ! test -e {tmp_path}/asked; do sleep 0.05; done"
    result, _ = await run_shell(script, tmp_path, stall=0.2, is_busy=busy)
    assert result.end_reason == "exited"
    assert calls[2] - calls[0] > 0.39, "asked once in each time of silence"


async def test_a_process_stalls_when_it_is_no_longer_busy(tmp_path):
    answers = [True, True]
    result, _ = await run_shell(
        f"sleep {NEVER_S}", tmp_path, stall=0.15, is_busy=lambda: bool(answers) and answers.pop()
    )
    assert result.end_reason == "stalled"
    assert 0.4 < result.seconds < PATIENCE_S


async def test_a_busy_process_still_times_out(tmp_path):
    result, _ = await run_shell(f"sleep {NEVER_S}", tmp_path, timeout=0.5, stall=0.1, is_busy=lambda: True)
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
script = f"echo $$ > {sys.argv[1]}/child; exec sleep 3600"
asyncio.run(run_process(["sh", "-c", script], cwd=Path(sys.argv[1]).parent, on_line=print))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux's")
async def test_the_child_dies_when_its_parent_is_killed(pids):
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, str(pids), cwd=ROOT)
    try:
        child = await written_pid(pids / "child")
        assert is_alive(child)
    finally:
        parent.kill()
        await parent.wait()
    assert await ended(child)
