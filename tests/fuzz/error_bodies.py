"""Bodies of refusals: pages, JSON, XML and text of any server, with any status."""

import random
from collections.abc import Sequence

from fuzz.harness import Target, mutated
from multibuild.oci.access.answers import error_of_status
from multibuild.oci.access.details import MAX_DETAILS, details_of, page_title
from multibuild.terminal import printable

WORDS = (
    b"<html>", b"<title>", b"</title>", b"<!DOCTYPE html>", b"<Code>", b"</Code>", b"<Message>", b'{"errors":[', b'"code":',
    b'"message":', b'"details":', b"&amp;", b"&#x1b;", b"&#27;[31m", b"\x1b[31m", b"\xe2\x80\xae", b"\xc4\xb0", b"\xff",
    b"[" * 3000, b"{host}", b"{", b"https://me:s3cret@r.example.org/?token=s3cret", b"Client sent an HTTP request to an HTTPS server",
)  # fmt: skip
TYPES = (
    "text/html",
    "application/json",
    "text/plain",
    "application/xml",
    "",
    "\x1b[31m",
    "text/html; charset=utf-16",
)
STATUSES = (0, 200, 302, 400, 401, 403, 404, 407, 413, 429, 451, 495, 500, 502, 511, 520, 530, 599, 999)


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    return mutated(generator, generator.choice(seeds), WORDS)


def _run(case: bytes) -> None:
    for content_type in TYPES:
        details = details_of(content_type, case)
        title = page_title(content_type, case)
        for text in (details.text, title or ""):
            assert printable(text) == text
            assert len(text.splitlines()) <= 1
        assert len(details.text) <= MAX_DETAILS
        for status in STATUSES:
            error = error_of_status(
                "r.example.org", "reading x", status, details.text, body=case.decode(errors="replace")
            )
            text = f"{error.message} {error.hint}"
            assert "me:s3cret@" not in text
            assert len(text) < 1000


TARGETS = (Target(name="error-bodies", make=_make, run=_run),)
