"""`plan`: what `all` would do."""

from __future__ import annotations

import shlex
import textwrap
from typing import TYPE_CHECKING

from multibuild.cli.request import RunRequest, load, plan_offline
from multibuild.cli.streams import print_json

if TYPE_CHECKING:
    from multibuild.plan.plan import Plan


def plan(request: RunRequest) -> int:
    """Show what `all` would do; change nothing, start no engine."""
    from multibuild.config.referenced_files import check_files
    from multibuild.plan.document import plan_document

    loaded = load(request)
    check_files(loaded)
    planned = plan_offline(request, loaded)
    if request.json:
        print_json(plan_document(planned))
    else:
        print(as_commands(planned) if request.commands else as_table(planned))
    return 0


def as_commands(plan: Plan) -> str:
    """Give the exact docker commands, copy-pastable from the project directory, secrets by id only."""
    from multibuild.plan.build_command import build_arguments

    lines = [f"cd {shlex.quote(str(plan.project))}"]
    lines += [shlex.join(("docker", "buildx", *build_arguments(item))) for item in plan.platforms]
    ends = ", ".join(_ends(plan))
    lines.append(f"# then one index of {len(plan.platforms)} children, moved to: {ends}")
    return "\n".join(lines)


def _ends(plan: Plan) -> list[str]:
    """Where the index comes to be: the tags at registries, or the place on this machine and the tags in it."""
    if plan.publish.output.kind == "registry":
        return [f"{target.repository}:{tag}" for target in plan.targets for tag in target.tags]
    here = "this engine" if plan.publish.output.kind == "docker" else plan.publish.to
    return [f"{here} as {plan.image}:{tag}" for tag in plan.tags]


def as_table(plan: Plan) -> str:
    """Give the plan for people, within 80 columns."""
    rows = [("PLATFORM", "HOW", "BUILDER", "STAGED AS")]
    for item in plan.platforms:
        how = "emulated" if item.emulated else "native"
        kind = item.staging.kind
        staged = item.staging.reference.rpartition("/")[2] if kind == "tag" else kind
        rows.append(
            (str(item.platform) + ("" if item.required else " (optional)"), how, item.node.builder, staged)
        )
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]))
        for row in rows
    ]
    lines += [
        "",
        f"At most {plan.jobs} at a time; then one index, moved to:",
        *(f"  {place}" for place in _ends(plan)),
    ]
    if plan.omitted:
        said = f"The index will not have {', '.join(map(str, plan.omitted))}: left out by --platform."
        lines += ["", *textwrap.wrap(said, 80, break_on_hyphens=False)]
    if plan.facts.assumed:
        node = plan.facts.nodes[0]
        how = " and push by digest" if node.pushes_by_digest else " and push by tag"
        pushed = any(item.staging.kind != "layout" for item in plan.platforms)
        lines += ["", f"No setup ran here yet: assuming a {node.driver} builder{how if pushed else ''}."]
        lines += ["`multibuild doctor` finds out what is native here, and what the builder can."]
    return "\n".join(line.rstrip() for line in lines)
