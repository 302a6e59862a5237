"""Challenges of registries (WWW-Authenticate), answered with a login that must reach nobody else."""

import base64
import random
from collections.abc import Sequence

import httpx

from fuzz.harness import Target, mutated
from multibuild.oci.access.auth import RegistryAuth
from multibuild.oci.access.credentials import Credentials
from multibuild.oci.registry_settings import is_loopback

HOSTS = ("r.example.org", "127.0.0.1:5000")
WORDS = (
    b"Bearer ", b"Basic ", b"bearer\t", b"Negotiate ", b"realm=", b"service=", b'scope="repository:a:pull"', b", ",
    b'"', b'\\"', b"=", b"https://t.example.org/", b"http://127.0.0.1:1/", b"http://127.0.0.1@evil.example.org/",
    b"file:///etc/passwd", b"//", b"https://\xc3\xa4.example.org", b"https://[::1", b"https://xn--a.example/", b"http://xn--a.example/", b":99999999999", b"\xff", b"\t",
)  # fmt: skip


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Join a few challenges, whole or damaged; sometimes one piece thousands of times."""
    parts = [mutated(generator, generator.choice(seeds), WORDS) for _ in range(generator.randint(1, 3))]
    if generator.random() < 0.2:
        parts.insert(generator.randint(0, 2), generator.choice(WORDS) * generator.choice((100, 3000)))
    return b", ".join(parts)


def _run(case: bytes) -> None:
    for host in HOSTS:
        for login in (
            Credentials(username="me", secret="s3cret-word"),
            Credentials(username="", secret="", identity_token="s3cret-token"),
        ):
            _answer(host, login, case)


def _answer(host: str, login: Credentials, case: bytes) -> None:
    scheme = "http" if is_loopback(host) else "https"
    auth = RegistryAuth(f"{scheme}://{host}", host, lambda: login, insecure=False)
    own = httpx.Request(
        "GET", f"{scheme}://{host}/v2/a/manifests/1", extensions={"scope": "repository:a:pull"}
    )
    flow = auth.sync_auth_flow(own)
    sent = next(flow)
    assert "authorization" not in sent.headers
    try:
        sent = flow.send(_refusal(own, case))
        _check(sent, own, host)
        if sent.url.path == "/v2/" and sent.url.host == own.url.host:  # no challenge that is understood
            sent = flow.send(_refusal(sent, case))
            _check(sent, own, host)
        if sent is not own:
            sent = flow.send(httpx.Response(200, json={"token": "t"}, request=sent))
            assert sent is own
            assert sent.headers["authorization"] == "Bearer t"
    except (StopIteration, httpx.InvalidURL):  # HttpClient translates the second
        return


def _refusal(request: httpx.Request, challenge: bytes) -> httpx.Response:
    return httpx.Response(401, headers=[(b"WWW-Authenticate", challenge)], request=request)


def _check(sent: httpx.Request, own: httpx.Request, host: str) -> None:
    """A login goes to the registry, or to a token service with TLS, or on this machine like the registry."""
    secrets = (b"s3cret", base64.b64encode(b"me:s3cret-word"))
    assert not any(secret in bytes(str(sent.url), "utf-8") for secret in secrets)
    if sent is own or sent.url.scheme == "https":
        return
    assert sent.url.scheme == "http"
    assert is_loopback(host)
    assert sent.url.host in {"localhost", "::1"} or sent.url.host.startswith("127.")


TARGETS = (Target(name="challenges", make=_make, run=_run),)
