"""`setup`: make emulators and builder ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Option

from multibuild.cli.request import Builder, Request, load, state_of
from multibuild.cli.streams import print_json
from multibuild.frozen import frozen
from multibuild.terminal import columns, printable

if TYPE_CHECKING:
    from multibuild.host.probe import Probed
    from multibuild.host.setup import Host


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
    from multibuild.host.requirements import HostRequirements
    from multibuild.host.setup import prepare, require_runnable

    loaded = load(request)
    requirements = HostRequirements.from_config(loaded.config, loaded.project)
    state = state_of(request, loaded)
    host = supervise(
        prepare(
            requirements,
            DockerEngine(),
            request.say,
            change=not request.dry_run,
            recreate=request.recreate,
            before=state.load_facts(),
        )
    )
    if host.facts.nodes:
        state.save_facts(host.facts_document(loaded.config.builder))
    if request.json:
        document = {
            "builder": [node.builder for node in host.facts.nodes],
            "changes": list(host.changes),
            "would": [*host.would_make, *host.would_register],
            "dead": dict(host.dead),
            "platforms": [{"platform": str(answer.platform), "runs": answer.runs} for answer in host.probed],
        }
        print_json(document)
    elif not request.quiet:
        print(printable("\n".join(_done(host, change=not request.dry_run))))
        if host.probed:
            print(_table(host))
    if not request.dry_run:
        require_runnable(host, requirements)
    return 0


def _done(host: Host, *, change: bool) -> list[str]:
    if change:
        return list(host.changes) or ["nothing to change"]
    return [f"would {word}" for word in (*host.would_make, *host.would_register)] or ["nothing to change"]


def _table(host: Host) -> str:
    rows = [("PLATFORM", "RUNS", "HOW"), *(_row(host, answer) for answer in host.probed)]
    return "\n".join(columns(rows))


def _row(host: Host, answer: Probed) -> tuple[str, str, str]:
    from multibuild.plan.placement import choose_node

    node = choose_node(answer.platform, host.facts.nodes)
    emulator = node.emulators.get(str(answer.platform), "native")
    if len(host.facts.nodes) > 1:
        emulator = f"{emulator} on {node.builder}"
    return (
        str(answer.platform),
        "yes" if answer.runs else "no",
        printable(emulator if answer.runs else answer.detail),
    )
