"""Jobs of a CI system: each has a checkout and a state directory of its own, and some have no docker."""

import os
import shutil
import time

from e2e.conftest import Done, finish, start
from waiting import PATIENCE_S


def run_job(folder, config, command, *flags, env=None, kill_after=None):
    """Run a command in a copy of a config's folder; with `kill_after` kill it after an event of that name."""
    shutil.copytree(config.parent, folder / "checkout", copy_function=shutil.copy)
    path, state = folder / "checkout" / config.name, folder / "state"
    process = start(command, *flags, "-f", path, "--state-dir", state, "--json", env=env)
    if kill_after is not None:
        return _killed(process, state, kill_after)
    return finish(process)


def _killed(process, state, event):
    """Kill a run once its journal has an event, and return how it ended: it may have, by itself, before the kill."""
    deadline = time.monotonic() + PATIENCE_S
    while f'"{event}"' not in "".join(path.read_text() for path in state.glob("runs/*/journal.jsonl")):
        if process.poll() is not None:
            break
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    stdout, stderr = process.communicate()
    return Done(process.returncode, stdout, stderr, 0.0)


def without_docker(folder):
    """Return the environment of a machine without docker, and the file that any call of it leaves."""
    folder.mkdir()
    called = folder / "docker-was-called"
    (folder / "docker").write_text(f'#!/bin/sh\necho "$@" >> {called}\nexit 1\n')
    (folder / "docker").chmod(0o755)
    env = {"DOCKER_HOST": "unix:///nowhere/docker.sock", "PATH": f"{folder}:{os.environ['PATH']}"}
    return env, called
