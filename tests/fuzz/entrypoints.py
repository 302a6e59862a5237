"""The commands of image configs, as JSON: what an image executes, in a small root file system."""

import json
import random
from collections.abc import Sequence
from typing import Any

from fakes.layers import index_files

from fuzz.harness import Target, mutated_json
from multibuild.prove.content.executed_files import executed_files
from multibuild.prove.content.merged_rootfs import RootFs
from multibuild.qemu.probe_program import build_probe

PROGRAM = build_probe("arm64")
FILES: dict[str, Any] = {
    "bin/sh": PROGRAM, "bin/app": PROGRAM, "usr/bin/env": PROGRAM, "tini": PROGRAM, "l": "-> l", "up": "-> ../../bin",
    "run": b"#!/usr/bin/env -S app -u\n", "loop": b"#!/loop\n", "deep": b"#! /run   x y\n", "none": b"#!\n",
}  # fmt: skip
INDEX = index_files(FILES)
PIECES = (
    "sh", "-c", "-ec", "env", "-S", "-i", "-u", "A=b", "--", "tini", "app", "/bin/app", "./run", "exec", "command", "'",
    '"', "\\", "$(", "`", ";", "&&", "|", ">", "#", "\n", "\0", "é", "\udcff", "..", "up/app", "l/x", "/", "", " ",
    "--split-string=", "-vS", "loop", "deep", "none", "c" * 300,
)  # fmt: skip


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    config = json.loads(generator.choice(seeds))
    for key in ("Entrypoint", "Cmd"):
        if generator.random() < 0.6:
            config["config"][key] = [_word(generator) for _ in range(generator.randint(0, 7))]
    if generator.random() < 0.3:
        config["config"]["Env"] = [
            f"PATH={_word(generator)}:{_word(generator)}",
            f"LD_LIBRARY_PATH={_word(generator)}",
        ]
    if generator.random() < 0.4:
        config = mutated_json(generator, config)
    return json.dumps(config).encode()


def _word(generator: random.Random) -> str:
    count = generator.choice((1, 1, 1, 2, 5, 500 if generator.random() < 0.1 else 3))
    return generator.choice(("", " ", ":")).join(generator.choice(PIECES) for _ in range(count))


def _run(case: bytes) -> None:
    config = json.loads(case)
    if not isinstance(config, dict):
        return
    executed = executed_files(config, RootFs([INDEX]))
    assert len({file.path for file in executed.files}) == len(executed.files)
    assert {file.path[1:] for file in executed.files} <= FILES.keys()
    assert sum(map(len, executed.problems)) < 100_000


TARGETS = (Target(name="entrypoints", make=_make, run=_run),)
