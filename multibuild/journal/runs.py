"""The state of a project: its runs, the facts of its host, and the lock that keeps two runs apart."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from multibuild.errors import EnvironmentFault, UsageError
from multibuild.files import (
    is_plain_directory,
    open_private,
    read_plain,
    remove_tree,
    sync_folder,
    write_atomic,
)
from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import Event
from multibuild.journal.journal import MAX_JOURNAL_BYTES, read_journal
from multibuild.journal.own_files import (
    MAX_FACTS_BYTES,
    is_own_run,
    is_run,
    mark_run,
    prepare_state_directory,
    require_private,
    sequence_of,
)
from multibuild.journal.project_lock import hold_project_lock, holding_command
from multibuild.journal.shapes import FACTS, PLAN, REPORT, REPORT_OF_IMAGES
from multibuild.json_types import Shape, has_shape, is_text, parse_json
from multibuild.regular_file import is_there

RUN_COMMANDS = frozenset({"all", "build", "merge"})
"""Commands that make a run."""

MAX_DOCUMENT_BYTES = 16 << 20
"""Bytes of a plan or a report; that of a dozen platforms takes less than one megabyte."""

_IDS_OF_A_SECOND = 0x10000


def state_home(environ: Mapping[str, str]) -> Path:
    """Return `$XDG_STATE_HOME/multibuild`, by default in `~/.local/state`.

    A relative `XDG_STATE_HOME` is ignored (XDG base directory specification: such paths are invalid). EnvironmentFault
    for an account without a home, as containers have them.
    """
    base = Path(environ.get("XDG_STATE_HOME", ""))
    if base.is_absolute():
        return base / "multibuild"
    try:
        home = Path(environ.get("HOME") or Path.home())
    except RuntimeError:
        raise EnvironmentFault(
            "this account has no home directory to keep runs in",
            hint="set XDG_STATE_HOME, or HOME, to a directory of its own",
        ) from None
    return home / ".local" / "state" / "multibuild"


def default_state_dir(project: Path, environ: Mapping[str, str]) -> Path:
    """Return `<state home>/<project>-<hash>`."""
    path = project.resolve()
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
    return state_home(environ) / f"{path.name or 'root'}-{digest}"


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """One run's files: plan.json, journal.jsonl, logs/, report.json, report.md, report.html.

    With an `image`, the same run as the stages of one of its images see it: that image's events, its part of the plan,
    and logs and children in a directory of its own, `images/<name>`.
    """

    path: Path
    image: str = ""

    def of_image(self, name: str) -> RunDirectory:
        """Return the run as the image called `name` sees it."""
        return RunDirectory(self.path, name)

    def views(self) -> tuple[RunDirectory, ...]:
        """Return the run as each of its images sees it; the run itself where a file described one."""
        plan = load_document(self.plan_path, PLAN) or {}
        return tuple(self.of_image(part["name"]) for part in plan.get("images", ())) or (self,)

    @property
    def folder(self) -> Path:
        """The directory of logs and children: the run's own, or the image's."""
        return self.path / "images" / self.image if self.image else self.path

    @property
    def id(self) -> str:
        """The ID, which names the second of the run's start by the clock of that time."""
        return self.path.name

    @property
    def order(self) -> tuple[int, str]:
        """The key that sorts runs as they were made, whatever the clock said: those of version 0.1 come first."""
        return sequence_of(self.path) or 0, self.id

    def is_own(self) -> bool:
        """Whether it proves to be a run that multibuild made here, which may be deleted."""
        return is_own_run(self.path)

    def remove(self) -> None:
        """Delete the run and everything in it. OSError."""
        remove_tree(self.path)

    def remove_children(self) -> None:
        """Delete the children that no registry holds, of all images, and none through a link. OSError."""
        names = sorted(path.name for path in (self.path / "images").glob("*"))
        for view in (self, *map(self.of_image, names)):
            if view.has_children:
                remove_tree(view.children)

    @property
    def plan_path(self) -> Path:
        """The path of the plan."""
        return self.path / "plan.json"

    @property
    def journal_path(self) -> Path:
        """The path of the journal."""
        return self.path / "journal.jsonl"

    @property
    def logs(self) -> Path:
        """The directory of the logs, `<slug>.<attempt>.log`."""
        return self.folder / "logs"

    @property
    def children(self) -> Path:
        """The directory of children that no registry holds: an OCI layout for each platform, named by its slug."""
        return self.folder / "children"

    @property
    def has_children(self) -> bool:
        """Whether there is a directory of children, through no link: what is in it may be removed."""
        above = (self.folder.parent, self.folder) if self.image else ()
        return all(map(is_plain_directory, (*above, self.children)))

    def create(self) -> None:
        """Create the directories of logs and, for an image, its own. OSError."""
        for folder in (self.folder.parent, self.folder, self.logs) if self.image else (self.logs,):
            folder.mkdir(mode=0o700, exist_ok=True)

    def log_name(self, slug: str, attempt: int) -> str:
        """Return the path, relative to the run's directory, of the log of a platform's attempt (from 1)."""
        return str((self.logs / f"{slug}.{attempt}.log").relative_to(self.path))

    def all_entries(self) -> tuple[JournalEntry, ...]:
        """Read the journal: the entries of the run and of all its images."""
        return read_journal(self.journal_path)

    def entries(self) -> tuple[JournalEntry, ...]:
        """Read the journal: the entries of this image and of the run."""
        return tuple(entry for entry in read_journal(self.journal_path) if entry.is_of(self.image))

    def events(self) -> tuple[Event, ...]:
        """Read the journal as `entries` does, without times."""
        return tuple(entry.event for entry in self.entries())

    def mentions(self, event: str) -> bool:
        """Whether the journal may have an event of this name: a quick look, which no event is missed by."""
        try:
            return f'"{event}"'.encode() in read_plain(self.journal_path, max_bytes=MAX_JOURNAL_BYTES)
        except FileNotFoundError:
            return False
        except OSError:
            return True  # one that is too long: its beginning is read

    def save_plan(self, document: Mapping[str, Any]) -> None:
        """Write plan.json."""
        write_atomic(self.plan_path, json.dumps(document, indent=2) + "\n")

    def load_plan(self) -> dict[str, Any] | None:
        """Read plan.json, or the image's part of it; None when the run ended before it had a plan, or it is none."""
        plan = load_document(self.plan_path, PLAN)
        if plan is None or not self.image:
            return plan
        return next((part for part in plan.get("images", ()) if part["name"] == self.image), None)

    def save_report(self, report: Mapping[str, Any], pages: Mapping[str, str]) -> None:
        """Write report.json and further pages by file name."""
        write_atomic(self.path / "report.json", json.dumps(report, indent=2) + "\n")
        for name, text in pages.items():
            write_atomic(self.path / name, text)

    def report(self) -> dict[str, Any] | None:
        """Read report.json; None when the run was killed before it was written, or what is there is none."""
        return load_document(self.path / "report.json", {"status?": is_text})

    def whole_report(self) -> dict[str, Any] | None:
        """Read report.json as `report` does, but only if it has all that a summary or a page shows."""
        path = self.path / "report.json"
        return load_document(path, REPORT) or load_document(path, REPORT_OF_IMAGES)


class State:
    """A project's state directory, private (0700)."""

    def __init__(self, path: Path, image: str = "") -> None:
        """Create no directory yet: the first write does. With an `image`, every run is as that image sees it."""
        self.path = path
        self._image = image

    def of_image(self, name: str) -> State:
        """Return the state as the image called `name` sees it."""
        return State(self.path, name)

    def _create(self) -> None:
        """Create the directory, or make one of ours private; EnvironmentFault for one that is not."""
        with self.faults():
            prepare_state_directory(self.path)

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Raise EnvironmentFault for an OSError of a file of the state."""
        try:
            yield
        except OSError as error:
            where = f": {error.filename}" if error.filename and error.filename != str(self.path) else ""
            raise EnvironmentFault(
                f"the state directory {self.path} cannot be used{where}: {error.strerror or error}",
                hint="free disk space, or choose another with --state-dir"
                if error.errno in {errno.ENOSPC, errno.EDQUOT}
                else "choose another with --state-dir",
            ) from error

    def new_run(self, now: datetime) -> RunDirectory:
        """Create a run's directory and point `latest` to it; `now` is aware. Raises EnvironmentFault."""
        self._create()
        with self.faults():
            sequence = max((run.order[0] for run in self.runs()), default=0) + 1
            run = self._make_run(f"{now.astimezone(UTC):%Y%m%d-%H%M%S}")
            mark_run(run.path, sequence)
            run.create()
            self._point_to(run)
            sync_folder(self.path / "runs")
        return run

    def _point_to(self, run: RunDirectory) -> None:
        link = self.path / f".latest.{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(Path("runs") / run.id)
        link.replace(self.path / "latest")

    def _make_run(self, second: str) -> RunDirectory:
        """Create the directory of the next free ID: random, but after those of the same second."""
        while True:
            ids = [run.id for run in self.runs() if run.id[:-5] == second]
            number = int(max(ids)[-4:], 16) + 1 if ids else secrets.randbelow(_IDS_OF_A_SECOND // 2)
            if number == _IDS_OF_A_SECOND:
                number = secrets.randbelow(_IDS_OF_A_SECOND)
            run = RunDirectory(self.path / "runs" / f"{second}-{number:04x}")
            try:
                run.path.mkdir(mode=0o700)
            except FileExistsError:
                continue
            return run

    def runs(self) -> tuple[RunDirectory, ...]:
        """Return the runs, newest first; nothing else in `runs`, nothing through a link or of another user."""
        folder = self.path / "runs"
        if not is_plain_directory(folder):
            return ()
        with self.faults():
            owner = folder.lstat().st_uid
            runs = (RunDirectory(path, self._image) for path in folder.iterdir() if is_run(path, owner))
            return tuple(sorted(runs, key=lambda run: run.order, reverse=True))

    def runs_before(self, run: RunDirectory) -> tuple[RunDirectory, ...]:
        """Return the runs older than `run`, newest first."""
        return tuple(other for other in self.runs() if other.order < run.order)

    def latest(self) -> RunDirectory | None:
        """Return the run that `latest` points to, else the newest; None when there is none."""
        link = self.path / "latest"
        runs = self.runs()
        # Path.is_symlink raises for a path that cannot be looked at.
        name = link.readlink().name if os.path.islink(link) else ""  # noqa: PTH114
        return next((run for run in runs if run.id == name), next(iter(runs), None))

    def point_to_newest(self) -> None:
        """Point `latest` to the newest run after runs were removed; remove it after the last."""
        newest = next(iter(self.runs()), None)
        with self.faults():
            if newest is None:
                (self.path / "latest").unlink(missing_ok=True)
            else:
                self._point_to(newest)

    def find(self, text: str | None) -> RunDirectory:
        """Find a run by id, unique beginning, or None or "latest" for the newest; UsageError otherwise."""
        runs = self.runs()
        newest = self.latest()
        if not runs or newest is None:
            raise UsageError(f"there are no runs in {self.path}", hint="`multibuild all` makes one")
        if text is None or text == "latest":
            return newest
        matching = [run for run in runs if run.id == text] or [run for run in runs if run.id.startswith(text)]
        if len(matching) != 1:
            listed = ", ".join(run.id for run in runs[:5])
            problem = "is no run" if not matching else f"is the beginning of {len(matching)} runs"
            raise UsageError(f"'{text}' {problem}", hint=f"the newest are {listed}")
        return matching[0]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the project; EnvironmentFault naming the holder of the lock. The kernel frees it when that ends."""
        self._create()
        with ExitStack() as held:
            with self.faults():
                held.enter_context(hold_project_lock(self.path))
            yield

    def is_running(self, run: RunDirectory) -> bool:
        """Whether a living process on this machine carries out a run: the newest, while one is at work."""
        is_newest = run == next(iter(self.runs()), None)
        return is_newest and run.report() is None and holding_command(self.path) in RUN_COMMANDS

    def load_facts(self) -> dict[str, Any] | None:
        """Read facts.json: the results of the last setup or doctor; None when there is none.

        They name the programs that builds start: EnvironmentFault if others could have written them.
        """
        if not is_there(self.path):
            return None
        require_private(self.path)
        return load_document(self.path / "facts.json", FACTS, max_bytes=MAX_FACTS_BYTES)

    def save_facts(self, facts: Mapping[str, Any]) -> None:
        """Write facts.json."""
        self._create()
        with self.faults():
            write_atomic(self.path / "facts.json", json.dumps(facts, indent=2))


def load_document(path: Path, shape: Shape, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> dict[str, Any] | None:
    """Read a JSON object of a certain shape; None when there is none, or no plain file with one."""
    try:
        document = parse_json(read_plain(path, max_bytes=max_bytes))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and has_shape(document, shape) else None


def open_log(path: Path, *, append: bool = False) -> TextIO:
    """Open a log that is written line by line; a second attempt's lines `append` to those of the first."""
    handle = open_private(path, os.O_WRONLY | (os.O_APPEND if append else 0))
    if not append:
        os.ftruncate(handle, 0)
    return os.fdopen(handle, "a" if append else "w", encoding="utf-8", errors="replace", buffering=1)
