import base64
import json
import os

import pytest
from fakes.registry_server import Fault

from multibuild.errors import EnvironmentFault
from multibuild.publish.auth import _challenges
from multibuild.publish.credentials import Credentials, credentials_for
from multibuild.publish.failures import NotFound, RegistryError
from multibuild.publish.reference import Reference
from multibuild.publish.registry import Registry, RegistrySettings, RetryPolicy

QUICK = RetryPolicy(tries=3, initial=0.01, longest=0.05, unreachable=0.3)
LOGIN = Credentials(username="somebody", secret="s3cret-word")


def client(fake, credentials=LOGIN):
    return Registry(RegistrySettings(host=fake.host), credentials=credentials, retry=QUICK)


def at(fake, repository="a", tag="1"):
    return Reference(host=fake.host, repository=repository, tag=tag)


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_a_login_opens(fake, kind):
    fake.auth = kind
    fake.image("a", "linux/amd64", tag="1")
    with client(fake) as registry:
        registry.manifest(at(fake))
        registry.check_push("a")
        registry.ping()


@pytest.mark.parametrize("kind", ["basic", "bearer"])
@pytest.mark.parametrize("credentials", [None, Credentials(username="somebody", secret="wr0ng-word")])
def test_a_refused_login_says_what_to_do_and_no_secret(fake, kind, credentials):
    fake.auth = kind
    with client(fake, credentials) as registry, pytest.raises(RegistryError) as caught:
        registry.check_push("a")
    assert caught.value.kind == "unauthorized"
    assert f"docker login {fake.host}" in (caught.value.hint or "")
    assert "wr0ng" not in repr(caught.value) + str(caught.value.hint)
    assert len(fake.seen) <= 3


def test_a_token_is_asked_for_once_per_scope(fake):
    fake.auth = "bearer"
    fake.image("a", "linux/amd64", tag="1")
    fake.image("b", "linux/amd64", tag="1")
    with client(fake) as registry:
        for _ in range(3):
            registry.manifest(at(fake))
            registry.manifest(at(fake, "b"))
    assert [token["scope"] for token in fake.tokens] == [["repository:a:pull"], ["repository:b:pull"]]
    assert fake.tokens[0]["service"] == ["fake, registry"]


def test_a_mount_asks_for_both_repositories(fake):
    fake.auth = "bearer"
    digest = fake.put_blob("a", b"layer")
    with client(fake) as registry:
        assert registry.mount("b", digest, "a")
    assert fake.tokens[-1]["scope"] == ["repository:b:pull,push", "repository:a:pull"]


def test_a_token_that_ran_out_is_renewed(fake):
    fake.auth = "bearer"
    fake.image("a", "linux/amd64", tag="1")
    with client(fake) as registry:
        registry.manifest(at(fake))
        fake.valid_tokens.clear()
        registry.manifest(at(fake))
    assert len(fake.tokens) == 2


def test_an_identity_token_is_exchanged(fake):
    fake.auth, fake.identity_token = "bearer", "refresh-me"
    fake.image("a", "linux/amd64", tag="1")
    with client(fake, Credentials(username="", secret="", identity_token="refresh-me")) as registry:
        registry.manifest(at(fake))
    assert fake.tokens[0]["grant_type"] == ["refresh_token"]


def test_a_token_service_that_is_gone_is_not_a_missing_tag(fake):
    fake.auth = "bearer"
    fake.faults.append(Fault(method="GET", path="/token", status=404, times=9))
    with client(fake) as registry, pytest.raises(RegistryError) as caught:
        registry.head(at(fake))
    assert not isinstance(caught.value, NotFound)


def test_a_token_service_in_trouble_is_asked_again(fake):
    fake.auth = "bearer"
    fake.image("a", "linux/amd64", tag="1")
    fake.faults.append(Fault(method="GET", path="/token", status=503))
    with client(fake) as registry:
        registry.manifest(at(fake))


def test_a_token_service_that_redirects_gets_no_second_chance(fake, other):
    fake.auth = "bearer"
    where = {"Location": f"http://{other.host}/token"}
    fake.faults.append(Fault(method="GET", path="/token", status=307, headers=where, times=9))
    with client(fake) as registry, pytest.raises(RegistryError, match="no token"):
        registry.manifest(at(fake))
    assert other.seen == []


@pytest.mark.parametrize("realm", ["http://tokens.example.org/", "file:///etc/passwd", "nonsense"])
def test_a_login_goes_nowhere_without_tls(fake, realm):
    from multibuild.publish.auth import RegistryAuth

    auth = RegistryAuth("https://r.example.org", "r.example.org", LOGIN, plain=False)
    with pytest.raises(RegistryError, match="without TLS"):
        auth._require_trusted(realm)


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_a_blob_store_elsewhere_gets_no_login(fake, other, kind):
    fake.auth = kind
    digest = fake.put_blob("a", b"layer")
    other.put_blob("a", b"layer")
    fake.redirect_blobs_to = f"http://{other.host}"
    with client(fake) as registry:
        assert b"".join(registry.blob("a", digest)) == b"layer"
        assert registry.has_blob("a", digest)
    assert len(other.seen) == 2
    assert {seen.authorization for seen in other.seen} == {None}


@pytest.mark.parametrize(
    ("header", "found"),
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
def test_challenges(header, found):
    assert _challenges(header) == found


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


def test_logins_in_the_file(config):
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


def test_no_file_is_no_login(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert credentials_for("r.example.org") is None


def test_helpers(config, tmp_path, monkeypatch):
    answer = """read host; echo "{\\"Username\\": \\"<token>\\", \\"Secret\\": \\"for $host\\"}" """
    helper(tmp_path, monkeypatch, "good", answer)
    config({"credHelpers": {"r.example.org": "good"}, "auths": {"other.example.org": basic("me:x")}})
    wanted = Credentials(username="", secret="", identity_token="for r.example.org")
    assert credentials_for("r.example.org") == wanted
    assert credentials_for("other.example.org") == Credentials(username="me", secret="x")


@pytest.mark.parametrize(
    "script",
    ["exit 1", "echo 'pinentry: s3cret gone' >&2; exit 2", "echo '{\"a\": 1}'", "echo no JSON s3cret"],
)
def test_a_broken_helper(config, tmp_path, monkeypatch, script):
    helper(tmp_path, monkeypatch, "broken", script)
    config({"credsStore": "broken"})
    with pytest.raises(EnvironmentFault, match=r"r\.example\.org") as caught:
        credentials_for("r.example.org")
    assert caught.value.hint
    assert "s3cret" not in caught.value.message


def test_a_missing_helper(config):
    config({"credsStore": "nowhere-to-be-found"})
    with pytest.raises(EnvironmentFault, match="nowhere-to-be-found"):
        credentials_for("r.example.org")


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"auths": {"r.example.org": {"auth": "c2VjcmV0LXdvcmQ="}}}', "\x00"]
)
def test_a_broken_file(config, text):
    config(text)
    with pytest.raises(EnvironmentFault) as caught:
        credentials_for("r.example.org")
    assert "secret-word" not in caught.value.message


def test_credentials_do_not_show():
    shown = repr(Credentials(username="me", secret="s3cret", identity_token="t0ken"))
    assert "s3cret" not in shown
    assert "t0ken" not in shown
