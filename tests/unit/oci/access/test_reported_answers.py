"""Public reports about logins, token services, redirects and answers that are no documents; each row is a report.

What clients of them showed was "invalid character '<'", "unexpected end of JSON input" or a login at the wrong host.
"""

import base64
import json
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from fakes.images import OCI
from fakes.recording_server import Answer, RecordingServer

from multibuild.oci.access.auth import RegistryAuth
from multibuild.oci.access.credentials import Credentials
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import RetryPolicy
from multibuild.oci.reference import Reference
from multibuild.oci.registry import Registry
from multibuild.oci.registry_settings import RegistrySettings

GITHUB = "https://github.com"
ONCE = RetryPolicy(tries=1, unreachable_s=0.0)
LOGIN = Credentials(username="me", secret="s3cret-word")
BASIC = "Basic " + base64.b64encode(b"me:s3cret-word").decode()
PATH = "/v2/a/manifests/1"
MANIFEST = f'{{"schemaVersion":2,"mediaType":"{OCI}","config":{{}},"layers":[]}}'.encode()
OK = Answer(body=MANIFEST, headers={"Content-Type": OCI})


@pytest.fixture
def serve():
    """Return a function that starts a server of answers by path; a function gets the request."""
    with ExitStack() as stack:

        def serve(paths):
            def answer(seen):
                row = paths.get(seen.path, Answer(404))
                return row(seen) if callable(row) else row

            return stack.enter_context(RecordingServer(answer))

        yield serve


def read(host, login=LOGIN):
    with Registry(RegistrySettings(host=host), read_login=lambda: login, retry=ONCE) as registry:
        return registry.manifest(Reference(host=host, repository="a", tag="1"))


def failure(host, login=LOGIN):
    with pytest.raises(RegistryError) as caught:
        read(host, login)
    text = f"{caught.value.message} {caught.value.hint}"
    assert host in caught.value.message
    assert "\n" not in caught.value.message
    assert len(text) < 500
    assert not any(word in text for word in ("s3cret", "Traceback", "JSONDecodeError", "Expecting value"))
    return text


def wanting_tokens(paths: dict[str, Any], challenge, *, header="Bearer t1"):
    """Make a registry want this header for its manifest; `{}` in the challenge is its own host."""

    def manifest(seen):
        if seen.authorization == header:
            return OK
        return Answer(401, headers={"WWW-Authenticate": challenge.replace("{}", seen.headers["Host"])})

    paths[PATH] = manifest


# -- realms

REALMS = {
    f"{GITHUB}/SUSE/caasp-services/issues/24": "http://reg-portus-nginx:%!s(<nil>)/v2/token",
    f"{GITHUB}/SUSE/caasp-services/issues/36": "http://portus-registry.example.org:%!s(<nil>)/v2/token",
    f"{GITHUB}/distribution/distribution/pull/1458": "/token",
    f"{GITHUB}/openshift/origin/issues/10193": "http://172.30.53.101:5000/openshift/token?account=bob",
    f"{GITHUB}/artifact-keeper/artifact-keeper/issues/1021": "http://artifact-keeper-backend:8080/v2/token",
    f"{GITHUB}/balena-io/open-balena/issues/41": "https://api./auth/v1/token",
}


@pytest.mark.parametrize("realm", REALMS.values(), ids=REALMS)
def test_a_realm_that_nobody_can_use_is_told(realm, serve):
    """No login leaves for it, nor does anything of the realm's own (`<nil>`) break the sentence."""
    paths: dict[str, Any] = {}
    wanting_tokens(paths, f'Bearer realm="{realm}",service="s"')
    text = failure(serve(paths).host)
    names = (
        "names no token service",
        "without TLS",
        "cannot be reached",
        "does not resolve",
        "there is no host",
    )
    assert any(name in text for name in names), text


def test_an_http_realm_of_a_host_with_tls_is_asked_with_tls():
    """Finsys/dockhand issue 1428: its redirect to https would have lost the login."""
    auth = RegistryAuth("https://r.example.org", "r.example.org", lambda: LOGIN, insecure=False)
    flow = auth.sync_auth_flow(httpx.Request("GET", f"https://r.example.org{PATH}"))
    next(flow)
    challenge = 'Bearer realm="http://r.example.org/service/token",service="harbor-registry"'
    request = flow.send(httpx.Response(401, headers={"WWW-Authenticate": challenge}))
    assert str(request.url).startswith("https://r.example.org/service/token?")
    assert request.headers["Authorization"] == BASIC


def test_a_realm_of_two_slashes_stays_as_it_is(serve):
    """keycloak/keycloak pull 8392."""
    paths: dict[str, Any] = {"/auth//realms/master": Answer(body=b'{"token": "t1"}')}
    wanting_tokens(paths, 'Bearer realm="http://{}/auth//realms/master",service="s"')
    assert read(serve(paths).host)


@pytest.mark.parametrize(
    "challenge", ['Bearer realm="http://{}/token"', 'Bearer realm="http://{}/token",service=""']
)
def test_a_challenge_without_a_service_asks_for_none(challenge, serve):
    """davedoesdev/dxf pull 58."""
    paths: dict[str, Any] = {"/token": Answer(body=b'{"token": "t1"}')}
    wanting_tokens(paths, challenge)
    server = serve(paths)
    assert read(server.host)
    (asked,) = (seen for seen in server.seen if seen.path == "/token")
    assert "service" not in asked.query


# -- challenges: of google/go-containerregistry pull 1075, prowler-cloud/prowler pull 12691, siderolabs/image-factory pull 573

BOTH = 'Bearer realm="http://{}/token",service="s"'
CHALLENGES = {
    "Negotiate before Basic": ('Negotiate, Basic realm="x"', BASIC),
    "Basic before Bearer": (f'Basic realm="registry", {BOTH}', "Bearer t1"),
    "Bearer before Basic": (f'{BOTH}, Basic realm="registry"', "Bearer t1"),
}


@pytest.mark.parametrize("case", CHALLENGES)
def test_the_challenge_that_can_be_answered_is(case, serve):
    challenge, header = CHALLENGES[case]
    paths: dict[str, Any] = {"/token": Answer(body=b'{"token": "t1"}')}
    wanting_tokens(paths, challenge, header=header)
    assert read(serve(paths).host)


def test_a_realm_that_is_no_token_service_is_told(serve):
    """siderolabs/image-factory pull 573: Bearer was offered, and there was nothing at its realm; docker fails as well."""
    paths: dict[str, Any] = {}
    wanting_tokens(paths, f'{BOTH}, Basic realm="x"', header=BASIC)
    assert "logging in to" in failure(serve(paths).host)


# -- tokens

TOKENS = {
    f"{GITHUB}/containerd/containerd/issues/2157": {"token": "t1"},
    f"{GITHUB}/google/go-containerregistry/pull/81": {"access_token": "t1"},
    "both": {"token": "t1", "access_token": "other"},
    "an empty one of both": {"token": "", "access_token": "t1"},
    "of no time": {"token": "t1", "expires_in": 0},
    "of a time that is no number": {"token": "t1", "expires_in": "300", "issued_at": "yesterday"},
}


@pytest.mark.parametrize("answer", TOKENS.values(), ids=TOKENS)
def test_a_token_is_read(answer, serve):
    paths: dict[str, Any] = {"/token": Answer(body=json.dumps(answer).encode())}
    wanting_tokens(paths, BOTH)
    assert read(serve(paths).host)


@pytest.mark.parametrize(
    "body", [b"", b"<html><title>502</title></html>", b"null", b'{"token": null}', b"\x1f\x8b\x08\x00", b"[]"]
)
def test_what_is_no_token_is_told(body, serve):
    """docker/buildx issue 1906: "unable to decode token response: unexpected EOF"."""
    paths: dict[str, Any] = {"/token": Answer(body=body)}
    wanting_tokens(paths, BOTH)
    assert "no token" in failure(serve(paths).host)


# -- redirects: moby/moby pull 33707, renovatebot/renovate issue 3877, open-policy-agent/opa issue 6580


def test_a_store_that_refuses_two_logins_gets_none(serve):
    def store(seen):
        return Answer(400, b"<Error><Code>InvalidArgument</Code></Error>") if seen.authorization else OK

    bucket = serve({"/bucket": store})
    paths: dict[str, Any] = {"/token": Answer(body=b'{"token": "t1"}')}
    wanting_tokens(paths, BOTH)
    wants_token = paths[PATH]

    def manifest(seen):
        answer = wants_token(seen)
        location = f"http://{bucket.host}/bucket?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=s3cret"
        return Answer(307, headers={"Location": location}) if answer is OK else answer

    paths[PATH] = manifest
    assert read(serve(paths).host)


# -- answers that are no documents

NGINX = "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n<hr><center>nginx</center>"
HTML = {"Content-Type": "text/html"}


def nginx(status, title):
    return Answer(status, NGINX.format(title).encode(), HTML)


ANSWERS = {
    f"{GITHUB}/apache/apisix-docker/issues/64": (nginx(403, "403 Forbidden"), "403 Forbidden"),
    f"{GITHUB}/xuxinkun/littleTools/issues/7": (nginx(403, "403 Forbidden"), "docker login"),
    f"{GITHUB}/moby/moby/issues/41420": (nginx(404, "404 Not Found"), "404 Not Found"),
    f"{GITHUB}/moby/moby/issues/25166": (Answer(500, b"<!DOCTYPE html><title>Error</title>", HTML), "answers 500"),
    f"{GITHUB}/moby/moby/issues/40507": (Answer(200, b"<html><title>Proxy</title></html>", HTML), "“Proxy”"),
    f"{GITHUB}/moby/moby/issues/16724": (
        nginx(400, "400 No required SSL certificate was sent"),
        "wants a client certificate",
    ),
    f"{GITHUB}/containerd/nerdctl/issues/427": (nginx(496, "496"), "cert: FILE, key: FILE"),
    f"{GITHUB}/distribution/distribution/issues/4477": (Answer(401), "wants a login, and asks for none"),
    f"{GITHUB}/inno-devops-labs/DevSecOps-Intro/pull/1383": (
        Answer(403, headers={"Server": "AirTunes/675.4.1"}),
        "does not allow it",
    ),
    f"{GITHUB}/docker/build-push-action/issues/1194": (Answer(429), "too many requests"),
    f"{GITHUB}/deitch/docker_registry2/pull/40": (Answer(406), "answers 406"),
    f"{GITHUB}/DaoCloud/public-image-mirror/issues/45622": (Answer(403, b"Forbidden\n"), "does not allow it: Forbidden"),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "words"), ANSWERS.values(), ids=ANSWERS)
def test_what_is_no_document_is_told_in_a_sentence(answer, words, serve):
    assert words in failure(serve({PATH: answer}).host)


def test_a_page_where_a_redirect_leads_is_told_with_both_hosts(serve):
    """moby/moby issue 30798: what the registry leads to does not have it."""
    other = serve({PATH: nginx(404, "404 Not Found")})
    registry = serve({PATH: Answer(302, headers={"Location": f"http://{other.host}{PATH}"})})
    assert f"{other.host}, to which {registry.host} leads, does not have it" in failure(registry.host)
