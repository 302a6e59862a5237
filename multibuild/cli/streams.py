"""Where we write: a reader may go, a disk fill up, an encoding lack a sign; none of it changes how a run ends."""

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
    """Takes everything: what cannot be written is dropped, and `trouble` says why unless the reader went (`| head`)."""

    trouble: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.trouble = error
            _let_go(self.fileno())
            return len(data)


def install() -> None:
    """Put such streams in place of `sys.stdout` and `sys.stderr`; where there is none at all (`>&-`), nobody reads."""
    sys.stdout = _stream(sys.stdout, STDOUT, errors="replace")
    sys.stderr = _stream(sys.stderr, STDERR, errors="backslashreplace")


def _stream(before: TextIO | None, number: int, *, errors: str) -> TextIO:
    if before is None:
        _let_go(number)
    raw = _Stream(number, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=before.encoding if before else "utf-8",
        errors=errors,
        line_buffering=number == STDERR or raw.isatty(),
    )


def print_json(document: Any) -> None:
    """Print it for people and programs; what builds and registries said in it gives a CI system no command."""
    print(inert_json(json.dumps(document, indent=2)))


def copy_report(report: Any, file: Path) -> None:
    """Write `--report FILE`; EnvironmentFault when that cannot be: what the report tells of stands all the same."""
    try:
        file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise EnvironmentFault(
            f"--report {file}: cannot be written: {error.strerror}",
            hint="the run is over; `multibuild report --json` has it all",
        ) from error


def trouble() -> OSError | None:
    """Write out what is buffered for stdout; gives why something could not be written."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.trouble if isinstance(raw, _Stream) else None


def _let_go(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
