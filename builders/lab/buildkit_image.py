"""BuildKit's image for the docker-container driver, or where it cannot be pulled a stand-in under its name.

The driver talks to BuildKit through `buildctl dial-stdio` in its container. In the stand-in, `buildctl` connects that
to the BuildKit inside dockerd, over the forwarder of the lab: container, volume, configuration and protocol are real,
but a buildkitd.toml is mounted and read by nobody, and cache and builds are those of the engine's own builder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from builders.lab import process
from builders.lab.paths import DEFAULT_SOCKET, Lab, LabError
from builders.lab.process import run, say, succeeds

PROFILE = Path(__file__).resolve().parents[1] / "container.yaml"
LABEL = "io.multibuild.lab.port"
"""On a stand-in: the port of the forwarder that it connects to."""

PULL_TIMEOUT_S = 60

_BUILDKITD = "#!/bin/sh\ntrap 'exit 0' TERM INT\nwhile true; do sleep 1; done\n"
_BUILDCTL = '#!/bin/sh\ncase "$*" in *dial-stdio*) exec nc 127.0.0.1 {port} ;; esac\n'
_DOCKERFILE = """FROM {base}
LABEL {label}={port}
COPY buildkitd buildctl /usr/bin/
ENTRYPOINT ["/usr/bin/buildkitd"]
"""


def image() -> str:
    """Return the image that `builder: auto` looks for: that of the profile."""
    match = re.search(r"^image: (\S+)$", PROFILE.read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise LabError(f"{PROFILE} names no image", "repair it")
    return match[1]


def up(lab: Lab) -> str:
    """Make the image available; return "real" or "stand-in"."""
    kind = resume(lab)
    if kind is None and _pull():
        return "real"
    if kind is None:
        say(f"{image()} cannot be pulled: a stand-in leads to the engine's own BuildKit")
        _start_forwarder(lab)
        build(lab, port(lab), image())
    return kind or "stand-in"


def resume(lab: Lab) -> str | None:
    """Start what a stand-in in the engine needs; return what the image is, None when the engine has none."""
    template = f'{{{{index .Config.Labels "{LABEL}"}}}}'
    answer = subprocess.run(
        ["docker", "image", "inspect", "--format", template, image()],
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if answer.returncode:
        return None
    expected = answer.stdout.strip()
    if expected in {"", "<no value>"}:
        return "real"
    if expected != str(port(lab)):
        build(lab, port(lab), image())
    _start_forwarder(lab)
    return "stand-in"


def build(lab: Lab, to_port: int, *names: str, environ: Mapping[str, str] | None = None) -> None:
    """Build a stand-in that connects to a port of this machine; its container needs `network: host`.

    `environ` may lead docker to another engine.
    """
    folder = lab.home / "buildkit-image" / str(to_port)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("buildkitd", _BUILDKITD), ("buildctl", _BUILDCTL.format(port=to_port))):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    dockerfile = _DOCKERFILE.format(base=f"{lab.registry}/base:latest", label=LABEL, port=to_port)
    (folder / "Dockerfile").write_text(dockerfile)
    tags = [word for name in names for word in ("--tag", name)]
    run(
        ["docker", "buildx", "build", "--builder", "default", "--load", "--quiet", *tags, str(folder)],
        env=environ,
    )
    shutil.rmtree(folder)


def down(lab: Lab) -> None:
    """Stop the forwarder; the image stays, and `up` starts the forwarder again."""
    process.stop(_record(lab))


def port(lab: Lab) -> int:
    """Return the forwarder's port: the one after the registry's."""
    return lab.port + 1


def socket() -> Path:
    """Return the socket of the engine that the docker command reaches."""
    host = os.environ.get("DOCKER_HOST", "")
    return Path(host.removeprefix("unix://")) if host.startswith("unix://") else DEFAULT_SOCKET


def _pull() -> bool:
    return succeeds(["docker", "pull", "--quiet", image()], timeout_s=PULL_TIMEOUT_S)


def _record(lab: Lab) -> Path:
    return lab.run / "forward.json"


def _start_forwarder(lab: Lab) -> None:
    log = lab.home / "log" / "forward.log"
    if process.alive(_record(lab)) is not None and f" to {socket()}\n" in log.read_text(errors="replace"):
        return
    process.stop(_record(lab))  # one of another engine, or dead
    log.unlink(missing_ok=True)
    argv = [sys.executable, "-m", "builders.lab", "forward", str(socket()), str(port(lab))]
    env = {**os.environ, "PYTHONPATH": str(PROFILE.parents[1])}
    process.start(_record(lab), argv, log=log, env=env)

    def is_ready() -> bool:
        return "forwarding" in log.read_text(errors="replace")

    process.wait_until(lambda: is_ready() or process.alive(_record(lab)) is None, 15)
    if not is_ready():
        process.stop(_record(lab))
        raise LabError(
            "the way to the engine's BuildKit did not start:\n  " + log.read_text(errors="replace")[-500:],
            "if the port is taken, choose another with MULTIBUILD_LAB_PORT (it is the one after that)",
        )
