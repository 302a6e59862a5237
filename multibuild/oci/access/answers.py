"""What an answer means that is not the document asked for: statuses, and pages of servers in between.

One table. Its first row that fits decides; a row stands before those that are less exact.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from multibuild.oci.access.details import HEAD_CHARACTERS
from multibuild.oci.errors import ErrorKind, RegistryError

_TLS_SETTINGS = "registries: {{'{host}': {{ca: FILE, cert: FILE, key: FILE}}}}"


class Row(NamedTuple):
    """An answer with one of `statuses` that has one of `words` (none: any), in any case.

    `reason` follows the host; `hint` is the next step. `source` says who answers so.
    """

    statuses: tuple[int, ...]
    words: tuple[str, ...]
    kind: ErrorKind
    reason: str
    hint: str
    source: str


_LOGIN = "`docker login {host}`"
IN_FRONT = "a server in front of the registry answers, not the registry: ask who runs it"

ROWS: tuple[Row, ...] = (
    Row(
        (400, 426, 497),
        (
            "http request to an https server",
            "plain http request was sent to https port",
            "speaking plain http to an ssl-enabled server port",
            "client sent an http request to an https",
        ),
        "tls",
        "speaks TLS, not plain http",
        "take out `insecure: true` for it; on localhost name its CA: registries: {{'{host}': {{ca: FILE}}}}",
        "Go net/http server.go; nginx ngx_http_special_response.c; Apache mod_ssl ssl_engine_io.c",
    ),
    Row(
        (497,),
        (),
        "tls",
        "speaks TLS, not plain http",
        "take out `insecure: true` for it",
        "nginx, status 497",
    ),
    Row(
        (400, 403, 496),
        (
            "no required ssl certificate was sent",
            "client certificate required",
            "client certificate was not provided",
            "requires a valid ssl client certificate",
        ),
        "tls",
        "wants a client certificate",
        f"{_TLS_SETTINGS}, or client.cert and client.key in /etc/docker/certs.d/{{host}}",
        "nginx ngx_http_special_response.c; IIS 403.7; Apache mod_ssl",
    ),
    Row((496,), (), "tls", "wants a client certificate", _TLS_SETTINGS, "nginx, status 496"),
    Row(
        (400, 403, 495),
        ("the ssl certificate error", "client certificate is untrusted", "client certificate has expired"),
        "tls",
        "does not accept this client certificate",
        f"has it expired, is it of the right CA? {_TLS_SETTINGS}",
        "nginx ngx_http_special_response.c; IIS 403.16",
    ),
    Row((495,), (), "tls", "does not accept this client certificate", _TLS_SETTINGS, "nginx, status 495"),
    Row(
        (400, 403),
        ("requesttimetooskewed", "difference between the request time and the current time"),
        "denied",
        "refuses it because of the time of this machine",
        "set the clock of this machine",
        "S3, error codes; MinIO, Ceph",
    ),
    Row(
        (400, 403),
        ("expiredtoken", "request has expired", "authorization token has expired", "token is expired"),
        "unauthorized",
        "says that the login or the link has expired",
        f"try again; {_LOGIN}",
        "S3, presigned URLs; Amazon ECR",
    ),
    Row(
        (403,),
        (
            "attention required!",
            "error code: 1020",
            "cf-error-details",
            "access denied | ",
            "incapsula",
            "request blocked",
        ),
        "denied",
        "is behind a filter that refuses this",
        IN_FRONT,
        "Cloudflare 1020; Akamai; Imperva; AWS WAF and CloudFront",
    ),
    Row(
        (403, 404, 451),
        (
            "zscaler",
            "fortiguard",
            "web filter",
            "websense",
            "netskope",
            "blocked by your organization",
            "mcafee web gateway",
        ),
        "denied",
        "is blocked by the filter of this network",
        "ask its operator to allow the registry",
        "Zscaler, FortiGate, Forcepoint, Netskope, Skyhigh block pages",
    ),
    Row(
        (400, 403, 409, 412),
        ("is immutable", "as immutable", "cannot be overwritten", "does not allow updating assets"),
        "invalid",
        "moves no tag that exists already",
        "publish under another tag, or allow tags to be overwritten in the repository's settings",
        "ECR TAG_INVALID; Harbor middleware/immutable; Docker Hub, Artifact Registry, Nexus",
    ),
    Row((401,), (), "unauthorized", "refused the login", _LOGIN, "RFC 9110 section 15.5.2"),
    Row(
        (402,), (), "denied", "wants to be paid first", "look at the account's plan", "RFC 9110; Quay, JFrog"
    ),
    Row(
        (403,),
        (),
        "denied",
        "does not allow it",
        f"this account lacks the right; {_LOGIN} with another",
        "RFC 9110 section 15.5.4",
    ),
    Row(
        (404,),
        (),
        "not-found",
        "does not have it",
        "check the name and the tag; some registries want it created first",
        "distribution-spec",
    ),
    Row((405, 501), (), "unsupported", "cannot do that", "", "distribution-spec"),
    Row(
        (407,),
        (),
        "invalid",
        "answers as a proxy that wants a login (407)",
        "in HTTPS_PROXY or HTTP_PROXY, before the host: USER:PASSWORD and an @",
        "RFC 9110 section 15.5.8",
    ),
    Row(
        (413,),
        (),
        "invalid",
        "takes no body as large as this one (413)",
        "a limit of the server in front of it: client_max_body_size 0 in nginx, the plan's limit at Cloudflare",
        "nginx; Cloudflare 413",
    ),
    Row(
        (414, 431),
        (),
        "invalid",
        "takes no request with headers as large as these",
        f"a token of many rights? {_LOGIN}",
        "nginx large_client_header_buffers; RFC 6585",
    ),
    Row((429,), (), "rate-limited", "has had too many requests", f"wait, or {_LOGIN}", "RFC 6585"),
    Row((451,), (), "denied", "may not give it for legal reasons", "", "RFC 7725"),
    Row(
        (507,),
        (),
        "unavailable",
        "has no room left",
        "its operator has to make room",
        "RFC 4918; Harbor quotas",
    ),
    Row(
        (511,),
        (),
        "invalid",
        "cannot be reached: this network wants a login first (511)",
        "open a web page in a browser here and log in",
        "RFC 6585 section 6",
    ),
    Row(
        (520,),
        (),
        "unavailable",
        "is down behind Cloudflare: its answer makes no sense (520)",
        "try again later",
        "Cloudflare 5xx",
    ),
    Row(
        (521,),
        (),
        "unavailable",
        "is down behind Cloudflare: it refuses connections (521)",
        "try again later",
        "Cloudflare 5xx",
    ),
    Row(
        (522, 524),
        (),
        "unavailable",
        "is down behind Cloudflare: it answers too late",
        "try again later",
        "Cloudflare 5xx",
    ),
    Row(
        (523,),
        (),
        "unavailable",
        "is down behind Cloudflare: it cannot be reached (523)",
        "try again later",
        "Cloudflare 5xx",
    ),
    Row(
        (525, 526),
        (),
        "unavailable",
        "has no valid TLS certificate for Cloudflare",
        "its operator has to mend it",
        "Cloudflare 5xx",
    ),
    Row(
        (530,),
        (),
        "unavailable",
        "cannot be found by Cloudflare (530)",
        "its operator has to mend its DNS",
        "Cloudflare 1016, 1033",
    ),
)


def error_of_status(
    host: str,
    action: str,
    status: int,
    details: str = "",
    *,
    body: str = "",
    retry_after: str = "",
    has_login: bool = True,
    is_login_sent: bool = True,
) -> RegistryError:
    """Return the error for a status; `details` is the server's message, `body` all it sent, `retry_after` a header.

    `is_login_sent`: a server that names no kind of login that a client has gets none.
    """
    row = row_of(status, f"{body[:HEAD_CHARACTERS]} {details}") or _unknown(status)
    reason = row.reason
    if status == 401 and not has_login:
        reason = "wants a login, and there is none for it"
    elif status == 401 and not is_login_sent:
        reason = "wants a login, and asks for none that can be sent"
    message = f"{action}: {host} {reason}{f': {details}' if details else ''}"
    error = RegistryError(row.kind, message, hint=row.hint.format(host=host) or None, status=status)
    error.retry_after = _seconds(retry_after)
    return error


def row_of(status: int, text: str) -> Row | None:
    """Return the row for a status and all that a server sent with it, None without one."""
    text = text.lower()
    rows = (row for row in ROWS if status in row.statuses)
    return next((row for row in rows if not row.words or any(word in text for word in row.words)), None)


def _unknown(status: int) -> Row:
    if status >= 500:
        return Row(
            (status,), (), "unavailable", f"answers {status}", "the registry has trouble: try again", ""
        )
    if 300 <= status < 400:
        hint = "a login page in front of it? is it a registry?"
        return Row(
            (status,), (), "invalid", f"leads elsewhere where a registry answers (status {status})", hint, ""
        )
    return Row((status,), (), "invalid", f"answers {status}", "", "")


def _seconds(text: str) -> float | None:
    """Parse a Retry-After header in seconds: a number or a date (RFC 9110 section 10.2.3); None when it is neither."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
        until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError, TypeError, IndexError):
        return None  # some dates are beyond what Python can hold
