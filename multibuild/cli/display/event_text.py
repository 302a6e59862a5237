"""Events and steps in words: what the live table and the plain lines have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from multibuild.journal.events import Event
from multibuild.report.failure_lines import failed_proof
from multibuild.terminal import human_seconds, last_line, one_line

_STEP = re.compile(r"^\[(?:[^\]]* )?(\d+/\d+)\] (.*)$", re.DOTALL)


def sentence(event: Event) -> str | None:
    """Put an event into words, one line, without whose it is; None for what is not worth one."""
    words = _WORDS.get(event.name)
    return words(event.fields) if words is not None else None


Fields = Mapping[str, Any]


_WAVES = {
    "cached": "inputs that were built before",
    "context": "a large context, one upload",
}


def _wave_started(f: Fields) -> str:
    return f"{_WAVES[f['why']]}: {len(f['platforms'])} platforms in one process"


def _attempt_started(f: Fields) -> str:
    return f"building on {f['node']}" + (f", attempt {f['number']}" if f["number"] > 1 else "")


def _attempt_ended(f: Fields) -> str | None:
    if not f.get("class"):
        return None
    return f"attempt {f['number']} {f['outcome']} ({f['class']}): {last_line(f.get('evidence'))}"


def _waiting(f: Fields) -> str:
    alone = ", alone" if f.get("alone") else ""
    return f"{f['reason']}, trying again in {human_seconds(f['seconds'])}{alone}"


def _content_ended(f: Fields) -> str | None:
    return f"content failed: {f.get('detail', '')}" if f["status"] == "failed" else None


def _test_ended(f: Fields) -> str | None:
    if f["status"] == "skipped":
        return None
    return failed_proof("test", f) if f["status"] == "failed" else f"test {f['status']}"


_WORDS: dict[str, Callable[[Fields], str | None]] = {
    "stage.started": lambda f: f"== {f['stage']}",
    "wave.started": _wave_started,
    "attempt.started": _attempt_started,
    "attempt.ended": _attempt_ended,
    "attempt.waiting": _waiting,
    "attempt.given_up": lambda f: f"not tried again: {f['reason']}",
    "record.forgotten": lambda f: (
        f"BuildKit had lost a part of its cache: record {f['id']} was taken out of it"
    ),
    "platform.ended": lambda f: f"{f['status']} in {human_seconds(f['seconds'])}",
    "test.waiting": lambda f: f"test not run: {f['class']}, trying again in {human_seconds(f['seconds'])}",
    "test.given_up": lambda f: f"test not tried again: {f['reason']}",
    "test.ended": _test_ended,
    "content.ended": _content_ended,
    "index.composed": lambda f: f"index {f['digest']} with {f['entries']} entries",
    "tag.ended": lambda f: f"{f['ref']}: {f['status']}",
}


def short_step(name: str) -> str:
    """Give "4/9 RUN make" of BuildKit's "[builder 4/9] RUN make"; other names as they are, printable."""
    found = _STEP.match(name)
    return one_line(f"{found[1]} {found[2]}" if found else name)


def as_shown(line: str) -> str:
    """Give what a terminal would have left of a line that was written over (progress bars), printable."""
    return one_line(line.rstrip("\r").rpartition("\r")[2])
