"""Redact secrets in commands and URLs for logs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit


def redacted_command(argv: Sequence[str]) -> str:
    """Return a command for a shell, without the values of build arguments, which may be secret."""
    return shlex.join(_without_values(argv))


def redacted_url(url: str) -> str:
    """Return a URL without its user, and without its query, which may be a signature or a token."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _without_values(argv: Sequence[str]) -> Iterator[str]:
    before = ""
    for word in argv:
        yield word.partition("=")[0] if before == "--build-arg" else word
        before = word
