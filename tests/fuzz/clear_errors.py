"""The errors that a case may end in, where a target goes on after the first."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from fuzz.harness import Fault
from multibuild.errors import MultibuildError


@contextmanager
def clear_errors(exit_codes: Collection[int]) -> Iterator[None]:
    """Swallow an error with one of these exit codes that can be shown; Fault for any other of ours."""
    try:
        yield
    except MultibuildError as error:
        if error.exit_code not in exit_codes:
            raise Fault(f"exit code {error.exit_code}: {error}") from error
        f"{error.message} {error.hint}".encode()
