"""Daemons, identified by pid and start time, so that no other process is ever ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from builders.lab.paths import LabError


def say(text: str) -> None:
    """Print a message to stderr."""
    print(f"lab: {text}", file=sys.stderr, flush=True)


def start(record: Path, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> None:
    """Start a daemon in a session of its own and record its pid and start time."""
    record.parent.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=env,
            start_new_session=True,
            cwd="/",
        )
    # It outlives this process: without this Popen would warn that it was not waited for.
    child.returncode = 0
    record.write_text(json.dumps({"pid": child.pid, "started": start_time(child.pid), "boot": _boot()}))


def _boot() -> str:
    """Return the id of this boot: start times count from it, and /run may survive on a disk."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def start_time(pid: int) -> str | None:
    """Return a process's start time in clock ticks since boot (proc(5), field 22); None when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def alive(record: Path) -> int | None:
    """Return the pid of a recorded daemon, if it is still that process."""
    try:
        data = json.loads(record.read_text())
    except (OSError, ValueError):
        return None
    pid, started = data["pid"], data["started"]
    same_boot = data.get("boot", "") in {"", _boot()}
    return pid if same_boot and started is not None and start_time(pid) == started else None


def stop(record: Path, *, seconds: float = 15.0) -> bool:
    """End the daemon, by TERM and then KILL; return whether there was one."""
    pid = alive(record)
    if pid is not None:
        _signal(pid, signal.SIGTERM)
        if not wait_until(lambda: alive(record) is None, seconds):
            _signal(pid, signal.SIGKILL)
            wait_until(lambda: alive(record) is None, 5.0)
    record.unlink(missing_ok=True)
    return pid is not None


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_until(ready: Callable[[], bool], seconds: float) -> bool:
    """Poll a condition until it is met or the time is over; return whether it is met."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def run(argv: Sequence[str], *, env: Mapping[str, str] | None = None, hint: str = "see above") -> str:
    """Run a command and return its stdout; LabError with its last lines when it fails."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed", hint) from None
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()[-8:]
        raise LabError(
            f"{Path(argv[0]).name} {argv[1] if len(argv) > 1 else ''} failed: " + "\n  ".join(lines), hint
        )
    return done.stdout


def succeeds(argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout_s: float = 20.0) -> bool:
    """Whether a command exits with 0."""
    try:
        done = subprocess.run(argv, capture_output=True, env=env, stdin=subprocess.DEVNULL, timeout=timeout_s)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
