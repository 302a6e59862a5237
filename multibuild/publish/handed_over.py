"""The record of a hand-over: the index under the tag by which `merge` finds a proved child of another machine. Pure.

It is an OCI index (image-spec, image-index) of the child's image and attestations, so that the registry keeps them.
Its annotation says what went into the child and which test it passed: a finished manifest can take no annotation.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import field, fields
from typing import Any

from multibuild.frozen import frozen
from multibuild.json_types import Shape, as_json, has_shape, is_text, parse_json
from multibuild.oci.errors import RegistryError
from multibuild.oci.image import Child
from multibuild.oci.manifest import OCI_INDEX, Manifest, as_mapping
from multibuild.oci.reference import Reference, is_digest
from multibuild.plan.planned_platform import PlannedPlatform
from multibuild.plan.spec import repository_of
from multibuild.terminal import one_line, shorten

ANNOTATION = "io.multibuild.hand-over"
SCHEMA = 1
BASE = "base"
"""How the parts of a fingerprint begin that are base images, before their names."""

FINGERPRINT_DIGITS = 12
"""Hex digits of a fingerprint in a tag; the whole one is in the record."""

MAX_NAME = 200
"""Characters of a part of a fingerprint that are shown."""

DIGEST_LENGTH = len("sha256:") + 64

_TAG = re.compile(r"multibuild-[0-9a-f]{12}-(?P<slug>[a-z0-9][a-z0-9._-]*)\Z")


def _is_parts(value: object) -> bool:
    return isinstance(value, dict) and all(map(is_text, value.values()))


_SHAPE: Mapping[str, Shape] = {
    "schema": lambda value: value == SCHEMA,
    "platform": is_text, "fingerprint": is_text, "child": is_text, "parts": _is_parts, "test": is_text,
    "created": is_text, "published?": is_text,
}  # fmt: skip


@frozen
class HandOver:
    """What a record says of the `child`, a digest, for a `platform`.

    `fingerprint` is the digest of everything that went into it, in hex, and `parts` what that is made of. `test` is the
    digest of the smoke test that it passed, "" without one. `created` is RFC 3339. `published` are the digests of the
    indexes that the merge of the child published, for all images of the file, with spaces between; "" before.
    """

    platform: str
    fingerprint: str
    parts: Mapping[str, str] = field(default_factory=dict)
    child: str
    test: str = ""
    created: str
    published: str = ""

    @property
    def published_indexes(self) -> tuple[str, ...]:
        """Return the digests in `published`."""
        return tuple(self.published.split())


def record_of(hand_over: HandOver, child: Child) -> Manifest:
    """Return the record of a child: an index of its image and its attestations."""
    text = json.dumps({"schema": SCHEMA, **as_json(hand_over)}, sort_keys=True, separators=(",", ":"))
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [entry.to_json() for entry in (child.image, *child.attestations)],
        "annotations": {ANNOTATION: text},
    }
    return Manifest.of(json.dumps(document, separators=(",", ":")).encode(), OCI_INDEX)


def read_record(manifest: Manifest) -> HandOver | None:
    """Return what an untrusted record says; None for one of another schema, or what is no record."""
    try:
        text = as_mapping(manifest.document.get("annotations")).get(ANNOTATION)
        document: Any = parse_json(text) if isinstance(text, str) else None
    except (ValueError, RegistryError):
        return None
    if not has_shape(document, _SHAPE) or not is_digest(document["child"]):
        return None
    return HandOver(**{item.name: document[item.name] for item in fields(HandOver) if item.name in document})


def published_record(record: Manifest, indexes: Sequence[str]) -> Manifest:
    """Return a record that also says which indexes, digests, its merge published. `record` is one that was read."""
    document = record.document
    said = parse_json(document["annotations"][ANNOTATION])
    text = json.dumps({**said, "published": " ".join(indexes)}, sort_keys=True, separators=(",", ":"))
    document["annotations"] = {ANNOTATION: text}
    return Manifest.of(json.dumps(document, separators=(",", ":")).encode(), OCI_INDEX)


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> tuple[str, ...]:
    """Return in words which parts of a fingerprint differ between two machines."""
    names = sorted(name for name in {**there, **here} if there.get(name) != here.get(name))
    return tuple(_difference(name, there.get(name, ""), here.get(name, "")) for name in names)


def _difference(name: str, there: str, here: str) -> str:
    name = shorten(one_line(name), MAX_NAME)
    kind, _, image = name.partition(" ")
    there = one_line(there)[:DIGEST_LENGTH]
    if kind == BASE and there and here:
        return f"another base: {image}@{there}, here {here[:19]}"
    if kind == BASE:
        return f"another base: {image}, which is one {'here' if here else 'there'} only"
    return {"settings": "other settings", "context": "other files of the context"}.get(
        name, f"another {name}"
    )


def hand_over_tag(planned: PlannedPlatform, fingerprint: str) -> Reference:
    """Return the tag of a platform's child: it depends on what goes into that, and on nothing of the machine."""
    repository = Reference.parse(repository_of(planned.staging.reference))
    return repository.with_tag(f"multibuild-{fingerprint[:FINGERPRINT_DIGITS]}-{planned.slug}")


def slug_of_tag(tag: str) -> str | None:
    """Return the slug in the tag of a hand-over; None for another tag."""
    match = _TAG.match(tag)
    return match["slug"] if match else None


def smoke_test_digest(planned: PlannedPlatform) -> str:
    """Return the SHA-256 of a platform's smoke test in hex; "" where it has none."""
    if planned.test is None:
        return ""
    return hashlib.sha256(json.dumps(as_json(planned.test), sort_keys=True).encode()).hexdigest()
