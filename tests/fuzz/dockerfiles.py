"""Dockerfiles: their instructions, stages, base images, and what a first config proposes for them."""

import random
from collections.abc import Sequence
from contextlib import suppress

from fuzz.harness import Target, mutated
from multibuild.builds.fingerprint import base_digest
from multibuild.dockerfile.parse import MAX_IMAGES, MAX_STAGES, instructions, read_dockerfile
from multibuild.dockerfile.reach import NotCertain
from multibuild.dockerfile.stages import used_stages
from multibuild.dockerfile.take_apart import take_apart
from multibuild.init.proposal import images_to_query, propose_platforms
from multibuild.oci.registry_session import RegistrySession
from multibuild.platforms import Platform

AMD64 = Platform.parse("linux/amd64")
WORDS = (
    b"FROM ", b" AS ", b"COPY --from=", b"ADD https://", b"RUN <<EOF\n", b"\nEOF\n", b"\\\n", b"`\n", b"# escape=`\n",
    b"# syntax=", b"# check=skip=all\n", b"ARG A=", b"$A", b"${A:-", b"}", b"${", b"--platform=$BUILDPLATFORM ", b"ONBUILD ",
    b"--mount=type=bind,from=", b"<<-'X' <<Y", b'"', b"'", b"\r", b"\x0c", "\u2028".encode(), b"\xff", b"\x00", b"9" * 5000, "²".encode(),
)  # fmt: skip
LINES = (
    b"FROM a AS b", b"FROM b AS a", b"FROM --platform=$BUILDPLATFORM golang:1 AS build", b"FROM $A", b"FROM scratch",
    b"ARG A=$A$A", b"ARG A", b"ARG TARGETARCH", b"COPY --from=0 / /", b"COPY --from=b a /", b"RUN go build \\", b"# comment",
    b"RUN <<A <<B", b"A", b"B", b"ADD $X /", b"ONBUILD COPY --from=x / /", b"", b"RUN --mount=type=bind,from=tools,target=/t make",
)  # fmt: skip


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    if generator.random() < 0.6:
        return mutated(generator, generator.choice(seeds), words=WORDS, changes=8)
    count = generator.choice((3, 10, 40, 600))
    text = b"\n".join(generator.choice(LINES) for _ in range(count))
    return mutated(generator, text, words=WORDS) if generator.random() < 0.5 else text


ARGS = {"A": "x", "TARGETARCH": "arm64"}
AUTOMATIC = {"TARGETPLATFORM": "linux/arm64", "TARGETOS": "linux", "TARGETARCH": "arm64", "TARGETVARIANT": ""}


def _take_apart(text: str) -> None:
    """Compare what a target can use with the stages that it needs, which are found by other code."""
    staged = take_apart(text, ARGS, AUTOMATIC)
    _directives, _arguments, stages = staged.reach(None).text
    assert isinstance(stages, list)
    assert len(stages) == len(used_stages(read_dockerfile(text, ARGS).stages, None))
    with suppress(NotCertain):  # an escape at the end of the last line
        more = take_apart(f"{text}\n# comment\n\n", ARGS, AUTOMATIC)
        assert (more.reach(None), more.whole()) == (staged.reach(None), staged.whole())


def _run(case: bytes) -> None:
    text = case.decode("utf-8", "surrogateescape")
    parsed = read_dockerfile(text, ARGS)
    with suppress(NotCertain):
        _take_apart(text)
    lines = [instruction.line for instruction in instructions(text)]
    assert lines == sorted(set(lines))
    assert lines[-1:] <= [text.count("\n") + 1]
    assert len(parsed.stages) <= MAX_STAGES
    assert len(parsed.images) <= MAX_IMAGES
    with RegistrySession({}, on_wait=lambda _text: None) as session:
        for image in parsed.images:
            if "$" in image or "@" in image:
                base_digest(session, image)  # no request: unknown, or in the name
    for used in used_stages(parsed.stages, None):
        places = [stage.line for stage in used.chain]
        assert places == sorted(places, reverse=True), "a stage is FROM an earlier one"
        assert not {stage.name for stage in parsed.stages if stage.name and stage.line < places[-1]} & {
            used.root.base.lower()
        }
    if len(parsed.stages) < 20:
        images_to_query(text, None, AMD64)
        propose_platforms(text, None, {}, AMD64)


TARGETS = (Target(name="dockerfiles", make=_make, run=_run, cpu_s=5.0),)
