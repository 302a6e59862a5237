"""`clean`: removes staged children, then the runs that list them, and builders of the config's profiles."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime

from multibuild.config.load import LoadedConfig
from multibuild.config.profiles import load_profile
from multibuild.engine.docker import DockerEngine
from multibuild.engine.engine import Engine
from multibuild.host.own_builders import OwnBuilder, OwnBuilders
from multibuild.journal.runs import RunDirectory, State
from multibuild.oci.errors import RegistryError
from multibuild.oci.limits import RUN_LIMITS
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.host_facts import recorded_facts
from multibuild.plan.plan import make_plan
from multibuild.workflow.clean.handed_over import abandoned, staging_repositories
from multibuild.workflow.clean.registries import Leftovers, collect_leftovers, plan_cleanup, remove


@dataclass
class CleanOutcome:
    """What was (or would be) removed, and what stays with the reason, as text; the last `error` of a registry."""

    removed: list[str] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)
    error: RegistryError | None = None


def clean_up(
    images: Sequence[LoadedConfig],
    state: State,
    kinds: AbstractSet[str],
    *,
    keep: int,
    older_than: datetime,
    dry_run: bool,
    on_wait: Callable[[str], None],
) -> CleanOutcome:
    """Remove the `kinds` ("staged", "runs", "builders", "handed-over") of all runs but the `keep` newest.

    What was handed over, by whatever machine, is removed if it is `older_than` a time. `images` are those of the
    config, which says how to reach registries and what builders are its own.
    """
    outcome = CleanOutcome()
    # Staged children go before the runs that list them, so that the next `clean` can try the rest again.
    with state.lock():
        runs = state.runs()
        retained, others = runs[:keep], [run for run in runs[keep:] if not run.is_own()]
        expired = [run for run in runs[keep:] if run not in others]
        outcome.stays += [f"{run.path}: nothing in it proves that multibuild made it" for run in others]
        refused = 0
        if "staged" in kinds:
            with _registries(images, on_wait) as registries:
                refused = _staged(expired, retained, registries, outcome, dry_run=dry_run)
            for run in expired:
                if any(view.has_children for view in run.views()):
                    _delete(f"children {run.children}", run.remove_children, outcome, dry_run=dry_run)
        if "runs" in kinds and refused:
            outcome.stays.append(f"{len(expired)} runs: they name children that could not be deleted yet")
        elif "runs" in kinds:
            for run in expired:
                _delete(f"run {run.path}", run.remove, outcome, dry_run=dry_run)
            if not dry_run:
                state.point_to_newest()
        if "handed-over" in kinds:
            facts = state.load_facts()
            plans = [make_plan(loaded, recorded_facts(facts, loaded.config.builder)) for loaded in images]
            with _registries(images, on_wait) as registries:
                for repository in staging_repositories(plans):
                    _remove_abandoned(repository, registries, outcome, older_than, dry_run=dry_run)
        if "builders" in kinds:
            record = OwnBuilders.of(os.environ)
            profiles = {name for loaded in images for name in _profiles(loaded)}
            own = [builder for builder in record.all() if builder.profile in profiles]
            if own:
                with record.lock(on_wait):
                    remove_builders(own, record, DockerEngine(), outcome, dry_run=dry_run)
    return outcome


def _staged(
    expired: Sequence[RunDirectory],
    retained: Sequence[RunDirectory],
    registries: RegistrySession,
    outcome: CleanOutcome,
    *,
    dry_run: bool,
) -> int:
    """Delete staged children; return how many the registry would not delete."""
    refused = 0
    for leftovers in collect_leftovers(expired, retained):
        try:
            refused += _remove(leftovers, registries, outcome, dry_run=dry_run)
        except RegistryError as error:  # the others are cleaned all the same
            outcome.error = error
            outcome.stays.append(f"what was staged in {leftovers.repository}")
            refused += 1
    return refused


def _remove(
    leftovers: Leftovers, registries: RegistrySession, outcome: CleanOutcome, *, dry_run: bool
) -> int:
    """Remove what a repository holds of no use; return how many the registry would not delete."""
    cleanup = plan_cleanup(leftovers, registries)
    outcome.stays += cleanup.retentions
    refused = 0
    for removal in cleanup.removals:
        refusal = None if dry_run else remove(removal, registries)
        (outcome.stays if refusal else outcome.removed).append(refusal or str(removal))
        refused += refusal is not None
    return refused


def _remove_abandoned(
    repository: Reference,
    registries: RegistrySession,
    outcome: CleanOutcome,
    older_than: datetime,
    *,
    dry_run: bool,
) -> None:
    """Remove what was handed over in a repository before a time and no merge took."""
    try:
        leftovers = abandoned(repository, registries, before=older_than)
        _remove(leftovers, registries, outcome, dry_run=dry_run)
    except RegistryError as error:
        outcome.error = error
        outcome.stays.append(f"what was handed over in {repository}")


def _registries(images: Sequence[LoadedConfig], on_wait: Callable[[str], None]) -> RegistrySession:
    settings = {host: one for loaded in images for host, one in loaded.config.registry_settings.items()}
    return RegistrySession(settings, on_wait=on_wait, limits=RUN_LIMITS)


def _delete(label: str, remove_it: Callable[[], None], outcome: CleanOutcome, *, dry_run: bool) -> None:
    try:
        if not dry_run:
            remove_it()
    except OSError as error:
        outcome.stays.append(f"{label}: {error.strerror or error}")
    else:
        outcome.removed.append(label)


def _profiles(loaded: LoadedConfig) -> frozenset[str]:
    """Return the names of a config's profiles; `auto` uses the shipped `container`."""
    config = loaded.config
    names = {config.builder, *(entry.builder for entry in config.platforms if entry.builder)}
    profiles = (
        load_profile("container" if name in {"auto", "local"} else name, loaded.project) for name in names
    )
    return frozenset(profile.name for profile in profiles if profile is not None)


def remove_builders(
    own: Sequence[OwnBuilder], record: OwnBuilders, engine: Engine, outcome: CleanOutcome, *, dry_run: bool
) -> None:
    """Remove builders that setup created on this account, none that builds for another run.

    A remote BuildKit stays where it is: only its name is removed, whatever it builds.
    """
    existing = {builder.name: builder for builder in engine.builders()}
    for builder in own:
        current = existing.get(builder.name)
        if current is not None and current.driver != builder.driver:
            outcome.stays.append(
                f"builder {builder.name}: somebody else made it anew (driver {current.driver})"
            )
        elif current is not None and current.driver != "remote" and engine.running_builds(builder.name):
            outcome.stays.append(f"builder {builder.name}: it builds for another run")
            continue
        elif current is not None:
            cache = "" if current.driver == "remote" else " and its cache"
            outcome.removed.append(f"builder {builder.name}{cache}")
            if not dry_run:
                engine.remove_builder(builder.name)
        if not dry_run:
            record.forget(builder.name)
