"""Whether the files a config names are there, before anything is built or changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from multibuild.config.load import LoadedConfig
from multibuild.config.profiles import load_profile
from multibuild.errors import ConfigError

_REMOTE = re.compile(r"(?:[a-z][a-z0-9+.-]*://|git@|github\.com/)")
_SOURCES = ("docker-image://", "oci-layout://", "target:", "input:")


def is_remote(context: str) -> bool:
    """Whether a context is fetched by BuildKit rather than read from this disk."""
    return bool(_REMOTE.match(context))


def local_contexts(loaded: LoadedConfig) -> Iterator[Path]:
    """Give the directories of this disk that builds are sent: the context and the named ones, resolved."""
    config = loaded.config
    for source in (config.context, *config.contexts.values()):
        if not is_remote(source) and not source.startswith(_SOURCES):
            yield (loaded.project / source).resolve()


def check_files(loaded: LoadedConfig) -> None:
    """Raise one ConfigError for every context, Dockerfile, secret, CA and profile that is not there."""
    missing = [*_sources(loaded), *_secrets(loaded), *_keys(loaded), *_authorities(loaded)]
    missing = missing or [*_targets(loaded)]
    if len(missing) == 1:
        message, hint = missing[0]
        raise ConfigError(f"{loaded.path}: {message}", hint=hint)
    if missing:
        raise ConfigError("\n".join(f"{loaded.path}: {message} ({hint})" for message, hint in missing))
    for builder in dict.fromkeys(
        [loaded.config.builder, *(e.builder for e in loaded.config.platforms if e.builder)]
    ):
        load_profile(builder, loaded.project)


def check_environment(loaded: LoadedConfig, environ: Mapping[str, str]) -> None:
    """Raise ConfigError for a secret of a variable that is not set: BuildKit would take it for an empty secret.

    The same for an SSH agent that is not there. Only before a run: a plan may be made where the secrets are not.
    """
    for place, secret in enumerate(loaded.config.secrets):
        fields = _fields(secret)
        source = fields.get("env") or (fields.get("type") == "env" and fields.get("src"))
        if source and source not in environ:
            raise ConfigError(
                f"{loaded.path}: secrets.{place}: the environment variable {source} is not set",
                hint=f"set {source}: the build needs it for the secret {fields.get('id')}",
            )
    for place, said in enumerate(loaded.config.ssh):
        if "=" not in said and not environ.get("SSH_AUTH_SOCK"):
            raise ConfigError(
                f"{loaded.path}: ssh.{place}: '{said}' means the SSH agent, and SSH_AUTH_SOCK is not set",
                hint=f'start one (`eval "$(ssh-agent)"; ssh-add`), or name a key: {said}=PATH',
            )


def _fields(secret: str) -> dict[str, str]:
    import csv

    return dict(part.partition("=")[::2] for part in next(csv.reader([secret])))


def _sources(loaded: LoadedConfig) -> Iterator[tuple[str, str]]:
    config, project = loaded.config, loaded.project
    for name, source in config.contexts.items():
        if not is_remote(source) and not source.startswith(_SOURCES) and not (project / source).exists():
            yield f"contexts.{name}: there is no {project / source}", "it is relative to the config"
    if is_remote(config.context):
        return
    context = project / config.context
    if not context.is_dir():
        yield f"context: there is no directory {context}", "it is relative to the config"
    named = {"dockerfile": config.dockerfile}
    if all(entry.dockerfile for entry in config.platforms):
        named = {}
    named |= {
        f"platforms.{at}.dockerfile": e.dockerfile for at, e in enumerate(config.platforms) if e.dockerfile
    }
    for key, dockerfile in named.items():
        if not is_remote(dockerfile) and not (project / dockerfile).is_file():
            yield f"{key}: there is no file {project / dockerfile}", _nearby(project, context)


def _targets(loaded: LoadedConfig) -> Iterator[tuple[str, str]]:
    """Look for each target among the stages, unless a frontend of one's own reads the file."""
    config = loaded.config
    wanted = {("target", config.target, config.dockerfile): None}
    for at, entry in enumerate(config.platforms):
        key = f"platforms.{at}.target" if entry.target else "target"
        wanted[key, entry.target or config.target, entry.dockerfile or config.dockerfile] = None
    for key, target, dockerfile in wanted:
        path = loaded.project / dockerfile
        if target is None or is_remote(config.context) or is_remote(dockerfile) or not path.is_file():
            continue
        from multibuild.dockerfile.parse import read_dockerfile

        described = read_dockerfile(path.read_text(encoding="utf-8-sig", errors="replace"), config.args)
        names = [stage.name for stage in described.stages if stage.name]
        usual = described.syntax is None or "docker/dockerfile" in described.syntax
        known = target.lower() in names or (target.isdigit() and int(target) < len(described.stages))
        if usual and not known:
            hint = f"its stages are {', '.join(names)}" if names else "name a stage in it: FROM … AS name"
            yield f"{key}: {dockerfile} has no stage '{target}'", hint


def _secrets(loaded: LoadedConfig) -> Iterator[tuple[str, str]]:
    for place, secret in enumerate(loaded.config.secrets):
        fields = _fields(secret)
        source = fields.get("src") or fields.get("source")
        if source and fields.get("type") != "env" and not (loaded.project / source).is_file():
            message = f"secrets.{place}: there is no file {loaded.project / source} for id {fields.get('id')}"
            yield message, "it is relative to the config; env=NAME takes it from the environment"


def _keys(loaded: LoadedConfig) -> Iterator[tuple[str, str]]:
    """Look for the keys and sockets of `ssh: [id=PATH,PATH]`."""
    for place, said in enumerate(loaded.config.ssh):
        for path in filter(None, said.partition("=")[2].split(",")):
            if "=" not in path and not (loaded.project / path).exists():
                yield f"ssh.{place}: there is no {loaded.project / path}", "a key or an agent's socket"


def _authorities(loaded: LoadedConfig) -> Iterator[tuple[str, str]]:
    for host, options in loaded.config.registries.items():
        if options.ca and not (loaded.project / options.ca).is_file():
            yield f"registries.{host}.ca: there is no file {options.ca}", "a file of certificates in PEM form"


def _nearby(project: Path, context: Path) -> str:
    """Say where Dockerfiles are: people look in the context, buildx looks relative to the project."""
    names = [
        str(path.relative_to(project)) if path.is_relative_to(project) else str(path)
        for path in dockerfiles_near(project, context)
    ]
    return f"there is {', '.join(names[:5])}" if names else "it is relative to the config"


def dockerfiles_near(project: Path, context: Path) -> tuple[Path, ...]:
    """Find what looks like a Dockerfile in a project, its context, and the folders of the project."""
    folders = [project, context]
    folders += [path for path in sorted(project.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    found = [
        path
        for folder in dict.fromkeys(folder for folder in folders if folder.is_dir())
        for pattern in ("Dockerfile*", "*.Dockerfile", "Containerfile*")
        for path in sorted(folder.glob(pattern))
        if path.is_file() and not path.name.endswith(".dockerignore")
    ]
    return tuple(dict.fromkeys(found))
