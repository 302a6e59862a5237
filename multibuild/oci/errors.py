"""What a registry can answer that is no success, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from multibuild.errors import EnvironmentFault, PublishFailed, UsageError

Kind = Literal[
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
    """A registry did not do what was asked. `status` is the HTTP status, 0 where there was no answer.

    `codes` are those of the distribution-spec the registry gave; `connected` is false where nobody answered at all.
    """

    def __init__(self, kind: Kind, message: str, *, hint: str | None = None, status: int = 0) -> None:
        """Take the kind, what happened at which host, and what to do."""
        super().__init__(message, hint=hint)
        self.kind = kind
        self.status = status
        self.codes: tuple[str, ...] = ()
        self.retry_after: float | None = None
        self.connected = True


@contextmanager
def for_a_reader() -> Iterator[None]:
    """Turn what a registry refuses a command that only reads into the fault it is there: nothing was published.

    An image that is not there is what was typed wrong; all else is the environment's.
    """
    try:
        yield
    except RegistryError as error:
        if error.kind == "not-found":
            raise UsageError(error.message, hint=error.hint) from error
        raise as_environment(error) from error


def as_environment(error: RegistryError) -> EnvironmentFault:
    """Say the same before the first build, where it is the environment's fault (exit 3)."""
    return EnvironmentFault(error.message, hint=error.hint)


_STATUSES: dict[int, tuple[Kind, str, str]] = {
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
    host: str, doing: str, status: int, said: str, *, retry_after: float | None = None
) -> RegistryError:
    """Understand a status; `said` is the registry's own message, `retry_after` the seconds it asks for."""
    trouble: tuple[Kind, str, str] = ("invalid", f"answers {status}", "")
    if status >= 500:
        trouble = ("unavailable", f"answers {status}", "the registry has trouble: try again")
    elif status == 400 and "HTTP request to an HTTPS server" in said:
        trouble = ("tls", "speaks TLS, not plain http", "take out `insecure: true` for it")
    kind, words, hint = _STATUSES.get(status, trouble)
    message = f"{doing}: {host} {words}{f': {said}' if said else ''}"
    error = RegistryError(kind, message, hint=hint.format(host=host) or None, status=status)
    error.retry_after = retry_after
    return error


_NO_SUCH_HOST = (
    "Name or service not known",
    "nodename nor servname",
    "No address associated",
    "Temporary failure in name resolution",
)
"""What getaddrinfo says (glibc, musl, BSD)."""


def from_transport(host: str, doing: str, error: Exception) -> RegistryError:
    """Understand an error below HTTP."""
    text = re.sub(r"\[Errno -?\d+\] ", "", str(error))
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate" in text.lower():
        return RegistryError(
            "tls",
            f"{doing}: the certificate of {host} is not trusted",
            hint=f"make its CA known: registries: {{'{host}': {{ca: FILE}}}}",
        )
    if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text.lower():
        return RegistryError(
            "tls",
            f"{doing}: {host} speaks plain http, not TLS",
            hint=f"if that is meant: registries: {{'{host}': {{insecure: true}}}}",
        )
    words, hint = (
        f"{host} cannot be reached: {text or type(error).__name__}",
        "is it running, and is the name right?",
    )
    if any(said in text for said in _NO_SUCH_HOST):
        words = f"there is no host {host.partition(':')[0]}: its name does not resolve"
        hint = "is the name right, and is there a network?"
    found = RegistryError("unreachable", f"{doing}: {words}", hint=hint)
    found.connected = "Connect" not in type(error).__name__
    return found


def retry_after(text: str) -> float | None:
    """Read a Retry-After header in seconds: a number or a date (RFC 9110 section 10.2.3); None when it says nothing."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
