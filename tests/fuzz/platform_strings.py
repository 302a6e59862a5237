"""Platform strings, as configs, indexes and command lines have them."""

import random
from collections.abc import Sequence

from fuzz.harness import Target, mutated
from multibuild.platforms import Platform


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    return mutated(generator, generator.choice(seeds), words=(b"/", b"linux", b"arm", b"v8", b"(", b"\n"))


def _run(case: bytes) -> None:
    try:
        platform = Platform.parse(case.decode("utf-8", "surrogateescape"))
    except ValueError:
        return
    assert Platform.parse(str(platform)) == platform


TARGETS = (Target(name="platform-strings", make=_make, run=_run),)
