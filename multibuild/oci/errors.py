"""Failures of a registry: HTTP statuses and transport errors with a message and a hint."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from multibuild.errors import EnvironmentFault, PublishFailed, UsageError
from multibuild.terminal import printable

ErrorKind = Literal[
    "not-found",
    "unauthorized",
    "denied",
    "rate-limited",
    "unavailable",
    "unreachable",
    "tls",
    "invalid",
    "unsupported",
]


class RegistryError(PublishFailed):
    """A request to a registry failed. `status` is the HTTP status, 0 where there was no response.

    `codes` are the registry's error codes (distribution-spec, "Error Codes"); `connected` is false where no connection
    was established.
    """

    def __init__(self, kind: ErrorKind, message: str, *, hint: str | None = None, status: int = 0) -> None:
        """Set the kind; `message` includes the host, `hint` what to do."""
        super().__init__(message, hint=hint)
        self.kind = kind
        self.status = status
        self.codes: tuple[str, ...] = ()
        self.retry_after: float | None = None
        self.connected = True


@contextmanager
def translate_read_errors() -> Iterator[None]:
    """Translate RegistryError for a command that only reads, so that it does not exit as a failed publish.

    A missing image becomes UsageError, everything else EnvironmentFault, also a manifest that is none (PublishFailed).
    """
    try:
        yield
    except PublishFailed as error:
        if isinstance(error, RegistryError) and error.kind == "not-found":
            raise UsageError(error.message, hint=error.hint) from error
        raise as_environment_fault(error) from error


def as_environment_fault(error: PublishFailed) -> EnvironmentFault:
    """Return the same error as the environment's fault (exit 3)."""
    return EnvironmentFault(error.message, hint=error.hint)


_STATUSES: dict[int, tuple[ErrorKind, str, str]] = {
    401: ("unauthorized", "refused the login", "`docker login {host}`"),
    403: ("denied", "does not allow it", "this account lacks the right; `docker login {host}` with another"),
    404: (
        "not-found",
        "does not have it",
        "check the name and the tag; some registries want it created first",
    ),
    405: ("unsupported", "cannot do that", ""),
    429: ("rate-limited", "has had too many requests", "wait, or `docker login {host}`"),
    501: ("unsupported", "cannot do that", ""),
}


def from_status(
    host: str, action: str, status: int, details: str = "", *, retry_after: str = ""
) -> RegistryError:
    """Return the error for a status; `details` is the registry's message, `retry_after` the header or empty."""
    fallback: tuple[ErrorKind, str, str] = ("invalid", f"answers {status}", "")
    if status >= 500:
        fallback = ("unavailable", f"answers {status}", "the registry has trouble: try again")
    elif status == 400 and "HTTP request to an HTTPS server" in details:
        fallback = ("tls", "speaks TLS, not plain http", "take out `insecure: true` for it")
    kind, reason, hint = _STATUSES.get(status, fallback)
    message = f"{action}: {host} {reason}{f': {details}' if details else ''}"
    error = RegistryError(kind, message, hint=hint.format(host=host) or None, status=status)
    error.retry_after = _seconds(retry_after)
    return error


_NO_SUCH_HOST = re.compile(
    "Name or service not known|nodename nor servname|No address associated|Temporary failure in name resolution"
)
"""Messages of getaddrinfo (glibc, musl, BSD)."""


def from_transport(host: str, action: str, error: Exception) -> RegistryError:
    """Return the error for a failure below HTTP."""
    text = re.sub(r"\[Errno -?\d+\] ", "", str(error))
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate" in text.lower():
        return RegistryError(
            "tls",
            f"{action}: the certificate of {host} is not trusted",
            hint=f"make its CA known: registries: {{'{host}': {{ca: FILE}}}}",
        )
    if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text.lower():
        return RegistryError(
            "tls",
            f"{action}: {host} speaks plain http, not TLS",
            hint=f"if that is meant: registries: {{'{host}': {{insecure: true}}}}",
        )
    if type(error).__name__ == "RemoteProtocolError" and "disconnected" not in text and "closed" not in text:
        return RegistryError(
            "unreachable",
            f"{action}: {host} speaks no HTTP that a client can read: {printable(text)[:200]}",
            hint="is it a registry, and is the port right?",
        )
    reason = f"{host} cannot be reached: {text or type(error).__name__}"
    hint = "is it running, and is the name right?"
    if _NO_SUCH_HOST.search(text):
        reason = f"there is no host {host.partition(':')[0]}: its name does not resolve"
        hint = "is the name right, and is there a network?"
    unreachable = RegistryError("unreachable", f"{action}: {reason}", hint=hint)
    unreachable.connected = "Connect" not in type(error).__name__
    return unreachable


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
