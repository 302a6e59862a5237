"""Tokens: which service gets a login, what follows a redirect, what it answers, and which scope it is asked for."""

import base64
import json
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from fakes.images import OCI
from fakes.recording_server import Answer, RecordingServer

from multibuild.oci.access.credentials import Credentials
from multibuild.oci.access.token_service import Origin, scopes_of
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import RetryPolicy
from multibuild.oci.reference import Reference
from multibuild.oci.registry import Registry
from multibuild.oci.registry_settings import RegistrySettings

ONCE = RetryPolicy(tries=1, unreachable_s=0.0)
LOGIN = Credentials(username="me", secret="s3cret-word")
BASIC = "Basic " + base64.b64encode(b"me:s3cret-word").decode()
IDENTITY = Credentials(username="", secret="", identity_token="identity-s3cret")
MANIFEST = (
    b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[]}'
)
OK = Answer(body=MANIFEST, headers={"Content-Type": OCI})


def token(value="t1", **more):
    return Answer(body=json.dumps({"token": value, **more}).encode())


def challenge(realm, **parameters):
    more = "".join(f',{name}="{value}"' for name, value in parameters.items())
    return Answer(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"{more}'})


class Service:
    """A registry that takes the tokens in `valid`, and its token service at /token; rows of `paths` answer others."""

    def __init__(self, **challenge_parameters):
        self.paths = {}
        self.valid = {"Bearer t1"}
        self.parameters = challenge_parameters
        self.realm = None
        self.server = RecordingServer(self.answer)

    def answer(self, seen):
        if seen.path in self.paths:
            row = self.paths[seen.path]
            return row(seen) if callable(row) else row
        if seen.authorization in self.valid:
            return OK
        return challenge(self.realm or f"http://{self.server.host}/token", **self.parameters)

    def logins(self, path="/token"):
        return [seen.authorization for seen in self.server.seen if seen.path == path]


@pytest.fixture
def servers():
    with ExitStack() as stack:

        def create(**parameters):
            service = Service(**parameters)
            stack.enter_context(service.server)
            return service

        yield create


def read(service, login=LOGIN):
    host = service.server.host
    with Registry(RegistrySettings(host=host), read_login=lambda: login, retry=ONCE) as registry:
        return registry.manifest(Reference(host=host, repository="a", tag="1"))


def failure(service, login=LOGIN):
    with pytest.raises(RegistryError) as caught:
        read(service, login)
    text = f"{caught.value.message} {caught.value.hint}"
    assert "s3cret" not in text
    assert service.server.host in text
    return caught.value


# -- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_token_service_may_redirect_on_its_own_host(servers, status):
    registry = servers()
    registry.paths = {"/token": Answer(status, headers={"Location": "/v3/token?x=1"}), "/v3/token": token()}
    assert read(registry)
    assert registry.logins("/v3/token") == [BASIC]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_login_does_not_follow_to_another_host(servers, status):
    registry, other = servers(), servers()
    registry.paths["/token"] = Answer(status, headers={"Location": f"http://{other.server.host}/token"})
    other.paths["/token"] = token()
    assert read(registry), "an anonymous token is enough for a public image"
    assert registry.logins() == [BASIC]
    assert other.logins() == [""]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_an_identity_token_does_not_follow_to_another_host(servers, status):
    registry, other = servers(), servers()
    registry.paths["/token"] = Answer(status, headers={"Location": f"http://{other.server.host}/token"})
    other.paths["/token"] = token()
    error = failure(registry, IDENTITY)
    assert other.server.seen == []
    assert other.server.host in error.message


@pytest.mark.parametrize(
    "location", ["/token", "//[::1", "file:///etc/passwd", "ftp://r.example.org/", "http://"]
)
def test_a_redirect_that_leads_nowhere_ends(servers, location):
    registry = servers()
    registry.paths["/token"] = Answer(302, headers={"Location": location})
    failure(registry)
    assert len(registry.logins()) <= 6


def test_a_redirect_to_a_login_page_is_told(servers):
    registry, sso = servers(), servers()
    registry.paths["/token"] = Answer(302, headers={"Location": f"http://{sso.server.host}/login"})
    page = b"<!DOCTYPE html><html><head><title>Sign in to Example</title></head></html>"
    sso.paths["/login"] = Answer(body=page, headers={"Content-Type": "text/html"})
    assert "Sign in to Example" in failure(registry).message


# -- answers

ANSWERS: dict[str, tuple[int, Any, str]] = {
    "Docker Hub": (401, {"details": "incorrect username or password"}, "incorrect username or password"),
    "GitLab": (
        403,
        {"errors": [{"code": "DENIED", "message": "access forbidden"}]},
        "DENIED access forbidden",
    ),
    "Azure": (
        401,
        {
            "errors": [
                {"code": "UNAUTHORIZED", "message": "visit https://aka.ms/acr/authorization", "detail": None}
            ]
        },
        "aka.ms/acr",
    ),
    "Quay": (400, {"error": "Invalid bearer token format", "result": False}, "Invalid bearer token format"),
    "Keycloak": (
        401,
        {"error": "invalid_grant", "error_description": "Invalid user credentials"},
        "Invalid user credentials",
    ),
    "GitHub": (403, {"message": "Resource not accessible by integration"}, "not accessible by integration"),
    "Harbor": (
        500,
        {"errors": [{"code": "UNKNOWN", "message": "internal server error"}]},
        "internal server error",
    ),
    "JFrog": (401, {"errors": [{"status": 401, "message": "Bad credentials"}]}, "Bad credentials"),
    "Django": (429, {"detail": "Request was throttled. Expected available in 20 seconds."}, "throttled"),
    "a page": (
        503,
        b"<html><head><title>503 Backend fetch failed</title></head>",
        "503 Backend fetch failed",
    ),
    "a text": (401, b"unauthorized: incorrect username or password\n", "unauthorized: incorrect"),
    "no token": (200, {"errors": [{"code": "X", "message": "come back later"}]}, "come back later"),
    "an error of a mapping": (400, {"error": {"code": 5, "message": "a mapping"}}, "a mapping"),
    "errors of texts": (400, {"errors": ["one", "two"]}, "one; two"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_the_token_services_own_message_is_told(servers, case):
    status, body, words = ANSWERS[case]
    registry = servers()
    kind = {"Content-Type": "application/json"} if isinstance(body, dict) else {}
    content = json.dumps(body).encode() if isinstance(body, dict) else body
    registry.paths["/token"] = Answer(status, content, kind)
    error = failure(registry)
    assert words in error.message
    assert "\n" not in error.message


@pytest.mark.parametrize(
    "echo", ["s3cret-word", BASIC, BASIC.removeprefix("Basic "), "the password 's3cret-word' is wrong"]
)
@pytest.mark.parametrize("status", [200, 400, 401, 403, 500])
def test_a_login_that_a_token_service_repeats_is_not_shown(servers, echo, status):
    registry = servers()
    registry.paths["/token"] = Answer(status, json.dumps({"message": f"got {echo}"}).encode())
    text = failure(registry).message
    assert BASIC.removeprefix("Basic ") not in text


def test_what_is_no_token_service_for_forms_gets_the_password(servers):
    """Not all token servers implement oauth2 (distribution, docs/spec/auth/oauth.md)."""
    registry = servers()
    registry.paths["/token"] = lambda seen: token() if seen.method == "GET" else Answer(404)
    login = Credentials(username="me", secret="s3cret-word", identity_token="identity-s3cret")
    assert read(registry, login)
    assert [seen.method for seen in registry.server.seen if seen.path == "/token"] == ["POST", "GET"]
    assert registry.logins() == ["", BASIC]


# -- tokens of the login itself


def test_a_registry_token_is_sent_as_it_is(servers):
    registry = servers()
    registry.valid = {"Bearer given-s3cret"}
    assert read(registry, Credentials(username="me", secret="x", registry_token="given-s3cret"))
    assert registry.logins() == []


def test_a_registry_token_answers_basic_where_there_is_no_password(servers):
    registry = servers()
    registry.valid = {"Bearer given-s3cret"}
    registry.paths["/v2/a/manifests/1"] = lambda seen: (
        OK
        if seen.authorization in registry.valid
        else Answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
    )
    assert read(registry, Credentials(username="", secret="", registry_token="given-s3cret"))


def test_a_registry_token_that_is_refused_is_sent_once(servers):
    registry = servers()
    registry.valid = set()
    error = failure(registry, Credentials(username="", secret="", registry_token="given-s3cret"))
    assert error.kind == "unauthorized"
    assert [seen.authorization for seen in registry.server.seen] == ["", "Bearer given-s3cret"]


def test_a_registry_token_goes_to_no_other_host(servers):
    registry, other = servers(), servers()
    registry.valid = {"Bearer given-s3cret"}
    location = {"Location": f"http://{other.server.host}/v2/a/manifests/1"}
    registry.paths["/v2/a/manifests/1"] = Answer(307, headers=location)
    other.paths["/token"] = token()
    assert read(registry, Credentials(username="", secret="", registry_token="given-s3cret"))
    assert not any("given" in seen.authorization for seen in other.server.seen)


# -- scopes


@pytest.mark.parametrize(
    ("own", "challenged", "scopes"),
    [
        ("repository:a:pull", "", ("repository:a:pull",)),
        ("repository:a:pull", "repository:a:pull", ("repository:a:pull",)),
        ("repository:a:pull,push", "repository:a:pull", ("repository:a:pull,push",)),
        ("repository:a:pull", "repository:a:pull,push", ("repository:a:pull,push", "repository:a:pull")),
        ("repository:a:pull", "repository:proxy/a:pull", ("repository:proxy/a:pull", "repository:a:pull")),
        ("repository:a:pull", "registry:catalog:*", ("registry:catalog:*", "repository:a:pull")),
        ("", "repository:b:pull", ("repository:b:pull",)),
        ("", "", ()),
    ],
)
def test_the_scope_of_a_token(own, challenged, scopes):
    assert scopes_of(own, challenged) == scopes


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_of_too_small_a_scope_is_exchanged(servers, status):
    """RFC 6750 section 3.1 has 403 for it; registries of distribution send 401."""
    registry = servers()
    wider = "repository:proxy/a:pull"

    def manifest(seen):
        if seen.authorization == "Bearer wide":
            return OK
        parameters = {"scope": wider, "error": "insufficient_scope"} if seen.authorization else {}
        first = challenge(f"http://{registry.server.host}/token", **parameters)
        return Answer(status if seen.authorization else 401, headers=first.headers)

    registry.paths["/v2/a/manifests/1"] = manifest
    registry.paths["/token"] = lambda seen: token(
        "wide" if wider in seen.query.get("scope", ()) else "narrow"
    )
    host = registry.server.host
    with Registry(RegistrySettings(host=host), read_login=lambda: LOGIN, retry=ONCE) as client:
        reference = Reference(host=host, repository="a", tag="1")
        with pytest.raises(RegistryError):
            client.manifest(reference)  # a challenge is answered once per request
        assert client.manifest(reference)


def test_a_403_without_such_a_challenge_is_final(servers):
    registry = servers()
    registry.paths["/v2/a/manifests/1"] = Answer(
        403, headers={"WWW-Authenticate": 'Bearer realm="http://x/"'}
    )
    assert failure(registry).kind == "denied"
    assert len(registry.server.seen) == 1


# -- another registry


def redirecting(servers, **parameters):
    """Return a registry that leads to another one, which has a token service of its own."""
    registry, other = servers(), servers(**parameters)
    registry.paths["/v2/a/manifests/1"] = lambda seen: (
        Answer(307, headers={"Location": f"http://{other.server.host}/v2/mirror/a/manifests/1"})
        if seen.authorization in registry.valid
        else challenge(f"http://{registry.server.host}/token")
    )
    registry.paths["/token"] = token()
    return registry, other


def test_a_redirect_to_another_registry_gets_an_anonymous_token_there(servers):
    registry, other = redirecting(servers, scope="repository:mirror/a:pull", service="other")
    other.paths["/token"] = lambda seen: token(
        "t1" if seen.query["scope"] == ["repository:mirror/a:pull"] else "no"
    )
    assert read(registry)
    assert other.logins() == [""]
    assert not any(LOGIN.secret in str(seen) or BASIC in str(seen) for seen in other.server.seen)


def test_a_gateway_between_two_registries_gets_no_login(servers):
    """go-containerregistry, issue 2333: registry, gateway, other registry with a token service of its own."""
    registry, gateway, other = servers(), servers(), servers()
    path = "/v2/a/manifests/1"
    gateway.paths["/route"] = Answer(307, headers={"Location": f"http://{other.server.host}{path}"})
    registry.paths[path] = Answer(307, headers={"Location": f"http://{gateway.server.host}/route?url=x"})
    other.paths["/token"] = token()
    assert read(registry)
    assert [seen.authorization for seen in gateway.server.seen] == [""]
    assert other.logins() == [""]


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_another_registry_that_wants_a_login_is_named(servers, status):
    registry, other = redirecting(servers)
    other.paths["/token"] = Answer(status)
    error = failure(registry)
    assert other.server.host in error.message


def test_another_registry_that_wants_basic_gets_no_login(servers):
    registry, other = redirecting(servers)
    other.paths["/v2/mirror/a/manifests/1"] = Answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
    error = failure(registry)
    assert other.server.host in error.message
    assert "not sent to other hosts" in error.hint
    assert [seen.authorization for seen in other.server.seen] == [""]


def test_a_realm_of_the_first_registry_gets_no_login_from_the_second(servers):
    registry, other = redirecting(servers)
    other.realm = f"http://{registry.server.host}/steal"
    registry.paths["/steal"] = token()
    assert read(registry)
    assert registry.logins("/steal") == [""]


# -- refusals without a challenge that can be answered

REFUSALS = {
    "no challenge": ({}, "names no kind of login"),
    "an empty one": ({"WWW-Authenticate": ""}, "names no kind of login"),
    "Negotiate": ({"WWW-Authenticate": "Negotiate"}, "negotiate"),
    "NTLM": ({"WWW-Authenticate": "NTLM"}, "ntlm"),
    "Digest": ({"WWW-Authenticate": 'Digest realm="x", nonce="y"'}, "digest"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_that_no_login_answers_is_told(servers, case):
    headers, words = REFUSALS[case]
    registry = servers()
    registry.paths["/v2/a/manifests/1"] = registry.paths["/v2/"] = Answer(401, headers=headers)
    error = failure(registry)
    assert error.kind == "unauthorized"
    assert "asks for none that can be sent" in error.message
    assert words in error.hint
    assert {seen.authorization for seen in registry.server.seen} == {""}


def test_without_a_login_it_is_said_that_there_is_none(servers):
    registry = servers()
    registry.paths["/token"] = Answer(401)
    error = failure(registry, None)
    assert "there is none" in error.message
    assert f"docker login {registry.server.host}" in error.hint


def test_a_login_that_comes_after_the_anonymous_token_was_refused(servers):
    registry = servers()
    registry.paths["/token"] = lambda seen: token() if seen.authorization == BASIC else Answer(401)
    logins = iter([None, LOGIN])
    host = registry.server.host
    settings = RegistrySettings(host=host)
    with Registry(settings, read_login=lambda: next(logins, LOGIN), retry=ONCE) as client:
        assert client.manifest(Reference(host=host, repository="a", tag="1"))
    assert registry.logins() == ["", BASIC]


def test_a_token_that_expires_in_a_run_is_exchanged(servers):
    registry = servers()
    registry.paths["/token"] = lambda seen: token(f"t{len(registry.logins())}")
    host = registry.server.host
    with Registry(RegistrySettings(host=host), read_login=lambda: LOGIN, retry=ONCE) as client:
        for number in range(1, 4):
            registry.valid = {f"Bearer t{number}"}
            assert client.manifest(Reference(host=host, repository="a", tag="1"))
    assert registry.logins() == [BASIC] * 3


def test_an_identity_token_does_not_answer_basic(servers):
    registry = servers()
    registry.paths["/v2/a/manifests/1"] = Answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
    assert failure(registry, IDENTITY).kind == "unauthorized"
    assert [seen.authorization for seen in registry.server.seen] == [""]


def test_a_password_of_any_bytes_is_sent(servers):
    registry = servers()
    expected = "Basic " + base64.b64encode(b"me:\xff\xfe").decode()
    registry.paths["/token"] = lambda seen: token() if seen.authorization == expected else Answer(401)
    assert read(registry, Credentials(username="me", secret="\udcff\udcfe"))


@pytest.mark.parametrize(
    ("origin", "url", "is_own"),
    [
        ("https://r.example.org", "https://r.example.org/v2/", True),
        ("https://r.example.org", "https://r.example.org:443/v2/", True),
        ("http://r.example.org", "https://r.example.org/v2/", True),
        ("http://r.example.org:5000", "https://r.example.org/v2/", False),
        ("http://r.example.org", "https://r.example.org:5000/v2/", False),
        ("https://r.example.org", "http://r.example.org/v2/", False),
        ("https://r.example.org", "https://r.example.org:5000/v2/", False),
        ("https://r.example.org", "https://r.example.org.evil.example/v2/", False),
        ("https://r.example.org", "https://cdn.r.example.org/v2/", False),
    ],
)
def test_which_addresses_are_the_registrys_own(origin, url, is_own):
    assert Origin(url=httpx.URL(origin), host="r.example.org", insecure=False).is_of(httpx.URL(url)) == is_own


@pytest.mark.parametrize("name", ["xn--a.example.test", "xn--99zzzzzzzzzz.example.test", "xn---.test"])
def test_a_name_that_only_looks_international_is_a_name(servers, name):
    """httpx raises an error of its own for the host of such a URL."""
    registry = servers()
    registry.paths["/v2/a/manifests/1"] = Answer(307, headers={"Location": f"http://{name}/v2/a/manifests/1"})
    assert "leads to no URL" in failure(registry).message
    registry.paths["/v2/a/manifests/1"] = challenge(f"https://{name}/token")
    assert failure(registry).kind in {"invalid", "unreachable"}
    with pytest.raises(RegistryError, match=name):
        registry_of(name)


def registry_of(name):
    with Registry(RegistrySettings(host=name), retry=ONCE) as client:
        client.manifest(Reference(host=name, repository="a", tag="1"))
