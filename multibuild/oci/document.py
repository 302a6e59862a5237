"""Parse the JSON of others: what two clients could read in two ways is no document."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
"""The limit of registries for manifests (distribution-spec, "Pushing Manifests"), here for every document."""

MAX_DEPTH = 100
"""Of objects and lists in each other. Documents of images need about ten; Python's own limit is near 1000."""


def parse_object(content: bytes) -> dict[str, Any]:
    """Parse a JSON object; ValueError with the reason, in words, where it is none or is ambiguous."""
    try:
        document = json.loads(
            content.decode(), object_pairs_hook=_object_without_repeats, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON ({error.msg}, at character {error.pos})") from None
    except RecursionError:
        raise ValueError(f"its JSON is nested more than {MAX_DEPTH} deep") from None
    if not isinstance(document, dict):
        raise ValueError("it is a list or a single value")  # noqa: TRY004 - like every other reason
    _require_depth(document)
    _require_whole_characters(content, document)
    return document


def require_exact_names(document: Iterable[str], names: Collection[str]) -> None:
    """Raise ValueError for a name that is one of `names` only in other letters.

    Go's clients take `Digest` and even `digeſt` for `digest` (encoding/json folds case), others do not.
    """
    folded = {name.casefold() for name in names}
    for name in document:
        if name not in names and name.casefold() in folded:
            raise ValueError(f"some clients read the name {name[:40]!r} as another, some not at all")


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        seen: set[str] = set()
        repeated = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"it has the name {repeated[:40]!r} twice")
    return document


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _require_depth(document: Any) -> None:
    """Walk level by level: a deep document must not end the walk itself."""
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inner(outer) if isinstance(inner, dict | list)]
        if not level:
            return
    raise ValueError(f"its JSON is nested more than {MAX_DEPTH} deep")


def _inner(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _require_whole_characters(content: bytes, document: Any) -> None:
    r"""Refuse half of a surrogate pair (`\ud800` alone), which no UTF-8 can hold."""
    if rb"\ud" in content.lower():
        try:
            json.dumps(document, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("it has half of a surrogate pair") from None
