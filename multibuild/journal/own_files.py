"""What proves that multibuild made a directory: nothing is changed, and nothing deleted, by its name alone.

A state directory may be any that `--state-dir` names, and hold files of others: it is used only if what has the names
of multibuild's files in it looks like them. A run proves itself by its name, its owner, and its marker, or, as version
0.1 wrote no marker, by the first event of its journal.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from pathlib import Path

from multibuild.errors import EnvironmentFault
from multibuild.files import (
    make_private_directory,
    open_plain,
    open_private,
    read_plain,
    require_own_directory,
)
from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import RunStarted
from multibuild.journal.shapes import FACTS
from multibuild.json_types import has_shape, parse_json

RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}\Z")

STATE_MARKER, RUN_MARKER = "multibuild-state", "multibuild-run"
"""Names of marker files. They are not hidden: uploads of CI systems leave hidden files out."""

OWN_NAMES = frozenset({STATE_MARKER, "runs", "lock", "latest", "facts.json", "layers"})
"""Names in a state directory."""

MAX_FACTS_BYTES = 1 << 20
"""Bytes of facts.json; a node takes some hundred."""

MAX_MARKER_BYTES = 100
"""Bytes of a marker."""

MAX_LOCK_BYTES = 1000
"""Bytes of the description of a lock's holder."""

MAX_FIRST_EVENT_BYTES = 1 << 16
"""Bytes of a journal's first event, which holds the image and a few versions."""

_RUN_MARKER = re.compile(rb"multibuild run (\d{1,80})\n\Z")
_LOCK = re.compile(rb"(?:pid \d+ on [^\n]*)?\Z")
_LAYER = re.compile(r"\.?v\d+-[0-9a-f]{64}\.json")


def prepare_state_directory(path: Path) -> None:
    """Create a state directory, or make an existing one private. OSError, or EnvironmentFault for one of others."""
    make_private_directory(path)
    names = _names(path)
    require_owner(path)
    if names:
        require_private(path)
    if STATE_MARKER not in names:
        _require_own_names(path, names)
    if names <= OWN_NAMES:  # a directory with other things in it keeps its mode
        path.chmod(0o700)
    runs = path / "runs"
    runs.mkdir(exist_ok=True, mode=0o700)
    require_own_directory(runs)
    runs.chmod(0o700)
    _write_marker(path / STATE_MARKER, "multibuild state\n")


def require_private(path: Path) -> None:
    """Raise EnvironmentFault for a state directory that others own or may write to: they could replace its files.

    The group of a user alone (user-private groups, with umask 002) is not others.
    """
    require_owner(path)
    if _is_writable_for_others(path):
        raise EnvironmentFault(
            f"the state directory {path} can be written by other users",
            hint=f"`chmod go-w {path}`, or name a directory in it that does not exist yet with --state-dir",
        )


def require_owner(path: Path) -> None:
    """Raise EnvironmentFault for a state directory of another user, or one that another user's link leads to."""
    target, link = path.stat().st_uid, path.lstat().st_uid
    owner = target if link in {0, target} else link
    if owner != os.geteuid():
        raise EnvironmentFault(
            f"the state directory {path} belongs to another user (uid {owner}, this is {os.geteuid()})",
            hint="choose another with --state-dir, or run multibuild as that user",
        )


def _is_writable_for_others(path: Path) -> bool:
    status = path.stat()
    by_group = status.st_mode & stat.S_IWGRP and not _is_private_group(status.st_gid)
    return bool(status.st_mode & stat.S_IWOTH or by_group)


def _is_private_group(group_id: int) -> bool:
    """Whether a group is a user's own: it has the user's name, and no other members."""
    try:
        group, user = grp.getgrgid(group_id), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return group.gr_name == user.pw_name and user.pw_gid == group_id and set(group.gr_mem) <= {user.pw_name}


def _require_own_names(path: Path, names: set[str]) -> None:
    """Raise EnvironmentFault if a file of others has the name of one of ours."""
    if _holds_runs(path):
        return
    for name in sorted(names & OWN_NAMES):
        if not _looks_own(path / name):
            raise EnvironmentFault(
                f"{path / name} is not multibuild's, and would have to be replaced",
                hint="choose another directory with --state-dir",
            )


def _holds_runs(path: Path) -> bool:
    """Whether a directory without a marker is a state directory of version 0.1, by its runs.

    One of them is ours, or all have names of runs and `latest` points to one.
    """
    runs, latest = path / "runs", path / "latest"
    try:
        require_own_directory(runs)
        is_linked = latest.is_symlink() and latest.readlink().parts[:1] == ("runs",)
        names = _names(runs)
        all_named = is_linked and all(map(RUN_ID.match, names))
        return bool(names) and (all_named or any(is_own_run(runs / name) for name in names))
    except OSError:
        return False


def _looks_own(path: Path) -> bool:
    """Whether what has the name of one of our files could be that file, as version 0.1 wrote it."""
    try:
        match path.name:
            case "runs":
                require_own_directory(path)
                return not _names(path)
            case "layers":
                require_own_directory(path)
                return all(map(_LAYER.match, _names(path)))
            case "latest":
                return path.is_symlink() and path.readlink().parts[:1] == ("runs",)
            case "facts.json":
                facts = parse_json(read_plain(path, max_bytes=MAX_FACTS_BYTES))
                return has_shape(facts, FACTS) and (not facts or bool(facts.keys() & _FACTS_KEYS))
            case _:
                return _LOCK.match(read_plain(path, max_bytes=MAX_LOCK_BYTES)) is not None
    except (OSError, ValueError):
        return False


_FACTS_KEYS = {"nodes", "for_builder", "probed"}


def is_run(path: Path, owner: int) -> bool:
    """Whether a directory may be a run, by its name and owner, and its children are in it: runs remove stale ones."""
    try:
        status = path.lstat()
    except OSError:
        return False
    is_named = RUN_ID.match(path.name) is not None and stat.S_ISDIR(status.st_mode)
    return is_named and status.st_uid == owner and not (path / "children").is_symlink()


def is_own_run(path: Path) -> bool:
    """Whether a directory proves to be a run that multibuild made for this user."""
    try:
        require_own_directory(path)
        return is_run(path, os.geteuid()) and (
            sequence_of(path) is not None or _begins_with_a_run(path) or _is_empty_run(path)
        )
    except OSError:
        return False


def sequence_of(run: Path) -> int | None:
    """Return the number of a run, by which runs are ordered, from its marker; None without one, as of version 0.1."""
    try:
        match = _RUN_MARKER.match(read_plain(run / RUN_MARKER, max_bytes=MAX_MARKER_BYTES))
    except OSError:
        return None
    return int(match[1]) if match else None


def mark_run(run: Path, sequence: int) -> None:
    """Write the marker of a new run."""
    _write_marker(run / RUN_MARKER, f"multibuild run {sequence}\n")


def _write_marker(path: Path, text: str) -> None:
    with os.fdopen(open_private(path, os.O_WRONLY), "w", encoding="ascii") as file:
        file.truncate(0)
        file.write(text)


def _begins_with_a_run(run: Path) -> bool:
    try:
        with os.fdopen(open_plain(run / "journal.jsonl"), "rb") as file:
            document = parse_json(file.readline(MAX_FIRST_EVENT_BYTES))
        return isinstance(document, dict) and isinstance(JournalEntry.from_json(document).event, RunStarted)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _is_empty_run(run: Path) -> bool:
    """Whether a run holds nothing but an empty directory of logs, as after a kill before its first event."""
    return _names(run) == {"logs"} and not _names(run / "logs")


def _names(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()}
