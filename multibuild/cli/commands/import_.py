"""`import`: runs of other machines, for `merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument

from multibuild.cli.request import Request, Sets, Tags, load, plan_offline, state_of
from multibuild.cli.streams import print_json
from multibuild.errors import UsageError
from multibuild.frozen import frozen


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
    from multibuild.workflow.import_runs import check_children, check_runs, find_runs, write_imported_run

    loaded = load(request)
    check_files(loaded)
    plan = plan_offline(request, loaded)
    sources = check_runs(plan, [run for folder in request.runs for run in find_runs(folder)])
    if not sources:
        raise UsageError(
            "these runs built nothing that this config has", hint="did their `multibuild build` succeed?"
        )
    with RegistrySession(plan.registries, on_wait=request.say) as registries:
        check_children(sources, registries)
    state = state_of(request, loaded)
    with state.lock():
        run = write_imported_run(plan, sources, state)
    names = [str(planned.platform) for planned in plan.platforms]
    missing = [name for name in names if name not in sources]
    if request.json:
        print_json({"run": run.id, "platforms": sorted(sources), "missing": missing})
        return 0
    for platform, source in sources.items():
        print(f"{platform}  {source.children[platform].digest}")
    if missing:
        request.say(f"not among them: {', '.join(missing)}")
    request.say(f"run {run.id}; `multibuild merge` joins them")
    return 0
