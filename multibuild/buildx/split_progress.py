"""Splits the progress of a bake by target: each Progress gets what a separate build would print."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from multibuild.buildx.rawjson_progress import MAX_ID_CHARACTERS, MAX_OPEN_STEPS, Progress, plain_text

_NAMED = re.compile(r"\[([A-Za-z0-9_-]+)(?: ([^\]]*))?\] ?")
"""buildx prefixes the target's name: "[t internal] …", "[t stage 2/4] …", "[t] exporting to image"."""

_FINAL_ERROR = re.compile(rb"\AERROR: target ([A-Za-z0-9_-]+): (.*)", re.DOTALL)
_PUSHED = re.compile(r"pushing manifest for \S+@(sha256:[0-9a-f]{64})\Z")
_EXPORT = "exporting to image"
_MAX_SEEN_ITEMS = 4096
_RUN = re.compile(r"\[[^\]]*\] RUN ")


class BatchProgress:
    """Feeds each target's Progress, and reports targets that have pushed their image."""

    def __init__(self, targets: Mapping[str, Progress]) -> None:
        """`targets` by name; `has_run_step` becomes true when a RUN starts that is not cached."""
        self._targets = targets
        self._owners: dict[str, list[str]] = {}
        self._pushed: dict[str, str] = {}
        self._finished: set[str] = set()
        self._seen: deque[int] = deque(maxlen=_MAX_SEEN_ITEMS)
        self.has_run_step = False

    def feed(self, line: bytes) -> Iterator[tuple[str, str]]:
        """Read a line; return targets that it finishes, with their digest.

        A target is finished when BuildKit has reported both the pushed manifest and the successful export.
        """
        document = _document(line)
        if document is None:
            self._plain(line)
            return
        shares: dict[str, dict[str, list[Any]]] = {}
        exports = list(self._vertices(document, shares))
        for key in ("statuses", "logs", "warnings"):
            for item in _objects(document, key):
                self._share(shares, key, item)
        for target, share in shares.items():
            if target not in self._finished:
                self._targets[target].apply(share)
        for target, digest in exports:
            if digest in self._pushed and target not in self._finished:
                self._finished.add(target)
                yield target, self._pushed[digest]

    def _plain(self, line: bytes) -> None:
        """Feed bake's plain text, which comes at its end, to the targets that did not finish."""
        final = _FINAL_ERROR.match(line)
        for name, progress in self._targets.items():
            if name not in self._finished:
                progress.feed(_own_error(name, progress, final) if final else line)

    def _vertices(
        self, document: Mapping[str, Any], shares: dict[str, dict[str, list[Any]]]
    ) -> Iterator[tuple[str, str]]:
        """Add the vertices to their targets' shares; return (target, vertex) of successful exports."""
        for vertex in _objects(document, "vertexes"):
            full_name = plain_text(vertex.get("name"))
            match = _NAMED.match(full_name)
            if match is None or match[1] not in self._targets:
                continue
            digest, target = _vertex_id(vertex.get("digest")), match[1]
            if not self._add_owner(digest, target):
                continue
            rest = full_name[match.end() :]
            name = f"[{match[2]}] {rest}" if match[2] else rest
            if _RUN.match(name) and vertex.get("started") and not vertex.get("cached"):
                # A step that is in the cache is reported once: started, completed and cached.
                self.has_run_step = True
            _put(shares, target, "vertexes", {**vertex, "name": name})
            if name == _EXPORT and vertex.get("completed") and not vertex.get("error"):
                yield target, digest

    def _add_owner(self, digest: str, target: str) -> bool:
        """Note that a vertex belongs to a target; False for more vertices than all targets keep."""
        if digest not in self._owners and len(self._owners) >= MAX_OPEN_STEPS * len(self._targets):
            return False
        owners = self._owners.setdefault(digest, [])
        if target not in owners:
            owners.append(target)
        return True

    def _share(self, shares: dict[str, dict[str, list[Any]]], key: str, item: Mapping[str, Any]) -> None:
        vertex = _vertex_id(item.get("vertex"))
        owners = self._owners.get(vertex, [])
        pushed = _PUSHED.match(plain_text(item.get("id"))) if owners and item.get("completed") else None
        if pushed:
            self._pushed[vertex] = pushed[1]
        # A vertex that targets share is reported once for each of them.
        if len(owners) > 1 and self._is_repeated(key, item):
            return
        for target in owners:
            _put(shares, target, key, item)

    def _is_repeated(self, key: str, item: Mapping[str, Any]) -> bool:
        try:
            item_hash = hash((key, json.dumps(item, sort_keys=True)))
        except RecursionError:
            return True
        if item_hash in self._seen:
            return True
        self._seen.append(item_hash)
        return False


def _own_error(name: str, progress: Progress, final: re.Match[bytes]) -> bytes:
    """Return the final error that a separate build of this target would print; bake's is about one target."""
    target, message = final[1].decode(), final[2]
    error = progress.error.encode()
    if name == target or (error and error in message):
        return b"ERROR: " + message
    # A target that was only cancelled keeps the name of the one that failed.
    return b"ERROR: failed to solve: " + error.replace(b"\n", b" ") if error else final[0]


def _vertex_id(value: Any) -> str:
    return plain_text(value)[:MAX_ID_CHARACTERS]


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
