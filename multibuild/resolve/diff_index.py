"""Compare two indexes platform by platform."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from multibuild.frozen import frozen
from multibuild.json_types import as_json
from multibuild.resolve.inspect_index import InspectedEntry, Inspection

ChangeKind = Literal["added", "removed", "changed", "annotated", "same"]


@frozen
class Change:
    """The change of one entry; `platform` with what else tells it apart, `before` or `after` None for no such entry."""

    platform: str
    kind: ChangeKind
    before: InspectedEntry | None
    after: InspectedEntry | None


@frozen
class Difference:
    """Two indexes compared. `annotations`: those of the index that differ, (before, after) by key, None for absent."""

    before: Inspection
    after: Inspection
    changes: tuple[Change, ...]
    annotations: Mapping[str, tuple[str | None, str | None]]

    def document(self) -> dict[str, Any]:
        """Return the JSON of `inspect --diff --json`."""
        return {
            "from": {"reference": self.before.reference, "digest": self.before.digest},
            "to": {"reference": self.after.reference, "digest": self.after.digest},
            "changes": as_json(self.changes),
            "annotations": as_json(self.annotations),
        }


def compare(before: Inspection, after: Inspection) -> Difference:
    """Compare entry by entry: the n-th of an identity (platform, os.version, zstd …) with the n-th."""
    old, new = _numbered(before.entries), _numbered(after.entries)
    keys = dict.fromkeys((*old, *new))
    changes = tuple(
        Change(
            platform=key[0], kind=_kind(old.get(key), new.get(key)), before=old.get(key), after=new.get(key)
        )
        for key in keys
    )
    names = dict.fromkeys((*before.annotations, *after.annotations))
    pairs = {name: (before.annotations.get(name), after.annotations.get(name)) for name in names}
    return Difference(
        before=before,
        after=after,
        changes=changes,
        annotations={name: pair for name, pair in pairs.items() if pair[0] != pair[1]},
    )


def _numbered(entries: Sequence[InspectedEntry]) -> dict[tuple[str, int], InspectedEntry]:
    """Key entries by what tells them apart, and their number among those alike."""
    numbered: dict[tuple[str, int], InspectedEntry] = {}
    counts = Counter[str]()
    for entry in entries:
        numbered[entry.name, counts[entry.name]] = entry
        counts[entry.name] += 1
    return numbered


def _kind(before: InspectedEntry | None, after: InspectedEntry | None) -> ChangeKind:
    if before is None or after is None:
        return "added" if before is None else "removed"
    if before.digest != after.digest:
        return "changed"
    return "same" if dict(before.annotations) == dict(after.annotations) else "annotated"
