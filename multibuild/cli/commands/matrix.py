"""`matrix`: the platforms, and images, as jobs of a CI system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

from typer import Option

from multibuild.cli import completion
from multibuild.cli.request import (
    Images,
    Platforms,
    Request,
    Sets,
    Tags,
    chosen_platforms,
    load_project,
    state_of,
)
from multibuild.cli.streams import json_text, print_json
from multibuild.errors import UsageError
from multibuild.frozen import frozen

if TYPE_CHECKING:
    from multibuild.config.project import LoadedProject
    from multibuild.platforms import Platform
    from multibuild.workflow.matrix import By

FORMATS = ("github", "gitlab", "json")
SPLITS = ("runner", "platform", "image")


@frozen
class MatrixRequest(Request):
    """The flags of `matrix`."""

    images: Images = ()
    format: Annotated[
        str,
        Option(
            "--format",
            help="github, gitlab or json.",
            autocompletion=completion.fixed(*FORMATS),
        ),
    ] = "json"
    by: Annotated[
        str | None,
        Option(
            "--by",
            help="A job per runner, platform or image; default platform, of several images runner.",
            autocompletion=completion.fixed(*SPLITS),
        ),
    ] = None
    shards: Annotated[int | None, Option("--shards", min=1, help="At most so many jobs.")] = None
    runner: Annotated[
        str | None, Option("--runner", help="For platforms that name no runner of their own.")
    ] = None
    if_changed: Annotated[
        bool, Option("--if-changed", help="Leave out what `all --if-changed` would not build.")
    ] = False
    platforms: Platforms = ()
    tags: Tags = ()
    sets: Sets = ()


def matrix(request: MatrixRequest) -> int:
    """Print the platforms as jobs of a CI system.

    Each with its runner, and the images that it builds in a file of several.
    """
    from multibuild.builds.history import past_seconds
    from multibuild.plan.plan import choose_images
    from multibuild.workflow.matrix import GITHUB_RUNNER, MAX_JOBS, github_matrix, gitlab_matrix, make_jobs

    form = request.format  # json is the default: --json changes none that was chosen
    if form not in FORMATS:
        raise UsageError(f"--format: '{form}' is unknown", hint=f"one of {', '.join(FORMATS)}")
    if request.by is not None and request.by not in SPLITS:
        raise UsageError(f"--by: '{request.by}' is unknown", hint=f"one of {', '.join(SPLITS)}")
    project = load_project(request)
    only = chosen_platforms(request)
    jobs = make_jobs(
        choose_images(project.images, only),
        only=only,
        by=cast("By | None", request.by),
        shards=request.shards,
        limit=MAX_JOBS.get(form),
        seconds=past_seconds(state_of(request, *project.images).runs()),
        done=_done(request, project) if request.if_changed else frozenset(),
    )
    if form == "github":
        # One line: a job output of GitHub is a line.
        print(json_text(github_matrix(jobs, request.runner or GITHUB_RUNNER), separators=(",", ":")))
    elif form == "gitlab":
        import yaml

        print(yaml.safe_dump(gitlab_matrix(jobs, request.runner or ""), sort_keys=False), end="")
    else:
        print_json([job.row(request.runner or "") for job in jobs])
    return 0


def _done(request: MatrixRequest, project: LoadedProject) -> frozenset[tuple[str, Platform]]:
    """Return the images' platforms that need no build, and say so if none does."""
    from multibuild.cli.if_changed import without_build

    images = without_build(request, project)
    return frozenset((name, platform) for name, platforms in images.items() for platform in platforms)
