"""One exception class per exit code. Only the CLI exits."""

from __future__ import annotations

from typing import Self

NO_TAG_MOVED = "no tag was moved"
"""The words of an error before any tag moves; of images that are published each by itself, it then names the image."""


class MultibuildError(Exception):
    """An error shown to the user: a message of one or two lines that names the thing, and a hint with the next step."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """`message` is what is wrong and where, `hint` what to do next."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def with_message(self, message: str) -> Self:
        """Return this error with another message; classes of errors take arguments of their own."""
        error = type(self).__new__(type(self), message)
        error.__dict__.update(self.__dict__, message=message)
        return error


class UsageError(MultibuildError):
    """A command line that cannot be carried out."""

    exit_code = 2


class ConfigError(MultibuildError):
    """A config file, profile or Dockerfile that is wrong or missing."""

    exit_code = 2


class EnvironmentFault(MultibuildError):
    """The engine, builder, emulators or credentials are not usable, or a test or a gate could not run."""

    exit_code = 3


class BuildFailed(MultibuildError):
    """A required platform could not be built."""

    exit_code = 4


class TestFailed(MultibuildError):
    """A configured test failed in a built child."""

    __test__ = False  # keeps pytest from collecting it as a test class
    exit_code = 5


class VerificationFailed(MultibuildError):
    """An image is not what it claims to be, or a gate says no to it."""

    exit_code = 6


class PublishFailed(MultibuildError):
    """The index or a tag could not be published."""

    exit_code = 7


class Interrupted(MultibuildError):
    """A signal ended the run."""

    exit_code = 130
