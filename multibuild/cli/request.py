"""The flags that commands share, and the config, state and plan they select.

A field of a request whose type is annotated with an argument or an option is one of the command's. CLI flag, YAML key
and field have one name.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from multibuild.cli import completion
from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.platforms import Platform
from multibuild.regular_file import is_there

if TYPE_CHECKING:
    from multibuild.bake.mapping import BakeImage
    from multibuild.config.config import Config
    from multibuild.config.images.bake_section import BakeSection
    from multibuild.config.load import LoadedConfig
    from multibuild.config.project import LoadedProject
    from multibuild.journal.runs import State
    from multibuild.oci.registry_settings import RegistrySettings
    from multibuild.plan.plan import Plan

logger = logging.getLogger(__name__)

DEFAULT_FILE = Path("multibuild.yaml")
"""Commands that need no config read this one where it is there."""

Images = Annotated[
    tuple[str, ...],
    Argument(
        metavar="[IMAGE]...",
        help="Only these images of a file of several, and those that they are built from.",
        autocompletion=completion.image_names,
    ),
]
Platforms = Annotated[
    tuple[str, ...],
    Option(
        "--platform",
        help="Only these platforms (repeatable, comma lists).",
        autocompletion=completion.platforms,
    ),
]
Tags = Annotated[
    tuple[str, ...], Option("--tag", help="Replaces the config's tags.", autocompletion=completion.tags)
]
Sets = Annotated[tuple[str, ...], Option("--set", help="key.path=value: overrides the config.")]
Builder = Annotated[
    str | None, Option("--builder", help="A profile or builder.", autocompletion=completion.builders)
]
IfChanged = Annotated[
    bool,
    Option("--if-changed", help="Nothing to do if config, context, bases and tags are as they were."),
]
Progress = Annotated[
    str,
    Option(
        "--progress",
        help="auto, tty, plain, quiet or json.",
        autocompletion=completion.fixed("auto", "tty", "plain", "quiet", "json"),
    ),
]


@frozen
class Request:
    """The flags of every command, and the defaults of overrides that only some commands have as flags."""

    file: Annotated[Path, Option("--file", "-f", help="The config file.")] = DEFAULT_FILE
    state_dir: Annotated[Path | None, Option("--state-dir", help="Where runs are kept.")] = None
    json: Annotated[bool, Option("--json", help="Machine output on stdout.")] = False
    verbose: Annotated[
        bool, Option("--verbose", "-v", help="Say every docker command and registry request.")
    ] = False
    quiet: Annotated[bool, Option("--quiet", "-q", help="Say only what fails.")] = False

    platforms: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    builder: str | None = None
    jobs: str | None = None
    fail_fast: bool = False
    progress: str = "auto"
    report: Path | None = None
    resume: bool = False
    hand_over: bool = False
    handed_over: bool = False

    def say(self, text: str, /) -> None:
        """Print a message to stderr, unless --quiet."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)


@frozen
class RunRequest(Request):
    """The flags of `all`, `build` and `plan`."""

    images: Images = ()
    platforms: Platforms = ()
    tags: Tags = ()
    sets: Sets = ()
    builder: Builder = None
    jobs: Annotated[
        str | None,
        Option(
            "--jobs",
            help="Builds at once: a number or auto.",
            autocompletion=completion.fixed("auto", "1", "2", "4", "8"),
        ),
    ] = None
    resume: Annotated[bool, Option("--resume/--no-resume", help="Continue the newest unfinished run.")] = (
        False
    )
    fail_fast: Annotated[bool, Option("--fail-fast", help="Stop the others when one fails.")] = False
    progress: Progress = "auto"
    report: Annotated[Path | None, Option("--report", help="Copies report.json there.")] = None
    if_changed: IfChanged = False
    dry_run: Annotated[bool, Option("--dry-run", help="Only say what would be done, like plan.")] = False
    commands: Annotated[bool, Option("--commands", help="With plan: the exact docker commands.")] = False


@frozen
class BuildRequest(RunRequest):
    """The flags of `build`: those of `all`, and how its children reach another machine."""

    hand_over: Annotated[
        bool,
        Option("--hand-over", help="Test, prove and tag children for merge --handed-over elsewhere."),
    ] = False


def load_project(request: Request) -> LoadedProject:
    """Read the config with the flags on top, of all images or of those named; ConfigError or UsageError."""
    from multibuild.config import project
    from multibuild.config.cli_overrides import Overrides

    overrides = Overrides(
        platforms=request.platforms,
        tags=request.tags,
        sets=request.sets,
        builder=request.builder,
        jobs=request.jobs,
        fail_fast=request.fail_fast or None,
    )
    logger.info("config: %s", request.file.absolute())
    now = datetime.now(UTC)
    section = project.read_bake(request.file, environ=os.environ, overrides=overrides, now=now)
    targets = _bake_images(section, request.file.absolute().parent) if section is not None else ()
    return project.load_project(
        request.file,
        environ=os.environ,
        overrides=overrides,
        now=now,
        names=request.images,
        from_bake={image.name: _literal(dict(image.keys)) for image in targets},
        linked=[image.name for image in targets if image.linked],
    )


def _bake_images(section: BakeSection, folder: Path) -> tuple[BakeImage, ...]:
    """Return what bake says of each of its targets, as keys of a config; buildx itself reads the definition."""
    from multibuild.bake.definition import read_bake
    from multibuild.bake.request_errors import BakeRequestError
    from multibuild.engine.docker import run_docker

    bake = section.bake
    try:
        return read_bake(
            run_docker,
            project=folder,
            environ=os.environ,
            files=bake.files,
            targets=bake.targets,
            variables=bake.vars,
            is_replaced=section.replaces,
        )
    except BakeRequestError as error:
        raise section.located(error) from error


def _literal(value: Any) -> Any:
    """Return a value whose texts are not interpolated: bake has done so."""
    if isinstance(value, Mapping):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_literal(item) for item in value]
    return value.replace("$", "$$") if isinstance(value, str) else value


def has_config(file: Path) -> bool:
    """Whether there is a config; ConfigError for one that was named and is not there."""
    if is_there(file):
        return True
    if file != DEFAULT_FILE:
        from multibuild.config.yaml_document import read_document

        read_document(file)
    return False


def configs_if_any(file: Path) -> tuple[Config, ...]:
    """Return the config of every image; none without a file."""
    if not has_config(file):
        return ()
    return tuple(image.config for image in load_project(Request(file=file)).images)


def registry_settings(file: Path) -> Mapping[str, RegistrySettings]:
    """Return the registry settings of a config, of all its images; none without a config."""
    return {
        host: settings
        for config in configs_if_any(file)
        for host, settings in config.registry_settings.items()
    }


def comma_list(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values of a repeatable option that takes comma lists, each once."""
    return tuple(dict.fromkeys(word.strip() for text in texts for word in text.split(",") if word.strip()))


def chosen_platforms(request: Request) -> tuple[Platform, ...] | None:
    """Return the platforms of `--platform`; None without the flag."""
    words = comma_list(request.platforms)
    if request.platforms and not words:
        raise UsageError("--platform names no platform", hint="write --platform linux/arm64,linux/arm/v7")
    return tuple(dict.fromkeys(Platform.parse(word) for word in words)) or None


def state_of(request: Request, *images: LoadedConfig) -> State:
    """Return the state of a project; UsageError for a directory inside the build context of an image."""
    from multibuild.config.referenced_files import local_contexts
    from multibuild.journal.runs import State, default_state_dir

    path = request.state_dir or default_state_dir(images[0].project, os.environ)
    logger.info("state: %s", path.absolute())
    resolved = Path(os.path.realpath(path))  # Path.resolve raises RuntimeError for a loop of links
    for context in (context for loaded in images for context in local_contexts(loaded)):
        if resolved.is_relative_to(context):
            raise UsageError(
                f"--state-dir {path} lies inside the build context {context}",
                hint="a log in the context would spoil the cache of `COPY . .`: choose a directory outside",
            )
    return State(path)


def plans_offline(request: Request, project: LoadedProject) -> tuple[Plan, ...]:
    """Plan the chosen images as `plan_offline` does."""
    from multibuild.plan.plan import choose_images

    chosen = choose_images(project.images, chosen_platforms(request))
    return tuple(plan_offline(request, loaded) for loaded in chosen)


def plan_offline(request: Request, loaded: LoadedConfig) -> Plan:
    """Plan without an engine: from the facts recorded by the last setup or doctor, else from assumptions."""
    from multibuild.config.profiles import load_profile
    from multibuild.plan.host_facts import recorded_facts
    from multibuild.plan.plan import make_plan

    builder = loaded.config.builder
    facts = recorded_facts(
        state_of(request, loaded).load_facts(), builder, load_profile(builder, loaded.project)
    )
    return make_plan(loaded, facts, only=chosen_platforms(request))
