"""A record of what the lab changes on the machine, written first, so that `down` can undo it after any crash."""

from __future__ import annotations

from pathlib import Path


def add(notes: Path, line: str) -> None:
    """Add a line once."""
    if line not in lines(notes):
        notes.parent.mkdir(parents=True, exist_ok=True)
        with notes.open("a") as stream:
            stream.write(f"{line}\n")


def lines(notes: Path) -> tuple[str, ...]:
    """Return the lines; none if there is no file."""
    try:
        return tuple(notes.read_text().splitlines())
    except FileNotFoundError:
        return ()
