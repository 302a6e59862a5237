"""Load builder profiles: a file of the user's, or a shipped one."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from multibuild.config.problems import Problem, config_error
from multibuild.config.yaml_document import Document, read_document
from multibuild.errors import ConfigError
from multibuild.regular_file import is_file, read_regular
from multibuild.terminal import shorten

if TYPE_CHECKING:
    from multibuild.config.profile_models import Profile


MAX_BUILDKITD_BYTES = 1_000_000
"""A thousand times a long one."""

_TOML_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)")
_BUILDKITD_HINT = "docs.docker.com/build/buildkit/toml-configuration shows it"


def load_profile(builder: str, project: Path) -> Profile | None:
    """Read the profile of `builder:`; None for auto and for the name of an existing builder.

    With a `/` or a `.yaml` suffix it is a file, relative to `project`; otherwise the name of a shipped profile. Raises
    ConfigError with the location of each problem.
    """
    if builder == "auto":
        return None
    if names_profile_file(builder):
        path = project / builder
        if not is_file(path):
            raise ConfigError(f"builder: there is no profile {path}", hint=shipped_hint())
        return _read(path)
    shipped = shipped_profiles_folder() / f"{builder}.yaml"
    return _read(shipped) if is_file(shipped) else None


def names_profile_file(builder: str) -> bool:
    """Whether `builder:` is a path, not a name."""
    return "/" in builder or builder.endswith((".yaml", ".yml"))


def shipped_profiles_folder() -> Path:
    """Return the folder of shipped profiles: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "builders"
    return installed if installed.is_dir() else package.parent / "builders"


def shipped_hint() -> str:
    """Return the names of the shipped profiles, as a hint."""
    names = sorted(path.stem for path in shipped_profiles_folder().glob("*.yaml"))
    return f"the shipped ones are named without path: {', '.join(names)}"


def _read(path: Path) -> Profile | None:
    document = read_document(path)
    if document.values == {"driver": "auto"}:
        return None
    from pydantic import ValidationError

    from multibuild.config.problems import problems_of
    from multibuild.config.profile_models import Profile

    try:
        profile = Profile.model_validate(document.values)
    except ValidationError as error:
        raise config_error(document, problems_of(error, Profile, document)) from None
    return _with_buildkitd(profile, document, path)


def _with_buildkitd(profile: Profile, document: Document, path: Path) -> Profile:
    if profile.buildkitd is None:
        return profile
    file = Path(os.path.realpath(path.parent / profile.buildkitd))
    if not is_file(file):
        missing = Problem(
            key=("buildkitd",), message=f"there is no file {file}", hint="it stands beside the profile"
        )
        raise config_error(document, [missing])
    _check_buildkitd(file)
    return profile.model_copy(update={"buildkitd": file})


def _check_buildkitd(file: Path) -> None:
    """Raise ConfigError for a buildkitd.toml that is no TOML, or whose registries are not what BuildKit takes."""
    import tomllib

    try:
        settings = tomllib.loads(read_regular(file, MAX_BUILDKITD_BYTES).decode())
    except OSError as error:
        message, hint = f"cannot be read: {error.strerror}", "name another file in the profile"
        raise ConfigError(f"{file}: {message}", hint=hint) from None
    except (ValueError, RecursionError) as error:
        match = _TOML_PLACE.search(str(error))
        place = f":{match[1]}:{match[2]}" if match else ""
        message = shorten(_TOML_PLACE.sub("", str(error)), 200)
        raise ConfigError(f"{file}{place}: is not TOML: {message}", hint=_BUILDKITD_HINT) from None
    registries = settings.get("registry", {})
    tables = list(registries.values()) if isinstance(registries, dict) else [None]
    if not all(isinstance(table, dict) and _has_lists(table) for table in tables):
        raise ConfigError(f"{file}: registry: is not what BuildKit takes", hint=_BUILDKITD_HINT)


def _has_lists(table: dict[str, object]) -> bool:
    """Whether certificates are lists of paths, and key pairs lists of tables of paths."""
    certificates, pairs = table.get("ca", []), table.get("keypair", [])
    return (
        isinstance(certificates, list)
        and all(isinstance(path, str) for path in certificates)
        and isinstance(pairs, list)
        and all(isinstance(pair, dict) for pair in pairs)
        and all(isinstance(path, str) for pair in pairs for path in pair.values())
    )
