"""Answers that are no documents: what each server in between says, in one sentence with the host and what to do."""

import json
import time

import pytest
from fakes.recording_server import Answer, RecordingServer

from multibuild.oci.access.answers import ROWS, error_of_status, row_of
from multibuild.oci.access.details import details_of, page_title
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import RetryPolicy
from multibuild.oci.reference import Reference
from multibuild.oci.registry import Registry
from multibuild.oci.registry_settings import RegistrySettings

ONCE = RetryPolicy(tries=1, unreachable_s=0.0)
HTML = "text/html; charset=utf-8"


def page(title, body=""):
    return f"<html>\r\n<head><title>{title}</title></head>\r\n<body><h1>{title}</h1>{body}</body></html>".encode()


def nginx(status, text):
    return status, HTML, page(status, f"<center>{text}</center><hr><center>nginx/1.25.3</center>")


PLAIN_HTTP = "speaks TLS, not plain http"
PAGES = {
    "Go, plain http": ((400, "", b"Client sent an HTTP request to an HTTPS server.\n"), PLAIN_HTTP, "ca: FILE"),
    "nginx, plain http": (nginx(400, "The plain HTTP request was sent to HTTPS port"), PLAIN_HTTP, "ca: FILE"),
    "Apache, plain http": (
        (400, HTML, page("400 Bad Request", "You're speaking plain HTTP to an SSL-enabled server port.<br />")),
        PLAIN_HTTP,
        "insecure: true",
    ),
    "nginx 497": (nginx(497, ""), PLAIN_HTTP, "insecure: true"),
    "nginx, no certificate": (nginx(400, "No required SSL certificate was sent"), "wants a client certificate", "certs.d"),
    "nginx, a bad certificate": (nginx(400, "The SSL certificate error"), "not accept this client cert", "expired"),
    "nginx 495": (nginx(495, ""), "does not accept this client certificate", "cert: FILE"),
    "nginx 496": (nginx(496, ""), "wants a client certificate", "cert: FILE"),
    "IIS 403.7": ((403, HTML, page("403.7 - Client Certificate Required")), "wants a client certificate", "key: FILE"),
    "IIS 403.16": (
        (403, HTML, page("403 - Forbidden", "Client certificate is untrusted or invalid.")),
        "does not accept this client certificate",
        "cert: FILE",
    ),
    "nginx, a large body": (nginx(413, "413 Request Entity Too Large"), "takes no body as large", "client_max_body_size"),
    "Cloudflare, a large body": ((413, HTML, page("413 Payload Too Large")), "takes no body as large", "Cloudflare"),
    "nginx, large headers": (nginx(400, "Request Header Or Cookie Too Large"), "answers 400", "ask who runs it"),
    "nginx 414": (nginx(414, ""), "headers as large", "docker login"),
    "headers 431": ((431, "", b""), "headers as large", "docker login"),
    "Cloudflare 520": ((520, HTML, page("r.test | 520: Web server is returning an unknown error")), "Cloudflare", "later"),
    "Cloudflare 521": ((521, HTML, page("r.test | 521: Web server is down")), "refuses connections", "later"),
    "Cloudflare 522": ((522, "text/plain", b"error code: 522"), "answers too late", "later"),
    "Cloudflare 523": ((523, HTML, page("523: Origin is unreachable")), "cannot be reached (523)", "later"),
    "Cloudflare 524": ((524, HTML, page("524: A timeout occurred")), "answers too late", "later"),
    "Cloudflare 525": ((525, HTML, page("525: SSL handshake failed")), "no valid TLS certificate", "operator"),
    "Cloudflare 526": ((526, HTML, page("526: Invalid SSL certificate")), "no valid TLS certificate", "operator"),
    "Cloudflare 530": ((530, "text/plain", b"error code: 1033"), "cannot be found by Cloudflare", "DNS"),
    "Cloudflare 1020": ((403, HTML, page("Attention Required! | Cloudflare")), "behind a filter", "not the registry"),
    "Akamai": ((403, HTML, page("Access Denied | example.org used Akamai")), "behind a filter", "not the registry"),
    "Imperva": ((403, HTML, page("", "Request unsuccessful. Incapsula incident ID: 1")), "behind a filter", "not the"),
    "AWS WAF": ((403, HTML, page("ERROR: The request could not be satisfied", "Request blocked.")), "filter", "not the"),
    "Zscaler": ((403, HTML, page("Zscaler | Access Denied")), "filter of this network", "operator"),
    "FortiGate": ((403, HTML, page("Web Page Blocked", "FortiGuard Intrusion Prevention")), "filter of this", "operator"),
    "a captive portal": ((511, HTML, page("Login Required")), "this network wants a login", "browser"),
    "a proxy in between": ((407, HTML, page("407 Proxy Authentication Required")), "as a proxy", "HTTPS_PROXY"),
    "S3, skewed clock": (
        (403, "application/xml", (b"<?xml version='1.0'?><Error><Code>RequestTimeTooSkewed</Code><Message>The difference "
         b"between the request time and the current time is too large.</Message></Error>")),
        "because of the time of this machine: RequestTimeTooSkewed: The difference",
        "set the clock",
    ),
    "S3, an old link": (
        (403, "application/xml", (b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message>"
         b"<Expires>2026-01-01T00:00:00Z</Expires></Error>")),
        "has expired: AccessDenied: Request has expired",
        "try again",
    ),
    "S3, denied": (
        (403, "application/xml", b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"),
        "does not allow it: AccessDenied: Access Denied",
        "docker login",
    ),
    "GCS": (
        (403, "application/xml; charset=UTF-8", (b"\xef\xbb\xbf<?xml version='1.0' encoding='UTF-8'?><Error><Code>"
         b"UserProjectMissing</Code><Message>Bucket is a requester pays bucket</Message></Error>")),
        "UserProjectMissing: Bucket is",
        "docker login",
    ),
    "ECR": (
        (403, "application/json", b'{"errors":[{"code":"DENIED","message":"Your authorization token has expired."}]}'),
        "has expired: DENIED Your authorization token",
        "docker login",
    ),
    "ALB": ((502, HTML, page("502 Bad Gateway")), "answers 502: a web page, “502 Bad Gateway”", "try again"),
    "Varnish": ((503, HTML, page("503 Backend fetch failed")), "“503 Backend fetch failed”", "try again"),
    "Squid": ((503, HTML, page("ERROR: The requested URL could not be retrieved")), "“ERROR: The req", "try again"),
    "JFrog": (
        (404, "application/json", b'{"errors":[{"status":404,"message":"Unable to find resource"}]}'),
        "does not have it: Unable to find resource",
        "the name",
    ),
    "Nexus": ((400, HTML, page("400 - Nexus Repository Manager")), "answers 400: a web page", "not the registry"),
    "Harbor, a full project": (
        (412, "application/json", (b'{"errors":[{"code":"PRECONDITION","message":"adding 1 MiB of storage resource, which '
         b'when updated to current usage exceeds the quota"}]}')),
        "exceeds the quota",
        "None",
    ),
    "no room": ((507, "", b""), "has no room left", "operator"),
    "ECR, an immutable tag": (
        (400, "application/json", (b'{"errors":[{"code":"TAG_INVALID","message":"The image tag \'1\' already exists in the '
         b'\'a\' repository and cannot be overwritten because the repository is immutable."}]}')),
        "moves no tag that exists already",
        "another tag",
    ),
    "Harbor, an immutable tag": (
        (412, "application/json", (b'{"errors":[{"code":"PRECONDITION","message":"Failed to process request due to '
         b'\'a:1\' configured as immutable."}]}')),
        "moves no tag that exists already",
        "settings",
    ),
    "Nexus, an immutable tag": (
        (400, "application/json", b'{"errors":[{"code":"UNKNOWN","message":"Repository does not allow updating assets"}]}'),
        "moves no tag that exists already",
        "settings",
    ),
    "Quay, a plan": ((402, "application/json", b'{"error_message":"Payment Required"}'), "wants to be paid", "plan"),
    "law": ((451, "", b""), "legal reasons", "None"),
    "too many requests": (
        (429, "application/json", b'{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit"}]}'),
        "reached your pull rate limit",
        "docker login",
    ),
    "a text": ((403, "text/plain; charset=utf-8", b"Forbidden by policy\n"), "does not allow it: Forbidden by policy", ""),
    "no permission, for a repository of such a name": (
        (403, "text/plain", b"requested access to team/immutable-tag is denied"),
        "does not allow it",
        "lacks the right",
    ),
    "no permission": ((403, "", b""), "does not allow it", "lacks the right"),
    "not found": ((404, HTML, page("404 Not Found")), "does not have it: a web page, “404 Not Found”", "the name"),
    "no such method": ((405, "", b""), "cannot do that", "None"),
    "not done": ((501, "", b""), "cannot do that", "None"),
    "no login": ((401, "text/plain", b"Unauthorized"), "wants a login", "docker login"),
}  # fmt: skip


def answering(status, content_type="", body=b""):
    return RecordingServer(lambda seen: Answer(status, body, {"Content-Type": content_type}))


def leading(status, location):
    return RecordingServer(lambda seen: Answer(status, headers={"Location": location}))


def connected(server):
    return Registry(RegistrySettings(host=server.host), retry=ONCE)


def refused(work):
    with pytest.raises(RegistryError) as caught:
        work()
    return caught.value


def failure(server):
    with connected(server) as registry:
        error = refused(lambda: registry.manifest(Reference(host=server.host, repository="a", tag="1")))
    assert server.host in error.message
    assert "\n" not in error.message
    assert len(error.message) < 500
    return error


@pytest.mark.parametrize("case", PAGES)
def test_what_each_server_says(case):
    answer, words, hint = PAGES[case]
    with answering(*answer) as server:
        error = failure(server)
    assert words in error.message
    assert hint in str(error.hint)


def test_every_row_is_tried():
    rows = [row_of(status, body.decode(errors="replace")) for (status, _, body), *_ in PAGES.values()]
    assert [row for row in ROWS if row not in rows] == []


def test_every_row_has_a_source():
    assert [row for row in ROWS if not row.source] == []


# -- pages in place of documents

LOGINS = {
    "GitLab": page("Sign in · GitLab"),
    "Azure": b"\r\n\r\n<!DOCTYPE html>\r\n<!-- Copyright --><html><head><title>Sign in to your account</title>",
    "Cloudflare Access": page("Sign in ・ Cloudflare Access"),
    "Okta": page("Example &amp; Co - Sign In"),
    "a BOM": b"\xef\xbb\xbf" + page("Login"),
    "capitals": page("Login").upper(),
    "no title": b"<html><body>hello</body></html>",
    "a title that never ends": b"<html><title>" + b"x" * 100_000,
    "control characters": page("\x1b]0;owned\x07Login"),
}


@pytest.mark.parametrize("case", LOGINS)
@pytest.mark.parametrize("kind", [HTML, "", "application/vnd.oci.image.manifest.v1+json"])
def test_a_login_page_is_no_manifest(case, kind):
    with answering(200, kind, LOGINS[case]) as server:
        error = failure(server)
    assert "answers with a web page" in error.message
    assert "sign-on" in str(error.hint)
    assert "\x1b" not in error.message


def test_the_title_of_a_page_is_told():
    with answering(200, HTML, LOGINS["Okta"]) as server:
        assert "“Example & Co - Sign In”" in failure(server).message


def test_a_login_page_elsewhere_is_told_with_its_host():
    with (
        answering(200, HTML, page("Sign in")) as sso,
        leading(302, f"http://{sso.host}/a?x=s3cret") as registry,
    ):
        message = failure(registry).message
    assert f"{sso.host}, to which {registry.host} leads, answers with a web page" in message
    assert "s3cret" not in message


def test_a_login_page_is_no_blob():
    """The answer to HEAD has no body: its type alone says that this is no registry, and the blob is not there."""
    with (
        answering(200, HTML) as server,
        connected(server) as registry,
        pytest.raises(RegistryError, match="page"),
    ):
        registry.has_blob("a", f"sha256:{'a' * 64}")


def test_a_write_that_leads_to_a_login_page_is_told():
    with leading(302, "https://sso.example.org/login?token=s3cret") as server, connected(server) as registry:
        error = refused(lambda: registry.check_push("a"))
    assert "leads elsewhere" in error.message
    assert "to sso.example.org" in error.message
    assert "s3cret" not in f"{error.message} {error.hint}"


def test_json_with_the_type_of_a_page_is_a_document():
    body = json.dumps({"name": "a", "tags": ["1"]}).encode()
    with answering(200, HTML, body) as server, connected(server) as registry:
        assert registry.tags("a") == ("1",)


def test_a_host_that_a_registry_leads_to_is_named():
    """An object store's refusal is no refusal of the registry."""
    body = b"<Error><Code>SignatureDoesNotMatch</Code><Message>The signature does not match</Message></Error>"
    with (
        answering(403, "application/xml", body) as store,
        leading(307, f"http://{store.host}/a?x=s3cret") as registry,
    ):
        error = failure(registry)
    assert (
        f"{store.host}, to which {registry.host} leads, does not allow it: SignatureDoesNotMatch"
        in error.message
    )
    assert "s3cret" not in error.message


# -- details

BODIES = [
    (b"", ""),
    (b"{}", ""),
    (b"null", ""),
    (b"[]", ""),
    (b"5", ""),
    (b'"a text"', "a text"),
    (b'{"errors": null}', ""),
    (b'{"errors": "a text"}', "a text"),
    (b'{"errors": {"message": "m"}}', "m"),
    (
        b'{"errors": [null, 5, "x", {"code": "C"}, {"message": "M"}, {"code": "C", "message": "M"}]}',
        "5; x; C; M; C M",
    ),
    (b'{"errors": [{"code": "C", "message": {"message": "deep"}}]}', "C deep"),
    (b'{"errors": [{"code": "C", "message": "M"}, {"code": "C", "message": "M"}]}', "C M"),
    (b'{"message": "m", "error": "e"}', "m"),
    (b'{"error": {"code": 1, "message": "m"}}', "m"),
    (b'{"detail": [], "title": "t"}', "t"),
    (b"\xff\xfe binary", ""),
    (b"[" * 100_000, ""),
    (b"a\n\tb  c", "a b c"),
    (b"see https://me:s3cret@r.example.org/x?token=s3cret", "see https://***@r.example.org/x?token=***"),
]


@pytest.mark.parametrize(("body", "text"), BODIES)
def test_the_details_of_a_body(body, text):
    details = details_of("application/json" if body[:1] in b'{["n5' and body else "text/plain", body)
    if body.startswith(b"["):
        assert details.text in {text, "[" * 200}
    else:
        assert details.text == text


def test_details_are_short():
    assert len(details_of("text/plain", b"x" * 10**6).text) == 200
    many = json.dumps({"errors": [{"code": "C" * 1000, "message": "M" * 1000}] * 1000}).encode()
    assert len(details_of("", many).text) == 200


@pytest.mark.parametrize("piece", [b"<title>", b"<", b"<html>", b"</title", b"&amp;", b"\xc4\xb0", b"<Code>"])
def test_a_page_is_read_in_linear_time(piece):
    body = b"<html><title>" + piece * (4_000_000 // len(piece))
    before = time.process_time()
    page_title(HTML, body)
    details_of("application/xml", b"<Error>" + piece * (4_000_000 // len(piece)))
    assert time.process_time() - before < 5.0


@pytest.mark.parametrize("status", [*range(100, 600, 7), 0, 999])
def test_every_status_has_words(status):
    error = error_of_status("r.example.org", "reading x", status, "details")
    assert "r.example.org" in error.message
    assert "{" not in error.message
