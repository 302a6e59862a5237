"""The state of a project: its runs, the facts of its host, and the lock that keeps two runs apart."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from multibuild.errors import EnvironmentFault, UsageError
from multibuild.files import sync_folder, write_atomic

_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}\Z")


def state_home(environ: Mapping[str, str]) -> Path:
    """Return `$XDG_STATE_HOME/multibuild`, by default in `~/.local/state`.

    A relative `XDG_STATE_HOME` is ignored (XDG base directory specification: such paths are invalid).
    """
    base = Path(environ.get("XDG_STATE_HOME", ""))
    home = Path(environ.get("HOME") or Path.home())
    return (base if base.is_absolute() else home / ".local" / "state") / "multibuild"


def default_state_dir(project: Path, environ: Mapping[str, str]) -> Path:
    """Return `<state home>/<project>-<hash>`."""
    path = project.resolve()
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
    return state_home(environ) / f"{path.name or 'root'}-{digest}"


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """One run's files: plan.json, journal.jsonl, logs/, report.json, report.md, report.html."""

    path: Path

    @property
    def id(self) -> str:
        """The ID; IDs sort by time."""
        return self.path.name

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
        return self.path / "logs"

    @property
    def children(self) -> Path:
        """The directory of children that no registry holds: an OCI layout for each platform, named by its slug."""
        return self.path / "children"

    def log_path(self, slug: str, attempt: int) -> Path:
        """Return the path of the log of a platform's attempt (from 1)."""
        return self.logs / f"{slug}.{attempt}.log"

    def save_plan(self, document: Mapping[str, Any]) -> None:
        """Write plan.json."""
        write_atomic(self.plan_path, json.dumps(document, indent=2) + "\n")

    def load_plan(self) -> dict[str, Any] | None:
        """Read plan.json; None when the run ended before it had a plan."""
        return _load(self.plan_path)

    def save_report(self, report: Mapping[str, Any], pages: Mapping[str, str]) -> None:
        """Write report.json and further pages by file name."""
        write_atomic(self.path / "report.json", json.dumps(report, indent=2) + "\n")
        for name, text in pages.items():
            write_atomic(self.path / name, text)

    def report(self) -> dict[str, Any] | None:
        """Read report.json; None when the run was killed before it was written."""
        return _load(self.path / "report.json")


class State:
    """A project's state directory, private (0700)."""

    def __init__(self, path: Path) -> None:
        """Create no directory yet: the first write does."""
        self.path = path

    def _create(self) -> None:
        """Create the directory. One with other files keeps its mode (it may be /tmp); `runs` is always multibuild's."""
        runs = self.path / "runs"
        with self._faults():
            if not self.path.is_dir() or not any(self.path.iterdir()):
                self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
                self.path.chmod(0o700)
            runs.mkdir(exist_ok=True, mode=0o700)
            runs.chmod(0o700)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EnvironmentFault(
                f"the state directory {self.path} cannot be used: {error.strerror or error}",
                hint="choose another with --state-dir",
            ) from error

    def new_run(self, now: datetime) -> RunDirectory:
        """Create a run's directory and point `latest` to it; `now` is aware. Raises EnvironmentFault."""
        self._create()
        with self._faults():
            run = self._make_run(f"{now.astimezone(UTC):%Y%m%d-%H%M%S}")
            run.logs.mkdir(mode=0o700)
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
            ids = [run.id for run in self.runs() if _ID.match(run.id) and run.id[:-5] == second]
            number = int(max(ids)[-4:], 16) + 1 if ids else secrets.randbelow(0x8000)
            run = RunDirectory(self.path / "runs" / f"{second}-{number:04x}")
            try:
                run.path.mkdir(mode=0o700)
            except FileExistsError:
                continue
            return run

    def runs(self) -> tuple[RunDirectory, ...]:
        """Return the runs, newest first."""
        folder = self.path / "runs"
        if not folder.is_dir():
            return ()
        paths = (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        return tuple(RunDirectory(path) for path in sorted(paths, reverse=True))

    def runs_before(self, run: RunDirectory) -> tuple[RunDirectory, ...]:
        """Return the runs older than `run`, newest first."""
        return tuple(other for other in self.runs() if other.id < run.id)

    def latest(self) -> RunDirectory | None:
        """Return the run that `latest` points to, else the newest; None when there is none."""
        link = self.path / "latest"
        if link.is_symlink() and link.is_dir():
            return RunDirectory(self.path / "runs" / link.readlink().name)
        return next(iter(self.runs()), None)

    def point_to_newest(self) -> None:
        """Point `latest` to the newest run after runs were removed; remove it after the last."""
        newest = next(iter(self.runs()), None)
        with self._faults():
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
        with self._faults():
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with self._faults():
                if not _try_lock(handle):
                    holder = os.pread(handle, 200, 0).decode("utf-8", "replace").strip() or "another process"
                    raise EnvironmentFault(
                        f"another run of this project is at work: {holder}",
                        hint="wait for it, end it, or use another --state-dir",
                    )
                os.ftruncate(handle, 0)
                os.pwrite(handle, _holder().encode("utf-8", "replace"), 0)
            try:
                yield
            finally:
                os.ftruncate(handle, 0)
        finally:
            os.close(handle)

    def load_facts(self) -> dict[str, Any] | None:
        """Read facts.json: the results of the last setup or doctor; None when there is none."""
        return _load(self.path / "facts.json")

    def save_facts(self, facts: Mapping[str, Any]) -> None:
        """Write facts.json."""
        self._create()
        write_atomic(self.path / "facts.json", json.dumps(facts, indent=2))


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder() -> str:
    """Describe this process, by its command without options: those may hold secrets."""
    command = next((word for word in sys.argv[1:2] if not word.startswith("-")), "multibuild")
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"pid {os.getpid()} on {os.uname().nodename} since {since} ({command})"


def _load(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def open_log(path: Path, *, append: bool = False) -> TextIO:
    """Open a log that is written line by line; a second attempt's lines `append` to those of the first."""
    return path.open("a" if append else "w", encoding="utf-8", errors="replace", buffering=1)
