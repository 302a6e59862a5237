"""`matrix`: the platforms as jobs of a CI system."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from multibuild.cli import completion
from multibuild.cli.request import Platforms, Request, Sets, Tags, chosen_platforms, load, state_of
from multibuild.cli.streams import json_text, print_json
from multibuild.errors import UsageError
from multibuild.frozen import frozen

FORMATS = ("github", "gitlab", "json")


@frozen
class MatrixRequest(Request):
    """The flags of `matrix`."""

    format: Annotated[
        str,
        Option(
            "--format",
            help="github, gitlab or json.",
            autocompletion=completion.fixed(*FORMATS),
        ),
    ] = "json"
    shards: Annotated[int | None, Option("--shards", min=1, help="At most so many jobs.")] = None
    runner: Annotated[
        str | None, Option("--runner", help="For platforms that name no runner of their own.")
    ] = None
    platforms: Platforms = ()
    tags: Tags = ()
    sets: Sets = ()


def matrix(request: MatrixRequest) -> int:
    """Print the platforms as jobs of a CI system.

    Each with its runner.
    """
    from multibuild.builds.history import past_seconds
    from multibuild.workflow.matrix import GITHUB_RUNNER, github_matrix, gitlab_matrix, make_jobs

    form = "json" if request.json else request.format
    if form not in FORMATS:
        raise UsageError(f"--format: '{form}' is unknown", hint=f"one of {', '.join(FORMATS)}")
    loaded = load(request)
    jobs = make_jobs(
        loaded.config,
        only=chosen_platforms(request),
        shards=request.shards,
        seconds=past_seconds(state_of(request, loaded).runs()),
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
