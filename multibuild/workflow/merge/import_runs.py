"""Import runs of other machines (`build` of some images and platforms), so that `merge` can join them."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multibuild.config.images.names import MAX_LISTED
from multibuild.errors import PublishFailed, UsageError
from multibuild.files import is_plain_directory, open_plain, open_private
from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import AttemptEnded, AttemptStarted, RunEnded, RunStarted
from multibuild.journal.journal import Journal
from multibuild.journal.last_run import parsed_reference
from multibuild.journal.local_children import adopt, holder_of, is_local_child
from multibuild.journal.runs import RunDirectory, State
from multibuild.plan.plan_document import plan_document, project_document
from multibuild.plan.planned_platform import PlannedPlatform
from multibuild.plan.spec import Staging, repository_of
from multibuild.platforms import Platform
from multibuild.redact import redacted
from multibuild.terminal import printable, shorten
from multibuild.workflow.merge.source_runs import SourceRun, entries_of

if TYPE_CHECKING:
    from multibuild.oci.registry_session import RegistrySession
    from multibuild.plan.plan import Plan

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_LOG = re.compile(r"[a-z0-9-]+\.(?:\d+|test)\.log\Z")
MAX_LOG_BYTES = 64 << 20
"""Bytes of all logs of a run that are copied; the log of a long build takes a few megabytes."""

MAX_LINE_BYTES = 1 << 20
"""Bytes of a log's line that are looked at together."""

_SPACES = bytes.maketrans(b"\r", b" ")
_DELETED = bytes({*range(0x20)} - {*b"\t\n\r\x1b"}) + b"\x7f"
"""Control characters, of which a file may consist: `printable` takes a microsecond for each."""

logger = logging.getLogger(__name__)


Unit = tuple[str, str]
"""An image, "" in a file of one, and a platform."""


def check_runs(plans: Sequence[Plan], runs: Sequence[SourceRun]) -> dict[Unit, SourceRun]:
    """Return the run of each unit that has its child, after checking that all runs are of this config.

    Raises UsageError for another config and for a platform that two runs built differently, PublishFailed for a
    child in a repository that this config does not stage to.
    """
    by_name = {plan.name: plan for plan in plans}
    sources: dict[Unit, SourceRun] = {}
    for run in runs:
        plan = _plan_of(run, by_name)
        planned = {str(planned.platform): planned for planned in plan.platforms}
        for platform in run.children:
            if platform not in planned:
                continue
            _check_child(run, planned[platform])
            other = sources.setdefault((run.image, platform), run)
            if other.children[platform].digest != run.children[platform].digest:
                raise UsageError(
                    f"{_name((run.image, platform))} was built by {other.directory.path} and by"
                    f" {run.directory.path}, with different results",
                    hint="import one of them",
                )
    return sources


def _plan_of(run: SourceRun, plans: Mapping[str, Plan]) -> Plan:
    """Return the plan of a run's image; UsageError for one that was made from another config."""
    plan = plans.get(run.image)
    message = f"{run.directory.path}: that run was made from another config"
    if plan is None:
        here = shorten(", ".join(plans), MAX_LISTED) or "one, without a name"
        what = f"the image {run.image}" if run.image else "an image without a name"
        raise UsageError(message, hint=f"it built {what}; the images of this file are {here}")
    if run.plan.get("fingerprint") != plan.fingerprint:
        raise UsageError(
            f"{message}{f', of the image {run.image}' if run.image else ''}",
            hint="same commit, same multibuild.yaml, same --set and --tag, same variables? "
            f"Its fingerprint is {str(run.plan.get('fingerprint'))[:12]}, here it is {plan.fingerprint[:12]}",
        )
    return plan


def _check_child(run: SourceRun, planned: PlannedPlatform) -> None:
    child = run.children[str(planned.platform)]
    if not _DIGEST.match(child.digest) or child.repository not in _repositories(planned):
        raise PublishFailed(
            f"{run.directory.path}: {child.repository}@{child.digest} is no child of this config"
        )


def _name(unit: Unit) -> str:
    return " ".join(filter(None, unit))


def _units(plans: Iterable[Plan]) -> tuple[Unit, ...]:
    """Return what the plans build, in their order."""
    return tuple((plan.name, str(planned.platform)) for plan in plans for planned in plan.platforms)


def missing_units(plans: Iterable[Plan], sources: Mapping[Unit, SourceRun]) -> tuple[Unit, ...]:
    """Return what the plans build and no run built."""
    return tuple(unit for unit in _units(plans) if unit not in sources)


def check_children(sources: Mapping[Unit, SourceRun], registries: RegistrySession) -> None:
    """Raise PublishFailed with the names of children that are neither in their registry nor complete in their run."""
    from multibuild.oci.reference import Reference

    for unit, run in sources.items():
        child = run.children[unit[1]]
        is_local = is_local_child(child.repository)
        if is_local and not holder_of(child.repository, child.digest, (run.directory,)):
            raise PublishFailed(
                f"{run.directory.path} does not hold the child for {_name(unit)}, or not all of it",
                hint="bring the whole directory here, with `children` in it, or build that platform again",
            )
    children = [run.children[platform] for (_, platform), run in sources.items()]
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


def write_imported_run(
    plans: Sequence[Plan], sources: Mapping[Unit, SourceRun], state: State
) -> RunDirectory:
    """Write one run, for `merge`, with the events, logs and locally staged children of all sources."""
    run = state.new_run(datetime.now(UTC))
    with state.faults():
        _fill(run, plans, sources)
    return run


def _fill(run: RunDirectory, plans: Sequence[Plan], sources: Mapping[Unit, SourceRun]) -> None:
    run.save_plan(_document(plans, sources))
    runs = list({id(source): source for source in sources.values()}.values())
    times = [entry.time for source in runs for entry in source.entries] or [datetime.now(UTC)]
    image = "" if plans[0].name else plans[0].image
    with Journal(run.journal_path) as journal:
        journal.append(JournalEntry(time=min(times), event=RunStarted(image=image)))
        for source in runs:
            own = {platform for (_, platform), holder in sources.items() if holder is source}
            view = run.of_image(source.image) if source.image else run
            view.create()
            _adopt_children(source, own, view)
            for entry in source.entries:
                if source.imports(entry) and getattr(entry.event, "platform", None) in own:
                    journal.append(_with_own_log(entry, view))
            _copy_logs(source, own, view)
        status = "partial" if missing_units(plans, sources) else "succeeded"
        journal.append(JournalEntry(time=max(times), event=RunEnded(status=status)))


def _document(plans: Sequence[Plan], sources: Mapping[Unit, SourceRun]) -> dict[str, Any]:
    """Return the plan of the imported run, in which each platform has the row of the run that built it."""
    document = project_document(plans) if plans[0].name else plan_document(plans[0])
    parts = document["images"] if plans[0].name else [document]
    for plan, part in zip(plans, parts, strict=True):
        rows = {
            str(planned.platform): _row(sources[unit], planned)
            for planned in plan.platforms
            if (unit := (plan.name, str(planned.platform))) in sources
        }
        part["platforms"] = [{**row, **rows.get(row["platform"], {})} for row in part["platforms"]]
    return document


def _adopt_children(source: SourceRun, platforms: AbstractSet[str], run: RunDirectory) -> None:
    """Copy locally staged children into the run."""
    for platform in platforms:
        child = source.children[platform]
        if is_local_child(child.repository):
            adopt(child.repository, child.digest, (source.directory,), run)


def _with_own_log(entry: JournalEntry, run: RunDirectory) -> JournalEntry:
    """Return an event without the log that it names unless that is one of its run: reports link to it."""
    event = entry.event
    if isinstance(event, AttemptStarted | AttemptEnded):
        folder = f"{run.logs.relative_to(run.path)}/"
        if not (event.log.startswith(folder) and _LOG.match(event.log.removeprefix(folder))):
            return replace(entry, event=replace(event, log=""))
    return entry


def _copy_logs(source: SourceRun, platforms: AbstractSet[str], run: RunDirectory) -> None:
    """Copy logs: plain files with the names of logs only, as the other machine is not trusted."""
    slugs = {Platform.parse(platform).slug for platform in platforms}
    logs = source.directory.logs
    remaining = MAX_LOG_BYTES
    for path in entries_of(logs) if is_plain_directory(logs) else ():
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
