"""`clean`: remove what runs and setup created."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from multibuild.cli import completion
from multibuild.cli.request import Builder, Request, load, state_of
from multibuild.cli.streams import print_json
from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.terminal import printable

if TYPE_CHECKING:
    from multibuild.config.load import LoadedConfig
    from multibuild.journal.runs import RunDirectory
    from multibuild.oci.errors import RegistryError
    from multibuild.oci.registry_session import RegistrySession

KINDS = ("runs", "staged", "builders")


@frozen
class CleanRequest(Request):
    """The flags of `clean`."""

    keep: Annotated[int, Option("--keep", min=0, help="Leave so many of the newest runs.")] = 0
    only: Annotated[
        tuple[str, ...],
        Option(
            "--only",
            help="runs, staged or builders (repeatable).",
            autocompletion=completion.fixed(*KINDS),
        ),
    ] = ()
    builder: Builder = None
    dry_run: Annotated[bool, Option("--dry-run", help="Only list what would be removed.")] = False


@dataclass
class _Outcome:
    """The text of what was removed, and of what stays with the reason."""

    removed: list[str] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)
    error: RegistryError | None = None


def clean(request: CleanRequest) -> int:
    """Remove what runs and setup made.

    Staged children, old runs, builders; never what a tag or an index still holds.
    """
    from multibuild.oci.errors import as_environment_fault
    from multibuild.oci.registry_session import RegistrySession

    unknown = [name for name in request.only if name not in KINDS]
    if unknown:
        raise UsageError(f"--only: '{unknown[0]}' is unknown", hint=f"one of {', '.join(KINDS)}")
    kinds, dry_run = frozenset(request.only or KINDS), request.dry_run
    loaded = load(request)
    state = state_of(request, loaded)
    outcome = _Outcome()
    # Staged children go before the runs that list them, so that the next `clean` can try the rest again.
    with state.lock():
        expired = state.runs()[request.keep :]
        retained = state.runs()[: request.keep]
        refused = 0
        if "staged" in kinds:
            with RegistrySession(loaded.config.registry_settings, on_wait=request.say) as registries:
                refused = _staged(expired, retained, registries, outcome, dry_run=dry_run)
            children = [run.children for run in expired if run.children.is_dir()]
            _delete("children", children, outcome, dry_run=dry_run)
        if "runs" in kinds and refused:
            outcome.stays.append(f"{len(expired)} runs: they name children that could not be deleted yet")
        elif "runs" in kinds:
            _delete("run", [run.path for run in expired], outcome, dry_run=dry_run)
            if not dry_run:
                state.point_to_newest()
        if "builders" in kinds:
            _builders(_profiles(loaded), outcome, dry_run=dry_run)
    _show(request, outcome)
    if outcome.error is not None:
        raise as_environment_fault(outcome.error)
    return 0


def _staged(
    expired: Sequence[RunDirectory],
    retained: Sequence[RunDirectory],
    registries: RegistrySession,
    outcome: _Outcome,
    *,
    dry_run: bool,
) -> int:
    """Delete staged children; return how many the registry would not delete."""
    from multibuild.oci.errors import RegistryError
    from multibuild.workflow.clean import collect_leftovers, plan_cleanup, remove

    refused = 0
    for leftovers in collect_leftovers(expired, retained):
        try:
            cleanup = plan_cleanup(leftovers, registries)
        except RegistryError as error:  # the others are cleaned all the same
            outcome.error = error
            outcome.stays.append(f"what was staged in {leftovers.repository}")
            refused += 1
            continue
        outcome.stays += cleanup.retentions
        for removal in cleanup.removals:
            refusal = None if dry_run else remove(removal, registries)
            (outcome.stays if refusal else outcome.removed).append(refusal or str(removal))
            refused += refusal is not None
    return refused


def _delete(label: str, directories: Sequence[Path], outcome: _Outcome, *, dry_run: bool) -> None:
    for path in directories:
        outcome.removed.append(f"{label} {path}")
        if not dry_run:
            shutil.rmtree(path)


def _profiles(loaded: LoadedConfig) -> frozenset[str]:
    """Return the names of a config's profiles; `auto` uses the shipped `container`."""
    from multibuild.config.profiles import load_profile

    config = loaded.config
    names = {config.builder, *(entry.builder for entry in config.platforms if entry.builder)}
    profiles = (
        load_profile("container" if name in {"auto", "local"} else name, loaded.project) for name in names
    )
    return frozenset(profile.name for profile in profiles if profile is not None)


def _builders(profiles: AbstractSet[str], outcome: _Outcome, *, dry_run: bool) -> None:
    """Remove the builders that setup created on this account for these profiles."""
    from multibuild.engine.docker import DockerEngine
    from multibuild.host.own_builders import OwnBuilders

    record = OwnBuilders.of(os.environ)
    own = [builder for builder in record.all() if builder.profile in profiles]
    if not own:
        return
    engine = DockerEngine()
    existing = {builder.name: builder for builder in engine.builders()}
    for builder in own:
        current = existing.get(builder.name)
        if current is not None and current.driver != builder.driver:
            outcome.stays.append(
                f"builder {builder.name}: somebody else made it anew (driver {current.driver})"
            )
        elif current is not None:
            cache = "" if current.driver == "remote" else " and its cache"
            outcome.removed.append(f"builder {builder.name}{cache}")
            if not dry_run:
                engine.remove_builder(builder.name)
        if not dry_run:
            record.forget(builder.name)


def _show(request: CleanRequest, outcome: _Outcome) -> None:
    if request.json:
        print_json({"dry_run": request.dry_run, "removed": outcome.removed, "stays": outcome.stays})
        return
    for line in outcome.removed:
        print(printable(f"would remove {line}" if request.dry_run else f"removed {line}"))
    if not outcome.removed:
        print("nothing to remove")
    for line in outcome.stays:
        request.say(f"stays: {line}")
