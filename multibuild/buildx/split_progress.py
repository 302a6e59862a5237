"""Takes bake's progress apart: each platform gets its share in the form that a build of its own would print."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from multibuild.buildx.progress import Progress

_NAMED = re.compile(r"\[([A-Za-z0-9_-]+)(?: ([^\]]*))?\] ?")
"""buildx puts the target's name in front: "[t internal] …", "[t stage 2/4] …", "[t] exporting to image"."""

_LAST_WORDS = re.compile(rb"\AERROR: target ([A-Za-z0-9_-]+): (.*)", re.DOTALL)
_PUSHED = re.compile(r"pushing manifest for \S+@(sha256:[0-9a-f]{64})\Z")
_EXPORT = "exporting to image"
_REMEMBERED = 4096
_RUN = re.compile(r"\[[^\]]*\] RUN ")


class BatchProgress:
    """Feeds each target's Progress, and tells of targets that have pushed their image."""

    def __init__(self, targets: Mapping[str, Progress]) -> None:
        """Take the targets by name; `runs_something` becomes true when a RUN starts that is not cached."""
        self._targets = targets
        self._owners: dict[str, list[str]] = {}
        self._pushed: dict[str, str] = {}
        self._finished: set[str] = set()
        self._seen: deque[int] = deque(maxlen=_REMEMBERED)
        self.runs_something = False

    def feed(self, line: bytes) -> Iterator[tuple[str, str]]:
        """Take a line; gives targets that are finished now, with their digest.

        Finished means that BuildKit reported both that the manifest was pushed and that the export ended well.
        """
        document = _document(line)
        if document is None:
            self._plain(line)
            return
        shares: dict[str, dict[str, list[Any]]] = {}
        ended = list(self._vertices(document, shares))
        for key in ("statuses", "logs", "warnings"):
            for item in _objects(document, key):
                self._share(shares, key, item)
        for target, share in shares.items():
            if target not in self._finished:
                self._targets[target].take(share)
        for target, digest in ended:
            if digest in self._pushed and target not in self._finished:
                self._finished.add(target)
                yield target, self._pushed[digest]

    def _plain(self, line: bytes) -> None:
        """What bake says in plain text, at its end, is about those that did not finish."""
        last = _LAST_WORDS.match(line)
        for name, progress in self._targets.items():
            if name not in self._finished:
                progress.feed(_own_words(name, progress, last) if last else line)

    def _vertices(
        self, document: Mapping[str, Any], shares: dict[str, dict[str, list[Any]]]
    ) -> Iterator[tuple[str, str]]:
        """Sort the vertices by target; gives (target, vertex) of exports that ended well."""
        for vertex in _objects(document, "vertexes"):
            found = _NAMED.match(str(vertex.get("name", "")))
            if found is None or found[1] not in self._targets:
                continue
            digest, target = str(vertex.get("digest")), found[1]
            owners = self._owners.setdefault(digest, [])
            if target not in owners:
                owners.append(target)
            rest = str(vertex["name"])[found.end() :]
            name = f"[{found[2]}] {rest}" if found[2] else rest
            if _RUN.match(name) and vertex.get("started") and not vertex.get("cached"):
                # A step that is in the cache is reported once: started, completed and cached.
                self.runs_something = True
            _put(shares, target, "vertexes", {**vertex, "name": name})
            if name == _EXPORT and vertex.get("completed") and not vertex.get("error"):
                yield target, digest

    def _share(self, shares: dict[str, dict[str, list[Any]]], key: str, item: Mapping[str, Any]) -> None:
        vertex = str(item.get("vertex"))
        pushed = _PUSHED.match(str(item.get("id", ""))) if item.get("completed") else None
        if pushed:
            self._pushed[vertex] = pushed[1]
        owners = self._owners.get(vertex, [])
        # A vertex that targets share is reported to bake once for each of them.
        if len(owners) > 1 and self._is_repeated(key, item):
            return
        for target in owners:
            _put(shares, target, key, item)

    def _is_repeated(self, key: str, item: Mapping[str, Any]) -> bool:
        mark = hash((key, json.dumps(item, sort_keys=True)))
        if mark in self._seen:
            return True
        self._seen.append(mark)
        return False


def _own_words(name: str, progress: Progress, last: re.Match[bytes]) -> bytes:
    """Turn bake's last words, which are about one target, into what a build of this target would say."""
    target, said = last[1].decode(), last[2]
    error = progress.error.encode()
    if name == target or (error and error in said):
        return b"ERROR: " + said
    # What another's failure only cut short says whose it was.
    return b"ERROR: failed to solve: " + error.replace(b"\n", b" ") if error else last[0]


def _document(line: bytes) -> Mapping[str, Any] | None:
    if not line.startswith(b"{"):
        return None
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _objects(document: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    value = document.get(key)
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def _put(shares: dict[str, dict[str, list[Any]]], target: str, key: str, item: Any) -> None:
    shares.setdefault(target, {}).setdefault(key, []).append(item)
