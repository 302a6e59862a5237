"""`doctor`: check whether the configured platforms can be built here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from multibuild.cli.request import Builder, Request, load_project, state_of
from multibuild.cli.streams import print_json
from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.terminal import columns, one_line, wrapped

if TYPE_CHECKING:
    from multibuild.host.doctor import Diagnosis, PlatformFinding


@frozen
class DoctorRequest(Request):
    """The flags of `doctor`."""

    builder: Builder = None


def doctor(request: DoctorRequest) -> int:
    """Check whether the platforms can be built here.

    Runs a tiny program of each through the builder; explains those that do not run, and how to fix them.
    """
    from dataclasses import replace

    from multibuild.cli.supervise import supervise
    from multibuild.engine.docker import DockerEngine
    from multibuild.host.doctor import diagnose
    from multibuild.prove.gates.find_programs import gate_checks
    from multibuild.publish.signing_checks import signing_checks
    from multibuild.workflow.lint import lint_checks

    images = load_project(request).images
    checks = (*lint_checks(images), *gate_checks(images), *signing_checks(images, os.environ))
    diagnosis = supervise(diagnose(images, DockerEngine()))
    diagnosis = replace(diagnosis, checks=(*diagnosis.checks, *checks))
    if diagnosis.facts is not None:
        state_of(request, *images).save_facts(diagnosis.facts)
    if request.json:
        print_json(diagnosis.document())
    else:
        _print(diagnosis, quiet=request.quiet)
    return 0 if diagnosis.ok else EnvironmentFault.exit_code


def _print(diagnosis: Diagnosis, *, quiet: bool) -> None:
    for check in diagnosis.checks:
        if quiet and check.status == "ok":
            continue
        text = f"{check.status:5} {check.name}: {one_line(check.detail)}"
        print(wrapped(text, 80, indent="      "))
        if check.hint:
            print(wrapped(f"      {check.hint}", 80, indent="      "))
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
