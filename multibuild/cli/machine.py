"""`setup` and `doctor`: make the host ready, or only look at it."""

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
from multibuild.host.host import Host
from multibuild.host.requirements import HostRequirements
from multibuild.host.setup import prepare, require_runnable
from multibuild.plan.placement import choose_node
from multibuild.terminal import columns, printable

if TYPE_CHECKING:
    from multibuild.host.probe import ProbeResult


def _say(request: Request, text: str) -> None:
    if not request.quiet:
        print(printable(text), file=sys.stderr, flush=True)


def setup(request: Request, *, change: bool, recreate: bool = False) -> int:
    """Make ready and prove it; EnvironmentFault (exit 3) when a required platform cannot run."""
    loaded = load(request)
    requirements = HostRequirements.from_config(loaded.config, loaded.project)
    state = state_of(request, loaded)
    host = supervise(
        prepare(
            requirements,
            DockerEngine(),
            lambda text: _say(request, text),
            change=change,
            recreate=recreate,
            previous_facts=state.load_facts(),
        )
    )
    if host.facts.nodes:
        state.save_facts(host.facts_document)
    if request.json:
        document = {
            "builder": [node.builder for node in host.facts.nodes],
            "changes": list(host.changes),
            "would": list(host.planned_changes),
            "dead": host.unreachable,
            "platforms": [{"platform": str(result.platform), "runs": result.runs} for result in host.probes],
        }
        print_json(document)
    elif not request.quiet:
        print(printable("\n".join(_change_lines(host, change=change))))
        if host.probes:
            print(_table(host))
    if not change:
        return 0
    require_runnable(host, requirements)
    return 0


def _change_lines(host: Host, *, change: bool) -> list[str]:
    if change:
        return list(host.changes) or ["nothing to change"]
    return [f"would {change}" for change in host.planned_changes] or ["nothing to change"]


def _table(host: Host) -> str:
    rows = [("PLATFORM", "RUNS", "HOW"), *(_row(host, result) for result in host.probes)]
    return "\n".join(columns(rows))


def _row(host: Host, result: ProbeResult) -> tuple[str, str, str]:
    node = choose_node(result.platform, host.facts.nodes)
    emulator = node.emulators.get(str(result.platform), "native")
    if len(host.facts.nodes) > 1:
        emulator = f"{emulator} on {node.builder}"
    return (
        str(result.platform),
        "yes" if result.runs else "no",
        printable(emulator if result.runs else result.detail),
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
        text = f"{check.status:5} {check.name}: {printable(check.detail)}"
        print(textwrap.fill(text, 80, subsequent_indent="      ", break_on_hyphens=False))
        if check.hint:
            print(f"      {printable(check.hint)}")
    findings = [finding for finding in diagnosis.platforms if not (quiet and finding.runs)]
    rows = [("PLATFORM", "RUNS", "THROUGH"), *map(_finding_row, findings)]
    if len(rows) > 1:
        print("\n" + "\n".join(columns(rows)))


def _finding_row(finding: PlatformFinding) -> tuple[str, str, str]:
    through = "this machine's own CPU" if finding.native else "the builder's own emulator"
    if finding.emulator is not None:
        version = f"QEMU {finding.emulator.version}, " if finding.emulator.version else ""
        through = f"{version}flags {finding.emulator.flags}, {finding.emulator.interpreter}"
    elif not finding.runs:
        through = "-"
    return finding.platform, "yes" if finding.runs else "no", through
