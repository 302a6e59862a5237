"""The services behind the names of `names.py` that are no repository of the lab's registry."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from builders.lab.paths import lab

# User `builder`, password `correct-horse`.
_HTPASSWD = "builder:$2b$05$abcdefghijklmnopqrstuuZ0Fx87Pb/Aqb0E90lfvCwzXnaFKUHpS\n"
_TIMEOUT_S = 60.0
ROOT = Path(__file__).resolve().parents[2]
SOCKET = "/var/run/docker.sock"


@contextlib.contextmanager
def service(name: str, folder: Path) -> Iterator[str]:
    """Start the service `name`; return the address that replaces it. `folder` is the reader's."""
    with contextlib.ExitStack() as stack:
        if name.startswith("tcp://"):
            yield stack.enter_context(_buildkit())
        elif name == "registry.internal:5443":
            yield stack.enter_context(_private_registry(folder))
        else:
            yield stack.enter_context(_registry(folder / "plain", {}))


@contextlib.contextmanager
def _private_registry(folder: Path) -> Iterator[str]:
    """Start a registry with TLS from a new CA (`ca.crt`, beside the project) and a login."""
    store = folder / "private"
    store.mkdir()
    (store / "names").write_text(f"subjectAltName=IP:{_address()}\n")
    _openssl(store, "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt")
    _openssl(store, "req -newkey rsa:2048 -nodes -subj /CN=registry -keyout key.pem -out request.pem")
    _openssl(store, "x509 -req -in request.pem -CA ca.crt -CAkey ca.key -CAcreateserial -days 2"
                    " -extfile names -out certificate.pem")  # fmt: skip
    (store / "htpasswd").write_text(_HTPASSWD)
    shutil.copy(store / "ca.crt", folder / "project" / "ca.crt")
    tls = {"certificate": str(store / "certificate.pem"), "key": str(store / "key.pem")}
    login = {"htpasswd": {"realm": "docs", "path": str(store / "htpasswd")}}
    with _registry(store, {"auth": login}, tls=tls) as host:
        try:
            yield host
        finally:
            # Where the page puts the CA for the engine.
            shutil.rmtree(Path("/etc/docker/certs.d", host), ignore_errors=True)


@contextlib.contextmanager
def _registry(store: Path, settings: dict[str, object], tls: dict[str, str] | None = None) -> Iterator[str]:
    """Start Debian's docker-registry at an address other than loopback, to which other rules apply."""
    store.mkdir(exist_ok=True)
    host = f"{_address()}:{_free_port()}"
    config = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(store / "data")}, "delete": {"enabled": True}},
        "http": {"addr": host, **({"tls": tls} if tls else {})},
        **settings,
    }
    (store / "registry.yml").write_text(json.dumps(config))
    program = f"{lab().prefix}/usr/bin/docker-registry"
    with (store / "log").open("wb") as log, _running([program, "serve", str(store / "registry.yml")], log):
        _wait_for(host)
        yield host


@contextlib.contextmanager
def _buildkit() -> Iterator[str]:
    """Serve the BuildKit of the lab's engine at a TCP port, like a machine of its own."""
    port = _free_port()
    command = [sys.executable, "-m", "builders.lab", "forward", SOCKET, str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield f"tcp://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def _running(command: list[str], log: object) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=log, stderr=log)  # type: ignore[call-overload]
    try:
        yield
    finally:
        process.terminate()
        process.wait(_TIMEOUT_S)


def _wait_for(host: str) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://{host}/v2/", timeout=10).close()
        except urllib.error.HTTPError:
            return  # it requires TLS, or a login
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"the registry at {host} did not start")


def _openssl(folder: Path, arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)


def _address() -> str:
    """Return an address of this machine other than loopback."""
    listed = subprocess.run(["hostname", "-I"], check=True, capture_output=True, text=True).stdout.split()
    addresses = [address for address in listed if "." in address]
    assert addresses, "this machine has no address but the loopback one"
    return addresses[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
