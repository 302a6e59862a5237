"""Stand-ins for BuildKit's image, and ways to an engine's BuildKit, for tests that need their own."""

import contextlib
import os
import subprocess
import sys

from e2e.conftest import REGISTRY, ROOT, docker, free_port

from builders.lab import buildkit_image
from builders.lab.paths import lab


@contextlib.contextmanager
def forwarded(socket, port, *more):
    """Serve an engine's BuildKit at a port; return the forwarder's process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "builders.lab", "forward", str(socket), str(port), *map(str, more)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def buildkit_images(count=1, engine=None):
    """Return the names of identical images in an engine (docker's by default); they need `network: host`."""
    socket = engine or buildkit_image.socket()
    environment = {"DOCKER_HOST": f"unix://{socket}"}
    port = free_port()
    images = [f"{REGISTRY}/e2e/buildkit:{port}-{number}" for number in range(count)]
    with forwarded(socket, port):
        try:
            buildkit_image.build(lab(), port, *images, environ={**os.environ, **environment})
            yield images
        finally:
            docker("image", "rm", "--force", *images, check=False, env=environment)
