"""`plan`: what `all` would do."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from multibuild.cli.request import RunRequest, chosen_platforms, load_project, plans_offline
from multibuild.cli.streams import print_json

if TYPE_CHECKING:
    from multibuild.config.project import LoadedProject
    from multibuild.plan.plan import Plan
    from multibuild.plan.planned_platform import PlannedPlatform


def plan(request: RunRequest) -> int:
    """Show what `all` would do; change nothing, start no engine."""
    from multibuild.cli.display.display import display_kind
    from multibuild.config.referenced_files import check_files
    from multibuild.plan.plan_document import plan_document, project_document
    from multibuild.workflow.lint import show_findings

    display_kind(request.progress)
    project = load_project(request)
    check_files(*project.images)
    plans = plans_offline(request, project)
    if request.if_changed:
        plans = _to_build(request, project, plans)
    if request.json:
        print_json(project_document(plans) if project.several else plan_document(plans[0]))
    elif project.several:
        print(
            "\n\n".join(as_commands(plan) for plan in plans)
            if request.commands
            else image_table(plans, together=project.together)
        )
    else:
        print(as_commands(plans[0]) if request.commands else as_table(plans[0]))
    show_findings(project.images, chosen_platforms(request), request.say)
    return 0


def _to_build(request: RunRequest, project: LoadedProject, plans: Sequence[Plan]) -> tuple[Plan, ...]:
    """Return the plans with the platforms alone that `all --if-changed` would build."""
    from multibuild.cli.if_changed import without_build

    done = without_build(request, project)
    return tuple(
        replace(
            plan,
            platforms=tuple(one for one in plan.platforms if one.platform not in done.get(plan.name, ())),
        )
        for plan in plans
    )


def image_table(plans: Sequence[Plan], *, together: str) -> str:
    """Return the plans of several images within 80 columns: image × platform, then where each goes."""
    from multibuild.report.matrix import matrix_lines

    if not any(plan.platforms for plan in plans):
        return "nothing to build"
    rows = [
        (plan.name, {str(planned.platform): _how(planned) for planned in plan.platforms}) for plan in plans
    ]
    lines = matrix_lines(rows)
    if any(not planned.required for plan in plans for planned in plan.platforms):
        lines.append("? optional: the index is published without it when it fails")
    for plan in plans:
        if sources := ", ".join(dict.fromkeys(plan.dependencies.values())):
            lines.append(f"{plan.name} is built from {sources}")
    lines += ["", *(f"{plan.name} → {place}" for plan in plans for place in _grouped_destinations(plan))]
    units = sum(len(plan.platforms) for plan in plans)
    each = (
        "each is published by itself" if together == "image" else "no tag moves before all indexes are pushed"
    )
    lines += ["", f"{len(plans)} images, {units} builds; {each}."]
    lines += _gates(_gates_of_images(plans))
    return "\n".join(line.rstrip() for line in lines)


def _how(planned: PlannedPlatform) -> str:
    return ("emulated" if planned.emulated else "native") + ("" if planned.required else "?")


def _grouped_destinations(plan: Plan) -> list[str]:
    """Return `_destinations`, with all tags of a repository in one line."""
    if plan.publish.output.kind == "registry":
        return [f"{target.repository}:{', '.join(target.tags)}" for target in plan.targets]
    return _destinations(plan)


def _gates_of_images(plans: Sequence[Plan]) -> list[str]:
    """Return the gates of several images, each once, with the names of its images where not all have it."""
    names: dict[str, list[str]] = {}
    for plan in plans:
        for text in _gate_texts(plan):
            names.setdefault(text, []).append(plan.name)
    return [
        text if len(images) == len(plans) else f"{text}; for {', '.join(images)}"
        for text, images in names.items()
    ]


def _gate_texts(plan: Plan) -> list[str]:
    """Return each gate of an image: name, platforms where they are not all, and what is run or compared."""
    from multibuild.redact import redacted_words
    from multibuild.terminal import one_line

    texts = []
    for gate in plan.gates:
        optional = "" if gate.required else " (optional)"
        platforms = f" on {', '.join(map(str, gate.platforms))}" if gate.platforms else ""
        what = shlex.join(redacted_words(gate.run)) + ", " if gate.run is not None else ""
        texts.append(one_line(f"{gate.name}{optional}{platforms}: {what}{gate.limits()}"))
    return texts


def _gates(texts: Sequence[str]) -> list[str]:
    if not texts:
        return []
    lines = ["", "Gates, for each platform before any tag moves:"]
    for text in texts:
        lines += textwrap.wrap(
            text, 80, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
        )
    return lines


def as_commands(plan: Plan) -> str:
    """Return the exact docker commands, copy-pastable from the project directory; secrets are ids, or redacted."""
    if not plan.platforms:
        return "# nothing to build"
    from multibuild.plan.build_command import build_arguments
    from multibuild.redact import redacted_arguments

    lines = [f"# image {plan.name}"] if plan.name else []
    lines.append(f"cd {shlex.quote(str(plan.project))}")
    commands = (redacted_arguments(build_arguments(planned)) for planned in plan.platforms)
    lines += [shlex.join(("docker", "buildx", *arguments)) for arguments in commands]
    destinations = ", ".join(_destinations(plan))
    lines += [f"# gate {text}" for text in _gate_texts(plan)]
    signed = f", signed with {plan.sign.identity}" if plan.sign else ""
    lines.append(f"# then one index of {len(plan.platforms)} children{signed}, moved to: {destinations}")
    return "\n".join(lines)


def _destinations(plan: Plan) -> list[str]:
    """Return the tags at registries, or the place on this machine with its tags."""
    if plan.publish.output.kind == "registry":
        return [f"{target.repository}:{tag}" for target in plan.targets for tag in target.tags]
    place = "this engine" if plan.publish.output.kind == "docker" else plan.publish.to
    return [f"{place} as {plan.image}:{tag}" for tag in plan.tags]


def as_table(plan: Plan) -> str:
    """Return the plan as a table within 80 columns."""
    if not plan.platforms:
        return "nothing to build"
    rows = [("PLATFORM", "HOW", "BUILDER", "STAGED AS")]
    for planned in plan.platforms:
        how = "emulated" if planned.emulated else "native"
        kind = planned.staging.kind
        staged = planned.staging.reference.rpartition("/")[2] if kind == "tag" else kind
        rows.append(
            (
                str(planned.platform) + ("" if planned.required else " (optional)"),
                how,
                planned.node.builder,
                staged,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]))
        for row in rows
    ]
    lines += [
        "",
        f"At most {plan.jobs} at a time; then one index, moved to:",
        *(f"  {place}" for place in _destinations(plan)),
    ]
    lines += _gates(_gate_texts(plan))
    if plan.sign:
        lines += ["", f"Before that, cosign signs it with {plan.sign.identity}."]
    if plan.omitted:
        text = f"The index will not have {', '.join(map(str, plan.omitted))}: left out by --platform."
        lines += ["", *textwrap.wrap(text, 80, break_on_hyphens=False)]
    if plan.facts.assumed:
        node = plan.facts.nodes[0]
        how = " and push by digest" if node.pushes_by_digest else " and push by tag"
        pushed = any(planned.staging.kind != "layout" for planned in plan.platforms)
        lines += ["", f"No setup ran here yet: assuming a {node.driver} builder{how if pushed else ''}."]
        lines += ["`multibuild doctor` finds out what is native here, and what the builder can."]
    return "\n".join(line.rstrip() for line in lines)
