"""What can go wrong, one class per exit code. Only the CLI turns these into an exit."""

from __future__ import annotations


class MultibuildError(Exception):
    """An error for people: one or two lines that name the thing, and a hint that says the next step."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Take the message (what is wrong, and where) and the hint (what to do next)."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(MultibuildError):
    """A command line that cannot be carried out."""

    exit_code = 2


class ConfigError(MultibuildError):
    """A config file, profile or Dockerfile that is wrong or missing."""

    exit_code = 2


class EnvironmentFault(MultibuildError):
    """Engine, builder, emulators or credentials are not as they must be, or kept a test from running."""

    exit_code = 3


class BuildFailed(MultibuildError):
    """A required platform could not be built."""

    exit_code = 4


class TestFailed(MultibuildError):
    """A configured test failed in a built child."""

    __test__ = False  # pytest would take the name for a test class
    exit_code = 5


class VerificationFailed(MultibuildError):
    """An image is not what it claims to be."""

    exit_code = 6


class PublishFailed(MultibuildError):
    """The index or a tag could not be published."""

    exit_code = 7


class Interrupted(MultibuildError):
    """A signal ended the run."""

    exit_code = 130
