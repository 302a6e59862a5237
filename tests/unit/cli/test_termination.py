"""A signal that ends a command while tags move: each tag holds what it held before."""

import os
import signal
import subprocess
import sys

import pytest
from fakes.images import put_image
from fakes.registry_server import FakeRegistry
from waiting import PATIENCE_S


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["promote", "merge"])
def test_a_signal_between_two_tags_leaves_none_moved(command, number, tmp_path):
    processes: list[subprocess.Popen[str]] = []

    def end(_registry, request, proceed):
        if (request.method, request.rest) == ("PUT", "b") and processes:
            processes.pop().send_signal(number)
        return proceed()

    with FakeRegistry() as registry:
        registry.bends.append(end)
        put_image(registry, "app", tag="new")
        before = put_image(registry, "app", "linux/riscv64", tag="a")
        name = f"{registry.host}/app"
        words = {
            "promote": [f"{name}:new", f"{name}:a", f"{name}:b"],
            "merge": [f"{name}:a", f"{name}:new", "--tag", "b"],
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "multibuild", command, *words[command]],
            cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path)},
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        _, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, "interrupted" in err) == (130, True)
        tags = registry.repository("app").tags
        assert (tags["a"], "b" in tags) == (before, False)
