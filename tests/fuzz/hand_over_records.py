"""The records of hand-overs: indexes under tags that whoever can push to a repository has written."""

import json
import random
from collections.abc import Sequence

from fuzz.harness import Target, mutated, mutated_json
from multibuild.oci.manifest import OCI_INDEX, Manifest
from multibuild.publish.handed_over import ANNOTATION, differences, published_record, read_record
from multibuild.workflow.clean.handed_over import time_of

WORDS = (
    b'"schema":',
    b'"child":',
    b'"parts":',
    b'"created":',
    b"\\u202e",
    b"\xff",
    b"1e999",
    b"[[[[",
    b"null",
)
HERE = {"context": "a", "base debian:12": "sha256:" + "b" * 64, "settings": "c"}
MAX_LINE = 400


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Return a record whose annotation is JSON of another shape, or whose bytes are not what they were."""
    seed = generator.choice(seeds)
    if generator.random() < 0.3:
        return mutated(generator, seed, WORDS)
    document = json.loads(seed)
    said = mutated_json(generator, json.loads(document["annotations"][ANNOTATION]))
    document["annotations"][ANNOTATION] = json.dumps(said)
    return json.dumps(document).encode("utf-8", "surrogatepass")


def _run(case: bytes) -> None:
    record = Manifest.of(case, OCI_INDEX)
    hand_over = read_record(record)
    if hand_over is None:
        return
    time_of(hand_over)
    for line in differences(hand_over.parts, HERE):
        assert len(line) < MAX_LINE
        assert line.isprintable()
    again = read_record(published_record(record, ["sha256:" + "d" * 64]))
    assert again is not None
    assert again.published.startswith("sha256:d")


TARGETS = [Target(name="hand-over-records", make=_make, run=_run)]
