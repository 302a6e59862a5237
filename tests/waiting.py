"""Waiting for what must come, and for processes that must end: long on any machine, however busy."""

import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 600.0
"""How long a test waits for what must come. What must not come sleeps longer (NEVER_S)."""

NEVER_S = 3600
"""How long the programs of tests sleep that somebody must end."""

POLL_S = 0.01


def comes(holds: Callable[[], object]) -> bool:
    """Wait until something holds; return whether it did in time."""
    until = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(POLL_S)
    return True


def process_state(pid: int) -> str:
    """Return the letter of a process's state as proc(5) has it; "" for one that does not exist."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    return process_state(pid) not in {"", "Z", "X"}


def ends(pid: int) -> bool:
    """Wait for the end of a process: SIGKILL takes effect when the kernel next runs it, not when it is sent."""
    return comes(lambda: not is_alive(pid))


def read_pid(path: Path) -> int:
    """Wait for a pid that a script writes."""
    assert comes(lambda: path.exists() and path.read_text().endswith("\n")), f"nothing in {path}"
    return int(path.read_text())
