"""Failures of a registry, and what they are for a command that only reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from multibuild.errors import EnvironmentFault, PublishFailed, UsageError

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
