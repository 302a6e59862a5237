"""Logins: where they are read from, how challenges are answered, and which hosts never get them."""

import base64
import json
import os
import time

import httpx
import pytest
from fakes.images import put_image
from fakes.registry_server import FakeRegistry

from multibuild.errors import EnvironmentFault
from multibuild.oci.auth import RegistryAuth, _parse_challenges
from multibuild.oci.credentials import MAX_LOGIN_AGE_S, Credentials, Login, credentials_for
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import RetryPolicy
from multibuild.oci.reference import Reference
from multibuild.oci.registry import Registry
from multibuild.oci.registry_settings import RegistrySettings

PAIR = ("somebody", "s3cret-word")
LOGIN = Credentials(username=PAIR[0], secret=PAIR[1])
QUICK = RetryPolicy(tries=3, initial_wait_s=0.01, max_wait_s=0.05, unreachable_s=0.3)


@pytest.fixture
def fake():
    with FakeRegistry(login=PAIR) as registry:
        put_image(registry, "a", tag="1")
        yield registry


def client(fake, credentials=LOGIN):
    return Registry(RegistrySettings(host=fake.host), read_login=lambda: credentials, retry=QUICK)


def at(fake):
    return Reference(host=fake.host, repository="a", tag="1")


def test_a_missing_token_service_is_not_a_missing_tag(fake):
    fake.token_failures = [(404, {})] * 9
    with client(fake) as registry, pytest.raises(RegistryError) as caught:
        registry.head(at(fake))
    assert caught.value.kind != "not-found"


def test_a_failing_token_service_is_retried(fake):
    fake.token_failures = [(503, {}), (429, {"Retry-After": "0"})]
    with client(fake) as registry:
        assert registry.manifest(at(fake))


def test_a_login_does_not_follow_a_token_service_that_redirects(fake):
    with FakeRegistry() as other:
        fake.token_failures = [(307, {"Location": f"http://{other.host}/token"})] * 9
        with client(fake) as registry, pytest.raises(RegistryError, match="no token"):
            registry.manifest(at(fake))
        assert other.log == []


def token_request(host, realm, *, insecure=False):
    """Return the token request that a challenge leads to."""
    scheme = "http" if insecure or host.startswith(("localhost", "127.", "[::1]")) else "https"
    auth = RegistryAuth(f"{scheme}://{host}", host, lambda: LOGIN, insecure=insecure)
    request = httpx.Request("GET", f"{scheme}://{host}/v2/", extensions={"timeout": {"read": 60.0}})
    flow = auth.sync_auth_flow(request)
    next(flow)
    return flow.send(httpx.Response(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'}))


NO_LOOPBACK = ("http://127.0.0.1.example.org/", "http://127.0.0.1:1@example.org/")


@pytest.mark.parametrize(
    "realm", ["http://tokens.example.org/", "file:///etc/passwd", "nonsense", "", *NO_LOOPBACK]
)
@pytest.mark.parametrize("host", ["r.example.org", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"])
def test_a_login_is_not_sent_without_tls(host, realm):
    with pytest.raises(RegistryError, match="without TLS"):
        token_request(host, realm)


@pytest.mark.parametrize(
    ("host", "realm", "insecure"),
    [
        ("r.example.org", "https://tokens.example.org/t", False),
        ("localhost:5000", "http://127.0.0.1:5001/t", False),
        ("localhost:5000", "http://[::1]:5001/t", False),
        ("r.example.org", "http://tokens.example.org/t", True),
    ],
)
def test_a_login_is_sent_to_a_trusted_token_service(host, realm, insecure):
    request = token_request(host, realm, insecure=insecure)
    assert str(request.url).startswith(realm)
    assert request.extensions["timeout"] == {"read": 60.0}, (
        "without a timeout, a hanging service blocks forever"
    )
    assert request.headers["accept-encoding"] == "identity"


def test_a_realm_that_is_no_url_is_an_error(fake):
    fake.realm = "https://a:port/"
    with client(fake) as registry, pytest.raises(RegistryError, match="no URL"):
        registry.manifest(at(fake))


@pytest.mark.parametrize("token", ["s3cret\n", "s3cret\r\nX: y", "s3crät", "s3cret word", ""])
def test_a_token_that_no_header_can_hold_is_not_shown(fake, token):
    fake.token_body = json.dumps({"token": token}).encode()
    with client(fake) as registry, pytest.raises(RegistryError, match="no token") as caught:
        registry.manifest(at(fake))
    assert "s3cr" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (b" " * 2**20, {}, "more than"),
        (b"few bytes become gigabytes", {"Content-Encoding": "zstd"}, "encoding"),
        (b"few bytes become gigabytes", {"Content-Encoding": "gzip, gzip"}, "encoding"),
    ],
)
def test_the_response_of_a_token_service_is_limited(fake, body, headers, message):
    fake.token_body, fake.token_headers = body, headers
    with client(fake) as registry, pytest.raises(RegistryError, match=message):
        registry.manifest(at(fake))


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ('Basic realm="x"', {"basic": {"realm": "x"}}),
        ('bearer Realm="https://t/", service=s', {"bearer": {"realm": "https://t/", "service": "s"}}),
        (
            'Basic realm="basic, bearer", Bearer realm="https://t/",scope="repository:a:pull,push"',
            {
                "basic": {"realm": "basic, bearer"},
                "bearer": {"realm": "https://t/", "scope": "repository:a:pull,push"},
            },
        ),
        ("Negotiate", {}),
        ("", {}),
    ],
)
def test_challenges_are_parsed(header, challenges):
    assert _parse_challenges(header) == challenges


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ('Bearer realm="https://t/", Digest realm="https://other/"', {"bearer": {"realm": "https://t/"}}),
        (
            'Bearer realm="https://t/?a=, basic realm=x"',
            {"bearer": {"realm": "https://t/?a=, basic realm=x"}},
        ),
        ("Negotiate abc==, Basic realm=x", {"basic": {"realm": "x"}}),
        ('Bearer realm="https://t/" , scope = "a b"', {"bearer": {"realm": "https://t/", "scope": "a b"}}),
        ('Bearer realm="unended', {"bearer": {}}),
        (",,, ,Basic", {"basic": {}}),
        (
            'Bearer service="x",scope="",realm="https://t/"',
            {"bearer": {"service": "x", "scope": "", "realm": "https://t/"}},
        ),
    ],
)
def test_odd_challenges_are_parsed(header, challenges):
    assert _parse_challenges(header) == challenges


@pytest.mark.parametrize(
    "piece",
    ["a", ",", " ", '"', "=", 'a="', "a=", "Bearer ", "Bearer,", ", Basic x=", "a b", "a ", ", ", "\\", "ä"],
)
@pytest.mark.parametrize("start", ["", "Bearer ", 'Bearer realm="', "Bearer a"])
def test_a_long_challenge_is_parsed_in_linear_time(start, piece):
    header = start + piece * (500_000 // len(piece))
    before = time.process_time()
    _parse_challenges(header)
    assert time.process_time() - before < 5.0


@pytest.mark.parametrize("count", [1, 2000])
def test_a_challenge_of_many_bytes_is_refused(count):
    auth = RegistryAuth("https://r.example.org", "r.example.org", lambda: LOGIN, insecure=False)
    flow = auth.sync_auth_flow(httpx.Request("GET", "https://r.example.org/v2/"))
    next(flow)
    headers = [("WWW-Authenticate", f'Bearer realm="https://t/",a="{"x" * (20_000 // count)}"')] * count
    with pytest.raises(RegistryError, match=r"r\.example\.org.* bytes, more than 16384"):
        flow.send(httpx.Response(401, headers=headers))


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_a_login_that_expires_in_a_session_is_read_again(scheme):
    logins = [LOGIN]
    with FakeRegistry(login=PAIR, scheme=scheme) as fake:
        put_image(fake, "a", tag="1")
        with Registry(
            RegistrySettings(host=fake.host), read_login=lambda: logins[-1], retry=QUICK
        ) as registry:
            assert registry.manifest(at(fake))
            fake.login = (PAIR[0], "another-word")
            fake.tokens.clear()
            with pytest.raises(RegistryError) as caught:
                registry.manifest(at(fake))
            assert caught.value.kind == "unauthorized"
            logins.append(Credentials(username=PAIR[0], secret="another-word"))
            assert registry.manifest(at(fake))


class Source:
    """A place of credentials that change each time they are read, and a clock."""

    def __init__(self):
        self.now, self.reads, self.broken = 0.0, 0, False
        self.login = Login(self.read, clock=lambda: self.now)

    def read(self):
        if self.broken:
            raise EnvironmentFault("the helper fails")
        self.reads += 1
        return Credentials(username="me", secret=str(self.reads))


def test_a_login_is_kept_until_it_is_old():
    source = Source()
    first = source.login.current()
    source.now = MAX_LOGIN_AGE_S
    assert source.login.current() == first
    source.now += 1
    assert source.login.current() != first
    assert source.reads == 2


def test_a_login_refused_to_many_requests_is_read_again_once():
    source = Source()
    refused = source.login.current()
    renewed = {source.login.after_refusal(refused) for _ in range(3)}
    assert renewed == {Credentials(username="me", secret="2")}


def test_a_login_that_cannot_be_read_again_is_kept():
    source = Source()
    first, source.broken = source.login.current(), True
    assert source.login.after_refusal(first) == first


# -- credentials as Docker has them


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def write(document):
        text = document if isinstance(document, str) else json.dumps(document)
        (tmp_path / "config.json").write_text(text)

    return write


def helper(tmp_path, monkeypatch, name, script):
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    program = folder / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def basic(pair):
    return {"auth": base64.b64encode(pair.encode()).decode()}


def test_logins_are_read_from_the_file(config):
    config(
        {
            "auths": {
                "localhost:5000": basic("me:pass:word"),
                "https://index.docker.io/v1/": basic("hub:x"),
                "t.example.org": {"identitytoken": "idt"},
                "empty.example.org": {},
            }
        }
    )
    assert credentials_for("localhost:5000") == Credentials(username="me", secret="pass:word")
    assert credentials_for("docker.io") == Credentials(username="hub", secret="x")
    assert credentials_for("t.example.org") == Credentials(username="", secret="", identity_token="idt")
    assert credentials_for("empty.example.org") is credentials_for("r.example.org") is None


def test_without_a_file_there_is_no_login(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert credentials_for("r.example.org") is None


def test_credential_helpers_are_called(config, tmp_path, monkeypatch):
    answer = """read host; echo "{\\"Username\\": \\"<token>\\", \\"Secret\\": \\"for $host\\"}" """
    helper(tmp_path, monkeypatch, "good", answer)
    config({"credHelpers": {"r.example.org": "good"}, "auths": {"other.example.org": basic("me:x")}})
    expected = Credentials(username="", secret="", identity_token="for r.example.org")
    assert credentials_for("r.example.org") == expected
    assert credentials_for("other.example.org") == Credentials(username="me", secret="x")


@pytest.mark.parametrize(
    "script",
    ["exit 1", "echo 'pinentry: s3cret gone' >&2; exit 2", "echo '{\"a\": 1}'", "echo no JSON s3cret"],
)
def test_a_broken_helper_is_an_error_without_its_secrets(config, tmp_path, monkeypatch, script):
    helper(tmp_path, monkeypatch, "broken", script)
    config({"credsStore": "broken"})
    with pytest.raises(EnvironmentFault, match=r"r\.example\.org") as caught:
        credentials_for("r.example.org")
    assert caught.value.hint
    assert "s3cret" not in caught.value.message


def test_a_missing_helper_is_an_error(config):
    config({"credsStore": "nowhere-to-be-found"})
    with pytest.raises(EnvironmentFault, match="nowhere-to-be-found"):
        credentials_for("r.example.org")


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"auths": {"r.example.org": {"auth": "c2VjcmV0LXdvcmQ="}}}', "\x00"]
)
def test_a_broken_file_is_an_error_without_its_secrets(config, text):
    config(text)
    with pytest.raises(EnvironmentFault) as caught:
        credentials_for("r.example.org")
    assert "secret-word" not in caught.value.message


def test_repr_of_credentials_shows_no_secret():
    text = repr(Credentials(username="me", secret="s3cret", identity_token="t0ken"))
    assert "s3cret" not in text
    assert "t0ken" not in text
