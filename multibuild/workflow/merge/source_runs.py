"""Runs of other machines as they lie in directories: found, bounded, and with their types checked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, cast

from multibuild.config.images.names import is_name
from multibuild.errors import UsageError
from multibuild.files import UnsafeFile, is_plain_directory, read_plain
from multibuild.frozen import frozen
from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import (
    AttemptEnded,
    AttemptStarted,
    ContentEnded,
    PlatformEnded,
    PlatformInputs,
    SmokeTestEnded,
)
from multibuild.journal.journal import MAX_JOURNAL_BYTES, read_journal, scan_journal
from multibuild.journal.last_run import RecordedChild, recorded_children
from multibuild.journal.runs import MAX_DOCUMENT_BYTES, RunDirectory, State
from multibuild.journal.shapes import IMPORTED_PLAN, IMPORTED_PLAN_OF_IMAGES
from multibuild.json_types import has_shape, parse_json
from multibuild.regular_file import is_file

PLATFORM_EVENTS = (
    *(PlatformInputs, AttemptStarted, AttemptEnded),
    *(PlatformEnded, SmokeTestEnded, ContentEnded),
)
"""Events that are imported: those of platforms, not those of the other machine's stages."""

MAX_FILE_BYTES = MAX_JOURNAL_BYTES
"""Bytes of a journal; a thousand attempts with their evidence take a few megabytes."""

MAX_ENTRIES = 10_000
"""Files of a directory of runs or of logs that are looked at."""

MAX_RUNS = 256
"""Runs of one directory: as many as a CI system has jobs in a matrix."""


@frozen
class SourceRun:
    """An image of a run of another machine: its directory, plan, journal and children.

    The directory is the run's as the image sees it, in a file of several; `image` is the name, else "".
    """

    directory: RunDirectory
    plan: Mapping[str, Any]
    entries: tuple[JournalEntry, ...]
    children: Mapping[str, RecordedChild]

    def imports(self, entry: JournalEntry) -> bool:
        """Whether an entry is imported: not the inputs of a child whose files changed while it was built."""
        event = entry.event
        if isinstance(event, PlatformInputs):
            child = self.children.get(event.platform)
            return child is not None and child.inputs == event.inputs
        return isinstance(event, PLATFORM_EVENTS)

    @property
    def image(self) -> str:
        """Return the name of the image."""
        return self.directory.image


def find_runs(folder: Path) -> tuple[SourceRun, ...]:
    """Return the run of a run or state directory (its newest), or those of a directory of such; UsageError if none.

    Each run is there once for each of its images.
    """
    paths = entries_of(folder)
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
    return tuple(chain.from_iterable(runs))


def entries_of(folder: Path) -> tuple[Path, ...]:
    """Return what a directory of another machine holds, by name, within limits; nothing if it is no directory."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in islice(entries, MAX_ENTRIES))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror}") from error
    return tuple(folder / name for name in names)


def _run_in(folder: Path) -> tuple[SourceRun, ...] | None:
    """Return the run of a run directory or the newest of a state directory; None if it is neither."""
    if is_file(folder / "journal.jsonl"):
        return _read(RunDirectory(folder))
    newest = next((run for run in State(folder).runs() if is_file(run.plan_path)), None)
    return _read(newest) if newest is not None else None


def _read(directory: RunDirectory) -> tuple[SourceRun, ...]:
    """Read a run of another machine, with its size bounded and its types checked."""
    plan = _read_plan(directory.plan_path)
    journal = directory.journal_path
    if journal.is_file() and journal.stat().st_size > MAX_FILE_BYTES:
        raise UsageError(f"{journal} has more than {MAX_FILE_BYTES} bytes")
    try:
        malformed = scan_journal(journal).malformed & {event.name for event in PLATFORM_EVENTS}
    except OSError as error:
        raise UsageError(f"{journal} {_problem(error)}") from error
    if malformed:
        raise UsageError(f"{journal}: its event {min(malformed)} is not multibuild's")
    by_image: dict[str, list[JournalEntry]] = {}
    for entry in read_journal(journal):
        by_image.setdefault(entry.image, []).append(entry)
    if "images" not in plan:
        return (_source_run(directory, plan, by_image.get("", ())),)
    return tuple(
        _source_run(directory.of_image(part["name"]), part, by_image.get(part["name"], ()))
        for part in plan["images"]
    )


def _source_run(
    directory: RunDirectory, plan: Mapping[str, Any], entries: Sequence[JournalEntry]
) -> SourceRun:
    for path in (directory.folder.parent, directory.folder) if directory.image else ():
        # What is below it could be of anywhere on this machine.
        if path.is_symlink():
            raise UsageError(
                f"{path} is a link", hint="bring the directory here as `multibuild build` left it"
            )
    children = recorded_children(plan, [entry.event for entry in entries])
    return SourceRun(directory=directory, plan=plan, entries=tuple(entries), children=children)


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
    if not (has_shape(plan, IMPORTED_PLAN) or _is_plan_of_images(plan)):
        raise UsageError(f"{path}: it is not multibuild's plan.json")
    return cast("Mapping[str, Any]", plan)


def _is_plan_of_images(plan: Any) -> bool:
    """Whether it is a plan of several images, whose names are parts of paths, and different."""
    if not has_shape(plan, IMPORTED_PLAN_OF_IMAGES):
        return False
    names = [part["name"] for part in plan["images"]]
    return all(map(is_name, names)) and len(set(names)) == len(names)


def _problem(error: Exception) -> str:
    """Return what is wrong with a file, to follow its path."""
    if isinstance(error, UnsafeFile):
        return str(error.strerror)
    return f"cannot be read: {error.strerror if isinstance(error, OSError) else error}"
