"""Bake and compose files, resolved by buildx itself: variables, functions, inheritance, matrices, profiles."""

from __future__ import annotations

import logging
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from itertools import islice
from pathlib import Path, PurePosixPath
from socket import AF_UNIX, socket
from tempfile import TemporaryDirectory
from typing import Any, Final, Protocol

from multibuild.bake.buildx_errors import bake_failure
from multibuild.bake.mapping import BakeImage, Refusal, map_definition
from multibuild.bake.request_errors import BakeRequestError
from multibuild.errors import ConfigError, EnvironmentFault
from multibuild.json_types import has_shape, is_text, optional, parse_json
from multibuild.regular_file import is_file
from multibuild.terminal import printable, shorten

logger = logging.getLogger(__name__)

DEFAULT_FILES: Final = (
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "docker-bake.json",
    "docker-bake.hcl",
    "docker-bake.override.json",
    "docker-bake.override.hcl",
)
"""The files that buildx reads by itself, in its order: a later one overrides (buildx, bake.defaultFilenames)."""

ANSWER_TIMEOUT_S: Final = 60.0
"""buildx reads a few files, and an HCL function has no loop."""

MAX_TARGETS: Final = 500
"""More than any public definition has; a matrix multiplies quickly."""

MAX_SHOWN: Final = 5
"""Refusals in one message, and warnings of one definition."""

MAX_MESSAGE: Final = 500

MAX_FILES: Final = 1000
"""Files of a folder among which a near name is looked for."""

SUFFIXES: Final = (".hcl", ".json", ".yaml", ".yml")
"""Of definitions; buildx takes any."""

_WARNING: Final = "WARNING: "

_TARGET = re.compile(r"[A-Za-z0-9_*?\[\]^][A-Za-z0-9_*?\[\]^-]*\Z")
"""A target, a group or a pattern. buildx would read a URL as the place of the definition."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}\Z")
"""The name of a target (buildx, bake.validateTargetName)."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

_DOCKERS_OWN = re.compile(
    r"(?:PATH|HOME|SSH_AUTH_SOCK|DOCKER_(?:HOST|CONTEXT|CONFIG|CERT_PATH|TLS|TLS_VERIFY|API_VERSION|CLI_\w*)"
    r"|(?:LD|BUILDX|MULTIBUILD)_\w*)\Z"
)
"""Variables of the environment that docker or buildx themselves read."""


class RunDocker(Protocol):
    """The way to run docker for a short answer: `engine.docker.run_docker`."""

    def __call__(
        self, *argv: str, timeout_s: float, cwd: Path | None, environ: Mapping[str, str] | None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; EnvironmentFault when it cannot be started or does not end."""


def find_bake_files(project: Path) -> tuple[Path, ...]:
    """Return the bake and compose files of a project that buildx reads by itself, in its order."""
    return tuple(path for name in DEFAULT_FILES if is_file(path := project / name))


def read_bake(
    run: RunDocker,
    *,
    project: Path,
    environ: Mapping[str, str],
    files: Sequence[str] = (),
    targets: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    is_replaced: Callable[[Refusal], bool] = lambda _: False,
) -> tuple[BakeImage, ...]:
    """Return the images of a definition, by name: the targets asked for, then those that are only used as contexts.

    `files` are relative to `project`, which is bake's working directory; without any buildx takes its defaults, without
    `targets` the group or target `default`. `variables` go over `environ`, from which bake takes its variables. No
    engine is needed. The keys of an image are literal: a `${` in them is no variable any more. `is_replaced` tells of a
    key that cannot be honoured whether the config says what to do instead: it is left out then.

    Raises ConfigError for what is wrong in the definition, in buildx's own words, and for keys that cannot be honoured;
    BakeRequestError for a file, target or variable that does not exist; EnvironmentFault where buildx cannot be run.
    """
    variables = variables or {}
    _check_request(files, targets, variables)
    with _agent(environ) as agent:
        # As in a shell of that folder: definitions read PWD too.
        own = {"PWD": str(project.absolute()), **agent}
        request = _Request(run, project, {**environ, **own, **variables}, files)
        document = _definition(request, targets)
        _check_variables(request, variables)
    mapping = map_definition(document, PurePosixPath(project.absolute()))
    if refusals := [refusal for refusal in mapping.refusals if not is_replaced(refusal)]:
        raise _refused(refusals)
    return mapping.images


class _Request:
    """What every call of bake for a definition has in common."""

    def __init__(
        self, run: RunDocker, project: Path, environ: Mapping[str, str], files: Sequence[str]
    ) -> None:
        self._run, self._project, self._environ = run, project, environ
        self._named = tuple(f"--file={file}" for file in files)
        self.files = tuple(files) or tuple(path.name for path in find_bake_files(project))

    def bake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `docker buildx bake` on the files."""
        argv = ("docker", "buildx", "bake", "--progress=plain", *self._named)
        return self._run(
            *argv, *arguments, timeout_s=ANSWER_TIMEOUT_S, cwd=self._project, environ=self._environ
        )

    def near_files(self, file: str) -> tuple[str, ...]:
        """Return the definitions that are beside a file that does not exist, as the request would name them."""
        beside = Path(file).parent
        with suppress(OSError):
            found = islice((self._project / beside).iterdir(), MAX_FILES)
            return tuple(str(beside / path.name) for path in found if path.suffix in SUFFIXES)
        return ()

    def names(self, kind: str) -> tuple[str, ...] | None:
        """Return the targets or variables of the definition; None where buildx does not list them."""
        answer = self.bake(f"--list=type={kind},format=json")
        try:
            document = parse_json(answer.stdout) if answer.returncode == 0 else None
        except ValueError:
            return None
        if not has_shape(document, [{"name": is_text}]):
            return None
        return tuple(str(entry["name"]) for entry in document or ())


@contextmanager
def _agent(environ: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """Return the variable of a socket that stands in for a missing SSH agent while a definition is printed.

    buildx prints none without one, though it asks it nothing; and a plan may be made where there is no agent.
    """
    if environ.get("SSH_AUTH_SOCK"):
        yield {}
        return
    with TemporaryDirectory(prefix="multibuild-") as folder, socket(AF_UNIX) as stand_in:
        path = Path(folder) / "agent"
        stand_in.bind(str(path))
        yield {"SSH_AUTH_SOCK": str(path)}


def _check_request(files: Sequence[str], targets: Sequence[str], variables: Mapping[str, str]) -> None:
    """Raise BakeRequestError for what buildx would take for something else than it is."""
    for index, file in enumerate(files):
        if file == "-" or "\0" in file or not file:
            message = f"'{_shown(file)}' is no file"
            raise BakeRequestError(("files", index), message, hint="like docker-bake.hcl")
    for index, target in enumerate(targets):
        if not _TARGET.match(target):
            hint = "a target or a group, or a pattern like app-*"
            raise BakeRequestError(("targets", index), f"'{_shown(target)}' is no target", hint=hint)
    for name, value in variables.items():
        key = ("vars", _shown(name))
        if not _VARIABLE.match(name) or "\0" in value:
            raise BakeRequestError(key, "is no variable", hint="like VERSION: 1.2.3")
        if _DOCKERS_OWN.match(name):
            raise BakeRequestError(key, "is a variable of docker's own", hint="rename it in the definition")


def _definition(request: _Request, targets: Sequence[str]) -> Mapping[str, Any]:
    answer = request.bake("--print", *targets)
    if answer.returncode:
        raise bake_failure(
            answer.stderr or answer.stdout,
            files=request.files,
            targets=targets,
            near_files=request.near_files,
            names=lambda: request.names("targets"),
        )
    _log_warnings(answer.stderr)
    return parse_definition(answer.stdout)


def _log_warnings(stderr: str) -> None:
    """Log what buildx warns of, each once: a variable of a compose file that is not set is empty."""
    warnings = (_sentence(line) for line in stderr.splitlines() if line.startswith(_WARNING))
    for warning in islice(dict.fromkeys(warnings), MAX_SHOWN):
        logger.warning("bake: %s", warning.removeprefix(_WARNING))


def parse_definition(text: str) -> Mapping[str, Any]:
    """Parse what `--print` prints: groups and targets; EnvironmentFault for anything else."""
    try:
        document = parse_json(text)
    except ValueError as error:
        raise _unreadable() from error
    if not has_shape(document, {"group?": _is_groups, "target?": _is_targets}):
        raise _unreadable()
    if len(document.get("target") or {}) > MAX_TARGETS:
        raise ConfigError(
            f"bake: {len(document['target'])} targets, at most {MAX_TARGETS} are read",
            hint="name fewer under bake.targets",
        )
    return dict(document)


def _is_groups(value: Any) -> bool:
    return isinstance(value, dict) and all(
        has_shape(group, {"targets?": optional([is_text])}) for group in value.values()
    )


def _is_targets(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _NAME.match(name)
        and has_shape(
            target,
            {
                "platforms?": optional([is_text]),
                "description?": optional(is_text),
                "context?": optional(is_text),
            },
        )
        for name, target in value.items()
    )


def _unreadable() -> EnvironmentFault:
    return EnvironmentFault(
        "docker buildx bake --print: its answer could not be read", hint="install buildx 0.19 or newer"
    )


def _check_variables(request: _Request, variables: Mapping[str, str]) -> None:
    """Raise BakeRequestError for a variable that the definition does not have: buildx would not say a word.

    Not where a compose file is read: it takes any variable, and buildx lists none of it.
    """
    if not variables or any(Path(file).suffix in {".yaml", ".yml"} for file in request.files):
        return
    names = request.names("variables")
    for name in variables:
        if names is not None and name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"perhaps you meant {near[0]}" if near else f"there are {', '.join(names) or 'none'}"
            raise BakeRequestError(
                ("vars", name), "the definition has no such variable", hint=shorten(hint, MAX_MESSAGE)
            )


def _refused(refusals: Sequence[Refusal]) -> ConfigError:
    """Return one error for everything that cannot be honoured."""
    if len(refusals) == 1:
        return ConfigError(
            _sentence(f"bake: {refusals[0]}"), hint=_sentence(f"instead: {refusals[0].use_instead}")
        )
    lines = [f"bake: {refusal} (instead: {refusal.use_instead})" for refusal in refusals[:MAX_SHOWN]]
    more = [f"and {len(refusals) - MAX_SHOWN} more"] if len(refusals) > MAX_SHOWN else []
    return ConfigError("\n".join([*map(_sentence, lines), *more]))


def _sentence(text: str) -> str:
    return shorten(" ".join(printable(text).split()), MAX_MESSAGE)


def _shown(text: str) -> str:
    return shorten(_sentence(text), 80)
