"""`clean`: what runs and setup made, listed and then removed."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from multibuild.cli.output import print_json
from multibuild.cli.runs import Request, load, state_of
from multibuild.config.load import LoadedConfig
from multibuild.config.profiles import load_profile
from multibuild.engine.docker import DockerEngine
from multibuild.errors import UsageError
from multibuild.host.own_builders import OwnBuilders
from multibuild.journal.runs import RunDirectory, State
from multibuild.oci.errors import RegistryError, as_environment_fault
from multibuild.oci.registries import RegistrySession
from multibuild.terminal import printable
from multibuild.workflow.clean import decide, left_by, remove

KINDS = ("runs", "staged", "builders")


@dataclass
class _Outcome:
    """What went, and what stays with the reason; in words."""

    removed: list[str] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)
    trouble: RegistryError | None = None


def clean(request: Request, only: Sequence[str], *, keep: int, dry_run: bool) -> int:
    """Remove, or with `dry_run` list; EnvironmentFault when a run is at work or a registry cannot be read.

    `only` are some of KINDS; none means all. UsageError for anything else.

    Staged children go before the runs that know of them: what could not be deleted is tried again next time.
    """
    unknown = [name for name in only if name not in KINDS]
    if unknown:
        raise UsageError(f"--only: '{unknown[0]}' is unknown", hint=f"one of {', '.join(KINDS)}")
    what = frozenset(only or KINDS)
    loaded = load(request)
    state = state_of(request, loaded)
    outcome = _Outcome()
    with state.lock():
        going = state.runs()[keep:]
        staying = state.runs()[:keep]
        left = 0
        if "staged" in what:
            with RegistrySession(loaded.config.registry_settings, on_wait=_quietly(request)) as registries:
                left = _staged(going, staying, registries, outcome, dry_run=dry_run)
            _staged_here(going, outcome, dry_run=dry_run)
        if "runs" in what and left:
            outcome.stays.append(f"{len(going)} runs: they name children that could not be deleted yet")
        elif "runs" in what:
            _runs(state, going, outcome, dry_run=dry_run)
        if "builders" in what:
            _builders(_profiles(loaded), outcome, dry_run=dry_run)
    _show(request, outcome, dry_run=dry_run)
    if outcome.trouble is not None:
        raise as_environment_fault(outcome.trouble)
    return 0


def _quietly(request: Request) -> Callable[[str], None]:
    def say(text: str) -> None:
        if not request.quiet:
            print(printable(text), file=sys.stderr)

    return say


def _staged(
    going: Sequence[RunDirectory],
    staying: Sequence[RunDirectory],
    registries: RegistrySession,
    outcome: _Outcome,
    *,
    dry_run: bool,
) -> int:
    """Delete staged children; gives how many the registry would not delete."""
    refused = 0
    for left in left_by(going, staying):
        try:
            decided = decide(left, registries)
        except RegistryError as error:  # the others are cleaned all the same
            outcome.trouble = error
            outcome.stays.append(f"what was staged in {left.repository}")
            refused += 1
            continue
        outcome.stays += decided.stays
        for removal in decided.removals:
            trouble = None if dry_run else remove(removal, registries)
            (outcome.stays if trouble else outcome.removed).append(trouble or str(removal))
            refused += trouble is not None
    return refused


def _staged_here(going: Sequence[RunDirectory], outcome: _Outcome, *, dry_run: bool) -> None:
    """Delete the children that are in the directories of runs."""
    for run in going:
        if run.children.is_dir():
            outcome.removed.append(f"children {run.children}")
            if not dry_run:
                shutil.rmtree(run.children)


def _runs(state: State, going: Sequence[RunDirectory], outcome: _Outcome, *, dry_run: bool) -> None:
    for run in going:
        outcome.removed.append(f"run {run.path}")
        if not dry_run:
            shutil.rmtree(run.path)
    if not dry_run:
        state.point_to_newest()


def _profiles(loaded: LoadedConfig) -> frozenset[str]:
    """Name the profiles a config uses; `auto` makes the shipped one called container."""
    config = loaded.config
    named = {config.builder, *(entry.builder for entry in config.platforms if entry.builder)}
    profiles = (
        load_profile("container" if name in {"auto", "local"} else name, loaded.project) for name in named
    )
    return frozenset(profile.name for profile in profiles if profile is not None)


def _builders(profiles: AbstractSet[str], outcome: _Outcome, *, dry_run: bool) -> None:
    """Remove the builders that setup made on this account for these profiles; nobody else's."""
    record = OwnBuilders.of(os.environ)
    made = [one for one in record.all() if one.profile in profiles]
    if not made:
        return
    engine = DockerEngine()
    there = {builder.name: builder for builder in engine.builders()}
    for one in made:
        found = there.get(one.name)
        if found is not None and found.driver != one.driver:
            outcome.stays.append(f"builder {one.name}: somebody else made it anew (driver {found.driver})")
        elif found is not None:
            cache = "" if found.driver == "remote" else " and its cache"
            outcome.removed.append(f"builder {one.name}{cache}")
            if not dry_run:
                engine.remove_builder(one.name)
        if not dry_run:
            record.forget(one.name)


def _show(request: Request, outcome: _Outcome, *, dry_run: bool) -> None:
    if request.json:
        document = {"dry_run": dry_run, "removed": outcome.removed, "stays": outcome.stays}
        print_json(document)
        return
    for line in outcome.removed:
        print(printable(f"would remove {line}" if dry_run else f"removed {line}"))
    if not outcome.removed:
        print("nothing to remove")
    if not request.quiet:
        for line in outcome.stays:
            print(printable(f"stays: {line}"), file=sys.stderr)
