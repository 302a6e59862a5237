"""Docker's config.json: which login a registry gets, and that no message holds one."""

import base64
import json
import os
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fuzz.harness import Target, mutated, mutated_json
from multibuild.errors import EnvironmentFault
from multibuild.oci.access.docker_logins import credentials_for

SECRET = "s3cret-word"
WORDS = (
    b"{",
    b"}",
    b"[",
    b'"auths":',
    b'"credsStore":',
    b'"../x"',
    b'"auth":',
    b":",
    b",",
    b"\0",
    b"\xff",
    b"null",
    b"9" * 5000,
)
FOLDER = tempfile.TemporaryDirectory(prefix="multibuild-fuzz-")
HOSTS = ("r.example.org", "localhost:5000", "docker.io")


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    seed = generator.choice(seeds)
    if generator.random() < 0.3:
        return mutated(generator, seed, WORDS)
    document = json.loads(seed)
    if generator.random() < 0.3:
        plain = generator.choice((f"me:{SECRET}", SECRET, f":{SECRET}", f"me:{SECRET}\0\0", "me:", "\udcff:"))
        encoded = base64.b64encode(plain.encode("utf-8", "surrogateescape")).decode()
        document.setdefault("auths", {})["r.example.org"] = {"auth": encoded[: generator.choice((99, 5, 0))]}
    return json.dumps(mutated_json(generator, document)).encode()


def _run(case: bytes) -> None:
    (Path(FOLDER.name) / "config.json").write_bytes(case)
    before = {name: os.environ.get(name) for name in ("DOCKER_CONFIG", "PATH")}
    # No helper of this machine is asked.
    os.environ.update(DOCKER_CONFIG=FOLDER.name, PATH=FOLDER.name)
    try:
        for host in HOSTS:
            _look_up(host)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _look_up(host: str) -> None:
    try:
        login = credentials_for(host, timeout_s=5.0)
    except EnvironmentFault as error:
        # A word in the place of a helper's name is shown: it is the name of a program.
        text = f"{error.message} {error.hint}".replace(f"docker-credential-{SECRET}", "")
        assert SECRET not in text
        assert len(text) < 1000
        return
    assert SECRET not in repr(login)
    assert login is None or all(isinstance(part, str) for part in (login.username, login.secret))


TARGETS = (Target(name="docker-configs", make=_make, run=_run),)
