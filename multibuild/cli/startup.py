"""Start and end of the process."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from multibuild.cli.error_handler import exit_code
from multibuild.cli.streams import harmless_streams, install, write_error
from multibuild.errors import UsageError

MAX_UNCOLLECTED = 200_000
"""Objects before a garbage collection. Imports create tens of thousands and no garbage: 700 cost `plan` a tenth."""


def run() -> NoReturn:
    """Run the console script; exit without waiting for threads blocked on a silent registry.

    SIGTERM and the end of the terminal end a command as Ctrl-C does: `promote` puts back tags that it moved.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)
    gc.set_threshold(MAX_UNCOLLECTED)
    install()
    try:
        code = main()
        sys.stderr.flush()
    except KeyboardInterrupt:  # a second one, after the command has said that it was interrupted
        code = 130
    os._exit(code)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    """Raise KeyboardInterrupt, but not again for SIGHUP, which the kernel and a shell or systemd send both."""
    signal.signal(signal.SIGHUP, lambda *_: None)  # not SIG_IGN, which programs inherit
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    with harmless_streams():
        code = exit_code(lambda: _run_command(words))
    if error := write_error():
        print(f"error: stdout cannot be written: {error.strerror}", file=sys.stderr)
        return code or 3
    return code


def _run_command(words: list[str]) -> object:
    from multibuild.cli.app import program
    from multibuild.cli.completion import VARIABLE, answer

    if os.environ.get(VARIABLE):
        return answer(program())
    _check_working_directory()
    return program(words[0] if words else "")(args=words, standalone_mode=False, prog_name="multibuild")


def _check_working_directory() -> None:
    """Raise UsageError when the working directory was removed: no relative path has a meaning then."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UsageError("the working directory is no longer there", hint="go to one that exists") from None
