"""BuildKit's progress as `--progress rawjson` prints it: one JSON object a line, plain text after an error."""

from __future__ import annotations

import base64
import binascii
import codecs
import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from multibuild.frozen import frozen

TAIL_LINES = 40
"""Last lines kept of each step: what a failure is judged by."""

OPEN_STEPS = 512
"""Steps whose tails are kept at once; a build has some dozens."""


_COPIES = re.compile(r"\] (?:COPY|ADD) ")


@frozen
class Step:
    """A finished step. `seconds` is from start to completion; a cached one took none.

    `started` is by the clock of the machine that built. `vertex` is BuildKit's digest of the step: builds that have
    the same one share its work. `base` is the vertex of the image that the step's file system began as, which
    tells for which platform the step ran; empty where it began as nothing (`FROM scratch`).
    """

    name: str
    seconds: float
    cached: bool
    started: datetime | None = None
    vertex: str = ""
    base: str = ""

    def as_json(self) -> dict[str, Any]:
        """Give the journal's form: that of report.json without the platform, with `started` in RFC 3339."""
        return {
            "name": self.name,
            "seconds": round(self.seconds, 3),
            "cached": self.cached,
            "started": self.started.isoformat(timespec="milliseconds") if self.started else None,
            "vertex": self.vertex,
            "base": self.base,
        }


@dataclass(slots=True)
class _Vertex:
    name: str = ""
    inputs: tuple[str, ...] = ()
    started: datetime | None = None
    seconds: float = 0.0
    cached: bool = False
    done: bool = False
    error: str = ""
    partial: str = ""
    decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))


@frozen
class Evidence:
    """What decides the class of a failure.

    `message` is the last error text, `step` the failing step's name (empty: no step failed), `tail` its own last
    lines.
    """

    message: str
    step: str
    tail: tuple[str, ...]


class Progress:
    """Folds the stream into steps, warnings and evidence, and writes a readable log as it goes.

    `write` takes log lines (without newline); `started` is told the name of each step that starts, `said` each line
    that a step prints, as it came.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        started: Callable[[str], None],
        said: Callable[[str], None] | None = None,
    ) -> None:
        """Begin with nothing seen."""
        self._write = write
        self._started = started
        self._said = said
        self._vertices: dict[str, _Vertex] = {}
        self._plain: deque[str] = deque(maxlen=TAIL_LINES)
        self.warnings: list[str] = []

    def feed(self, line: bytes) -> None:
        """Take one line of buildx's output, whatever it holds."""
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text.startswith("{"):
            try:
                document = json.loads(text)
            except (ValueError, RecursionError):
                document = None
            if isinstance(document, dict) and document.keys() & {"vertexes", "statuses", "logs", "warnings"}:
                self.take(document)
                return
        if text.strip():
            self._plain.append(text)
            self._write(text)

    def steps(self) -> tuple[Step, ...]:
        """Give the finished steps in the order they were first seen, without BuildKit's internal ones."""
        return tuple(
            Step(
                name=vertex.name,
                seconds=vertex.seconds,
                cached=vertex.cached,
                started=vertex.started,
                vertex=digest,
                base=self._base(digest),
            )
            for digest, vertex in self._vertices.items()
            if vertex.done and not vertex.name.startswith("[internal]")
        )

    def _base(self, digest: str) -> str:
        """Follow first inputs, which are the file system a step works on, to the image it began as.

        A COPY has its sources as further inputs; with one input alone it copies onto nothing.
        """
        for _ in range(len(self._vertices)):
            vertex = self._vertices.get(digest)
            if vertex is None or vertex.name.startswith("[internal]"):
                return ""
            if not vertex.inputs:
                return digest
            if len(vertex.inputs) == 1 and _COPIES.search(vertex.name):
                return ""
            digest = vertex.inputs[0]
        return ""

    def evidence(self) -> Evidence:
        """Give what the failure is to be judged by."""
        failing = self._failing()
        errors = [line for line in self._plain if line.startswith("ERROR")]
        message = errors[-1].removeprefix("ERROR: ") if errors else (self._plain[-1] if self._plain else "")
        if not failing:
            return Evidence(message=message, step="", tail=tuple(self._plain)[-5:])
        vertex = failing[-1]
        return Evidence(message=message or vertex.error, step=vertex.name, tail=tuple(vertex.tail))

    @property
    def error(self) -> str:
        """What BuildKit says of the step that failed; empty where none did, or only because others were given up."""
        failing = self._failing()
        return failing[-1].error if failing else ""

    def _failing(self) -> list[_Vertex]:
        return [v for v in self._vertices.values() if v.error and "context canceled" not in v.error]

    def take(self, document: Mapping[str, Any]) -> None:
        """Take one status of BuildKit's, already read."""
        for vertex in _objects(document.get("vertexes")):
            self._vertex(vertex)
        for status in _objects(document.get("statuses")):
            self._transfer(status)
        for log in _objects(document.get("logs")):
            self._log(log)
        for warning in _objects(document.get("warnings")):
            text = _base64_text(warning.get("short", ""))
            self.warnings.append(text)
            self._write(f"WARNING: {text}")

    def _vertex(self, seen: Mapping[str, Any]) -> None:
        if len(self._vertices) >= OPEN_STEPS and seen.get("digest") not in self._vertices:
            return
        vertex = self._vertices.setdefault(str(seen.get("digest")), _Vertex())
        vertex.name = str(seen.get("name") or vertex.name)
        if isinstance(inputs := seen.get("inputs"), list):
            vertex.inputs = tuple(map(str, inputs))
        started, completed = _time(seen.get("started")), _time(seen.get("completed"))
        if started and vertex.started is None:
            self._write(f"--- {vertex.name}")
            self._started(vertex.name)
        vertex.started = started or vertex.started
        if seen.get("cached"):
            vertex.cached = True
        if completed and not vertex.done:
            vertex.done = True
            if vertex.started is not None and not vertex.cached:
                vertex.seconds = (completed - vertex.started).total_seconds()
            took = "CACHED" if vertex.cached else f"{vertex.seconds:.1f}s"
            self._write(f"--- {vertex.name} {took}")
        if seen.get("error"):
            vertex.error = str(seen["error"])
            self._write(f"--- {vertex.name}: {vertex.error}")

    def _transfer(self, status: Mapping[str, Any]) -> None:
        """Pushes and pulls show only as statuses; one line each when they complete."""
        if status.get("completed") and (name := status.get("name") or status.get("id")):
            self._write(f"    {name} done")

    def _log(self, log: Mapping[str, Any]) -> None:
        """Logs are chunks, not lines: keep the last unfinished line of each step."""
        key = str(log.get("vertex"))
        if len(self._vertices) >= OPEN_STEPS and key not in self._vertices:
            return
        vertex = self._vertices.setdefault(key, _Vertex())
        text = vertex.decoder.decode(_base64_bytes(log.get("data", "")))
        *lines, vertex.partial = (vertex.partial + text).split("\n")
        for line in lines:
            self._say(vertex, line.rstrip("\r"))
        if len(vertex.partial) > 100_000:
            self._say(vertex, vertex.partial)
            vertex.partial = ""

    def finish(self) -> None:
        """Flush last lines that had no newline."""
        for vertex in self._vertices.values():
            if vertex.partial:
                self._say(vertex, vertex.partial)
                vertex.partial = ""

    def _say(self, vertex: _Vertex, line: str) -> None:
        """Take a whole line of a step. The write comes last: a full disk makes it fail."""
        vertex.tail.append(line[-2000:])
        if self._said is not None:
            self._said(line)
        self._write(line)


def _time(text: Any) -> datetime | None:
    """Read BuildKit's RFC 3339 time; Python wants at most six digits of a second."""
    if not isinstance(text, str) or text.startswith("0001-"):
        return None
    head, dot, tail = text.partition(".")
    digits = tail.rstrip("Z")[:6] if dot and tail.endswith("Z") else ""
    try:
        found = datetime.fromisoformat(f"{head}.{digits}+00:00" if digits else text)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except ValueError:
        return None


def _base64_text(data: Any) -> str:
    return _base64_bytes(data).decode("utf-8", "replace")


def _base64_bytes(data: Any) -> bytes:
    try:
        return base64.b64decode(data or "", validate=False)
    except (binascii.Error, TypeError, ValueError):
        return b""


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Give what has the expected shape; a stream of another version must not end a build."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))
