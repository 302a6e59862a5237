"""Load builder profiles: a file of the user's, or a shipped one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from multibuild.config.problems import Problem, config_error
from multibuild.config.yaml_document import Document, read_document
from multibuild.errors import ConfigError

if TYPE_CHECKING:
    from multibuild.config.profile_models import Profile


def load_profile(builder: str, project: Path) -> Profile | None:
    """Read the profile of `builder:`; None for auto and for the name of an existing builder.

    With a `/` or a `.yaml` suffix it is a file, relative to `project`; otherwise the name of a shipped profile. Raises
    ConfigError with the location of each problem.
    """
    if builder == "auto":
        return None
    if "/" in builder or builder.endswith((".yaml", ".yml")):
        path = project / builder
        if not path.is_file():
            raise ConfigError(f"builder: there is no profile {path}", hint=_shipped_hint())
        return _read(path)
    shipped = shipped_profiles_folder() / f"{builder}.yaml"
    return _read(shipped) if shipped.is_file() else None


def shipped_profiles_folder() -> Path:
    """Return the folder of shipped profiles: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "builders"
    return installed if installed.is_dir() else package.parent / "builders"


def _shipped_hint() -> str:
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
        profile = Profile.parse(document.values)
    except ValidationError as error:
        raise config_error(document, problems_of(error, Profile, document)) from None
    return _with_buildkitd(profile, document, path)


def _with_buildkitd(profile: Profile, document: Document, path: Path) -> Profile:
    if profile.buildkitd is None:
        return profile
    file = (path.parent / profile.buildkitd).resolve()
    if not file.is_file():
        missing = Problem(
            key=("buildkitd",), message=f"there is no file {file}", hint="it stands beside the profile"
        )
        raise config_error(document, [missing])
    return profile.model_copy(update={"buildkitd": file})
