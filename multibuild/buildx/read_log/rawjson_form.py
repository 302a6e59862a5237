"""BuildKit's `--progress rawjson`, and the JSON lines of docker's API and of container logs."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any

from multibuild.buildx.rawjson_progress import MAX_ID_CHARACTERS, plain_text
from multibuild.buildx.read_log.build_log import BuildLog
from multibuild.buildx.read_log.messages import in_buildkits_words
from multibuild.buildx.read_log.text_lines import clean_lines

_KEYS = frozenset({"vertexes", "statuses", "logs", "warnings"})
_TEXTS = (("log", "stream"), ("log", "time"), ("stream", "stream"), ("error", "errorDetail"))
"""Keys of a text, each with another key that such a document has: container logs, docker's API."""

MAX_PARTIAL_CHARACTERS = 8192
MAX_PARTIALS = 512


class RawJsonForm:
    """Reader of lines that are JSON documents."""

    def __init__(self, log: BuildLog) -> None:
        """Read into `log`."""
        self._log = log
        self._partial: dict[str, str] = {}
        self._lines: dict[str, list[str]] = {}

    def read(self, line: str) -> str | None:
        """Read a document of BuildKit. Return the text in a document of another kind, None for what is no document."""
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if not isinstance(document, dict):
            return None
        if document.keys() & _KEYS:
            self._apply(document)
            return ""
        key = next((key for key, other in _TEXTS if key in document and other in document), "")
        return text if isinstance(text := document.get(key), str) else None

    def finish(self) -> None:
        """Add last lines without an end."""
        for digest, line in self._partial.items():
            self._log.steps.open(digest).add((line,))
        self._partial.clear()

    def flush(self) -> None:
        """Read the lines of steps that were put aside to be read in batches."""
        for digest, lines in self._lines.items():
            self._log.steps.open(digest).add(lines)
        self._lines.clear()

    def _apply(self, document: Mapping[str, Any]) -> None:
        for vertex in _objects(document.get("vertexes")):
            self._vertex(vertex)
        for item in _objects(document.get("logs")):
            self._output(item)

    def _vertex(self, vertex: Mapping[str, Any]) -> None:
        step = self._log.steps.open(_digest(vertex.get("digest")))
        step.is_numbered = True
        step.name = plain_text(vertex.get("name")) or step.name
        step.is_started = step.is_started or bool(vertex.get("started"))
        if error := plain_text(vertex.get("error")):
            self._log.steps.fail(step, in_buildkits_words(error))
        elif vertex.get("completed"):
            step.done = True
            if step.name.partition("] ")[2].startswith("exporting to") or step.name.startswith(
                "exporting to"
            ):
                self._log.succeed()

    def _output(self, item: Mapping[str, Any]) -> None:
        digest = _digest(item.get("vertex"))
        *lines, rest = (self._partial.pop(digest, "") + _decoded(item.get("data"))).split("\n")
        if lines:
            text = "\n".join(lines)
            clean = clean_lines(text) if "\x1b" in text or "\r" in text else lines
            self._lines.setdefault(digest, []).extend(clean)
        if rest and len(self._partial) < MAX_PARTIALS:
            self._partial[digest] = rest[-MAX_PARTIAL_CHARACTERS:]


def _digest(value: Any) -> str:
    return plain_text(value)[:MAX_ID_CHARACTERS]


def _decoded(data: Any) -> str:
    try:
        return base64.b64decode(data or "", validate=False).decode("utf-8", "replace")
    except (binascii.Error, TypeError, ValueError):
        return ""


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))
