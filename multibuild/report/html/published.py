"""Section "Index and tags": the index entry by entry, and the tags before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multibuild.report.html.groups import by_image
from multibuild.report.html.markup import (
    Content,
    Html,
    Section,
    code,
    disclosure,
    facts,
    join,
    status,
    table,
    tag,
)
from multibuild.report.summary import signed_lines
from multibuild.terminal import human_bytes

ATTESTATION = "vnd.docker.reference.digest"
"""An attestation's annotation with its image's digest (BuildKit, docs/attestations/attestation-storage.md)."""


def published_section(report: Mapping[str, Any]) -> Section | None:
    """Return the section; None if the run ended before there was an index."""
    content = by_image(report, _published)
    return Section(anchor="index", heading="Index and tags", content=content) if content else None


def _published(group: Mapping[str, Any]) -> Html:
    index, published = group["index"], group["published"]
    signed = [tag("p", line) for line in signed_lines(group)]
    return join((_index(index) if index else None, *signed, _tags(published) if published else None))


def _index(index: Mapping[str, Any]) -> Html:
    pairs: list[tuple[Content, Content]] = [
        ("Digest", code(str(index["digest"]))),
        ("Media type", code(str(index["mediaType"]))),
        ("Size", f"{index['size']} bytes, {index['entries']} entries"),
    ]
    manifests = index.get("manifests") or ()
    return join((facts(pairs), _entries(manifests) if manifests else None))


def _entries(manifests: Sequence[Mapping[str, Any]]) -> Html:
    """Return the table of images; attestations, which no client runs, are folded away."""
    first_platforms: dict[str, str] = {}
    images: list[list[Content]] = []
    attestations: list[list[Content]] = []
    for entry in manifests:
        digest, name = str(entry.get("digest")), _platform(entry)
        size = human_bytes(entry.get("size") or 0)
        if subject := (entry.get("annotations") or {}).get(ATTESTATION):
            attestations.append([first_platforms.get(str(subject), str(subject)), size, code(digest)])
            continue
        alias = join(("also as ", code(first_platforms[digest]))) if digest in first_platforms else None
        images.append([code(name), size, code(digest), join((alias, _extras(entry)))])
        first_platforms.setdefault(digest, name)
    caption = "The images of the index, in order: a client takes the first that fits it."
    headings = ("Platform", "Manifest", "Digest", "Notes")
    width = len(headings) if any(row[-1] for row in images) else len(headings) - 1
    rows = [row[:width] for row in images]
    result = table(caption, headings[:width], rows, numbers=frozenset({1}), class_="cards digests")
    return join((result, _attestations(attestations) if attestations else None))


def _attestations(rows: Sequence[Sequence[Content]]) -> Html:
    caption = "Attestations: what is known of how each image was made."
    headings = ("Of", "Manifest", "Digest")
    result = table(caption, headings, rows, numbers=frozenset({1}), class_="cards digests")
    return disclosure(f"{len(rows)} attestation{'' if len(rows) == 1 else 's'}", result)


def _platform(entry: Mapping[str, Any]) -> str:
    platform = entry.get("platform") or {}
    parts = [platform.get("os"), platform.get("architecture"), platform.get("variant")]
    return "/".join(str(part) for part in parts if part) or "no platform"


def _extras(entry: Mapping[str, Any]) -> Html:
    """Return an entry's further fields and annotations, without the links between attestation and image."""
    platform = entry.get("platform") or {}
    extras = {key: platform[key] for key in ("os.version", "os.features") if platform.get(key)}
    annotations = {
        k: v for k, v in (entry.get("annotations") or {}).items() if not k.startswith("vnd.docker.")
    }
    lines = [tag("div", code(f"{key}={value}")) for key, value in (extras | annotations).items()]
    return join(lines)


def _tags(published: Sequence[Mapping[str, Any]]) -> Html:
    rows: list[list[Content]] = [
        [code(str(row["ref"])), status(str(row["status"])), _digest(row["before"]), _digest(row["after"])]
        for row in published
    ]
    return table("Tags, and what each held before and holds now.", ("Tag", "Status", "Before", "After"), rows,
                 class_="cards digests")  # fmt: skip


def _digest(digest: str | None) -> Content:
    return code(digest) if digest else "nothing"
