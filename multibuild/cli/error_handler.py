"""The error boundary: convert an exception to a message, a hint and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

from multibuild.errors import MultibuildError


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
        return _usage_error(error) or _bug(error)
    return code if isinstance(code, int) else 0


def _print_error(error: MultibuildError) -> int:
    """Print the message and the hint; return the exit code."""
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint:  {error.hint}", file=sys.stderr)
    return error.exit_code


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


def _bug(error: Exception) -> int:
    """Print an unexpected error and the path of its traceback: printable, and without the secrets of URLs."""
    import tempfile
    import traceback

    from multibuild.redact import redacted
    from multibuild.terminal import printable

    text = redacted(printable("".join(traceback.format_exception(error))))
    with tempfile.NamedTemporaryFile(prefix="multibuild-crash-", suffix=".log", delete=False) as file:
        file.write(text.encode("utf-8", "replace"))
    print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
    print(f"hint:  this is a bug in multibuild; what happened is in {file.name}", file=sys.stderr)
    return 1
