"""`setup` and `doctor`: the host, made ready or only looked at."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

from multibuild.cli.output import print_json
from multibuild.cli.runs import Request, load, state_of
from multibuild.cli.supervise import supervise
from multibuild.engine.docker import DockerEngine
from multibuild.errors import EnvironmentFault
from multibuild.host.doctor import Diagnosis, PlatformFinding, diagnose
from multibuild.host.requirements import HostRequirements
from multibuild.host.setup import Host, prepare, require_runnable
from multibuild.plan.placement import choose_node
from multibuild.terminal import columns, printable

if TYPE_CHECKING:
    from multibuild.host.probe import Probed


def _say(request: Request, text: str) -> None:
    if not request.quiet:
        print(printable(text), file=sys.stderr, flush=True)


def setup(request: Request, *, change: bool, recreate: bool = False) -> int:
    """Make ready and prove it; EnvironmentFault (exit 3) when a required platform cannot run."""
    loaded = load(request)
    wanted = HostRequirements.from_config(loaded.config, loaded.project)
    state = state_of(request, loaded)
    host = supervise(
        prepare(
            wanted,
            DockerEngine(),
            lambda text: _say(request, text),
            change=change,
            recreate=recreate,
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
        print(printable("\n".join(_done(host, change=change))))
        if host.probed:
            print(_table(host))
    if not change:
        return 0
    require_runnable(host, wanted)
    return 0


def _done(host: Host, *, change: bool) -> list[str]:
    if change:
        return list(host.changes) or ["nothing to change"]
    return [f"would {word}" for word in (*host.would_make, *host.would_register)] or ["nothing to change"]


def _table(host: Host) -> str:
    rows = [("PLATFORM", "RUNS", "HOW"), *(_row(host, answer) for answer in host.probed)]
    return "\n".join(columns(rows))


def _row(host: Host, answer: Probed) -> tuple[str, str, str]:
    node = choose_node(answer.platform, host.facts.nodes)
    emulator = node.emulators.get(str(answer.platform), "native")
    if len(host.facts.nodes) > 1:
        emulator = f"{emulator} on {node.builder}"
    return (
        str(answer.platform),
        "yes" if answer.runs else "no",
        printable(emulator if answer.runs else answer.detail),
    )


def doctor(request: Request) -> int:
    """Look without changing anything; 3 when something that is needed does not work."""
    loaded = load(request)
    diagnosis = supervise(diagnose(loaded, DockerEngine()))
    if diagnosis.facts is not None:
        state_of(request, loaded).save_facts(diagnosis.facts)
    if request.json:
        print_json(diagnosis.document())
    else:
        _print(diagnosis, quiet=request.quiet)
    if diagnosis.ok:
        return 0
    return EnvironmentFault.exit_code


def _print(diagnosis: Diagnosis, *, quiet: bool) -> None:
    for check in diagnosis.checks:
        if quiet and check.status == "ok":
            continue
        said = f"{check.status:5} {check.name}: {printable(check.detail)}"
        print(textwrap.fill(said, 80, subsequent_indent="      ", break_on_hyphens=False))
        if check.hint:
            print(f"      {printable(check.hint)}")
    shown = [found for found in diagnosis.platforms if not (quiet and found.runs)]
    rows = [("PLATFORM", "RUNS", "THROUGH"), *map(_finding_row, shown)]
    if len(rows) > 1:
        print("\n" + "\n".join(columns(rows)))


def _finding_row(found: PlatformFinding) -> tuple[str, str, str]:
    through = "this machine's own CPU" if found.native else "the builder's own emulator"
    if found.emulator is not None:
        version = f"QEMU {found.emulator.version}, " if found.emulator.version else ""
        through = f"{version}flags {found.emulator.flags}, {found.emulator.interpreter}"
    elif not found.runs:
        through = "-"
    return found.platform, "yes" if found.runs else "no", through
