"""The command line: parse, call one function, print. `main` is the only place that turns errors into exits."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from typer import Typer

    from multibuild.engine_ahead import EngineAskedAhead

GARBAGE_AFTER = 200_000
"""Objects; some twenty megabytes at most."""


def run() -> NoReturn:
    """Be the console script.

    The process ends with the command. Threads may be left that wait for a registry nobody wants anything of any more;
    Python would wait for them, for as long as a minute. It also looks for garbage among all objects once more, which
    took a sixth of `plan`.
    """
    from multibuild.cli.late import put_off_metadata
    from multibuild.cli.streams import install

    install()
    put_off_metadata()
    # Imports make many objects and no garbage: looking for it every 700 objects took a fourteenth of `plan`.
    gc.set_threshold(GARBAGE_AFTER)
    code = main()
    sys.stderr.flush()
    os._exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code (contract §2)."""
    from multibuild.cli.streams import trouble

    code = _exit_code(list(sys.argv[1:] if arguments is None else arguments))
    if error := trouble():
        print(f"error: stdout cannot be written: {error.strerror}", file=sys.stderr)
        return code or 3
    return code


def _exit_code(words: list[str]) -> int:
    if os.environ.get("_MULTIBUILD_COMPLETE"):
        from multibuild.cli.completion import answer

        return answer()
    from multibuild.errors import MultibuildError

    engine = None
    try:
        engine = _asked_ahead(words)
        from multibuild.cli.app import program

        called = _narrowed(app, words)
        code = called(args=words, standalone_mode=False, prog_name="multibuild", obj=engine)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except MultibuildError as error:
        return _explained(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        return _usage_error(error) or _bug(error)
    finally:
        if engine is not None:
            engine.forget()
    return code if isinstance(code, int) else 0


def _asked_ahead(words: Sequence[str]) -> EngineAskedAhead | None:
    """Ask docker before anything else is imported, where the command will want it."""
    if words[:1] not in (["all"], ["build"]):
        return None
    from multibuild.engine_ahead import EngineAskedAhead

    return EngineAskedAhead.for_flags(words[1:])


def _narrowed(app: Typer, words: Sequence[str]) -> Typer:
    """Leave only the command that is called: making the options of the others takes a tenth of a short command."""
    from copy import copy

    called = [
        command
        for command in app.registered_commands
        if words and command.callback and words[0] == (command.name or command.callback.__name__)
    ]
    narrowed = copy(app)
    narrowed.registered_commands = called or app.registered_commands
    return narrowed


def _explained(error: BaseException) -> int:
    from multibuild.cli.ci import inert_in_ci
    from multibuild.errors import MultibuildError
    from multibuild.terminal import printable

    assert isinstance(error, MultibuildError)
    print(f"error: {inert_in_ci(printable(error.message), os.environ)}", file=sys.stderr)
    if error.hint:
        print(f"hint:  {inert_in_ci(printable(error.hint), os.environ)}", file=sys.stderr)
    return error.exit_code


def _usage_error(error: Exception) -> int:
    """Typer's own errors know their message and code; 0 when it is none of them."""
    import typer

    if not isinstance(error, typer.TyperException):
        return 1 if isinstance(error, typer.Abort) else 0
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message())
        return 2
    from multibuild.cli.usage import usage_error

    return _explained(usage_error(error))


def _bug(error: Exception) -> int:
    """An error nobody thought of: the traceback goes into a file, its name to the person."""
    import tempfile
    import traceback

    from multibuild.cli.ci import inert_in_ci
    from multibuild.terminal import printable

    with tempfile.NamedTemporaryFile("w", prefix="multibuild-crash-", suffix=".log", delete=False) as file:
        traceback.print_exception(error, file=file)
    said = inert_in_ci(printable(f"{type(error).__name__}: {error}"), os.environ)
    print(f"error: {said}", file=sys.stderr)
    print(f"hint:  this is a bug in multibuild; what happened is in {file.name}", file=sys.stderr)
    return 1
