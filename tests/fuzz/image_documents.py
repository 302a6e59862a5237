"""Indexes, manifests and configs, as registries and layouts have them, through everything that reads one."""

import hashlib
import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fuzz.clear_errors import clear_errors
from fuzz.harness import Target, mutated, mutated_json
from multibuild.oci.document import MAX_DEPTH, parse_object
from multibuild.oci.image import read_config
from multibuild.oci.local.layout import OciLayout
from multibuild.oci.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    digest_of,
    matches_digest,
)
from multibuild.oci.manifests.read_manifest import read_manifest
from multibuild.oci.reference import Reference
from multibuild.publish.compose_index import IndexChild, compose
from multibuild.resolve.lint_index import lint
from multibuild.resolve.resolve import read_index, resolve_hosts

REFERENCE = Reference.parse("r.example.org/app:1")
WORDS = (
    *(b'"mediaType":', b'"MediaType":', b'"digest":', b'"DIGEST":', b'"manifests":', b'"manife\xc5\xbfts":'),
    *(
        b'"size":',
        b'"config":',
        b'"layers":',
        b'"platform":',
        b'"os":',
        b'"architecture":',
        b'"annotations":',
    ),
    *(b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"9" * 19, b"-1", b"null", b"true", b"[[[[", b'{"a":'),
    *(
        b"\\ud800",
        b"\\u0000",
        b"\\u202e",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"/**/",
        b"'",
        b",",
        b'""',
    ),
)
NAMES = ("mediaType", "digest", "size", "manifests", "layers", "config", "os", "architecture", "platform")


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    seed = generator.choice(seeds)
    if generator.random() < 0.3:
        return mutated(generator, seed, WORDS)
    try:
        document = json.loads(seed)
    except ValueError:
        return mutated(generator, seed, WORDS)
    text = json.dumps(mutated_json(generator, document), ensure_ascii=generator.random() < 0.5)
    match generator.randrange(8):
        case 0:  # a name twice, or in other letters
            name = generator.choice(NAMES)
            other = generator.choice((name, name.upper(), name.capitalize(), name.replace("s", "ſ")))
            text = text.replace(f'"{name}":', f'"{other}": 1, "{name}":', 1)
        case 1:
            depth = generator.choice((MAX_DEPTH - 3, MAX_DEPTH, 990, 100_000))
            text = f'{{"x": {"[" * depth}{"]" * depth}, {text[1:]}'
        case 2:
            return text.encode(generator.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7")), "replace")
        case 3:
            return mutated(generator, text.encode("utf-8", "surrogatepass"), WORDS)
    return text.encode("utf-8", "surrogatepass")


def _run(case: bytes) -> None:
    for kind in (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST):
        with clear_errors({7}):
            _read(Manifest.of(case, kind))
    with clear_errors({7}):
        _compose(Manifest.of(case, OCI_INDEX))
    with clear_errors({2, 3}):
        resolve_hosts(read_index(case, "file"), ["linux/arm/v7", "linux/amd64"])
    with clear_errors({6}), tempfile.TemporaryDirectory() as place:
        layout = OciLayout(Path(place))
        layout.upload("", _descriptor(case), iter([case]))
        read_config(REFERENCE, _descriptor(case), layout)
    _parse(case)


def _read(manifest: Manifest) -> None:
    assert isinstance(manifest.document, dict)
    for declared in ("", "application/json", manifest.media_type):
        with clear_errors({7}):
            assert read_manifest(manifest.content, declared).digest == manifest.digest
    for blob in manifest.blobs:
        json.dumps(blob.to_json(), allow_nan=False).encode()
    assert matches_digest(manifest.content, manifest.digest)
    assert manifest.digest == f"sha256:{hashlib.sha256(manifest.content).hexdigest()}"


def _compose(index: Manifest) -> None:
    entries = [entry for entry in index.entries if not entry.is_attestation]
    composed = compose([IndexChild(image=entry) for entry in entries], annotations={"a": "b"})
    assert composed.entries == tuple(entries)
    lint(composed.entries, {entry.digest: "linux/arm64" for entry in entries})


def _descriptor(content: bytes) -> Descriptor:
    return Descriptor(media_type="x", digest=digest_of(content), size=len(content))


def _parse(case: bytes) -> None:
    """What is a document to us is the same one to any reader."""
    try:
        document = parse_object(case)
    except ValueError:
        return
    assert document == json.loads(case)
    assert parse_object(json.dumps(document, allow_nan=False, ensure_ascii=False).encode()) == document


TARGETS = (Target(name="documents", make=_make, run=_run),)
