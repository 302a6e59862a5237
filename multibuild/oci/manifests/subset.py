"""Reduce an index to some of its entries: what stays keeps its bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.oci.manifest import Descriptor, Manifest
from multibuild.platforms import Platform

_SPACE = re.compile(r"[ \t\r\n]*")
"""JSON's white space (RFC 8259, section 2)."""


def subset(index: Manifest, only: tuple[Platform, ...]) -> Manifest:
    """Return the index with the entries of these platforms and their attestations; all other text stays as it is.

    The index itself where that is all of it. UsageError for a platform that no entry has.
    """
    entries = index.entries
    present = {
        entry.platform.normalised() for entry in entries if entry.platform and not entry.is_attestation
    }
    for platform in only:
        if platform not in present:
            names = ", ".join(dict.fromkeys(str(entry.platform) for entry in entries if entry.platform))
            raise UsageError(f"--platform {platform}: no entry is of it", hint=f"there are {names or 'none'}")
    images = {entry.digest for entry in entries if _is_of(entry, only)}
    kept = [_is_of(entry, only) or (entry.is_attestation and entry.attests in images) for entry in entries]
    if all(kept):
        return index
    return Manifest.of(_without(index.content.decode(), kept).encode(), index.media_type)


def _is_of(entry: Descriptor, only: tuple[Platform, ...]) -> bool:
    platform = entry.platform
    return platform is not None and not entry.is_attestation and platform.normalised() in only


@frozen
class _Span:
    """A part of a text; `key` is the name before a value in an object."""

    start: int
    end: int
    key: str = ""


def _without(text: str, kept: list[bool]) -> str:
    """Cut the elements out of the list `manifests` that are not kept, each with the white space before it."""
    outer = next(span for span in _members(text, _after_space(text, 0)) if span.key == "manifests")
    elements = list(_elements(text, outer.start))
    parts = [text[span.start : span.end] for span, keep in zip(elements, kept, strict=True) if keep]
    return text[: outer.start + 1] + ",".join(parts) + text[elements[-1].end : outer.end] + text[outer.end :]


def _members(text: str, start: int) -> Iterator[_Span]:
    """Yield the values of the object at `start`, with their keys."""

    def member(at: int) -> _Span:
        key, end = _decode(text, _after_space(text, at))
        value = _after_space(text, _after_space(text, end) + 1)
        return _Span(start=value, end=_decode(text, value)[1], key=str(key))

    yield from _separated(text, start, member)


def _elements(text: str, start: int) -> Iterator[_Span]:
    """Yield the elements of the list at `start`, each with the white space before it."""

    def element(at: int) -> _Span:
        return _Span(start=at, end=_decode(text, _after_space(text, at))[1])

    yield from _separated(text, start, element)


def _separated(text: str, start: int, read: Callable[[int], _Span]) -> Iterator[_Span]:
    """Yield what `read` finds between the bracket at `start` and its end; the text was parsed before."""
    at = start + 1
    while text[_after_space(text, at)] not in "]}":
        span = read(at)
        yield span
        at = _after_space(text, span.end)
        at += text[at] == ","


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


def _decode(text: str, at: int) -> tuple[object, int]:
    return json.JSONDecoder().raw_decode(text, at)
