"""`setup`: make emulators and builder ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Option

from multibuild.cli.request import Builder, Request, load_project, state_of
from multibuild.cli.streams import print_json
from multibuild.frozen import frozen
from multibuild.terminal import columns

if TYPE_CHECKING:
    from multibuild.host.host import Host
    from multibuild.host.probe import ProbeResult


@frozen
class SetupRequest(Request):
    """The flags of `setup`."""

    builder: Builder = None
    dry_run: Annotated[bool, Option("--dry-run", help="Only say what would be made.")] = False
    recreate: Annotated[
        bool, Option("--recreate", help="Mend a builder that drifted even where its cache is lost.")
    ] = False


def setup(request: SetupRequest) -> int:
    """Make emulators and builder ready; say what changed."""
    from multibuild.cli.supervise import supervise
    from multibuild.engine.docker import DockerEngine
    from multibuild.host.host import require_step_limits
    from multibuild.host.requirements import HostRequirements
    from multibuild.host.setup import prepare, require_runnable

    images = load_project(request).images
    requirements = HostRequirements.of_images(
        [HostRequirements.from_config(loaded.config, loaded.project) for loaded in images]
    )
    state = state_of(request, *images)
    host = supervise(
        prepare(
            requirements,
            DockerEngine(),
            request.say,
            change=not request.dry_run,
            recreate=request.recreate,
            previous_facts=state.load_facts(),
        )
    )
    if host.facts.nodes and not any(report.stand_in for report in host.reports):
        state.save_facts(host.facts_document)
    if request.json:
        document = {
            "builder": [node.builder for node in host.facts.nodes],
            "changes": list(host.changes),
            "would": list(host.planned_changes),
            "dead": {name: str(reason) for name, reason in host.unreachable.items()},
            "platforms": [{"platform": str(result.platform), "runs": result.runs} for result in host.probes],
        }
        print_json(document)
    elif not request.quiet:
        print("\n".join(_change_lines(host, dry_run=request.dry_run)))
        if host.probes:
            print(_table(host))
    if not request.dry_run:
        require_runnable(host, requirements)
        require_step_limits(host)
    return 0


def _change_lines(host: Host, *, dry_run: bool) -> list[str]:
    """Return a line per change; what the run has said of silent nodes already, a dry run says here."""
    silent = [f"node {name} does not answer: {reason}" for name, reason in host.unreachable.items()]
    changes = [f"would {change}" for change in host.planned_changes] if dry_run else list(host.changes)
    return [*(silent if dry_run else ()), *(changes or ["nothing to change"])]


def _table(host: Host) -> str:
    rows = [("PLATFORM", "RUNS", "HOW"), *(_row(host, result) for result in host.probes)]
    return "\n".join(columns(rows))


def _row(host: Host, result: ProbeResult) -> tuple[str, str, str]:
    from multibuild.plan.placement import choose_node

    node = choose_node(result.platform, host.facts.nodes)
    emulator = node.emulators.get(str(result.platform), "native")
    if len(host.facts.nodes) > 1:
        emulator = f"{emulator} on {node.builder}"
    how = emulator if result.runs else result.detail
    return str(result.platform), "yes" if result.runs else "no", how
