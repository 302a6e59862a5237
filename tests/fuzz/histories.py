"""Histories of image configs with Dockerfiles that did not make them: a trace says less, and nothing that is not there."""

import json
import random
from collections.abc import Sequence

from fuzz.harness import Target, mutated_json
from multibuild.platforms import Platform
from multibuild.prove.content.proof import ForeignFile
from multibuild.prove.origin.trace import BuiltFrom, trace

PLATFORM = Platform.parse("linux/arm64")
LINES = (
    "FROM debian:12", "FROM debian:12 AS build", "FROM build", "FROM scratch", "FROM --platform=$BUILDPLATFORM go AS a",
    "COPY app /app", "COPY --from=build /app /app", "COPY --from=0 /out/ /", "COPY --from=a --link /app /b/", "ADD x /",
    'COPY ["a", "b c/"]', "COPY <<E /x\nhi\nE", "RUN make", "RUN go build -o /app .", "RUN <<E\ncp a /app\nE", "WORKDIR /s",
    "WORKDIR $X/../y", "ARG TARGETARCH=amd64", "ARG TARGETARCH", "ENV GOARCH=amd64", "COPY bin/$TARGETARCH /app", "# x",
    "RUN a \\", "WORKDIR", "COPY", "FROM", "\x1b[2J", "COPY --from= /a /b", "COPY --from=$X /a /b",
)  # fmt: skip
ENTRIES = (
    "COPY app /app # buildkit", "COPY /app /app # buildkit", "COPY /out/ / # buildkit", "RUN /bin/sh -c make # buildkit",
    "RUN |1 A=secret /bin/sh -c make # buildkit", "WORKDIR /s", "WORKDIR /", "ADD x / # buildkit", "COPY <<E /x # buildkit",
    "/bin/sh -c #(nop) ADD file:1 in / ", "/bin/sh -c make", "", "\x1b[2J`x`\n", "COPY", "COPY --a --b", "COPY b/amd64 /app",
)  # fmt: skip


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    if generator.random() < 0.1:
        document = json.loads(generator.choice(seeds))
        return json.dumps(document | {"config": mutated_json(generator, document["config"])}).encode()
    rows = [_row(generator) for _ in range(generator.randint(0, 9))]
    document = {
        "text": "\n".join(generator.choice(LINES) for _ in range(generator.randint(0, 12))),
        "config": {"history": rows},
        "path": generator.choice(("/app", "/b/app", "/bin/sh", "/s/app", "/", "", "/\x1b[2J")),
        "layers": max(
            sum(not row.get("empty_layer") for row in rows) + generator.choice((0, 0, 0, 0, 1, -1)), 0
        ),
    }
    if generator.random() < 0.3:
        document["config"] = mutated_json(generator, document["config"])
    return json.dumps(document).encode()


def _row(generator: random.Random) -> dict[str, object]:
    return {"created_by": generator.choice(ENTRIES), "empty_layer": generator.random() < 0.2}


def _run(case: bytes) -> None:
    document = json.loads(case)
    config, text, layers = document["config"], document["text"], document["layers"]
    built_from = BuiltFrom(text=text, file="Dockerfile", platform=PLATFORM, args={})
    files = [
        ForeignFile(path=document["path"], architecture="amd64", needed=True, layer=layer)
        for layer in range(1, layers + 2)
    ]
    for one in trace(files, config if isinstance(config, dict) else {}, layers, built_from):
        assert one.text.isprintable()
        assert "secret" not in one.text
        assert all(0 < line.line <= text.count("\n") + 1 for line in one.lines)
        json.dumps(one.to_json())


TARGETS = (Target(name="histories", make=_make, run=_run),)
