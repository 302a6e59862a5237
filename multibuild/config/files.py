"""Whether the files a config names are there, before anything is started."""

from __future__ import annotations

from pathlib import Path

from multibuild.config.load import LoadedConfig
from multibuild.errors import ConfigError


def check_files(loaded: LoadedConfig) -> None:
    """Raise ConfigError for a context, Dockerfile, secret or CA that is not there."""
    config, project = loaded.config, loaded.project
    context = None
    if "://" not in config.context and not config.context.startswith("git@"):
        context = project / config.context
        if not context.is_dir():
            raise ConfigError(
                f"{loaded.path}: context: there is no directory {context}",
                hint="it is relative to the config",
            )
    for dockerfile in dict.fromkeys(
        [config.dockerfile, *(e.dockerfile for e in config.platforms if e.dockerfile)]
    ):
        if context is not None and not (project / dockerfile).is_file():
            raise ConfigError(
                f"{loaded.path}: dockerfile: there is no file {project / dockerfile}",
                hint=_nearby(project, context),
            )
    for secret in config.secrets:
        fields = dict(part.partition("=")[::2] for part in secret.split(","))
        source = fields.get("src") or fields.get("source")
        if source and not (project / Path(source).expanduser()).exists():
            raise ConfigError(
                f"{loaded.path}: secrets: there is no file {source} for id {fields.get('id')}",
                hint="or use env=",
            )
    for host, options in config.registries.items():
        if options.ca and not (project / options.ca).is_file():
            raise ConfigError(
                f"{loaded.path}: registries.{host}.ca: there is no file {options.ca}", hint="a PEM file"
            )


def _nearby(project: Path, context: Path) -> str:
    """Say where Dockerfiles are; people look in the context, buildx in the working directory."""
    folders = [
        project,
        context,
        *(path for path in context.iterdir() if path.is_dir() and path.name[0] != "."),
    ]
    found = [
        path
        for folder in dict.fromkeys(folders)
        for path in sorted(folder.glob("*ockerfile*"))
        if path.is_file()
    ]
    names = [
        str(path.relative_to(project)) if path.is_relative_to(project) else str(path) for path in found[:3]
    ]
    return (
        f"perhaps `dockerfile: {names[0]}`"
        if names
        else "it is relative to the config; `multibuild init` starts from one"
    )
