"""The errors of several images as the one error of their run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

from multibuild.errors import MultibuildError

MAX_NAMED = 3
"""Images whose error is told; the report has all."""


def together(errors: Mapping[str, MultibuildError]) -> MultibuildError:
    """Return the first image's error with the images' names in its message, and the other images' after it.

    Its exit code and hint are those of the first image. A file of one image has no name: its error is returned as it
    is.
    """
    first = next(iter(errors.values()))
    if "" in errors:
        return first
    named = [f"{name}: {error.message}" for name, error in list(errors.items())[:MAX_NAMED]]
    more = len(errors) - MAX_NAMED
    named += [f"and {more} more image{'s' * (more != 1)}"] if more > 0 else []
    combined = copy(first)
    combined.message = "; ".join(named)
    combined.args = (combined.message,)
    return combined
