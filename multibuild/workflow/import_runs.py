"""Import runs of other machines (`build` with `--platform`), so that `merge` can join them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multibuild.errors import PublishFailed, UsageError
from multibuild.frozen import frozen
from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import (
    AttemptEnded,
    AttemptStarted,
    ContentEnded,
    PlatformEnded,
    RunEnded,
    RunStarted,
    SmokeTestEnded,
)
from multibuild.journal.journal import Journal, read_journal, scan_journal
from multibuild.journal.last_run import RecordedChild, recorded_children
from multibuild.journal.local_children import adopt, holder_of, is_local_child
from multibuild.journal.runs import RunDirectory, State
from multibuild.plan.plan_document import plan_document
from multibuild.plan.spec import repository_of
from multibuild.platforms import Platform

if TYPE_CHECKING:
    from multibuild.oci.registry_session import RegistrySession
    from multibuild.plan.plan import Plan
from multibuild.plan.planned_platform import PlannedPlatform

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_LOG = re.compile(r"[a-z0-9-]+\.(?:\d+|test)\.log\Z")
_PLATFORM_EVENTS = (AttemptStarted, AttemptEnded, PlatformEnded, SmokeTestEnded, ContentEnded)
"""Events to copy: those of platforms, not those of the other machine's stages."""

MAX_FILE_BYTES = 64 << 20
"""Bytes of a plan or a journal; a thousand attempts with their evidence take a few megabytes."""


@frozen
class SourceRun:
    """A run of another machine: its directory, plan, journal and children."""

    directory: RunDirectory
    plan: Mapping[str, Any]
    entries: tuple[JournalEntry, ...]
    children: Mapping[str, RecordedChild]


def find_runs(folder: Path) -> tuple[SourceRun, ...]:
    """Return the run of a run or state directory (its newest), or those of a directory of such; UsageError if none."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else ()
    own = _run_in(folder) if paths else None
    # Links in files of another machine could lead anywhere on this one, or in circles.
    inner = [path for path in paths if path.is_dir() and not path.is_symlink()] if own is None else []
    runs = tuple(run for run in (own, *map(_run_in, inner)) if run is not None)
    if not runs:
        raise UsageError(
            f"{folder} holds no run",
            hint="name what `multibuild build --state-dir DIR` left: DIR, or a directory below DIR/runs",
        )
    return runs


def _run_in(folder: Path) -> SourceRun | None:
    """Return the run of a run directory or the newest of a state directory; None if it is neither."""
    if (folder / "journal.jsonl").is_file():
        return _read(RunDirectory(folder))
    runs = State(folder).runs() if not (folder / "runs").is_symlink() else ()
    newest = next((run for run in runs if not run.path.is_symlink() and run.plan_path.is_file()), None)
    return _read(newest) if newest is not None else None


def _read(directory: RunDirectory) -> SourceRun:
    """Read a run of another machine, with its size bounded and its types checked."""
    for path in (directory.plan_path, directory.journal_path):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise UsageError(f"{path} is no plain file")
        if path.exists() and path.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(f"{path} has more than {MAX_FILE_BYTES} bytes")
    plan = directory.load_plan()
    if plan is None:
        raise UsageError(
            f"{directory.path} has no readable plan.json",
            hint="that run ended before it was planned; look at its journal",
        )
    if not _is_plan(plan):
        raise UsageError(f"{directory.plan_path}: it is not multibuild's plan.json")
    if malformed := scan_journal(directory.journal_path).malformed & {
        event.name for event in _PLATFORM_EVENTS
    }:
        raise UsageError(f"{directory.journal_path}: its event {min(malformed)} is not multibuild's")
    entries = read_journal(directory.journal_path)
    children = recorded_children(plan, [entry.event for entry in entries])
    return SourceRun(directory=directory, plan=plan, entries=entries, children=children)


def _is_plan(plan: Mapping[str, Any]) -> bool:
    """Whether a plan has the fields that are read of it, each of its type."""
    rows = plan.get("platforms")
    return isinstance(rows, list) and all(
        isinstance(row, dict)
        and isinstance(row.get("platform"), str)
        and isinstance(row.get("staging"), dict)
        and isinstance(row["staging"].get("reference"), str)
        and all(isinstance(row.get(key) or "", str) for key in ("node", "driver"))
        and isinstance(row.get("emulated") or False, bool)
        for row in rows
    )


def check_runs(plan: Plan, runs: Sequence[SourceRun]) -> dict[str, SourceRun]:
    """Return platform → the run with its child, after checking that all runs are of this config.

    Raises UsageError for another config and for a platform that two runs built differently, PublishFailed for a
    child in a repository that this config does not stage to.
    """
    plans = {str(planned.platform): planned for planned in plan.platforms}
    sources: dict[str, SourceRun] = {}
    for run in runs:
        path = run.directory.path
        if run.plan.get("fingerprint") != plan.fingerprint:
            raise UsageError(
                f"{path}: that run was made from another config",
                hint="same commit, same multibuild.yaml, same --set and --tag, same variables? "
                f"Its fingerprint is {str(run.plan.get('fingerprint'))[:12]}, here it is {plan.fingerprint[:12]}",
            )
        for platform, child in run.children.items():
            if platform not in plans:
                continue
            if not _DIGEST.match(child.digest) or child.repository not in _repositories(plans[platform]):
                raise PublishFailed(f"{path}: {child.repository}@{child.digest} is no child of this config")
            other = sources.get(platform)
            if other is not None and other.children[platform].digest != child.digest:
                raise UsageError(
                    f"{platform} was built by {other.directory.path} and by {path}, with different results",
                    hint="import one of them",
                )
            sources.setdefault(platform, run)
    return sources


def check_children(sources: Mapping[str, SourceRun], registries: RegistrySession) -> None:
    """Raise PublishFailed with the names of children that are neither in their registry nor complete in their run."""
    from multibuild.oci.reference import Reference

    for platform, run in sources.items():
        child = run.children[platform]
        is_local = is_local_child(child.repository)
        if is_local and not holder_of(child.repository, child.digest, (run.directory,)):
            raise PublishFailed(
                f"{run.directory.path} does not hold the child for {platform}, or not all of it",
                hint="bring the whole directory here, with `children` in it, or build that platform again",
            )
    children = [run.children[platform] for platform, run in sources.items()]
    children = [child for child in children if not is_local_child(child.repository)]
    references = [Reference.parse(f"{child.repository}@{child.digest}") for child in children]
    manifests = registries.map(lambda reference: registries.of(reference.host).head(reference), references)
    missing = [
        str(reference) for reference, manifest in zip(references, manifests, strict=True) if manifest is None
    ]
    if missing:
        raise PublishFailed(
            f"the registry does not have {', '.join(missing)}",
            hint="was the registry cleaned up since? Build those platforms again",
        )


def write_imported_run(plan: Plan, runs: Mapping[str, SourceRun], state: State) -> RunDirectory:
    """Write one run, for `merge`, with the events, logs and locally staged children of all sources."""
    run = state.new_run(datetime.now(UTC))
    document = plan_document(plan)
    plans = {str(planned.platform): planned for planned in plan.platforms}
    rows = {platform: _row(source, plans[platform]) for platform, source in runs.items()}
    document["platforms"] = [{**row, **rows.get(row["platform"], {})} for row in document["platforms"]]
    run.save_plan(document)
    for platform, source in runs.items():
        child = source.children[platform]
        if is_local_child(child.repository):
            adopt(child.repository, child.digest, (source.directory,), run)
    sources = list({id(source): source for source in runs.values()}.values())
    times = [entry.time for source in sources for entry in source.entries] or [datetime.now(UTC)]
    complete = all(str(planned.platform) in runs for planned in plan.platforms)
    with Journal(run.journal_path) as journal:
        journal.append(JournalEntry(time=min(times), event=RunStarted(image=plan.image)))
        for source in sources:
            own = {platform for platform, holder in runs.items() if holder is source}
            for entry in source.entries:
                if isinstance(entry.event, _PLATFORM_EVENTS) and entry.event.platform in own:
                    journal.append(entry)
            _copy_logs(source, own, run)
        ending = RunEnded(status="succeeded" if complete else "partial")
        journal.append(JournalEntry(time=max(times), event=ending))
    return run


def _copy_logs(source: SourceRun, platforms: AbstractSet[str], run: RunDirectory) -> None:
    """Copy logs: plain files with the names of logs only, as the other machine is not trusted."""
    slugs = {Platform.parse(platform).slug for platform in platforms}
    logs = source.directory.logs
    for path in sorted(logs.iterdir()) if logs.is_dir() and not logs.is_symlink() else ():
        is_plain = path.is_file() and not path.is_symlink()
        if is_plain and _LOG.match(path.name) and path.name.split(".")[0] in slugs:
            shutil.copyfile(path, run.logs / path.name)


def _row(source: SourceRun, planned: PlannedPlatform) -> dict[str, Any]:
    """Return the plan row of the run that built a platform; without its staging if this config has another."""
    row = next(row for row in source.plan["platforms"] if row["platform"] == str(planned.platform))
    keys = ["emulated", "node", "driver"]
    if repository_of(row["staging"]["reference"]) in _repositories(planned):
        keys.append("staging")
    return {key: row[key] for key in keys if key in row}


def _repositories(planned: PlannedPlatform) -> frozenset[str]:
    """Return the repositories that a platform may be staged in, with any driver."""
    stagings = (planned.staging, *(placement.staging for placement in planned.standby))
    return frozenset(repository_of(staging.reference) for staging in stagings)
