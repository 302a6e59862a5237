"""Further real registries, read without our own client."""

import contextlib
import json
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from e2e.conftest import free_port
from waiting import PATIENCE_S

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
    ca: Path | None = None

    def send(self, method, path, data=None, headers=None):
        scheme = "https" if self.ca else "http"
        context = ssl.create_default_context(cafile=self.ca) if self.ca else None
        request = urllib.request.Request(
            f"{scheme}://{self.host}/v2/{path}", data=data, method=method, headers=headers or {}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S, context=context) as answer:
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


def own_authority(folder: Path):
    """Make a CA and a certificate for localhost in `folder`; return the CA's file and the registry's settings."""

    def openssl(arguments):
        subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)

    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem")
    openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out request.pem")
    openssl(
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out own.pem"
    )
    return folder / "ca.pem", {"certificate": str(folder / "own.pem"), "key": str(folder / "key.pem")}


@contextlib.contextmanager
def another_registry(folder: Path, *, with_ca: bool = False, **settings):
    """Debian's docker-registry on a port of its own, with its data in `folder`; `with_ca`: TLS from a CA of its own."""
    port = free_port()
    ca, tls = own_authority(folder) if with_ca else (None, None)
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
                "http": {"addr": f"127.0.0.1:{port}", **({"tls": tls} if tls else {})},
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
            yield RealRegistry(f"localhost:{port}", ca)
        finally:
            serving.terminate()
            serving.wait(PATIENCE_S)


def _wait(port, serving):
    deadline = time.monotonic() + PATIENCE_S
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
