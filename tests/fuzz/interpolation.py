"""Texts with variables. A case is the value of A, a zero byte, and the text."""

import random
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from fuzz.harness import Target, mutated
from multibuild.config.git import GitFacts
from multibuild.config.interpolate import MAX_EXPANDED_CHARS, InterpolationError, Interpolator

FOLDER = tempfile.TemporaryDirectory(prefix="multibuild-fuzz-")
GIT = GitFacts(Path(FOLDER.name))
NOW = datetime(2026, 1, 2, tzinfo=UTC)
NAMES = (
    "A",
    "E",
    "NO",
    "date",
    "git.tag",
    "git.sha",
    "git.semver.major",
    "git.x",
    "",
    "A.b",
    "9",
    "Ä",
    "A" * 5000,
)
WORDS = (b"${", b"}", b"$", b"$$", b":-", b":?", b"${A}", b"${A:-", b"${NO:-", b"${git.tag}", b"\n", b"\xff")


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    if generator.random() < 0.3:
        return mutated(generator, generator.choice(seeds), WORDS)
    value = generator.choice(("", "1", "x" * 3000, "${A}", "$$", "}", "ü"))
    return f"{value}\0{_text(generator, generator.choice((1, 3, 12, 300)))}".encode()


def _text(generator: random.Random, depth: int) -> str:
    """Return texts in defaults and messages of others, to a depth, some of them never closed."""
    text = "x"
    for _ in range(depth):
        form = generator.choice(
            ("{before}${{{name}}}", "{before}${{{name}:-{text}}}", "${{{name}:?{text}}}", "{text}{text}")
        )
        if len(text) > 20_000:
            break
        before = generator.choice(("", "a", "$$", "$", "${", "}")) if generator.random() < 0.2 else ""
        text = form.format(before=before, name=generator.choice(NAMES), text=text)
    return text * generator.choice((1, 1, 20))


def _run(case: bytes) -> None:
    value, _, data = case.partition(b"\0")
    environ = {"A": value.decode("utf-8", "surrogateescape"), "E": ""}
    text = data.decode("utf-8", "replace")
    interpolator = Interpolator(environ=environ, git=GIT, now=NOW)
    for interpolate in (interpolator.interpolate, interpolator.interpolate_tag):
        try:
            result = interpolate(text)
        except InterpolationError as error:
            check_short(error, text)
            continue
        assert len(result) <= len(text) + MAX_EXPANDED_CHARS
        assert "$" in text or result == text


def check_short(error: InterpolationError, text: str) -> None:
    assert len(error.message) < len(text) + MAX_EXPANDED_CHARS + 300


TARGETS = (Target(name="interpolation", make=_make, run=_run),)
