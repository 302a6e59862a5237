"""Definitions as buildx might print them: odd values, other forms, damage."""

import json
import random
from collections.abc import Sequence
from pathlib import PurePosixPath

from fuzz.harness import Target, mutated, mutated_json
from multibuild.bake.buildx_errors import bake_failure
from multibuild.bake.definition import parse_definition
from multibuild.bake.mapping import map_definition

WORDS = (
    b"target:", b"cwd://", b"index,manifest:", b"manifest-descriptor[linux/arm64]:", b"type=local,dest=", b"type=gha",
    b"linux/arm64,", b"$${", b"a" * 5000, b"../" * 50, b'"', b",", b"=", b":", b"@sha256:", b"\\n", b"null", b"ERROR: ",
)  # fmt: skip


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    seed = generator.choice(seeds)
    if generator.random() < 0.4:
        return mutated(generator, seed, WORDS)
    return json.dumps(mutated_json(generator, json.loads(seed))).encode()


def _run(case: bytes) -> None:
    text = case.decode("utf-8", "replace")
    error = bake_failure(
        text, files=("x",), targets=("app",), near_files=lambda _: ("y",), names=lambda: ("app",)
    )
    assert "\n" not in error.message
    assert len(error.message) < 1000
    mapping = map_definition(parse_definition(text), PurePosixPath("/project"))
    for image in mapping.images:
        json.dumps(dict(image.keys))
    for refusal in mapping.refusals:
        assert refusal.why
        assert refusal.use_instead


TARGETS = (Target(name="bake-definitions", make=_make, run=_run),)
