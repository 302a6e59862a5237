"""`clean`: remove what runs and setup created."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Option

from multibuild.cli import completion
from multibuild.cli.request import Builder, Request, load_project, state_of
from multibuild.cli.streams import print_json
from multibuild.errors import UsageError
from multibuild.frozen import frozen

if TYPE_CHECKING:
    from multibuild.workflow.clean.clean_up import CleanOutcome

KINDS = ("runs", "staged", "builders", "handed-over")
OF_THE_PROJECT = frozenset({"runs", "staged"})
"""What is removed unless `--only` says otherwise: builders and their caches serve every project of the account."""


@frozen
class CleanRequest(Request):
    """The flags of `clean`."""

    keep: Annotated[int, Option("--keep", min=0, help="Leave so many of the newest runs.")] = 0
    only: Annotated[
        tuple[str, ...],
        Option(
            "--only",
            help="runs, staged, builders or handed-over (repeatable); default runs, staged.",
            autocompletion=completion.fixed(*KINDS),
        ),
    ] = ()
    older_than: Annotated[
        int, Option("--older-than", min=0, help="Days since a hand-over that no merge took.")
    ] = 7
    builder: Builder = None
    dry_run: Annotated[bool, Option("--dry-run", help="Only list what would be removed.")] = False


def clean(request: CleanRequest) -> int:
    """Remove what runs made.

    Staged children and old runs; never what a tag or an index still holds. Builders, and what other machines handed
    over, only with --only.
    """
    from multibuild.oci.errors import as_environment_fault
    from multibuild.workflow.clean.clean_up import clean_up
    from multibuild.workflow.clean.handed_over import older_than

    unknown = [name for name in request.only if name not in KINDS]
    if unknown:
        raise UsageError(f"--only: '{unknown[0]}' is unknown", hint=f"one of {', '.join(KINDS)}")
    images = load_project(request).images
    outcome = clean_up(
        images,
        state_of(request, *images),
        frozenset(request.only) or OF_THE_PROJECT,
        keep=request.keep,
        older_than=older_than(request.older_than),
        dry_run=request.dry_run,
        on_wait=request.say,
    )
    _show(request, outcome)
    if outcome.error is not None:
        raise as_environment_fault(outcome.error)
    return 0


def _show(request: CleanRequest, outcome: CleanOutcome) -> None:
    if request.json:
        print_json({"dry_run": request.dry_run, "removed": outcome.removed, "stays": outcome.stays})
        return
    for line in outcome.removed:
        print(f"would remove {line}" if request.dry_run else f"removed {line}")
    if not outcome.removed:
        print("nothing to remove")
    for line in outcome.stays:
        request.say(f"stays: {line}")
