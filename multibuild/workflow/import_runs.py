"""Import runs of other machines (`build` with `--platform`), so that `merge` can join them."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from multibuild.errors import PublishFailed, UsageError
from multibuild.files import UnsafeFile, is_plain_directory, open_plain, open_private, read_plain
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
from multibuild.journal.journal import MAX_JOURNAL_BYTES, Journal, read_journal, scan_journal
from multibuild.journal.last_run import RecordedChild, parsed_reference, recorded_children
from multibuild.journal.local_children import adopt, holder_of, is_local_child
from multibuild.journal.runs import MAX_DOCUMENT_BYTES, RunDirectory, State
from multibuild.journal.shapes import IMPORTED_PLAN
from multibuild.json_types import has_shape, parse_json
from multibuild.plan.plan_document import plan_document
from multibuild.plan.spec import Staging, repository_of
from multibuild.platforms import Platform
from multibuild.redact import redacted
from multibuild.terminal import printable

if TYPE_CHECKING:
    from multibuild.oci.registry_session import RegistrySession
    from multibuild.plan.plan import Plan
from multibuild.plan.planned_platform import PlannedPlatform

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_LOG = re.compile(r"[a-z0-9-]+\.(?:\d+|test)\.log\Z")
_PLATFORM_EVENTS = (AttemptStarted, AttemptEnded, PlatformEnded, SmokeTestEnded, ContentEnded)
"""Events to copy: those of platforms, not those of the other machine's stages."""

MAX_FILE_BYTES = MAX_JOURNAL_BYTES
"""Bytes of a journal; a thousand attempts with their evidence take a few megabytes."""

MAX_ENTRIES = 10_000
"""Files of a directory of runs or of logs that are looked at."""

MAX_RUNS = 100
"""Runs of one directory: one for each machine that built platforms."""

MAX_LOG_BYTES = 64 << 20
"""Bytes of all logs of a run that are copied; the log of a long build takes a few megabytes."""

MAX_LINE_BYTES = 1 << 20
"""Bytes of a log's line that are looked at together."""

_SPACES = bytes.maketrans(b"\r", b" ")
_DELETED = bytes({*range(0x20)} - {*b"\t\n\r\x1b"}) + b"\x7f"
"""Control characters, of which a file may consist: `printable` takes a microsecond for each."""

logger = logging.getLogger(__name__)


@frozen
class SourceRun:
    """A run of another machine: its directory, plan, journal and children."""

    directory: RunDirectory
    plan: Mapping[str, Any]
    entries: tuple[JournalEntry, ...]
    children: Mapping[str, RecordedChild]


def find_runs(folder: Path) -> tuple[SourceRun, ...]:
    """Return the run of a run or state directory (its newest), or those of a directory of such; UsageError if none."""
    paths = _entries(folder)
    own = _run_in(folder) if paths else None
    # Links in files of another machine could lead anywhere on this one, or in circles.
    inner = [path for path in paths if is_plain_directory(path)] if own is None else []
    found = (run for run in chain((own,), map(_run_in, inner)) if run is not None)
    runs = tuple(islice(found, MAX_RUNS + 1))
    if len(runs) > MAX_RUNS:
        raise UsageError(
            f"{folder} holds more than {MAX_RUNS} runs", hint="name the directories of some of them"
        )
    if not runs:
        raise UsageError(
            f"{folder} holds no run",
            hint="name what `multibuild build --state-dir DIR` left: DIR, or a directory below DIR/runs",
        )
    return runs


def _entries(folder: Path) -> tuple[Path, ...]:
    """Return what a directory of another machine holds, by name, within limits; nothing if it is no directory."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in islice(entries, MAX_ENTRIES))
    except OSError as error:
        if folder.is_dir():
            raise UsageError(f"{folder} cannot be read: {error.strerror}") from error
        return ()
    return tuple(folder / name for name in names)


def _run_in(folder: Path) -> SourceRun | None:
    """Return the run of a run directory or the newest of a state directory; None if it is neither."""
    if (folder / "journal.jsonl").is_file():
        return _read(RunDirectory(folder))
    newest = next((run for run in State(folder).runs() if run.plan_path.is_file()), None)
    return _read(newest) if newest is not None else None


def _read(directory: RunDirectory) -> SourceRun:
    """Read a run of another machine, with its size bounded and its types checked."""
    plan = _read_plan(directory.plan_path)
    journal = directory.journal_path
    if journal.is_file() and journal.stat().st_size > MAX_FILE_BYTES:
        raise UsageError(f"{journal} has more than {MAX_FILE_BYTES} bytes")
    try:
        malformed = scan_journal(journal).malformed & {event.name for event in _PLATFORM_EVENTS}
    except OSError as error:
        raise UsageError(f"{journal} {_problem(error)}") from error
    if malformed:
        raise UsageError(f"{journal}: its event {min(malformed)} is not multibuild's")
    entries = read_journal(journal)
    children = recorded_children(plan, [entry.event for entry in entries])
    return SourceRun(directory=directory, plan=plan, entries=entries, children=children)


def _read_plan(path: Path) -> Mapping[str, Any]:
    """Read the plan of another machine; UsageError for what is none."""
    try:
        plan = parse_json(read_plain(path, max_bytes=MAX_DOCUMENT_BYTES))
    except FileNotFoundError as error:
        raise UsageError(
            f"{path.parent} has no plan.json",
            hint="that run ended before it was planned; look at its journal",
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} {_problem(error)}",
            hint="bring the directory here again, as `multibuild build` left it",
        ) from error
    if not has_shape(plan, IMPORTED_PLAN):
        raise UsageError(f"{path}: it is not multibuild's plan.json")
    return cast("Mapping[str, Any]", plan)


def _problem(error: Exception) -> str:
    """Return what is wrong with a file, to follow its path."""
    if isinstance(error, UnsafeFile):
        return str(error.strerror)
    return f"cannot be read: {error.strerror if isinstance(error, OSError) else error}"


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
    with state.faults():
        _fill(run, plan, runs)
    return run


def _fill(run: RunDirectory, plan: Plan, runs: Mapping[str, SourceRun]) -> None:
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
                    journal.append(_with_own_log(entry))
            _copy_logs(source, own, run)
        ending = RunEnded(status="succeeded" if complete else "partial")
        journal.append(JournalEntry(time=max(times), event=ending))


def _with_own_log(entry: JournalEntry) -> JournalEntry:
    """Return an event without the log that it names unless that is one of its run: reports link to it."""
    event = entry.event
    if isinstance(event, AttemptStarted | AttemptEnded) and not _LOG.match(event.log.removeprefix("logs/")):
        return replace(entry, event=replace(event, log=""))
    return entry


def _copy_logs(source: SourceRun, platforms: AbstractSet[str], run: RunDirectory) -> None:
    """Copy logs: plain files with the names of logs only, as the other machine is not trusted."""
    slugs = {Platform.parse(platform).slug for platform in platforms}
    logs = source.directory.logs
    remaining = MAX_LOG_BYTES
    for path in _entries(logs) if is_plain_directory(logs) else ():
        if _LOG.match(path.name) and path.name.split(".")[0] in slugs:
            remaining -= _copy_log(path, run.logs / path.name, max_bytes=remaining)
    if remaining <= 0:
        logger.warning("%s: only the first %d bytes of its logs are imported", logs, MAX_LOG_BYTES)


def _copy_log(source: Path, target: Path, *, max_bytes: int) -> int:
    """Copy the first `max_bytes` of a log, made harmless as our own are; return how many were read.

    What is no plain file is left out.
    """
    try:
        handle = open_plain(source)
    except OSError as error:
        logger.warning("%s %s: it is not imported", source, error.strerror)
        return 0
    count = 0
    with os.fdopen(handle, "rb") as log, os.fdopen(open_private(target, os.O_WRONLY), "wb") as copy:
        while line := log.readline(min(MAX_LINE_BYTES, max_bytes - count)):
            count += len(line)
            text = line.translate(_SPACES, _DELETED).decode("utf-8", "replace")
            copy.write(printable(redacted(text)).encode("utf-8", "replace"))
    return count


def _row(source: SourceRun, planned: PlannedPlatform) -> dict[str, Any]:
    """Return the plan row of the run that built a platform; without its staging if this config has another."""
    platform = str(planned.platform)
    row = next((row for row in source.plan["platforms"] if row["platform"] == platform), None)
    if row is None:
        return {}
    own: dict[str, Any] = {key: row[key] for key in ("emulated", "node", "driver") if key in row}
    return own | _staging(row["staging"]["reference"], planned)


def _staging(reference: str, planned: PlannedPlatform) -> dict[str, Any]:
    """Return the plan's staging in a reference of another machine; nothing if this config does not stage there."""
    if not is_local_child(reference) and parsed_reference(reference) is None:
        return {}
    for staging in _stagings(planned):
        if repository_of(staging.reference) == repository_of(reference):
            return {"staging": {"kind": staging.kind, "reference": reference}}
    return {}


def _stagings(planned: PlannedPlatform) -> tuple[Staging, ...]:
    return planned.staging, *(placement.staging for placement in planned.standby)


def _repositories(planned: PlannedPlatform) -> frozenset[str]:
    """Return the repositories that a platform may be staged in, with any driver."""
    return frozenset(repository_of(staging.reference) for staging in _stagings(planned))
