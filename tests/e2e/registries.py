"""Further real registries, read without our own client."""

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from e2e.conftest import free_port

from builders.lab.paths import lab

ACCEPT = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)


@dataclass(frozen=True)
class RealRegistry:
    """A registry at `host`, without anything between it and the test."""

    host: str

    def send(self, method, path, data=None, headers=None):
        request = urllib.request.Request(
            f"http://{self.host}/v2/{path}", data=data, method=method, headers=headers or {}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.headers, answer.read()

    def digest(self, repository, target):
        """Return the digest a tag points to; None without such a tag."""
        try:
            headers, _ = self.send("HEAD", f"{repository}/manifests/{target}", headers={"Accept": ACCEPT})
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise
        return headers["Docker-Content-Digest"]

    def document(self, repository, target):
        return json.loads(self.send("GET", f"{repository}/manifests/{target}", headers={"Accept": ACCEPT})[1])

    def put(self, repository, target, document):
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        media_type = json.loads(content)["mediaType"]
        headers, _ = self.send(
            "PUT", f"{repository}/manifests/{target}", content, {"Content-Type": media_type}
        )
        return headers["Docker-Content-Digest"]


@contextlib.contextmanager
def another_registry(folder: Path, **settings):
    """Debian's docker-registry on a port of its own, with its data in `folder`."""
    port = free_port()
    config = folder / "registry.yml"
    config.write_text(
        json.dumps(
            {
                "version": 0.1,
                "log": {"level": "warn", "accesslog": {"disabled": True}},
                "storage": {
                    "filesystem": {"rootdirectory": str(folder / "data")},
                    "delete": {"enabled": True},
                },
                "http": {"addr": f"127.0.0.1:{port}"},
                **settings,
            }
        )
    )
    with (folder / "log").open("wb") as log:
        serving = subprocess.Popen(
            [f"{lab().prefix}/usr/bin/docker-registry", "serve", str(config)], stdout=log, stderr=log
        )
        try:
            _wait(port, serving)
            yield RealRegistry(f"localhost:{port}")
        finally:
            serving.terminate()
            serving.wait(30)


def _wait(port, serving):
    deadline = time.monotonic() + 60
    while serving.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=10).close()
        except urllib.error.HTTPError:
            return  # it asks for a login
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the registry did not start")
