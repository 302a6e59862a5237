"""What `plan`, `build` and `all` share: from flags to a loaded config, a plan, a run."""

from __future__ import annotations

import os
import shlex
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multibuild import detail
from multibuild.cli.output import print_json
from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.platforms import Platform

if TYPE_CHECKING:
    from multibuild.config.load import LoadedConfig
    from multibuild.config.models import Config
    from multibuild.engine.docker import Engine
    from multibuild.journal.runs import State
    from multibuild.oci.registry_settings import RegistrySettings
    from multibuild.plan.plan import Plan


@frozen
class Request:
    """The flags of `build`, `all` and `plan`, as typed."""

    file: Path
    state_dir: Path | None = None
    platforms: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    builder: str | None = None
    jobs: str | None = None
    fail_fast: bool = False
    progress: str = "auto"
    quiet: bool = False
    verbose: bool = False
    json: bool = False
    report: Path | None = None
    resume: bool = False
    if_changed: bool = False


def request_of(given: dict[str, Any]) -> Request:
    """Make a Request of a command's parameters."""
    return Request(
        file=given["file"],
        state_dir=given["state_dir"],
        platforms=tuple(given.get("platform") or ()),
        tags=tuple(given.get("tag") or ()),
        sets=tuple(given.get("set_") or ()),
        builder=given.get("builder"),
        jobs=given.get("jobs"),
        fail_fast=bool(given.get("fail_fast")),
        progress=given.get("progress", "auto"),
        quiet=given["quiet"],
        verbose=given["verbose"],
        json=given["json"],
        report=given.get("report"),
        resume=bool(given.get("resume")),
        if_changed=bool(given.get("if_changed")),
    )


def load(request: Request) -> LoadedConfig:
    """Read the config with the flags on top; ConfigError or UsageError."""
    from datetime import UTC, datetime

    from multibuild.config.load import load_config
    from multibuild.config.overrides import Overrides

    overrides = Overrides(
        platforms=request.platforms,
        tags=request.tags,
        sets=request.sets,
        builder=request.builder,
        jobs=request.jobs,
        fail_fast=request.fail_fast or None,
    )
    detail.fact(f"config: {request.file.absolute()}")
    return load_config(request.file, environ=os.environ, overrides=overrides, now=datetime.now(UTC))


def config_if_any(file: Path) -> Config | None:
    """Return the config, None where there is no file: some commands need it for registries alone."""
    return load(Request(file=file)).config if file.exists() else None


def registry_settings(file: Path) -> Mapping[str, RegistrySettings]:
    """Return how the config's registries are reached; nothing where there is no config."""
    config = config_if_any(file)
    return config.registry_settings if config is not None else {}


def chosen(request: Request) -> tuple[Platform, ...] | None:
    """Read `--platform`: repeatable, comma lists, aliases; None when it was not given."""
    texts = [text for value in request.platforms for text in value.split(",") if text.strip()]
    if request.platforms and not texts:
        raise UsageError("--platform names no platform", hint="write --platform linux/arm64,linux/arm/v7")
    return tuple(dict.fromkeys(Platform.parse(text) for text in texts)) or None


def state_of(request: Request, loaded: LoadedConfig) -> State:
    """Find the state of a project; UsageError when it would lie inside the build context."""
    from multibuild.config.referenced_files import local_contexts
    from multibuild.journal.runs import State, default_state_dir

    path = request.state_dir or default_state_dir(loaded.project, os.environ)
    detail.fact(f"state: {path.absolute()}")
    for context in local_contexts(loaded):
        if path.resolve().is_relative_to(context):
            raise UsageError(
                f"--state-dir {path} lies inside the build context {context}",
                hint="a log in the context would spoil the cache of `COPY . .`: choose a directory outside",
            )
    return State(path)


def plan(request: Request) -> Plan:
    """Plan without any engine: from the facts the last setup or doctor left, else from assumptions."""
    from multibuild.config.profiles import load_profile
    from multibuild.config.referenced_files import check_files
    from multibuild.plan.host_facts import recorded_facts
    from multibuild.plan.plan import make_plan

    loaded = load(request)
    check_files(loaded)
    builder = loaded.config.builder
    facts = recorded_facts(
        state_of(request, loaded).load_facts(), builder, load_profile(builder, loaded.project)
    )
    return make_plan(loaded, facts, only=chosen(request))


def show_plan(request: Request, *, commands: bool) -> None:
    """Print the plan: a table, the docker commands, or JSON."""
    made = plan(request)
    if request.json:
        print_json(made.document())
    else:
        print(as_commands(made) if commands else as_table(made))


def as_commands(plan: Plan) -> str:
    """Give the exact docker commands, copy-pastable from the project directory, secrets by id only."""
    from multibuild.plan.build_command import build_arguments

    lines = [f"cd {shlex.quote(str(plan.loaded.project))}"]
    lines += [shlex.join(("docker", "buildx", *build_arguments(item))) for item in plan.platforms]
    ends = ", ".join(_ends(plan))
    lines.append(f"# then one index of {len(plan.platforms)} children, moved to: {ends}")
    return "\n".join(lines)


def _ends(plan: Plan) -> list[str]:
    """Where the index comes to be: the tags at registries, or the place on this machine and the tags in it."""
    config = plan.config
    if config.publish.output.kind == "registry":
        return [f"{target.repository}:{tag}" for target in plan.targets for tag in target.tags]
    here = "this engine" if config.publish.output.kind == "docker" else config.publish.to
    return [f"{here} as {config.image}:{tag}" for tag in config.tags]


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


def run(request: Request, *, until: str, engine: Engine | None = None) -> int:
    """Run `build`, `all` or the merge of the last run; gives the exit code.

    `engine` may have been asked already; everything is checked before an answer of it is used.
    """
    from multibuild.config.referenced_files import check_environment, check_files
    from multibuild.plan.plan import require_listed

    loaded = load(request)
    check_files(loaded)
    check_environment(loaded, os.environ)
    if request.report is not None and not request.report.absolute().parent.is_dir():
        raise UsageError(
            f"--report {request.report}: there is no directory {request.report.parent}", hint="make it first"
        )
    if request.if_changed and is_unchanged(request, loaded, until):
        return 0
    only, state = chosen(request), state_of(request, loaded)
    require_listed(loaded, only)
    from multibuild.cli.execute import execute
    from multibuild.engine.docker import DockerEngine

    engine = engine or DockerEngine()
    return execute(request, loaded, only, state, until=until, engine=engine)


def is_unchanged(request: Request, loaded: LoadedConfig, until: str) -> bool:
    """Whether the last success still holds; says so, notes it in that run's journal, and shows its report."""
    from multibuild.cli.confirm import confirmed
    from multibuild.plan.host_facts import recorded_facts
    from multibuild.plan.plan import make_plan

    state = state_of(request, loaded)
    facts = recorded_facts(state.load_facts(), loaded.config.builder)
    return confirmed(request, make_plan(loaded, facts, only=chosen(request)), state, until)
