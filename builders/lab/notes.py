"""What the lab changed on the machine, written down before it is done, so that `down` can undo it after any crash."""

from __future__ import annotations

from pathlib import Path


def add(notes: Path, line: str) -> None:
    """Note a line once."""
    if line not in lines(notes):
        notes.parent.mkdir(parents=True, exist_ok=True)
        with notes.open("a") as stream:
            stream.write(f"{line}\n")


def lines(notes: Path) -> tuple[str, ...]:
    """Give what was noted; nothing when there are no notes."""
    try:
        return tuple(notes.read_text().splitlines())
    except FileNotFoundError:
        return ()
