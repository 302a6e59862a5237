"""Output streams: harmless text only, and a closed reader or a full disk does not change how a run ends.

Whatever is printed passes `HarmlessText`: escape sequences, CI commands and secrets in text of builds, registries and
files are gone, wherever it comes from. What must command the terminal or the CI system itself goes through `live`.
"""

from __future__ import annotations

import io
import json
import os
import stat
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, TextIO

from multibuild.cli.ci import inert_in_ci, inert_json, is_ci
from multibuild.errors import EnvironmentFault
from multibuild.redact import redacted, redacted_values
from multibuild.terminal import printable

STDOUT, STDERR = 1, 2


class _Stream(io.FileIO):
    """Drops what cannot be written; `error` is the reason, except for a closed reader (`| head`).

    After a signal that comes while a write waits for its reader, nothing waits for that reader any more.
    """

    error: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.error = error
            _redirect_to_null(self.fileno())
            return len(data)
        except KeyboardInterrupt:
            _redirect_to_null(self.fileno())
            raise


class HarmlessText(io.TextIOBase):
    """Writes whole lines of harmless text: a command that comes in two pieces is none either."""

    def __init__(self, stream: IO[str], environ: Mapping[str, str]) -> None:
        """Write to `stream`; `environ` says whether a CI system reads it."""
        self.stream = stream
        self._environ = environ
        self._begun = ""
        self._lock = threading.RLock()

    def write(self, text: str, /) -> int:
        """Write the lines that end in the text; the rest waits for its end."""
        with self._lock:
            lines, newline, self._begun = (self._begun + text).rpartition("\n")
            if newline:
                self.stream.write(f"{harmless(lines, self._environ)}\n")
        return len(text)

    def finish(self) -> None:
        """Write a last line without newline."""
        with self._lock:
            rest, self._begun = self._begun, ""
            self.stream.write(harmless(rest, self._environ))
            self.stream.flush()

    def flush(self) -> None:
        """Flush the whole lines."""
        self.stream.flush()

    def isatty(self) -> bool:
        """Whether a terminal shows it."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self.stream.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream below."""
        return getattr(self.stream, "encoding", None) or "utf-8"

    @property
    def buffer(self) -> BinaryIO:
        """The bytes below."""
        buffer: BinaryIO = self.stream.buffer  # type: ignore[attr-defined]
        return buffer


def harmless(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return text that commands neither a terminal nor a CI system, without secrets."""
    return inert_in_ci(redacted(printable(text)), environ)


def live(stream: IO[str]) -> IO[str]:
    """Return the stream for control sequences and CI commands of multibuild's own; escape other text before."""
    return stream.stream if isinstance(stream, HarmlessText) else stream


@contextmanager
def harmless_streams(environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Let all that is printed inside the block be harmless."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (harmless_stream(stream, environ) for stream in before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, HarmlessText):
                stream.finish()
        sys.stdout, sys.stderr = before


def install() -> None:
    """Replace `sys.stdout` and `sys.stderr`; a closed one (`>&-`) writes to /dev/null."""
    sys.stdout = harmless_stream(_stream(sys.stdout, STDOUT, errors="replace"), os.environ)
    sys.stderr = harmless_stream(_stream(sys.stderr, STDERR, errors="backslashreplace"), os.environ)


def harmless_stream(stream: TextIO, environ: Mapping[str, str] = os.environ) -> TextIO:
    """Return a stream that makes text harmless before it goes to `stream`."""
    # It is a TextIO in all that is asked of it.
    return stream if isinstance(stream, HarmlessText) else HarmlessText(stream, environ)  # type: ignore[return-value]


def _stream(before: TextIO | None, number: int, *, errors: str) -> TextIO:
    if before is None:
        _redirect_to_null(number)
    raw = _Stream(number, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=before.encoding if before else "utf-8",
        errors=errors,
        line_buffering=number == STDERR or raw.isatty(),
    )


def json_text(document: Any, *, indent: int | None = None, separators: tuple[str, str] | None = None) -> str:
    """Return JSON without secrets, whose text a CI system does not read as a command."""
    return inert_json(json.dumps(redacted_values(document), indent=indent, separators=separators))


def print_json(document: Any) -> None:
    """Print JSON, indented."""
    print(json_text(document, indent=2))


def print_bytes(content: bytes) -> None:
    """Print exact bytes for a file or another program; on a terminal, which they could command, harmless text."""
    if sys.stdout.isatty():
        print(content.decode("utf-8", "replace"), end="")
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(content)


def print_index(content: bytes) -> None:
    """Print an index for a file or another program: its exact bytes, unless a CI system reads them.

    Then `##[` in a string is escaped as JSON allows: the same document, which is no command.
    """
    is_file = stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    if not is_file and is_ci(os.environ):
        content = inert_json(content.decode()).encode()
    print_bytes(content)


def copy_report(report: Any, file: Path) -> None:
    """Write `--report FILE`; EnvironmentFault when it cannot be written."""
    try:
        file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise EnvironmentFault(
            f"--report {file}: cannot be written: {error.strerror}",
            hint="the run is over; `multibuild report --json` has it all",
        ) from error


def write_error() -> OSError | None:
    """Flush stdout; return the error of what could not be written."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.error if isinstance(raw, _Stream) else None


def _redirect_to_null(number: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    if null != number:
        os.dup2(null, number)
        os.close(null)
