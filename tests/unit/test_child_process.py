"""Programs that answer a question: those that hang, print without end, close their pipes, or leave others behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from waiting import NEVER_S, PATIENCE_S, comes, ends, process_state, read_pid

from multibuild.child_process import POLL_S, ChildLimit, ChildStopped, run_child

READER = f"""
import sys
from multibuild.child_process import run_child
argv = ["sh", "-c", "read go < $1; echo answer", "sh", sys.argv[1]]
print(run_child(argv, timeout_s={PATIENCE_S}, max_bytes=100).stdout)
"""


def run(script, *arguments, timeout_s=PATIENCE_S, max_bytes=10_000, **options):
    return run_child(
        ["sh", "-c", script, "sh", *arguments], timeout_s=timeout_s, max_bytes=max_bytes, **options
    )


def test_both_streams_and_the_exit_code_are_returned():
    result = run("cat; echo error >&2; exit 3", stdin=b"input")
    assert (result.stdout, result.stderr, result.returncode) == (b"input", b"error\n", 3)


def test_what_a_program_prints_while_its_reader_does_not_run_is_read(tmp_path):
    """Stop the reader in its wait for the pipes; meanwhile the program prints and ends, and the wait is over."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = subprocess.Popen([sys.executable, "-c", READER, str(fifo)], stdout=subprocess.PIPE, text=True)
    with fifo.open("w") as go:  # waits until the program has opened it
        program = int(Path(f"/proc/{reading.pid}/task/{reading.pid}/children").read_text())
        assert comes(lambda: process_state(reading.pid) == "S")
        reading.send_signal(signal.SIGSTOP)
        assert comes(lambda: process_state(reading.pid) == "T")
        go.write("go\n")
    assert comes(lambda: process_state(program) == "Z")
    time.sleep(3 * POLL_S)
    reading.send_signal(signal.SIGCONT)
    assert reading.communicate(timeout=PATIENCE_S)[0] == "b'answer\\n'\n"


def test_a_program_that_a_signal_ends_has_its_negative_number():
    assert run("kill -KILL $$").returncode == -9


@pytest.mark.parametrize(
    "script", [f"sleep {NEVER_S}", f"exec >&- 2>&-; sleep {NEVER_S}", "while :; do echo; sleep 0.01; done"]
)
def test_a_program_that_does_not_end_is_ended(script, tmp_path):
    pid = tmp_path / "pid"
    with pytest.raises(ChildLimit, match=r"does not answer within 2\.0s"):
        run(f'echo $$ > "$1"; {script}', pid, timeout_s=2.0)
    assert ends(read_pid(pid))


def test_a_program_that_prints_without_end_is_ended_with_what_it_started(tmp_path):
    pid = tmp_path / "pid"
    with pytest.raises(ChildLimit, match=r"prints more than 10"):
        run(
            'sh -c \'echo $$ > "$1"; exec sleep 3600\' sh "$1" & while ! test -s "$1"; do :; done; yes >&2',
            pid,
        )
    assert ends(read_pid(pid))


def test_what_a_program_leaves_behind_is_not_waited_for():
    result = run(f"sleep {NEVER_S} & echo $!")
    assert result.returncode == 0
    run(f"kill {result.stdout.decode()}")


@pytest.mark.parametrize("script", [f"exec sleep {NEVER_S}", f"exec >&- 2>&-; exec sleep {NEVER_S}"])
def test_a_program_whose_answer_is_not_wanted_any_more_is_ended(script, tmp_path):
    pid = tmp_path / "pid"
    stopped, raised = threading.Event(), []

    def ask():
        try:
            run(
                f'echo $$ > "$1.new"; mv "$1.new" "$1"; {script}',
                pid,
                timeout_s=NEVER_S,
                is_stopped=stopped.is_set,
            )
        except ChildStopped as error:
            raised.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while not pid.exists():
        thread.join(0.01)
    stopped.set()
    thread.join(PATIENCE_S)
    assert len(raised) == 1
    assert ends(read_pid(pid))
