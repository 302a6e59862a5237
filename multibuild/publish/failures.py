"""What a registry can answer that is no success, in words."""

from __future__ import annotations

from typing import Literal

from multibuild.errors import EnvironmentFault, PublishFailed

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
    """A registry did not do what was asked. `status` is the HTTP status, 0 where there was no answer."""

    def __init__(self, kind: Kind, message: str, *, hint: str | None = None, status: int = 0) -> None:
        """Take the kind, what happened at which host, and what to do."""
        super().__init__(message, hint=hint)
        self.kind = kind
        self.status = status


def as_environment(error: RegistryError) -> EnvironmentFault:
    """Say the same before the first build, where it is the environment's fault (exit 3)."""
    return EnvironmentFault(error.message, hint=error.hint)


def from_status(host: str, doing: str, status: int, said: str) -> RegistryError:
    """Understand a status; `said` is the registry's own message."""
    detail = f": {said}" if said else ""
    if status == 404:
        return RegistryError("not-found", f"{doing}: {host} does not have it{detail}", status=status)
    if status == 401:
        return RegistryError(
            "unauthorized",
            f"{doing}: {host} refused the login{detail}",
            hint=f"`docker login {host}`",
            status=status,
        )
    if status == 403:
        return RegistryError(
            "denied",
            f"{doing}: {host} does not allow it{detail}",
            hint=f"this account lacks the right; `docker login {host}` with another",
            status=status,
        )
    if status == 429:
        return RegistryError(
            "rate-limited",
            f"{doing}: {host} has had too many requests{detail}",
            hint="wait, or log in",
            status=status,
        )
    if status >= 500:
        return RegistryError(
            "unavailable",
            f"{doing}: {host} answers {status}{detail}",
            hint="the registry has trouble: try again",
            status=status,
        )
    if status in {405, 501}:
        return RegistryError("unsupported", f"{doing}: {host} cannot do that{detail}", status=status)
    return RegistryError("invalid", f"{doing}: {host} answers {status}{detail}", status=status)


def from_transport(host: str, doing: str, error: Exception) -> RegistryError:
    """Understand an error below HTTP."""
    text = str(error)
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
    return RegistryError(
        "unreachable",
        f"{doing}: {host} cannot be reached: {text or type(error).__name__}",
        hint="is it running, and is the name right?",
    )
