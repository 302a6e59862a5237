"""What `--verbose` says: every docker command and every registry request as it is made. Nothing without a listener."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

LOG = logging.getLogger("multibuild.detail")
"""Whoever wants to hear it adds a handler; see `cli/verbose.py`."""


def is_told() -> bool:
    """Whether someone listens."""
    return LOG.isEnabledFor(logging.DEBUG)


def fact(text: str) -> None:
    """Tell where something was found, or what was taken as given."""
    LOG.debug("%s", text)


def command(argv: Sequence[str]) -> None:
    """Tell of a command about to run: for a shell, but for the values of build arguments, which may be secret."""
    if is_told():
        LOG.debug("+ %s", shlex.join(_without_values(argv)))


def request(method: str, url: str, answer: str, seconds: float) -> None:
    """Tell of a request that was answered. What follows a `?` may be a signature or a token, so it is not told."""
    if is_told():
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        LOG.debug("%s %s://%s%s: %s in %.2f s", method, parts.scheme, host, parts.path, answer, seconds)


def _without_values(argv: Sequence[str]) -> Iterator[str]:
    before = ""
    for word in argv:
        yield word.partition("=")[0] if before == "--build-arg" else word
        before = word
