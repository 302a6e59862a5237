"""The error boundary: convert an exception to a message, a hint and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Final

from multibuild.errors import EnvironmentFault, MultibuildError

_REFUSALS: Final = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EIO,
        errno.EMFILE,
        errno.ENAMETOOLONG,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.EPERM,
        errno.EROFS,
    }
)
"""Errors of files that the machine is the reason of: no permission, no space, no such long name."""


def exit_code(command: Callable[[], object]) -> int:
    """Run a command and return its exit code; print the error that ended it."""
    try:
        code = command()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except MultibuildError as error:
        return _print_error(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        return _usage_error(error) or _unexpected(error)
    return code if isinstance(code, int) else 0


def as_refusal(error: BaseException) -> EnvironmentFault | None:
    """Return the error of a file that the machine refuses; None for any other."""
    if isinstance(error, OSError) and error.filename and error.errno in _REFUSALS:
        return EnvironmentFault(f"{error.filename}: {error.strerror}")
    return None


def _print_error(error: MultibuildError) -> int:
    """Print the message and the hint; return the exit code."""
    _print(f"error: {error.message}")
    if error.hint:
        _print(f"hint:  {error.hint}")
    return error.exit_code


def _print(text: str) -> None:
    """Print to stderr; a terminal would break lines within words."""
    width = _terminal_width()
    if width:
        from multibuild.terminal import wrapped

        text = wrapped(text, width, indent="       ")
    print(text, file=sys.stderr)


def _terminal_width() -> int:
    """Return the width of the terminal that shows stderr; 0 where there is none, or one of no width."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return 0


def _usage_error(error: Exception) -> int:
    """Print an error of Typer's and return the exit code; 0 for any other error."""
    import typer

    if not isinstance(error, typer.TyperException):
        return 1 if isinstance(error, typer.Abort) else 0
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message())
        return 2
    from multibuild.cli.usage import usage_error

    return _print_error(usage_error(error))


def _unexpected(error: Exception) -> int:
    """Print an unexpected error and the path of its traceback; return the exit code."""
    details = _write_traceback(error)
    if refusal := as_refusal(error):
        refusal.hint = details
        return _print_error(refusal)
    _print(f"error: {type(error).__name__}: {error}")
    _print(f"hint:  this is a bug in multibuild; {details}")
    return 1


def _write_traceback(error: Exception) -> str:
    """Write a traceback, printable and without the secrets of URLs; return where it is, or why not, in words."""
    import tempfile
    import traceback

    from multibuild.redact import redacted
    from multibuild.terminal import printable

    text = redacted(printable("".join(traceback.format_exception(error))))
    try:
        with tempfile.NamedTemporaryFile(prefix="multibuild-crash-", suffix=".log", delete=False) as file:
            file.write(text.encode("utf-8", "replace"))
    except OSError as problem:
        return f"no file for its traceback: {problem.strerror}; set TMPDIR to another directory, and run it again"
    return f"what happened is in {file.name}"
