"""What buildx says of a definition that it cannot resolve, as errors with the next step."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Final

from multibuild.bake.request_errors import BakeRequestError
from multibuild.errors import ConfigError, EnvironmentFault, MultibuildError
from multibuild.terminal import last_line, one_line, shorten

MAX_MESSAGE: Final = 500

_ERROR = re.compile(r"^ERROR: ", re.MULTILINE)
_UNKNOWN_TARGET = re.compile(
    r"failed to find target (?P<name>\S+)|any target matching ['\"](?P<pattern>[^'\"]*)"
)

_NO_FILE = re.compile(r"open (?P<name>.+): no such file or directory\Z")

_HINTS: Final = (
    (re.compile(r"couldn't find a bake definition"), "name the files: bake: {files: [docker-bake.hcl]}"),
    (
        re.compile(r"agent"),
        "buildx looks for SSH agents and keys here already: start the agent, set SSH_AUTH_SOCK, or mend the path",
    ),
    (
        re.compile(r"neither an image nor a build context"),
        "another file has the rest of the service: name that in bake.files too, before this one",
    ),
    (re.compile(r"env file"), "compose reads it here already: create it"),
    (
        re.compile(r"refers to undefined"),
        "declare it at the top of the compose file: secrets, configs, volumes or networks",
    ),
    (
        re.compile(r"failed to stat|secret"),
        "buildx looks for secrets here already: create the file, or set the variable of that name",
    ),
    (re.compile(r"^open .*no such file"), "bake.files are relative to the folder of multibuild.yaml"),
    (
        re.compile(r"Unknown variable"),
        'declare it, variable "NAME" {}, or add the file that does to bake.files; then bake.vars can set it',
    ),
    (re.compile(r"Validation failed|required variable"), "set the variable under bake.vars"),
    (re.compile(r"infinite loop|link to itself"), "one of them must start from something else"),
)
"""Sentences of buildx → the next step; the first that matches."""


def bake_failure(
    output: str,
    *,
    files: Sequence[str] = (),
    targets: Sequence[str] = (),
    near_files: Callable[[str], Sequence[str]],
    names: Callable[[], Sequence[str] | None],
) -> MultibuildError:
    """Return the error of a failed `docker buildx bake --print`: the last sentence of buildx, and the next step.

    The excerpt of the file that buildx prints before it is left out: the sentence has file, line and column. A file or
    target that was asked for and does not exist is a BakeRequestError. `names` returns the targets of the definition,
    and `near_files` the files beside a missing one; each is called where it is needed.
    """
    *before, text = _ERROR.split(output)
    if not before:
        line = shorten(one_line(last_line(output)), MAX_MESSAGE) or "failed without a word"
        return EnvironmentFault(
            f"docker buildx bake --print: {line}",
            hint="install the buildx plugin, 0.19 or newer; `docker buildx version` prints which there is",
        )
    sentence = shorten(one_line(text.strip()), MAX_MESSAGE)
    if unknown := _UNKNOWN_TARGET.search(sentence):
        name = unknown["name"] or unknown["pattern"] or ""
        asked = name in targets
        hint = _target_hint(name, names(), asked=asked) or _hint(sentence)
        if asked:
            return BakeRequestError(("targets", targets.index(name)), sentence, hint=hint)
        return ConfigError(f"bake: {sentence}", hint=hint)
    missing = _NO_FILE.match(sentence)
    if missing and missing["name"] in files:
        name = missing["name"]
        near = get_close_matches(name, near_files(name), n=1)
        hint = f"perhaps you meant {near[0]}" if near else _hint(sentence)
        return BakeRequestError(("files", files.index(name)), f"there is no file {name}", hint=hint)
    return ConfigError(f"bake: {sentence}", hint=_hint(sentence))


def _target_hint(name: str, names: Sequence[str] | None, *, asked: bool) -> str | None:
    if not names:
        return None
    near = get_close_matches(name, names, n=1)
    if near and name != "default":
        return f"perhaps you meant {near[0]}"
    what = (
        "name what to build in bake.targets"
        if asked
        else "a group or a target of the definition names another"
    )
    return shorten(f"there are {', '.join(names)}: {what}", MAX_MESSAGE)


def _hint(sentence: str) -> str:
    hints = (hint for pattern, hint in _HINTS if pattern.search(sentence))
    return next(hints, "mend it there; `docker buildx bake --print` with the same files shows the lines")
