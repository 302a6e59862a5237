"""Check that the files a config refers to exist, before anything is built or changed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from multibuild.config.load import LoadedConfig
from multibuild.config.problems import MAX_MESSAGE, MAX_PROBLEMS, MAX_QUOTED, Problem
from multibuild.config.profiles import load_profile, names_profile_file, shipped_hint
from multibuild.config.yaml_document import KeyPath, Place, dotted
from multibuild.errors import ConfigError
from multibuild.regular_file import is_file, is_folder, is_there
from multibuild.terminal import shorten

_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*://|git@|github\.com/)")

_SOURCE_SCHEMES = ("docker-image://", "oci-layout://", "input:")


def is_url(text: str) -> bool:
    """Whether BuildKit fetches a context or Dockerfile instead of reading it from this disk."""
    return bool(_URL.match(text))


def _is_local(source: str) -> bool:
    return not is_url(source) and not source.startswith(_SOURCE_SCHEMES)


def local_contexts(loaded: LoadedConfig) -> Iterator[Path]:
    """Yield the local directories that builds read: the context and the named ones, resolved."""
    config = loaded.config
    for source in (config.context, *config.contexts.values()):
        if _is_local(source):
            # Path.resolve raises RuntimeError for a loop of links.
            yield Path(os.path.realpath(loaded.project / source))


def check_files(*images: LoadedConfig, secrets: bool = True) -> None:
    """Raise one ConfigError for all missing contexts, Dockerfiles, secrets, CA files and profiles.

    What several images of a file miss is one problem, with their names. Without `secrets`, keys and values that only
    a build needs may be missing.
    """
    missing = [*_missing_of_all(images, secrets=secrets)]
    if len(missing) == 1:
        message, hint = missing[0]
        raise ConfigError(message, hint=hint)
    if missing:
        lines = [f"{message} ({hint})" for message, hint in missing[:MAX_PROBLEMS]]
        more = [f"and {len(missing) - MAX_PROBLEMS} more"] if len(missing) > MAX_PROBLEMS else []
        raise ConfigError("\n".join([*lines, *more]))
    for builder, project in dict.fromkeys((name, one.project) for one in images for name in _builders(one)):
        load_profile(builder, project)


def _builders(loaded: LoadedConfig) -> tuple[str, ...]:
    own = (entry.builder for entry in loaded.config.platforms if entry.builder)
    return (loaded.config.builder, *own)


def _missing_of_all(images: Sequence[LoadedConfig], *, secrets: bool) -> Iterator[tuple[str, str]]:
    """Yield what is missing with its place and a hint; the names of the images that miss it, when not all do.

    What stands under an image needs no name: its key has it.
    """
    names: dict[tuple[Place, Problem], list[str]] = {}
    for loaded in images:
        for problem in dict.fromkeys(_missing(loaded, secrets=secrets)):
            names.setdefault((loaded.place(problem.key), problem), []).append(loaded.name)
    for (place, problem), missing in names.items():
        some = len(missing) < len(images) and place.key == problem.key
        of = f"{shorten(', '.join(missing), MAX_QUOTED)}: " if some else ""
        text = f"{of}{dotted(place.key)}: {problem.message}"
        yield f"{place.location}: {shorten(text, MAX_MESSAGE)}", shorten(problem.hint or "", MAX_MESSAGE)


def _missing(loaded: LoadedConfig, *, secrets: bool) -> list[Problem]:
    of_builds = (_missing_secrets, _missing_ssh_keys) if secrets else ()
    checks = (_missing_sources, *of_builds, _missing_tls_files, _missing_profiles)
    return [problem for check in checks for problem in check(loaded)] or [*_missing_targets(loaded)]


def check_environment(loaded: LoadedConfig, environ: Mapping[str, str]) -> None:
    """Raise ConfigError for a secret whose variable is not set: BuildKit would use an empty secret.

    The same for a missing SSH agent. Only for a run: a plan may be made where the secrets are not available.
    """
    for index, secret in enumerate(loaded.config.secrets):
        fields = _fields(secret)
        source = fields.get("env") or (fields.get("type") == "env" and fields.get("src"))
        if source and source not in environ:
            name = shorten(source, MAX_QUOTED)
            raise ConfigError(
                f"{loaded.place(('secrets', index))}: the environment variable {name} is not set",
                hint=f"set {name}: the build needs it for the secret {shorten(fields.get('id', ''), MAX_QUOTED)}",
            )
    for index, agent in enumerate(loaded.config.ssh):
        if "=" not in agent and not environ.get("SSH_AUTH_SOCK"):
            name = shorten(agent, MAX_QUOTED)
            raise ConfigError(
                f"{loaded.place(('ssh', index))}: '{name}' means the SSH agent, and SSH_AUTH_SOCK is not set",
                hint=f'start one (`eval "$(ssh-agent)"; ssh-add`), or name a key: {name}=PATH',
            )


def check_signing(loaded: LoadedConfig, environ: Mapping[str, str]) -> None:
    """Raise ConfigError for a signing key that is not there. Only for what publishes: other machines need none."""
    sign = loaded.config.sign
    if sign is None:
        return
    where = loaded.place(("sign", "key"))
    if sign.variable is not None and not environ.get(sign.variable):
        raise ConfigError(
            f"{where}: the environment variable {shorten(sign.variable, MAX_QUOTED)} is not set",
            hint=f"set it to the private key itself: {sign.variable}=$(cat cosign.key)",
        )
    if sign.file is not None and not is_file(loaded.project / sign.file):
        raise ConfigError(
            f"{where}: there is no file {shorten(str(loaded.project / sign.file), MAX_QUOTED)}",
            hint="it is relative to the config; `cosign generate-key-pair` makes one, env:NAME names a variable",
        )


def _fields(secret: str) -> dict[str, str]:
    import csv

    return dict(part.partition("=")[::2] for part in next(csv.reader([secret])))


def _missing_sources(loaded: LoadedConfig) -> Iterator[Problem]:
    config, project = loaded.config, loaded.project
    for name, source in config.contexts.items():
        if _is_local(source) and not is_there(project / source):
            yield Problem(
                key=("contexts", name),
                message=f"there is no {project / source}",
                hint="it is relative to the config",
            )
    if is_url(config.context):
        return
    context = project / config.context
    if not is_folder(context):
        yield Problem(
            key=("context",), message=f"there is no directory {context}", hint=_context_hint(config.context)
        )
    dockerfiles: dict[KeyPath, str] = {("dockerfile",): config.dockerfile}
    if all(entry.dockerfile for entry in config.platforms):
        dockerfiles = {}
    dockerfiles |= {
        ("platforms", at, "dockerfile"): e.dockerfile for at, e in enumerate(config.platforms) if e.dockerfile
    }
    for key, dockerfile in dockerfiles.items():
        if not is_url(dockerfile) and not is_file(project / dockerfile):
            message = f"there is no file {project / dockerfile}"
            yield Problem(key=key, message=message, hint=_nearby(project, context))


def _context_hint(context: str) -> str:
    scheme, colon, name = context.partition(":")
    if colon and scheme in {"image", "target", "service"}:
        return f"another image is a named context: contexts: {{NAME: image:{name}}}"
    return "it is relative to the config"


def _missing_targets(loaded: LoadedConfig) -> Iterator[Problem]:
    """Yield targets without a stage, except where a custom frontend parses the Dockerfile."""
    config = loaded.config
    targets: dict[tuple[KeyPath, str | None, str], None] = {
        (("target",), config.target, config.dockerfile): None
    }
    for index, entry in enumerate(config.platforms):
        key: KeyPath = ("platforms", index, "target") if entry.target else ("target",)
        targets[key, entry.target or config.target, entry.dockerfile or config.dockerfile] = None
    for key, target, dockerfile in targets:
        path = loaded.project / dockerfile
        if target is None or is_url(config.context) or is_url(dockerfile) or not is_file(path):
            continue
        from multibuild.dockerfile.parse import load_text, read_dockerfile

        try:
            text = load_text(path)
        except OSError as error:
            message = f"{dockerfile} cannot be read: {error.strerror}"
            yield Problem(key=key, message=message, hint="mend its permissions")
            continue
        parsed = read_dockerfile(text, config.args)
        names = [stage.name for stage in parsed.stages if stage.name]
        standard = parsed.syntax is None or "docker/dockerfile" in parsed.syntax
        exists = target.lower() in names or target in map(str, range(len(parsed.stages)))
        if standard and not exists:
            yield Problem(
                key=key, message=f"{dockerfile} has no stage '{target}'", hint=_stage_hint(target, names)
            )


def _stage_hint(target: str, names: Sequence[str]) -> str:
    near = get_close_matches(target[:MAX_QUOTED], names, n=1)
    if near:
        return f"perhaps you meant '{near[0]}'"
    return f"its stages are {', '.join(names)}" if names else "name a stage in it: FROM … AS name"


def _missing_secrets(loaded: LoadedConfig) -> Iterator[Problem]:
    for index, secret in enumerate(loaded.config.secrets):
        fields = _fields(secret)
        source = fields.get("src") or fields.get("source")
        if source and fields.get("type") != "env" and not is_file(loaded.project / source):
            yield Problem(
                key=("secrets", index),
                message=f"there is no file {loaded.project / source} for id {fields.get('id')}",
                hint="it is relative to the config; env=NAME takes it from the environment",
            )


def _missing_ssh_keys(loaded: LoadedConfig) -> Iterator[Problem]:
    """Yield the missing keys and sockets of `ssh: [id=PATH,PATH]`."""
    for index, agent in enumerate(loaded.config.ssh):
        for path in filter(None, agent.partition("=")[2].split(",")):
            if "=" not in path and not is_there(loaded.project / path):
                message = f"there is no {loaded.project / path}"
                yield Problem(key=("ssh", index), message=message, hint="a key or an agent's socket")


def _missing_tls_files(loaded: LoadedConfig) -> Iterator[Problem]:
    for host, options in loaded.config.registries.items():
        for name, path in options.files:
            if not is_file(loaded.project / path):
                what = "a key" if name == "key" else "certificates"
                yield Problem(
                    key=("registries", host, name),
                    message=f"there is no file {path}",
                    hint=f"a file of {what} in PEM form",
                )


def _missing_profiles(loaded: LoadedConfig) -> Iterator[Problem]:
    builders: dict[KeyPath, str | None] = {("builder",): loaded.config.builder}
    builders |= {("platforms", at, "builder"): e.builder for at, e in enumerate(loaded.config.platforms)}
    for key, builder in builders.items():
        if builder and names_profile_file(builder) and not is_file(loaded.project / builder):
            message = f"there is no profile {loaded.project / builder}"
            yield Problem(key=key, message=message, hint=shipped_hint())


def _nearby(project: Path, context: Path) -> str:
    """Return a hint with the Dockerfiles nearby: buildx resolves the path from the project, not from the context."""
    names = [
        str(path.relative_to(project)) if path.is_relative_to(project) else str(path)
        for path in find_dockerfiles(project, context)
    ]
    return f"there is {', '.join(names[:5])}" if names else "it is relative to the config"


def find_dockerfiles(project: Path, context: Path) -> tuple[Path, ...]:
    """Return the files named like Dockerfiles in a project, its context, and the project's folders."""
    folders = [project, context]
    with suppress(OSError):
        folders += [path for path in sorted(project.iterdir()) if not path.name.startswith(".")]
    files = [
        path
        for folder in dict.fromkeys(folder for folder in folders if is_folder(folder))
        for pattern in ("Dockerfile*", "*.Dockerfile", "Containerfile*")
        for path in sorted(folder.glob(pattern))
        if is_file(path) and not path.name.endswith(".dockerignore")
    ]
    return tuple(dict.fromkeys(files))
