"""Reader of BuildKit's `--progress rawjson`: one JSON object a line, plain text after an error."""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from multibuild.buildx.vertex import TAIL_LINES, OpenStep, Step, Vertex
from multibuild.failures.evidence import Evidence
from multibuild.redact import redacted
from multibuild.terminal import printable

MAX_OPEN_STEPS = 512
"""Steps that are kept; a build has some dozens."""

MAX_NAME_CHARACTERS = 64 << 10
"""Of a step's name and of its error; a line of a Dockerfile is no longer in BuildKit (bufio.MaxScanTokenSize)."""

MAX_ID_CHARACTERS = 256
"""Of BuildKit's digests and IDs."""

MAX_WARNINGS = 1000
MAX_WARNING_CHARACTERS = 4096
MAX_PARTIAL_CHARACTERS = 100_000
"""Of a line without an end; the rest becomes another line."""

_COPIES = re.compile(r"\] (?:COPY|ADD) ")


class Progress:
    """Collector of a build's steps, warnings and evidence in bounded memory, which also writes a readable log.

    `write_log` is called with each log line, printable and without newline, `on_step` with the name of each step that
    starts, `on_line` with each line that a step prints. `clock` tells how long a step has been silent.
    """

    def __init__(
        self,
        write_log: Callable[[str], None],
        on_step: Callable[[str], None],
        on_line: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start without any step."""
        self._clock = clock
        self._log_writer = write_log
        self._on_step = on_step
        self._on_line = on_line
        self._vertices: dict[str, Vertex] = {}
        self._plain: deque[str] = deque(maxlen=TAIL_LINES)
        self.warnings: list[str] = []

    def feed(self, line: bytes) -> None:
        """Read one line of buildx's output, of any form."""
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text.startswith("{"):
            try:
                document = json.loads(text)
            except (ValueError, RecursionError):
                document = None
            if isinstance(document, dict) and document.keys() & {"vertexes", "statuses", "logs", "warnings"}:
                self.apply(document)
                return
        text = redacted(text)
        if text.strip():
            self._plain.append(text[-MAX_NAME_CHARACTERS:])
            self._write_log(text)

    def steps(self) -> tuple[Step, ...]:
        """Return the finished steps in order of first appearance, without BuildKit's internal ones."""
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
            if vertex.done and not vertex.is_internal
        )

    def running_step(self) -> str:
        """Return the name of the step that began last and has not ended; empty if none is running."""
        running = [
            vertex.name
            for vertex in self._vertices.values()
            if vertex.started and not vertex.done and not vertex.is_internal
        ]
        return running[-1] if running else ""

    def open_steps(self) -> tuple[OpenStep, ...]:
        """Return the steps that run or were cancelled, without BuildKit's internal ones."""
        return tuple(
            OpenStep(vertex=digest, evidence=vertex.evidence(""), last_output=vertex.last_output)
            for digest, vertex in self._vertices.items()
            if vertex.is_open and not vertex.is_internal
        )

    def _base(self, digest: str) -> str:
        """Follow first inputs, which are the file system that a step works on, to the image at the bottom.

        A COPY has its sources as further inputs; a COPY with a single input copies onto scratch.
        """
        for _ in range(len(self._vertices)):
            vertex = self._vertices.get(digest)
            if vertex is None or vertex.is_internal:
                return ""
            if not vertex.inputs:
                return digest
            if len(vertex.inputs) == 1 and _COPIES.search(vertex.name):
                return ""
            digest = vertex.inputs[0]
        return ""

    def evidence(self) -> Evidence:
        """Return the evidence of the build's failure."""
        failing = self._failing()
        errors = [line for line in self._plain if line.startswith("ERROR")]
        message = errors[-1].removeprefix("ERROR: ") if errors else (self._plain[-1] if self._plain else "")
        if not failing:
            return Evidence(message=message, step="", tail=tuple(self._plain)[-5:])
        return failing[-1].evidence(message or failing[-1].error)

    @property
    def error(self) -> str:
        """BuildKit's error of the step that failed; empty without one, also when steps were only cancelled."""
        failing = self._failing()
        return failing[-1].error if failing else ""

    def _failing(self) -> list[Vertex]:
        return [vertex for vertex in self._vertices.values() if vertex.has_failed]

    def apply(self, document: Mapping[str, Any]) -> None:
        """Apply one parsed status of BuildKit."""
        for vertex in _objects(document.get("vertexes")):
            self._vertex(vertex)
        for status in _objects(document.get("statuses")):
            self._transfer(status)
        for log in _objects(document.get("logs")):
            self._log(log)
        for warning in _objects(document.get("warnings")):
            text = redacted(_base64_text(warning.get("short", "")))
            if len(self.warnings) < MAX_WARNINGS:
                self.warnings.append(text[:MAX_WARNING_CHARACTERS])
            self._write_log(f"WARNING: {text}")

    def _vertex(self, update: Mapping[str, Any]) -> None:
        vertex = self._vertex_of(update.get("digest"))
        if vertex is None:
            return
        vertex.name = redacted(plain_text(update.get("name")))[:MAX_NAME_CHARACTERS] or vertex.name
        if isinstance(inputs := update.get("inputs"), list):
            # The first is followed, and whether there is a second matters.
            vertex.inputs = tuple(plain_text(digest)[:MAX_ID_CHARACTERS] for digest in inputs[:2])
        started, completed = _time(update.get("started")), _time(update.get("completed"))
        if started and vertex.started is None:
            vertex.last_output = self._clock()
            self._write_log(f"--- {vertex.name}")
            self._on_step(vertex.name)
        vertex.started = started or vertex.started
        if update.get("cached"):
            vertex.cached = True
        if completed and not vertex.done:
            vertex.done = True
            if vertex.started is not None and not vertex.cached:
                vertex.seconds = (completed - vertex.started).total_seconds()
            duration = "CACHED" if vertex.cached else f"{vertex.seconds:.1f}s"
            self._write_log(f"--- {vertex.name} {duration}")
        if error := redacted(plain_text(update.get("error"))):
            vertex.error = error[-MAX_NAME_CHARACTERS:]
            self._write_log(f"--- {vertex.name}: {vertex.error}")

    def _transfer(self, status: Mapping[str, Any]) -> None:
        """Log a completed push or pull, which BuildKit reports as a status only."""
        if status.get("completed") and (name := plain_text(status.get("name") or status.get("id"))):
            self._write_log(f"    {redacted(name)} done")

    def _write_log(self, text: str) -> None:
        """Write a line that commands no terminal: `cat` shows a log as it is."""
        self._log_writer(printable(text.replace("\r", " ")))

    def _log(self, log: Mapping[str, Any]) -> None:
        """Split a step's output, which comes in chunks, into lines; the last unfinished line is kept."""
        vertex = self._vertex_of(log.get("vertex"))
        if vertex is None:
            return
        vertex.last_output = self._clock()
        text = vertex.decoder.decode(_base64_bytes(log.get("data", "")))
        *lines, vertex.partial = (vertex.partial + text).split("\n")
        for line in lines:
            self._add_line(vertex, line.rstrip("\r"))
        if len(vertex.partial) > MAX_PARTIAL_CHARACTERS:
            self._add_line(vertex, vertex.partial)
            vertex.partial = ""

    def _vertex_of(self, digest: Any) -> Vertex | None:
        """Return the step with a digest; None for a new one beyond MAX_OPEN_STEPS."""
        key = plain_text(digest)[:MAX_ID_CHARACTERS]
        if key not in self._vertices and len(self._vertices) < MAX_OPEN_STEPS:
            self._vertices[key] = Vertex()
        return self._vertices.get(key)

    def finish(self) -> None:
        """Flush last lines without newline."""
        for vertex in self._vertices.values():
            if vertex.partial:
                self._add_line(vertex, vertex.partial)
                vertex.partial = ""

    def _add_line(self, vertex: Vertex, line: str) -> None:
        """Add a whole line of a step. The log is written last: that fails on a full disk."""
        line = redacted(line)
        vertex.tail.append(line[-2000:])
        vertex.decisive.add(line)
        if self._on_line is not None:
            self._on_line(line)
        self._write_log(line)


def plain_text(value: Any) -> str:
    """Return a text of a JSON document as UTF-8 can encode it: JSON has halves of surrogate pairs; "" if it is none."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _time(text: Any) -> datetime | None:
    """Parse BuildKit's RFC 3339 time; Python reads at most six digits of a second."""
    if not isinstance(text, str) or text.startswith("0001-"):
        return None
    head, dot, tail = text.partition(".")
    digits = tail.rstrip("Z")[:6] if dot and tail.endswith("Z") else ""
    try:
        time = datetime.fromisoformat(f"{head}.{digits}+00:00" if digits else text)
        return time if time.tzinfo else time.replace(tzinfo=UTC)
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
    """Return the items of the expected shape; the output of another BuildKit version must not end a build."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))
