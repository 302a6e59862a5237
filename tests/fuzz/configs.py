"""Config files, from YAML to the plan: everything that needs no engine."""

import json
import os
import random
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from fuzz.harness import ODD_VALUES, Target, mutated, mutated_json
from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import LoadedConfig
from multibuild.config.project import load_project, read_bake
from multibuild.config.referenced_files import check_environment, check_files, local_contexts
from multibuild.errors import ConfigError, UsageError
from multibuild.plan.host_facts import assumed_facts
from multibuild.plan.plan import make_plan
from multibuild.plan.plan_document import plan_document
from multibuild.workflow.matrix import gitlab_matrix, make_jobs

WORDS = tuple(
    word.encode()
    for word in (
        ": ", "- ", "\n", "  ", "\t", "[", "]", "{", "}", "&a ", "*a", "<<: *a\n", "!!int ", "!!binary ", "!x ", "? ", "|\n",
        ">\n", "'", '"', "#", "---\n", "...\n", "%YAML 1.1\n", "${A}", "${A:-", "${git.tag}", "$$", "\0", "\ufeff", "\x85",
        "platforms", "linux/arm/v7", "also_as", "9" * 40, "1e999", "0x", "~", "secrets: [id=a,src=", "Dockerfile",
        "{image}", "{name}", "image:app", "images: {app: ", "'*': {target: two}", "\\ud800", "args: &a {<<: *a}\n", "a0: &a0 [x]\n",
    )
)  # fmt: skip
KEYS = (
    "jobs",
    "timeout",
    "tags",
    "target",
    "args",
    "labels",
    "context",
    "dockerfile",
    "secrets",
    "ssh",
    "builder",
    "images",
    "bake",
)
BAKE: dict[str, dict[str, Any]] = {
    "php-8-alpine": {"target": "two", "args": {"X": "{name}"}},
    "app": {"image": "a/app"},
}
FOLDER = tempfile.TemporaryDirectory(prefix="multibuild-fuzz-")
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    seed = generator.choice(seeds)
    document = yaml.safe_load(
        generator.choice([one for one in seeds if b"\nimages:" in one or one == seeds[0]])
    )
    match generator.randrange(5):
        case 0:
            return mutated(generator, seed, WORDS)
        case 1:
            return seed + b"\n" + _bomb(generator).encode()
        case 2:
            return _with_odd_texts(generator, document).encode("utf-8", "replace")
        case _:
            return json.dumps(mutated_json(generator, document)).encode()


def _bomb(generator: random.Random) -> str:
    """Return anchors that refer to each other, as lists, mappings or merges."""
    levels, width = generator.choice((3, 12, 60)), generator.choice((1, 2, 9, 500))
    forms = ("[{}]", "{{<<: [{}]}}", "[[[{}]]]", "{{a: {{<<: [{}]}}, b: 1}}")
    lines = [generator.choice(("a0: &a0 {k: v}", "a0: &a0 x", "a0: &a0 [1]", "labels: &a0 {k: ${A}}"))]
    for level in range(1, levels):
        names = ", ".join([f"*a{generator.randint(max(0, level - 2), level - 1)}"] * width)
        lines.append(f"a{level}: &a{level} {generator.choice(forms).format(names)}")
    return "\n".join(lines)


def _with_odd_texts(generator: random.Random, document: Any) -> str:
    for _ in range(generator.randint(1, 3)):
        text = generator.choice([value for value in ODD_VALUES if isinstance(value, str)])
        expression = generator.choice(
            (text, f"${{A:-{text}}}", "${A}" * generator.choice((1, 50, 3000)), f"${{{text}}}")
        )
        document[generator.choice(KEYS)] = generator.choice((expression, [expression], {"x": expression}))
    return json.dumps(document)


def _run(case: bytes) -> None:
    folder = Path(FOLDER.name)
    (folder / "Dockerfile").write_text("FROM scratch AS one\nFROM one AS two\n")
    file = folder / "multibuild.yaml"
    file.write_bytes(case)
    sets, _, _ = case.rpartition(b"\n")
    overrides = Overrides(
        sets=(f"labels.x={sets[-60:].decode('utf-8', 'replace')}",) if len(case) % 3 == 0 else ()
    )
    environ = {"A": "x" * 5000, "B": os.fsdecode(b"\xff"), "E": ""}
    try:
        bake = read_bake(file, environ=environ, overrides=overrides, now=NOW)
        project = load_project(
            file, environ=environ, overrides=overrides, now=NOW, from_bake=BAKE if bake else None
        )
        check_files(*project.images)
        for loaded in project.images:
            _plan(loaded, environ)
        with suppress(UsageError):  # of images that are built from each other, on different runners
            assert yaml.safe_dump(gitlab_matrix(make_jobs(project.images, shards=max(1, len(case)))))
    except ConfigError as error:
        check_short(error)


def _plan(loaded: LoadedConfig, environ: dict[str, str]) -> None:
    check_environment(loaded, environ)
    list(local_contexts(loaded))
    plan = make_plan(loaded, assumed_facts(loaded.config.builder))
    assert loaded.dependencies.keys().isdisjoint(loaded.config.contexts)
    assert json.dumps(plan_document(plan))
    assert len(loaded.canonical) < 10_000_000


def check_short(error: ConfigError) -> None:
    assert len(error.message) < 6000, len(error.message)
    assert len(error.hint or "") < 1000, len(error.hint or "")


TARGETS = (Target(name="configs", make=_make, run=_run, cpu_s=5.0),)
