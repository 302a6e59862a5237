"""Annotations `io.multibuild.inputs`, as the indexes of anyone have them."""

import random
from collections.abc import Sequence

from fuzz.harness import Target, mutated
from multibuild.oci.manifests.inputs_annotation import EntryInputs


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    words = (b" ", b"=", b"1", b"-", b"inputs", b"content=all", b"\n")
    return mutated(generator, generator.choice(seeds), words=words)


def _run(case: bytes) -> None:
    text = case.decode("utf-8", "surrogateescape")
    parsed = EntryInputs.parse(text)
    assert parsed is None or parsed.text == text


TARGETS = (Target(name="inputs-annotations", make=_make, run=_run),)
