"""The output of a program, bounded: its beginning and its end, however much is between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from multibuild.redact import redacted, without_secrets
from multibuild.terminal import human_bytes, printable, shorten

MAX_LOG_BYTES = 1 << 20
"""Bytes of the beginning that go into the log; a scanner's table of a thousand findings takes a fifth of it."""

MAX_TAIL_BYTES = 64 * 1024
"""Bytes of the end that are kept, for the log and for messages."""

MAX_SECRET_LENGTH = 8 * 1024
"""What is next to a cut may be a half of a secret: so many bytes are left out there, or wait for what follows."""

MAX_LINES = 12
"""Last lines that a message and the report show."""

MAX_LINE_LENGTH = 400
"""Characters of each."""


class BoundedOutput:
    """Writes the beginning of an output to a log as it comes, and keeps its end; both without the `secrets`."""

    def __init__(self, log: TextIO, secrets: Sequence[str] = ()) -> None:
        self._log = log
        self._secrets = secrets
        self._total = 0
        self._pending = b""
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Add the next bytes."""
        room = max(MAX_LOG_BYTES - self._total, 0)
        self._total += len(data)
        self._tail = (self._tail + data)[-MAX_TAIL_BYTES:]
        if room:
            lines, newline, self._pending = (self._pending + data[:room]).rpartition(b"\n")
            self._log.write(self._text(lines + newline))
            if len(self._pending) > MAX_TAIL_BYTES:
                text = self._text(self._pending)
                self._log.write(text[:-MAX_SECRET_LENGTH])
                self._pending = text[-MAX_SECRET_LENGTH:].encode()

    def close(self) -> None:
        """Write the end to the log, and how much is missing before it."""
        rest = max(self._total - MAX_LOG_BYTES, 0)
        end = self._tail[-rest:] if rest else b""
        if rest > len(end):
            if self._pending:
                print(self._text(self._pending)[:-MAX_SECRET_LENGTH], file=self._log)
            print(f"… {human_bytes(rest - len(end))} are left out", file=self._log)
            first, newline, lines = end.partition(b"\n")
            text = self._text(lines) if newline else self._text(first)[MAX_SECRET_LENGTH:]
            print(text.removesuffix("\n"), file=self._log)
        elif self._pending or end:
            print(self._text((self._pending + end).removesuffix(b"\n")), file=self._log)

    def last_lines(self) -> tuple[str, ...]:
        """Return the last lines that are not empty, printable, without secrets and cut to MAX_LINE_LENGTH."""
        first, *lines = self._tail.split(b"\n")
        begin = self._last_state(first)
        if len(self._tail) == MAX_TAIL_BYTES and b"\r" not in first.rstrip(b"\r"):
            begin = "" if lines else begin[MAX_SECRET_LENGTH:]
        texts = (begin, *map(self._last_state, lines))
        return tuple(shorten(text, MAX_LINE_LENGTH) for text in texts if text.strip())[-MAX_LINES:]

    def _last_state(self, line: bytes) -> str:
        """Return the text of a line; a progress bar writes one again and again, and its last state counts."""
        return self._text(line.rstrip(b"\r").rpartition(b"\r")[2]).rstrip()

    def _text(self, lines: bytes) -> str:
        """Return whole lines, printable and without secrets: all at once, as there may be half a million of them."""
        return printable(redacted(without_secrets(lines.decode("utf-8", "replace"), self._secrets)))
