"""Dockerfiles through the lint and `--fix`: any text ends in findings or a clear error."""

import random
from collections.abc import Sequence

from fuzz.dockerfiles import LINES, WORDS
from fuzz.harness import Target, mutated
from multibuild.dockerfile.source import read_source
from multibuild.lint.fix import MAX_ROUNDS, fixed_text
from multibuild.lint.formats import as_json, as_sarif, as_text
from multibuild.lint.lint import lint_text
from multibuild.lint.view import LintInput
from multibuild.platforms import Platform

PLATFORMS = tuple(map(Platform.parse, ("amd64", "arm64", "arm/v7")))
SHELL = (
    b"$(", b"`", b"case $TARGETARCH in ", b" esac", b";; ", b"amd64) ", b"if ", b"; then ", b"; fi", b"[ $TARGETARCH = x86_64 ] && ",
    b"for a in amd64 arm64; do ", b"; done", b"uname -m", b"GOARCH=", b"go build ", b"https://x/", b"x86_64", b"--target ", b"|| exit 0; ",
    b"${TARGETARCH/", b"#", b"sh -c '", b"export ", b"ARG TARGETARCH=amd64\n", b"RUN curl https://x/linux-amd64\n", b"COPY --from=build ",
    b"ENV GOARCH=amd64\n", b"FROM --platform=linux/amd64 x AS y\n", b"--mount=type=cache,target=/target ", b"\xef\xbb\xbf", b"\r\n",
    b"# multibuild: ignore=", b"CMD $TARGETARCH\n", b"(", b")", b"{ ", b"<(", b"f() ", b"[[ ", b"dpkg --add-architecture arm64\n",
)  # fmt: skip


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    if generator.random() < 0.7:
        return mutated(generator, generator.choice(seeds), words=(*WORDS, *SHELL), changes=10)
    count = generator.choice((3, 10, 40))
    lines = [generator.choice((*LINES, *SHELL)) for _ in range(count)]
    return b"FROM a\n" + b"\n".join(lines)


def _run(case: bytes) -> None:
    text = case.decode("utf-8", "surrogateescape")
    source = read_source(text)
    findings = lint_text(text, "Dockerfile")
    for one in findings:
        assert 1 <= one.line <= len(source.line_offsets)
        assert 1 <= one.column <= one.end_column <= len(source.line(one.line)) + 2
        assert len(one.message) < 500
        for edit in one.edits:
            assert 0 <= edit.start <= edit.end <= len(source.text)
    as_json(findings)
    as_sarif(findings)
    list(as_text(findings))
    lint_text(text, "Dockerfile", LintInput(platforms=PLATFORMS, explicit=True))

    def find(text: str):  # type: ignore[no-untyped-def]
        return lint_text(text, "Dockerfile")

    fixed = fixed_text(text, find)
    if not any(one.edits for one in findings):
        assert fixed == text
    left = [edit for one in find(fixed) for edit in one.edits]
    assert not left, f"not mended in {MAX_ROUNDS} rounds"


TARGETS = (Target(name="lint-files", make=_make, run=_run, cpu_s=8.0),)
