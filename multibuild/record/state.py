"""The state of a project: its runs, the facts of its host, and the lock that keeps two runs apart."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from multibuild.errors import EnvironmentFault, UsageError


def default_state_dir(project: Path, environ: Mapping[str, str]) -> Path:
    """Give `$XDG_STATE_HOME/multibuild/<project>-<hash>` (XDG base directory specification's default where unset)."""
    base = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME") or Path.home()) / ".local" / "state")
    whole = project.resolve()
    mark = hashlib.sha256(str(whole).encode()).hexdigest()[:8]
    return Path(base) / "multibuild" / f"{whole.name or 'root'}-{mark}"


def write_atomic(path: Path, content: str | bytes, *, mode: int = 0o600) -> None:
    """Write a file so that a reader, or a kill, sees the old or the new content, never half of it."""
    data = content.encode() if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """One run's files: plan.json, journal.jsonl, logs/, report.json, report.md, report.html."""

    path: Path

    @property
    def id(self) -> str:
        """The run's id; ids sort by time."""
        return self.path.name

    @property
    def journal_path(self) -> Path:
        """Where the journal is."""
        return self.path / "journal.jsonl"

    @property
    def logs(self) -> Path:
        """Where the logs are: `<slug>.<attempt>.log`."""
        return self.path / "logs"

    def save_plan(self, document: Mapping[str, Any]) -> None:
        """Write plan.json."""
        write_atomic(self.path / "plan.json", json.dumps(document, indent=2))

    def load_plan(self) -> dict[str, Any] | None:
        """Read plan.json; None when the run ended before it had a plan."""
        return _load(self.path / "plan.json")

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
        """Name the directory; it is made when something is written."""
        self.path = path

    def _ready(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.chmod(0o700)
            (self.path / "runs").mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise EnvironmentFault(
                f"the state directory {self.path} cannot be used: {error.strerror}",
                hint="choose another with --state-dir",
            ) from error

    def new_run(self, now: datetime) -> RunDirectory:
        """Make a run's directory and point `latest` to it."""
        self._ready()
        run = RunDirectory(self.path / "runs" / f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}")
        run.path.mkdir(mode=0o700)
        run.logs.mkdir(mode=0o700)
        link = self.path / f".latest.{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            link.unlink()
        link.symlink_to(Path("runs") / run.id)
        link.replace(self.path / "latest")
        return run

    def runs(self) -> tuple[RunDirectory, ...]:
        """Give the runs, newest first."""
        folder = self.path / "runs"
        found = (
            sorted((path for path in folder.iterdir() if path.is_dir()), reverse=True)
            if folder.is_dir()
            else []
        )
        return tuple(RunDirectory(path) for path in found)

    def find(self, text: str | None) -> RunDirectory:
        """Find a run by id, unique beginning, or None or "latest" for the newest; UsageError otherwise."""
        runs = self.runs()
        if not runs:
            raise UsageError(f"there are no runs in {self.path}", hint="`multibuild all` makes one")
        if text in {None, "latest"}:
            return runs[0]
        matching = [run for run in runs if run.id.startswith(str(text))]
        if len(matching) != 1:
            newest = ", ".join(run.id for run in runs[:5])
            problem = "is no run" if not matching else f"is the beginning of {len(matching)} runs"
            raise UsageError(f"'{text}' {problem}", hint=f"the newest are {newest}")
        return matching[0]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs of this project out; EnvironmentFault naming the holder when one is at work.

        The kernel drops the lock with its holder, however that one ended.
        """
        self._ready()
        with (self.path / "lock").open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise EnvironmentFault(
                    f"another run of this project is at work: {holder}",
                    hint="wait for it, end it, or use another --state-dir",
                ) from None
            file.truncate(0)
            file.write(f"pid {os.getpid()} on {socket.gethostname()} ({' '.join(sys.argv[1:2])})")
            file.flush()
            yield
            file.truncate(0)

    def load_facts(self) -> dict[str, Any] | None:
        """Read facts.json: what the last setup or doctor found; None when there is none."""
        return _load(self.path / "facts.json")

    def save_facts(self, facts: Mapping[str, Any]) -> None:
        """Write facts.json."""
        self._ready()
        write_atomic(self.path / "facts.json", json.dumps(facts, indent=2))


def _load(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None
