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
from multibuild.oci.access.auth import RegistryAuth, _parse_challenges
from multibuild.oci.access.credentials import MAX_LOGIN_AGE_S, Credentials, Login, credentials_for
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


# -- helpers and files that do not behave


SECRETS = ("s3cret", "c2VjcmV0LXdvcmQ", "secret-word")
LIMITS = {"timeout_s": 1.0}


def lookup_error(host="r.example.org", **limits):
    """Return the error of a look-up, which shows no secret."""
    with pytest.raises(EnvironmentFault) as caught:
        credentials_for(host, **limits)
    text = f"{caught.value.message} {caught.value.hint}"
    assert not any(secret in text for secret in SECRETS), text
    assert len(text) < 1000
    assert "\x1b" not in text
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo s3cret; exit 1", "exit code 1"),
        ("echo s3cret >&2; exit 3", "exit code 3"),
        ("echo 'error getting credentials - s3cret'; exit 1", "exit code 1"),
        ("printf '\\033[31ms3cret\\377'; exit 1", "exit code 1"),
        ("printf '\\377\\376'", "not in the form"),
        ("echo s3cret", "not in the form"),
        ("echo '[\"s3cret\"]'", "not in the form"),
        ('echo \'{"Username": "s3cret"}\'', "not in the form"),
        ('echo \'{"Username": 1, "Secret": "s3cret"}\'', "not in the form"),
        ('echo \'{"Username": "a", "Secret": ["s3cret"]}\'', "not in the form"),
        ("yes '[' | head -c 60000 | tr -d '\\n'", "not in the form"),
        ("printf '{\"Username\": 9'; yes 9 | head -c 60000 | tr -d '\\n'; echo '}'", "not in the form"),
        ("exec cat /dev/zero", "prints more than"),
        ("exec cat /dev/zero >&2", "prints more than"),
        ("kill -9 $$", "signal 9"),
        ("cat > /dev/null; echo", "not in the form"),
    ],
)
def test_a_helper_that_fails_is_named_and_not_quoted(config, tmp_path, monkeypatch, script, message):
    helper(tmp_path, monkeypatch, "odd", script)
    config({"credHelpers": {"r.example.org": "odd"}})
    error = lookup_error()
    assert "docker-credential-odd" in error.message
    assert message in error.message


def test_a_helper_that_hangs_is_ended_with_what_it_started(config, tmp_path, monkeypatch):
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    helper(tmp_path, monkeypatch, "slow", f"trap '' TERM; sleep 300 > {alive} & wait; wait")
    config({"credsStore": "slow"})
    # A reader of a FIFO sees its end once no process has it open for writing any more.
    reader = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    assert "does not answer within 1.0s" in lookup_error(**LIMITS).message
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_what_a_helper_leaves_behind_is_not_waited_for(config, tmp_path, monkeypatch):
    helper(tmp_path, monkeypatch, "agent", 'sleep 30 & echo \'{"Username": "me", "Secret": "x"}\'')
    config({"credsStore": "agent"})
    assert credentials_for("r.example.org", timeout_s=20.0) == Credentials(username="me", secret="x")


@pytest.mark.parametrize("name", ["../x", "/bin/x", "a/b", "x y", "x;y", ".", "-x", "a\nb", "ä", "a" * 300])
@pytest.mark.parametrize("key", ["credsStore", "credHelpers"])
def test_a_helper_with_a_path_in_its_name_is_refused(config, tmp_path, monkeypatch, key, name):
    (tmp_path / "docker-credential-a").mkdir()
    monkeypatch.chdir(tmp_path)
    config({key: name if key == "credsStore" else {"r.example.org": name}})
    assert "is no name of a credential helper" in lookup_error().message


@pytest.mark.parametrize("mode", [0o644, 0o755])
def test_a_helper_that_cannot_be_started_is_an_error(config, tmp_path, monkeypatch, mode):
    helper(tmp_path, monkeypatch, "plain", "exit 0")
    program = tmp_path / "bin" / "docker-credential-plain"
    program.write_text("no program\n" if mode == 0o644 else "#!/nonexistent/sh\n")
    program.chmod(mode)
    config({"credsStore": "plain"})
    assert "docker-credential-plain" in lookup_error().message


@pytest.mark.parametrize("script", ["echo 'credentials not found in native keychain'; exit 1"])
def test_a_helper_without_a_login_is_no_error(config, tmp_path, monkeypatch, script):
    helper(tmp_path, monkeypatch, "empty", script)
    config({"credsStore": "empty", "auths": {"r.example.org": basic("me:x"), "q.example.org": {}}})
    assert credentials_for("q.example.org") is None
    assert credentials_for("r.example.org") == Credentials(username="me", secret="x")


DOCUMENTS = {
    "auths of a list": {"auths": []},
    "auths of a text": {"auths": "s3cret"},
    "an entry of a text": {"auths": {"r.example.org": "s3cret"}},
    "an entry of a number": {"auths": {"r.example.org": 5}},
    "a login of a number": {"auths": {"r.example.org": {"auth": 5}}},
    "a login that is no base64": {"auths": {"r.example.org": {"auth": "s3cret!"}}},
    "a login in another alphabet": {"auths": {"r.example.org": {"auth": "ü"}}},
    "a login without a colon": {"auths": {"r.example.org": basic("secret-word")}},
    "a login without a name": {"auths": {"r.example.org": basic(":secret-word")}},
    "a login that is no UTF-8": {"auths": {"r.example.org": {"auth": "//86//8="}}},
    "a name of a list": {"auths": {"r.example.org": {"username": ["s3cret"], "password": "x"}}},
    "a token of a list": {"auths": {"r.example.org": {"identitytoken": ["s3cret"]}}},
    "helpers of a list": {"credHelpers": ["s3cret"]},
    "helpers of a text": {"credHelpers": "s3cret"},
    "a helper of a number": {"credHelpers": {"r.example.org": 5}},
    "a helper of a list": {"credHelpers": {"r.example.org": ["s3cret"]}},
    "a store of a number": {"credsStore": 5},
    "a store of a mapping": {"credsStore": {"a": "s3cret"}},
    "no JSON": '{"auths": s3cret}',
    "a list": "[]",
    "a number": "5",
    "deep lists": '{"auths": ' + "[" * 100_000,
    "a huge number": '{"auths": {"r.example.org": {"auth": ' + "9" * 10_000 + "}}}",
    "UTF-16": '{"auths": {}}'.encode("utf-16"),
    "NUL": "\x00" * 50,
    "more than a config has": '{"auths": {}, "x": "' + "x" * 2_000_000 + '"}',
}  # fmt: skip


@pytest.mark.parametrize("case", DOCUMENTS)
def test_a_config_of_docker_in_another_form_is_an_error(config, tmp_path, case):
    document = DOCUMENTS[case]
    if isinstance(document, bytes):
        (tmp_path / "config.json").write_bytes(document)
    else:
        config(document)
    assert str(tmp_path / "config.json") in lookup_error().message


@pytest.mark.parametrize(
    "document",
    [
        {"auths": {"other.example.org": {"auth": "!"}, "r.example.org": basic("me:x")}},
        {"auths": {"https://r.example.org/v1/": basic("me:x")}},
        {"auths": {"http://r.example.org": basic("me:x")}},
        {"auths": {"r.example.org": {"username": "me", "password": "x"}}},
        {"auths": {"r.example.org": {**basic("me:x"), "email": None}}, "credsStore": "", "credHelpers": {}},
        {"auths": {"r.example.org": basic("me:x")}, "credHelpers": None, "proxies": 5, "HttpHeaders": []},
    ],
)
def test_odd_but_valid_logins_are_read(config, document):
    config(document)
    assert credentials_for("r.example.org") == Credentials(username="me", secret="x")


def _loop(path):
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir(), _loop]
)
def test_a_config_of_docker_that_is_no_regular_file_is_an_error(tmp_path, monkeypatch, make):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    make(tmp_path / "config.json")
    assert "cannot be read" in lookup_error().message


@pytest.mark.parametrize(
    "environ", [{"DOCKER_CONFIG": "/nonexistent"}, {"HOME": "/nonexistent"}, {"HOME": ""}]
)
def test_without_docker_configured_there_is_no_login(monkeypatch, environ):
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    if "DOCKER_CONFIG" in environ or environ["HOME"]:
        assert credentials_for("r.example.org") is None
    else:
        credentials_for("unknown.example.org")
