"""An image for the docker-container driver where BuildKit's own cannot be pulled.

The driver talks to BuildKit through `buildctl dial-stdio` in its container. This image's `buildctl` connects that to the
BuildKit inside dockerd, over the lab's forwarder: container, volume, configuration and protocol are the real ones.
"""

import contextlib
import subprocess
import sys

from e2e.conftest import REGISTRY, ROOT, docker, free_port

DOCKER_SOCKET = "/var/run/docker.sock"
_BUILDKITD = "#!/bin/sh\ntrap 'exit 0' TERM INT\nwhile true; do sleep 1; done\n"
_BUILDCTL = '#!/bin/sh\ncase "$*" in *dial-stdio*) exec nc 127.0.0.1 "$(cat /port)" ;; esac\n'


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
def buildkit_images(folder, count=1):
    """Return the names of identical images; they need `network: host`."""
    port = free_port()
    for name, text in (("buildkitd", _BUILDKITD), ("buildctl", _BUILDCTL), ("port", f"{port}\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "Dockerfile").write_text(
        f"FROM {REGISTRY}/base:latest\nCOPY buildkitd buildctl /usr/bin/\nCOPY port /port\n"
        'ENTRYPOINT ["/usr/bin/buildkitd"]\n'
    )
    images = [f"{REGISTRY}/e2e/buildkit:{port}-{number}" for number in range(count)]
    with forwarded(DOCKER_SOCKET, port):
        try:
            for image in images:
                docker("build", "--quiet", "--tag", image, folder)
            yield images
        finally:
            docker("image", "rm", "--force", *images, check=False)
