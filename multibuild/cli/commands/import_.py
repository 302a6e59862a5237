"""`import`: runs of other machines, for `merge`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument

from multibuild.cli.request import Request, Sets, Tags, load_project, plans_offline, state_of
from multibuild.cli.streams import print_json
from multibuild.errors import UsageError
from multibuild.frozen import frozen

if TYPE_CHECKING:
    from multibuild.plan.plan import Plan
    from multibuild.workflow.merge.import_runs import Unit
    from multibuild.workflow.merge.source_runs import SourceRun


@frozen
class ImportRequest(Request):
    """The flags of `import`."""

    runs: Annotated[
        tuple[Path, ...], Argument(help="State or run directories that `build` left on other machines.")
    ]
    tags: Tags = ()
    sets: Sets = ()


def import_(request: ImportRequest) -> int:
    """Import runs made on other machines.

    They are checked; `merge` joins them.
    """
    from multibuild.config.referenced_files import check_files
    from multibuild.oci.registry_session import RegistrySession
    from multibuild.workflow.merge.import_runs import check_children, check_runs, write_imported_run
    from multibuild.workflow.merge.source_runs import find_runs

    project = load_project(request)
    check_files(*project.images, secrets=False)
    plans = plans_offline(request, project)
    sources = check_runs(plans, [run for folder in request.runs for run in find_runs(folder)])
    if not sources:
        raise UsageError(
            "these runs built nothing that this config has", hint="did their `multibuild build` succeed?"
        )
    settings = {host: one for plan in plans for host, one in plan.registries.items()}
    with RegistrySession(settings, on_wait=request.say) as registries:
        check_children(sources, registries)
    state = state_of(request, *project.images)
    with state.lock():
        run = write_imported_run(plans, sources, state)
    _show(request, run.id, plans, sources)
    return 0


def _show(request: ImportRequest, run: str, plans: Sequence[Plan], sources: Mapping[Unit, SourceRun]) -> None:
    """Print the children that the run has, and what it lacks; as JSON by image, where the file has several."""
    from multibuild.cli.display.event_text import row_name
    from multibuild.workflow.merge.import_runs import missing_units

    missing = missing_units(plans, sources)
    if request.json:
        images = [
            {
                "platforms": sorted(platform for image, platform in sources if image == plan.name),
                "missing": [platform for image, platform in missing if image == plan.name],
            }
            for plan in plans
        ]
        if not plans[0].name:
            print_json({"run": run, **images[0]})
            return
        named = [{"name": plan.name, **image} for plan, image in zip(plans, images, strict=True)]
        print_json({"run": run, "images": named})
        return
    for (image, platform), source in sources.items():
        print(f"{row_name(image, platform)}  {source.children[platform].digest}")
    if missing:
        request.say(f"not among them: {', '.join(row_name(*unit) for unit in missing)}")
    request.say(f"run {run}; `multibuild merge` joins them")
