"""Logins: where they are read from, how challenges are answered, and which hosts never get them."""

import json

import httpx
import pytest
from fakes.images import put_image
from fakes.registry_server import FakeRegistry, digest_of

from multibuild.errors import EnvironmentFault
from multibuild.oci.access.auth import RegistryAuth
from multibuild.oci.access.credentials import MAX_LOGIN_AGE_S, Credentials, Login
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import RetryPolicy
from multibuild.oci.manifest import Descriptor
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


def token_request(host, realm, *, insecure=False):
    """Return the token request that a challenge leads to."""
    scheme = "http" if insecure or host.startswith(("localhost", "127.", "[::1]")) else "https"
    auth = RegistryAuth(f"{scheme}://{host}", host, lambda: LOGIN, insecure=insecure)
    request = httpx.Request("GET", f"{scheme}://{host}/v2/", extensions={"timeout": {"read": 60.0}})
    flow = auth.sync_auth_flow(request)
    next(flow)
    return flow.send(httpx.Response(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'}))


@pytest.mark.parametrize(
    "realm",
    [
        "http://tokens.example.org/",
        "http://127.0.0.1.example.org/",
        "http://r.example.org:8080/t",
        "http://10.0.0.5/",
    ],
)
@pytest.mark.parametrize("host", ["r.example.org", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"])
def test_a_login_is_not_sent_without_tls(host, realm):
    with pytest.raises(RegistryError, match="without TLS"):
        token_request(host, realm)


@pytest.mark.parametrize(
    "realm",
    [
        "file:///etc/passwd",
        "nonsense",
        "",
        "/token",
        "//tokens.example.org/t",
        "https:///t",
        "https://",
        "ftp://tokens.example.org/",
        "javascript:alert(1)",
        "https://a:port/",
        "https://[::1/",
        "http://127.0.0.1:1@example.org/",
        "https://me:word@tokens.example.org/",
        "https://tokens.example.org@evil.example/",
        "http://169.254.169.254/latest/meta-data",
        "http://2852039166/latest/meta-data",
        "http://0xa9.0xfe.0xa9.0xfe/latest/meta-data",
        "https://169.254.43518/t",
        "http://[fe80::1]/",
        "https://xn--a.example/t",
    ],
)
@pytest.mark.parametrize("insecure", [False, True])
def test_a_realm_that_is_no_address_of_a_token_service_is_told(realm, insecure):
    with pytest.raises(RegistryError) as caught:
        token_request("r.example.org", realm, insecure=insecure)
    message = f"{caught.value.message} {caught.value.hint}"
    assert "r.example.org" in message
    assert "names no token service" in message or "without TLS" in message
    assert "word" not in message
    assert len(message) < 500


def test_a_registry_behind_a_server_that_ends_tls_gets_its_login_with_tls():
    request = token_request("r.example.org:8443", "http://r.example.org:8443/token?x=1")
    assert str(request.url) == "https://r.example.org:8443/token?x=1"
    assert str(token_request("r.example.org", "http://r.example.org/t").url) == "https://r.example.org/t"
    assert (
        str(token_request("r.example.org:8443", "http://r.example.org/t").url)
        == "https://r.example.org:8443/t"
    )


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


def test_a_refused_token_that_the_service_returns_again_is_a_refusal(fake):
    """GHCR returns one token for one login; the last response must not be that of the token service."""
    fake.token_body = b'{"token": "always-the-same"}'
    with client(fake) as registry:
        for _ in range(2):
            with pytest.raises(RegistryError) as caught:
                registry.head(at(fake))
            assert caught.value.kind == "unauthorized"
            with pytest.raises(RegistryError):
                registry.has_blob("a", "sha256:" + "0" * 64)


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_login_is_sent_where_only_the_version_check_asks_for_one(status, scheme):
    with FakeRegistry(login=PAIR, scheme=scheme) as registry:
        put_image(registry, "a", tag="1")
        registry.hides_with = status
        with client(registry) as other:
            assert other.head(at(registry)) is not None
            assert other.manifest(at(registry))
        assert registry.requests().count("GET /v2/") == 1


@pytest.mark.parametrize("credentials", [None, LOGIN])
def test_an_open_registry_is_asked_once_whether_it_hides_something(credentials):
    with FakeRegistry() as registry, client(registry, credentials) as other:
        assert other.head(at(registry)) is None
        assert other.head(at(registry)) is None
        assert other.has_blob("a", "sha256:" + "0" * 64) is False
        assert registry.requests().count("GET /v2/") == (0 if credentials is None else 1)


def upload(registry, content=b"content" * 9):
    blob = Descriptor(media_type="application/octet-stream", digest=digest_of(content), size=len(content))
    registry.upload("a", blob, iter([content[:5], content[5:]]))


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_a_refused_upload_is_sent_once(scheme, is_named, status):
    """A token may end between two requests; the bytes of a stream are gone when the registry answers."""
    challenge = {"basic": 'Basic realm="fake"', "bearer": 'Bearer realm="http://{host}/token",service="fake"'}
    puts: list[bytes] = []

    def refuse(registry, request, proceed):
        if request.method != "PUT" or puts:
            return proceed()
        puts.append(request.body)
        words = {"WWW-Authenticate": challenge[scheme].format(host=registry.host)} if is_named else {}
        return status, b"", words

    with FakeRegistry() as registry, client(registry) as other:
        registry.bends.append(refuse)
        with pytest.raises(RegistryError) as caught:
            upload(other)
        assert (caught.value.status, puts) == (status, [b"content" * 9])
        registry.login, registry.scheme = PAIR, scheme
        upload(other)
