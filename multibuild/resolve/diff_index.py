"""What changed per platform between two indexes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from multibuild.frozen import frozen
from multibuild.json_types import as_json
from multibuild.resolve.inspect_index import Entry, Inspection

Kind = Literal["added", "removed", "changed", "annotated", "same"]


@frozen
class Change:
    """One platform, from one index to the other. `before` and `after` are entries; None where there is none."""

    platform: str
    kind: Kind
    before: Entry | None
    after: Entry | None


@frozen
class Difference:
    """Two indexes. `annotations` holds those of the index that differ: (before, after) by key, None for absent."""

    before: Inspection
    after: Inspection
    changes: tuple[Change, ...]
    annotations: Mapping[str, tuple[str | None, str | None]]

    def document(self) -> dict[str, Any]:
        """Give `inspect --diff --json`."""
        return {
            "from": {"reference": self.before.reference, "digest": self.before.digest},
            "to": {"reference": self.after.reference, "digest": self.after.digest},
            "changes": as_json(self.changes),
            "annotations": as_json(self.annotations),
        }


def difference(before: Inspection, after: Inspection) -> Difference:
    """Compare entry by entry: the n-th of a platform with the n-th. Pure."""
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


def _numbered(entries: Sequence[Entry]) -> dict[tuple[str, int], Entry]:
    """Key entries by platform and how many of it came before."""
    found: dict[tuple[str, int], Entry] = {}
    for entry in entries:
        number = sum(platform == entry.platform for platform, _ in found)
        found[entry.platform, number] = entry
    return found


def _kind(before: Entry | None, after: Entry | None) -> Kind:
    if before is None or after is None:
        return "added" if before is None else "removed"
    if before.digest != after.digest:
        return "changed"
    return "same" if dict(before.annotations) == dict(after.annotations) else "annotated"
