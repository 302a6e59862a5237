"""Our stdout: its reader may go, its disk fill up, its encoding lack a sign; none of it changes how a run ended."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import Any

from multibuild.cli.ci import inert_json

STDOUT = 1


class _Stdout(io.FileIO):
    """Takes everything: what cannot be written is dropped, and `trouble` says why unless the reader went (`| head`)."""

    trouble: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.trouble = error
            _let_go()
            return len(data)


def install() -> None:
    """Put it in place of `sys.stdout`; where there is no stdout at all (`>&-`), nobody reads."""
    if sys.stdout is None:
        _let_go()
    raw = _Stdout(STDOUT, "w", closefd=False)
    encoding = sys.stdout.encoding if sys.stdout else "utf-8"
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors="replace", line_buffering=raw.isatty()
    )


def print_json(document: Any) -> None:
    """Print it for people and programs; what builds and registries said in it gives a CI system no command."""
    print(inert_json(json.dumps(document, indent=2)))


def trouble() -> OSError | None:
    """Write out what is buffered; gives why something could not be written."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.trouble if isinstance(raw, _Stdout) else None


def _let_go() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != STDOUT:
        os.dup2(nowhere, STDOUT)
        os.close(nowhere)
