"""Output streams: a closed reader, a full disk or a poor encoding does not change how a run ends."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from multibuild.cli.ci import inert_json
from multibuild.errors import EnvironmentFault

STDOUT, STDERR = 1, 2


class _Stream(io.FileIO):
    """Drops what cannot be written; `error` is the reason, except for a closed reader (`| head`)."""

    error: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.error = error
            _redirect_to_null(self.fileno())
            return len(data)


def install() -> None:
    """Replace `sys.stdout` and `sys.stderr`; a closed one (`>&-`) writes to /dev/null."""
    sys.stdout = _stream(sys.stdout, STDOUT, errors="replace")
    sys.stderr = _stream(sys.stderr, STDERR, errors="backslashreplace")


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


def print_json(document: Any) -> None:
    """Print JSON whose text a CI system does not read as a command."""
    print(inert_json(json.dumps(document, indent=2)))


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
