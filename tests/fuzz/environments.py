"""Variables and programs that say how registries are reached: proxies, DOCKER_AUTH_CONFIG, credential helpers."""

import os
import random
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

import httpx

from fuzz.harness import Target, mutated
from multibuild.errors import EnvironmentFault
from multibuild.oci.access.credential_helper import CredentialHelper
from multibuild.oci.access.docker_config import environment_logins
from multibuild.oci.access.proxies import Proxies
from multibuild.oci.access.tunnels import proxy_authorization

SECRET = "s3cret"
PROXY_WORDS = (
    b"http://", b"https://", b"socks5://", b"socks5h://", b"me:s3cret@", b"@", b":", b"/", b"#", b"?", b"%", b"%40", b"%zz",
    b"[", b"]", b"[fd00::1]", b"::1", b"*", b"*.", b".", b",", b"10.0.0.0/8", b"/33", b"/", b":443", b"\xc3\xbc", b"\xff",
    b" ", b"\t", b"\r", b"localhost", b"xn--a.", b"9" * 400, b"a" * 70, b"\nNO_PROXY=", b"\nHTTP_PROXY=",
)  # fmt: skip
PLACES = (
    ("https", "r.example.org", 443), ("http", "r.example.org", 80), ("https", "10.1.2.3", 5000),
    ("https", "fd00::1", 443), ("https", "localhost", 5000), ("http", "127.0.0.1", 5000),
)  # fmt: skip


def _make_proxies(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    return mutated(generator, generator.choice(seeds), PROXY_WORDS)


def _run_proxies(case: bytes) -> None:
    lines = (line.partition("=") for line in case.decode("utf-8", "surrogateescape").split("\n"))
    proxies = Proxies.of({name: value for name, _, value in lines})
    for place in PLACES:
        try:
            proxy = proxies.of_url(*place)
        except EnvironmentFault as fault:
            text = f"{fault.message} {fault.hint}"
            assert SECRET not in text
            continue
        if proxy is None:
            continue
        assert place[1] not in {"localhost", "127.0.0.1"}
        assert proxy.host.isascii()
        assert 0 < proxy.port < 65536
        assert SECRET not in repr(proxy).replace(proxy.host, "")
        authorization = proxy_authorization(proxy)
        assert authorization is None or (b"\n" not in authorization and b"\r" not in authorization)
        if not proxy.is_socks:
            httpx.Proxy(proxy.address)


LOGIN_WORDS = (b"{", b"}", b"[", b'"auths":', b'"auth":', b'"bWU6czNjcmV0"', b":", b",", b"\0", b"\xff", b"null",
               b"9" * 5000, b'"Username":', b'"Secret":', b"<token>", b"credentials not found in native keychain")  # fmt: skip


def _make_login(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    return mutated(generator, generator.choice(seeds), LOGIN_WORDS)


def _run_environment(case: bytes) -> None:
    try:
        logins = environment_logins(case.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        text = str(error)
        assert SECRET not in text
        assert len(text) < 200
        return
    assert all(login.basic is None or "\n" not in login.basic for login in logins.values())
    assert SECRET not in repr(dict(logins)).replace(f"username='{SECRET}", "")


FOLDER = tempfile.TemporaryDirectory(prefix="multibuild-fuzz-")
PROGRAM = Path(FOLDER.name) / "docker-credential-fuzz"


def _run_helper(case: bytes) -> None:
    """Let a helper print the case, and end with the code of its first byte."""
    (Path(FOLDER.name) / "output").write_bytes(case)
    PROGRAM.write_text(f"#!/bin/sh\n/bin/cat {FOLDER.name}/output\nexit {len(case) % 2}\n")
    PROGRAM.chmod(stat.S_IRWXU)
    before = os.environ["PATH"]
    os.environ["PATH"] = FOLDER.name
    try:
        login = CredentialHelper(name="fuzz", host="r.example.org", timeout_s=5.0).login(
            "r.example.org", lambda text: None
        )
    except EnvironmentFault as fault:
        text = f"{fault.message} {fault.hint}"
        assert SECRET not in text
        raise
    finally:
        os.environ["PATH"] = before
    assert login is None or login.basic is None or "\n" not in login.basic


TARGETS = (
    Target(name="proxies", make=_make_proxies, run=_run_proxies),
    Target(name="docker-auth-config", make=_make_login, run=_run_environment),
    Target(name="credential-helpers", make=_make_login, run=_run_helper),
)
