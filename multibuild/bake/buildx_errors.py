"""What buildx says of a definition that it cannot resolve, as errors with the next step."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Final

from multibuild.errors import ConfigError, EnvironmentFault, MultibuildError
from multibuild.terminal import last_line, one_line, shorten

MAX_MESSAGE: Final = 500

_ERROR = re.compile(r"^ERROR: ", re.MULTILINE)
_UNKNOWN_TARGET = re.compile(r"failed to find target (?P<name>\S+)|any target matching")

_HINTS: Final = (
    (re.compile(r"couldn't find a bake definition"), "name the files: bake: {files: [docker-bake.hcl]}"),
    (
        re.compile(r"agent"),
        "buildx looks for SSH agents and keys here already: start the agent, set SSH_AUTH_SOCK, or mend the path",
    ),
    (
        re.compile(r"failed to stat|secret"),
        "buildx looks for secrets here already: create the file, or set the variable of that name",
    ),
    (re.compile(r"^open .*no such file"), "bake.files are relative to the folder of multibuild.yaml"),
    (re.compile(r"Validation failed|Unknown variable|required variable"), "set the variable under bake.vars"),
)
"""Sentences of buildx → the next step; the first that matches."""


def bake_failure(output: str, names: Callable[[], Sequence[str] | None]) -> MultibuildError:
    """Return the error of a failed `docker buildx bake --print`: the last sentence of buildx, and the next step.

    The excerpt of the file that buildx prints before it is left out: the sentence has file, line and column. `names`
    returns the targets of the definition, and is called where one is unknown.
    """
    *before, text = _ERROR.split(output)
    if not before:
        line = shorten(one_line(last_line(output)), MAX_MESSAGE) or "failed without a word"
        return EnvironmentFault(
            f"docker buildx bake --print: {line}",
            hint="install the buildx plugin, 0.19 or newer; `docker buildx version` prints which there is",
        )
    sentence = shorten(one_line(text.strip()), MAX_MESSAGE)
    unknown = _UNKNOWN_TARGET.search(sentence)
    hint = _near(unknown["name"] or "", names()) if unknown else None
    return ConfigError(f"bake: {sentence}", hint=hint or _hint(sentence))


def _near(name: str, names: Sequence[str] | None) -> str | None:
    if not names:
        return None
    near = get_close_matches(name, names, n=1)
    return f"perhaps you meant {near[0]}" if near else shorten(f"there are {', '.join(names)}", MAX_MESSAGE)


def _hint(sentence: str) -> str:
    hints = (hint for pattern, hint in _HINTS if pattern.search(sentence))
    return next(hints, "`docker buildx bake --print` with the same files says the same")
