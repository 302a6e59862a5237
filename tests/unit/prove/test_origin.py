"""Foreign files are traced to their layer, their line and their rule: Dockerfile, history and file → sentence."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from multibuild.platforms import Platform
from multibuild.prove.content.proof import ForeignFile
from multibuild.prove.origin.history import Entry, read_history
from multibuild.prove.origin.trace import BuiltFrom, trace

ARM64 = Platform.parse("linux/arm64")
BASE = ("CMD [] ?", "COPY amd64/ / # buildkit")
"""The history of a base image with one layer; `?` marks an entry without a layer."""


def config(*entries, comment="buildkit.dockerfile.v0"):
    """Return an image config with a history, as BuildKit writes it."""
    rows = []
    for text in entries:
        row = {"created": "2026-01-01T00:00:00Z", "created_by": text.removesuffix(" ?"), "comment": comment}
        rows.append(row | ({"empty_layer": True} if text.endswith(" ?") else {}))
    return {"history": rows}


def origin(text, document, *, layer, layers=None, path="/app", triggers=(), **built):
    """Return the origin of one file."""
    rows = document.get("history") or []
    count = sum(not row.get("empty_layer") for row in rows if isinstance(row, dict))
    number = None if layer is None else layer + 1
    file = ForeignFile(path=path, architecture="amd64", needed=True, layer=number)
    built_from = None
    if text is not None:
        built_from = BuiltFrom(**{"text": text, "file": "Dockerfile", "platform": ARM64, "args": {}} | built)
    (one,) = trace([file], document, count if layers is None else layers, built_from, dict(triggers).get)
    return one


@dataclass(frozen=True, kw_only=True)
class Case:
    """A Dockerfile, the history that BuildKit makes of it behind the base's, a file, and what is said of it."""

    text: str
    history: tuple[str, ...]
    layer: int
    says: str
    path: str = "/app"
    base: tuple[str, ...] = BASE


CROSS = "FROM --platform=$BUILDPLATFORM golang:1.22 AS build\n"
COPIED = ("COPY /app /app # buildkit",)
FROM_BUILD = "FROM debian:12\nCOPY --from=build /app /app\n"

CASES = {
    "copy from the context": Case(
        text="FROM debian:12\nCOPY app /app\n",
        history=("COPY app /app # buildkit",),
        layer=1,
        says="`COPY app /app` in line 2 (layer 2 of 2)",
    ),
    "run in the last stage": Case(
        text="FROM debian:12\nRUN curl -o /app https://example.org/app\n",
        history=("RUN /bin/sh -c curl -o /app https://example.org/app # buildkit",),
        layer=1,
        says="`RUN curl -o /app https://example.org/app` in line 2 (layer 2 of 2)",
    ),
    "run with arguments": Case(
        text="FROM debian:12\nARG TOKEN\nRUN make\nRUN make install\n",
        history=(
            "ARG TOKEN=s3cret ?",
            "RUN |1 TOKEN=s3cret /bin/sh -c make # buildkit",
            "RUN |1 TOKEN=s3cret /bin/sh -c make install # buildkit",
        ),
        layer=2,
        says="`RUN make install` in line 4 (layer 3 of 3)",
    ),
    "run with continued lines and mounts": Case(
        text="FROM debian:12\nRUN --mount=type=cache,target=/c \\\n  a && \\\n # why\n  b\nCOPY x /x\n",
        history=("RUN /bin/sh -c a &&   b # buildkit", "COPY x /x # buildkit"),
        layer=1,
        says="`RUN --mount=type=cache,target=/c a && b` in line 2 (layer 2 of 3)",
    ),
    "run in the exec form": Case(
        text='FROM debian:12\nRUN ["/bin/sh", "-c", "cc -o /app"]\n',
        history=("RUN /bin/sh -c cc -o /app # buildkit",),
        layer=1,
        says='`RUN ["/bin/sh", "-c", "cc -o /app"]` in line 2 (layer 2 of 2)',
    ),
    "run with a heredoc": Case(
        text="FROM debian:12\nRUN <<EOF\ncc\n  cp a /app\nEOF\nCOPY x /x\n",
        history=("RUN /bin/sh -c cc\n  cp a /app\n # buildkit", "COPY x /x # buildkit"),
        layer=1,
        says="`RUN <<EOF` in line 2 (layer 2 of 3)",
    ),
    "run with a script of its own": Case(
        text="FROM debian:12\nRUN <<EOF\n#!/bin/sh\ncc\nEOF\n",
        history=("RUN /bin/sh -c /dev/pipes/EOF # buildkit",),
        layer=1,
        says="`RUN <<EOF` in line 2 (layer 2 of 2)",
    ),
    "copy with a heredoc before it": Case(
        text="FROM debian:12\nCOPY app /app\nCOPY <<EOT /here\nhi\nEOT\n",
        history=("COPY app /app # buildkit", "COPY <<EOT /here # buildkit"),
        layer=1,
        says="`COPY app /app` in line 2 (layer 2 of 3)",
    ),
    "copy in the exec form": Case(
        text='FROM debian:12\nCOPY ["app", "/opt/my app/"]\n',
        history=("COPY app /opt/my app/ # buildkit",),
        layer=1,
        path="/opt/my app/app",
        says='`COPY ["app", "/opt/my app/"]` in line 2 (layer 2 of 2)',
    ),
    "copy with flags": Case(
        text="FROM debian:12\nCOPY --link --chown=1:1 --chmod=755 app /app\n",
        history=("COPY --chown=1:1 --chmod=755 app /app # buildkit",),
        layer=1,
        says="`COPY --link --chown=1:1 --chmod=755 app /app` in line 2 (layer 2 of 2)",
    ),
    "add": Case(
        text="FROM debian:12\nADD app.tar /\n",
        history=("ADD app.tar / # buildkit",),
        layer=1,
        says="`ADD app.tar /` in line 2 (layer 2 of 2)",
    ),
    "working directories with and without a layer": Case(
        text="FROM debian:12\nWORKDIR /srv/\nCOPY app .\nWORKDIR sub\nWORKDIR /\n",
        history=("WORKDIR /srv", "COPY app . # buildkit", "WORKDIR /srv/sub", "WORKDIR / ?"),
        layer=2,
        path="/srv/app",
        says="`COPY app .` in line 3 (layer 3 of 4)",
    ),
    "working directories as written": Case(
        text="FROM debian:12\nARG D=x\nWORKDIR /a/./b/\nWORKDIR ./c\nWORKDIR /$D/\nCOPY app .\nWORKDIR /tmp/\n",
        history=(
            "ARG D=x ?",
            "WORKDIR /a/./b/",
            "WORKDIR /a/b/c",
            "WORKDIR /x/",
            "COPY app . # buildkit",
            "WORKDIR /tmp/",
        ),
        layer=4,
        path="/x/app",
        says="`COPY app .` in line 6 (layer 5 of 6)",
    ),
    "settings between": Case(
        text='FROM debian:12\nENV A=b\nCOPY app /app\nLABEL a=b\nEXPOSE 80\nUSER 1\nCMD ["/app"]\n',
        history=(
            "ENV A=b ?",
            "COPY app /app # buildkit",
            "LABEL a=b ?",
            "EXPOSE [80/tcp] ?",
            "USER 1 ?",
            'CMD ["/app"] ?',
        ),
        layer=1,
        says="`COPY app /app` in line 3 (layer 2 of 2)",
    ),
    "the base image": Case(
        text="FROM debian:12\nCOPY x /x\n",
        history=("COPY x /x # buildkit",),
        layer=0,
        path="/bin/sh",
        says="in the base image debian:12 (FROM in line 1; layer 1 of 2)",
    ),
    "the base image alone": Case(
        text='FROM debian:12\nCMD ["sh"]\n',
        history=('CMD ["sh"] ?',),
        layer=0,
        path="/bin/sh",
        says="in the base image debian:12 (FROM in line 1; layer 1 of 1)",
    ),
    "a base image fixed to a platform": Case(
        text="FROM --platform=linux/amd64 debian:12\nCOPY x /x\n",
        history=("COPY x /x # buildkit",),
        layer=0,
        path="/bin/sh",
        says="in the base image debian:12 (FROM in line 1; layer 1 of 2); line 1: FROM debian:12 becomes the image,"
        " and is always linux/amd64: every platform gets that [fixed-final-platform]",
    ),
    "a base image with a variable in its name": Case(
        text="ARG V=12\nFROM debian:$V\nRUN x\n",
        history=("RUN /bin/sh -c x # buildkit",),
        layer=0,
        says="in the base image debian:12 (FROM in line 2; layer 1 of 2)",
    ),
    "a base that is a stage of the file": Case(
        text="FROM debian:12 AS one\nCOPY app /app\nFROM one\nRUN true\n",
        history=("COPY app /app # buildkit", "RUN /bin/sh -c true # buildkit"),
        layer=1,
        says="`COPY app /app` in line 2 (layer 2 of 3)",
    ),
    "the image below a base that is a stage": Case(
        text="FROM debian:12 AS one\nCOPY app /app\nFROM one\nRUN true\n",
        history=("COPY app /app # buildkit", "RUN /bin/sh -c true # buildkit"),
        layer=0,
        path="/bin/sh",
        says="in the base image debian:12 (FROM in line 1; layer 1 of 3)",
    ),
    "scratch": Case(
        text=f"{CROSS}RUN GOARCH=amd64 go build -o /app .\nFROM scratch\nCOPY --from=build /app /app\n",
        base=(),
        history=COPIED,
        layer=0,
        says="`COPY --from=build` in line 4 (layer 1 of 1), built by line 2; line 2: GOARCH is for amd64,"
        " whatever platform is built [fixed-target]",
    ),
    "copy from a stage whose RUN names the path": Case(
        text=f"{CROSS}COPY . .\nRUN go build -o /app .\nRUN true\n{FROM_BUILD}",
        history=COPIED,
        layer=1,
        says="`COPY --from=build` in line 6 (layer 2 of 2), built by line 3; line 3: ",
    ),
    "a default in that stage": Case(
        text=f"{CROSS}COPY . .\nARG TARGETARCH=amd64\nRUN GOARCH=$TARGETARCH go build -o /app .\n{FROM_BUILD}",
        history=COPIED,
        layer=1,
        says="`COPY --from=build` in line 6 (layer 2 of 2), built by line 4; line 3: the default of TARGETARCH hides"
        " the value that BuildKit sets: it is always 'amd64' [target-arg-default]",
    ),
    "a default before the first FROM": Case(
        text=f"ARG TARGETARCH=amd64\n{CROSS}ARG TARGETARCH\nRUN GOARCH=$TARGETARCH go build -o /app .\n{FROM_BUILD}",
        history=COPIED,
        layer=1,
        says="`COPY --from=build` in line 6 (layer 2 of 2), built by line 4; line 1: the default of TARGETARCH hides",
    ),
    "a default that a COPY uses": Case(
        text="FROM debian:12\nARG TARGETARCH=amd64\nCOPY bin/$TARGETARCH/app /app\n",
        history=("ARG TARGETARCH=amd64 ?", "COPY bin/amd64/app /app # buildkit"),
        layer=1,
        says="`COPY bin/$TARGETARCH/app /app` in line 3 (layer 2 of 2); line 2: the default of TARGETARCH hides",
    ),
    "a default that the COPY does not use": Case(
        text="FROM debian:12\nARG TARGETARCH=amd64\nLABEL arch=$TARGETARCH\nCOPY app /app\n",
        history=("ARG TARGETARCH=amd64 ?", "LABEL arch=amd64 ?", "COPY app /app # buildkit"),
        layer=1,
        says="`COPY app /app` in line 4 (layer 2 of 2)",
    ),
    "a default after the COPY": Case(
        text="FROM debian:12\nARG TARGETARCH\nCOPY bin/$TARGETARCH/app /app\nARG TARGETARCH=amd64\n",
        history=(
            "ARG TARGETARCH=arm64 ?",
            "COPY bin/arm64/app /app # buildkit",
            "ARG TARGETARCH=amd64 ?",
        ),
        layer=1,
        says="`COPY bin/$TARGETARCH/app /app` in line 3 (layer 2 of 2)",
    ),
    "a mistake in another stage": Case(
        text="FROM --platform=$BUILDPLATFORM golang:1 AS other\nRUN GOARCH=amd64 go build -o /b .\n"
        "FROM debian:12\nCOPY --from=other /b /b\nCOPY app /app\n",
        history=("COPY /b /b # buildkit", "COPY app /app # buildkit"),
        layer=2,
        says="`COPY app /app` in line 5 (layer 3 of 3)",
    ),
    "two variables in a row": Case(
        text="FROM debian:12\nARG TARGETARCH\nARG TARGETVARIANT\nCOPY b/${TARGETARCH}${TARGETVARIANT} /app\n",
        history=("ARG TARGETARCH=arm64 ?", "ARG TARGETVARIANT= ?", "COPY b/arm64 /app # buildkit"),
        layer=1,
        says="`COPY b/${TARGETARCH}${TARGETVARIANT} /app` in line 4 (layer 2 of 2)",
    ),
    "a stage by its number": Case(
        text="FROM debian:12\nRUN cc -o /app a.c\nFROM debian:12\nCOPY --from=0 /app /app\n",
        history=COPIED,
        layer=1,
        says="`COPY --from=0` in line 4 (layer 2 of 2), built by line 2",
    ),
    "a directory out of a stage": Case(
        text="FROM debian:12 AS build\nRUN make DESTDIR=/out install\nFROM debian:12\nCOPY --from=build /out/ /\n",
        history=("COPY /out/ / # buildkit",),
        layer=1,
        path="/opt/app",
        says="`COPY --from=build` in line 4 (layer 2 of 2), likely built by line 2",
    ),
    "a RUN that names the file in another folder": Case(
        text="FROM debian:12 AS build\nRUN cc -o app a.c\nRUN make doc\nFROM debian:12\nCOPY --from=build /src/app /app\n",
        history=("COPY /src/app /app # buildkit",),
        layer=1,
        says="`COPY --from=build` in line 5 (layer 2 of 2), likely built by line 2",
    ),
    "a path from the working directory": Case(
        text="FROM debian:12 AS build\nWORKDIR /src\nRUN cc -o out/app a.c\nRUN true\nFROM debian:12\n"
        "COPY --from=build /src/out/app /app\n",
        history=("COPY /src/out/app /app # buildkit",),
        layer=1,
        says="`COPY --from=build` in line 6 (layer 2 of 2), built by line 3",
    ),
    "a RUN that only strips": Case(
        text="FROM debian:12 AS build\nRUN cc -o /app a.c\nRUN strip /app && chmod +x /app\n" + FROM_BUILD,
        history=COPIED,
        layer=1,
        says="`COPY --from=build` in line 5 (layer 2 of 2), built by line 2",
    ),
    "a RUN that changes what another has written": Case(
        text="FROM debian:12 AS build\nRUN cc a.c -o /app\nRUN patchelf --set-rpath /lib /app\n" + FROM_BUILD,
        history=COPIED,
        layer=1,
        says="`COPY --from=build` in line 5 (layer 2 of 2), built by line 2",
    ),
    "a RUN that changes what was copied": Case(
        text="FROM debian:12 AS build\nCOPY app /app\nRUN patchelf --set-rpath /lib /app\n" + FROM_BUILD,
        history=COPIED,
        layer=1,
        says="`COPY --from=build` in line 5 (layer 2 of 2), copied from the build context by line 2",
    ),
    "a RUN that writes over what was copied": Case(
        text="FROM debian:12 AS build\nCOPY app /app\nRUN make && cp out/x /app; true\n" + FROM_BUILD,
        history=COPIED,
        layer=1,
        says="`COPY --from=build` in line 5 (layer 2 of 2), built by line 3",
    ),
    "several RUN that name it": Case(
        text="FROM debian:12 AS build\nRUN make OUT=/app\nRUN ./sign /app\n" + FROM_BUILD,
        history=COPIED,
        layer=1,
        says="`COPY --from=build` in line 5 (layer 2 of 2), likely built by line 2",
    ),
    "the only RUN that names it": Case(
        text="FROM debian:12 AS build\nRUN make OUT=/app\nRUN true\n" + FROM_BUILD,
        history=COPIED,
        layer=1,
        says="`COPY --from=build` in line 5 (layer 2 of 2), built by line 2",
    ),
    "a COPY to an unknown place": Case(
        text="FROM debian:12 AS build\nCOPY x $WHERE\n" + FROM_BUILD,
        history=COPIED,
        layer=1,
        says="`COPY --from=build` in line 4 (layer 2 of 2)",
    ),
    "the last RUN": Case(
        text="FROM debian:12 AS build\nCOPY . .\nRUN make\nRUN make install\n" + FROM_BUILD,
        history=COPIED,
        layer=1,
        says="`COPY --from=build` in line 6 (layer 2 of 2), likely built by line 4",
    ),
    "a program of the system in a stage with RUN": Case(
        text="FROM debian:12 AS tools\nRUN echo hi\nFROM debian:12\nCOPY --from=tools /usr/bin/curl /app\n",
        history=("COPY /usr/bin/curl /app # buildkit",),
        layer=1,
        says="`COPY --from=tools` in line 4 (layer 2 of 2)",
    ),
    "a program of a stage's base": Case(
        text="FROM --platform=$BUILDPLATFORM debian:12 AS tools\nFROM debian:12\nCOPY --from=tools /bin/sh /app\n",
        history=("COPY /bin/sh /app # buildkit",),
        layer=1,
        says="`COPY --from=tools` in line 3 (layer 2 of 2), from the base image debian:12 (FROM in line 1); line 3: ",
    ),
    "a file of the context through a stage": Case(
        text="FROM debian:12 AS files\nCOPY bin/amd64/app /app\nFROM debian:12\nCOPY --from=files /app /app\n",
        history=COPIED,
        layer=1,
        says="`COPY --from=files` in line 4 (layer 2 of 2), copied from the build context by line 2; line 2: ",
    ),
    "two stages": Case(
        text="FROM debian:12 AS a\nRUN cc -o /a/app a.c\nFROM debian:12 AS b\nCOPY --from=a /a/app /b/\n"
        "FROM debian:12\nCOPY --from=b /b/app /app\n",
        history=("COPY /b/app /app # buildkit",),
        layer=1,
        says="`COPY --from=b` in line 6 (layer 2 of 2), from `COPY --from=a` in line 4, built by line 2",
    ),
    "a stage that is FROM the one that builds": Case(
        text="FROM debian:12 AS a\nRUN cc -o /app a.c\nFROM a AS b\nFROM debian:12\nCOPY --from=b /app /app\n",
        history=COPIED,
        layer=1,
        says="`COPY --from=b` in line 5 (layer 2 of 2), built by line 2",
    ),
    "an image": Case(
        text="FROM debian:12\nCOPY --from=example.org/tool:1 /app /app\n",
        history=COPIED,
        layer=1,
        says="`COPY --from=example.org/tool:1` in line 2 (layer 2 of 2), from the image example.org/tool:1",
    ),
    "a base with more entries without layers": Case(
        text="FROM debian:12\nCOPY app /app\n",
        base=(
            "/bin/sh -c #(nop) ADD file:1 in / ",
            '/bin/sh -c #(nop)  CMD ["sh"] ?',
            "/bin/sh -c apt-get x ?",
        ),
        history=("COPY app /app # buildkit",),
        layer=1,
        says="`COPY app /app` in line 2 (layer 2 of 2)",
    ),
    "a base of another builder": Case(
        text="FROM debian:12\nCOPY x /x\n",
        base=("/bin/sh -c #(nop) ADD file:1 in / ", '/bin/sh -c #(nop)  CMD ["sh"] ?', ""),
        history=("COPY x /x # buildkit",),
        layer=0,
        says="in the base image debian:12 (FROM in line 1; layer 1 of 3)",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_is_traced(name):
    case = CASES[name]
    one = origin(case.text, config(*case.base, *case.history), layer=case.layer, path=case.path)
    expected = f"{case.path} is amd64: {case.says}"
    assert one.text == expected if "; line" not in case.says else one.text.startswith(expected)


TEXT = "FROM debian:12\nCOPY app /app\nRUN make\n"
ENTRIES = (*BASE, "COPY app /app # buildkit", "RUN /bin/sh -c make # buildkit")
LAYER = "in layer 2 of 3"
MADE = f"{LAYER} (in its history `COPY app /app`)"

# What is not certain is not said: a document, the Dockerfile, more of the build, and what is left.
UNCERTAIN: dict[str, tuple[Any, ...]] = {
    "no Dockerfile": (config(*ENTRIES), None, {}, MADE),
    "no history": ({}, TEXT, {"layers": 3}, LAYER),
    "a history that is no list": ({"history": {"a": 1}}, TEXT, {"layers": 3}, LAYER),
    "entries that are no objects": ({"history": ["x", "y", "z"]}, TEXT, {"layers": 3}, LAYER),
    "more entries than layers": (config(*ENTRIES), TEXT, {"layers": 2}, "in layer 2 of 2"),
    "fewer entries than layers": (config(*ENTRIES), TEXT, {"layers": 5}, "in layer 2 of 5"),
    "squashed into one layer": (config("COPY app /app ?", "RUN make ?", ""), TEXT, {"layer": 0}, "in layer 1 of 1"),
    "a history that the exporter filled up": (
        config(*ENTRIES, comment="buildkit.exporter.v0"), TEXT, {"layers": 3}, LAYER,
    ),
    "a base image without history, as BuildKit fills it up": (
        {
            "history": [
                {"created_by": "COPY app /app # buildkit", "comment": "buildkit.dockerfile.v0"},
                {"created_by": "RUN /bin/sh -c make # buildkit", "comment": "buildkit.dockerfile.v0"},
                {"created_by": "[2/3] COPY app /app", "comment": "buildkit.exporter.image.v0"},
                {"created_by": "[3/3] RUN make", "comment": "buildkit.exporter.image.v0"},
            ]
        },
        TEXT,
        {},
        "in layer 2 of 4",
    ),
    "a base image of two layers with four entries": (
        config("RUN 0", "RUN 1", "RUN 2", "RUN 3", "COPY app /app # buildkit ?", "RUN /bin/sh -c make # buildkit ?"),
        TEXT,
        {},
        "in layer 2 of 4",
    ),
    "a base image of one layer with two entries": (
        config("RUN 0", "RUN 1", "COPY app /app # buildkit", "WORKDIR /srv ?"),
        "FROM debian:12\nCOPY app /app\nWORKDIR /srv\n",
        {"layer": 2},
        "in layer 3 of 3",
    ),
    "too many entries": (config(*["RUN x"] * 1001), TEXT, {}, "in layer 2 of 1001"),
    "an entry without text": (
        {"history": [{"created_by": 7}, {}, {"created_by": None}]}, TEXT, {"layers": 3}, LAYER,
    ),
    "another frontend": (config(*ENTRIES), f"# syntax=example.org/mine:1\n{TEXT}", {}, MADE),
    "no Dockerfile at all": (config(*ENTRIES), "not one", {}, MADE),
    "a target that it does not have": (config(*ENTRIES), TEXT, {"target": "x"}, MADE),
    "a Dockerfile changed since": (config(*ENTRIES), TEXT.replace("make", "make all"), {}, MADE),
    "a line added since": (config(*ENTRIES), f"{TEXT}RUN more\n", {}, MADE),
    "a line removed since": (config(*ENTRIES), "FROM debian:12\nCOPY app /app\n", {}, MADE),
    "another file copied since": (
        config(*ENTRIES), TEXT.replace("COPY app", "COPY tool"), {}, MADE,
    ),
    "a stage hidden by a build context": (
        config(*ENTRIES),
        "FROM debian:12 AS base\nCOPY app /app\nFROM base\nRUN make\n",
        {"contexts": frozenset({"base"})},
        MADE,
    ),
    "a base given by a build context": (
        config(*ENTRIES), TEXT, {"contexts": frozenset({"debian:12"}), "layer": 0},
        "in layer 1 of 3 (in its history `COPY amd64/ /`)",
    ),
    "a source given by a build context": (
        config(*BASE, "COPY /app /app # buildkit"),
        "FROM debian:12\nCOPY --from=tools /app /app\n",
        {"contexts": frozenset({"tools"})},
        "`COPY --from=tools` in line 2 (layer 2 of 2)",
    ),
    "layers below scratch": (
        config(*ENTRIES), TEXT.replace("debian:12", "scratch"), {"layer": 0},
        "in layer 1 of 3 (in its history `COPY amd64/ /`)",
    ),
    "a base image that only its own history knows": (
        config(*BASE, "RUN |1 TOKEN=s3cret /bin/sh -c make x # buildkit"), None, {},
        "in layer 2 of 2 (in its history `RUN make x`)",
    ),
    "arguments without a shell": (
        config(*BASE, "RUN |1 TOKEN=s3cret make # buildkit"), None, {}, "in layer 2 of 2 (in its history `RUN …`)",
    ),
    "an unknown layer": (config(*ENTRIES), TEXT, {"layer": None}, "its layer is not known"),
    "a layer beyond": (config(*ENTRIES), TEXT, {"layer": 3}, "its layer is not known"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNCERTAIN)
def test_what_is_not_certain_is_not_said(name):
    document, text, more, says = UNCERTAIN[name]
    assert origin(text, document, **{"layer": 1} | more).text == f"/app is amd64: {says}"


TRIGGERED = ("COPY app /app # buildkit", "RUN /bin/sh -c true # buildkit", "COPY x /x # buildkit")


@pytest.mark.parametrize(
    ("layer", "layers_of_base", "says"),
    [
        (0, 1, "in the base image debian:12 (FROM in line 1; layer 1 of 4)"),
        (1, 1, "by `COPY app /app`, an ONBUILD of the base image debian:12 (FROM in line 1; layer 2 of 4)"),
        (2, 1, "by `RUN true`, an ONBUILD of the base image debian:12 (FROM in line 1; layer 3 of 4)"),
        (1, 2, "in the base image debian:12 (FROM in line 1; layer 2 of 4)"),
        (1, None, "in the base image debian:12 (FROM in line 1; layer 2 of 4)"),
        (3, 1, "`COPY x /x` in line 2 (layer 4 of 4)"),
    ],
)
def test_an_instruction_of_the_base_image_is_no_file_of_it(layer, layers_of_base, says):
    document = config(*BASE, *TRIGGERED)
    text = "FROM debian:12\nCOPY x /x\n"
    one = origin(text, document, layer=layer, triggers={"debian:12": layers_of_base})
    assert one.text == f"/app is amd64: {says}"
    assert one.to_json().get("image") == (None if layer == 3 else "debian:12")


@pytest.mark.parametrize(
    ("image", "says"), [("debian:12", ""), ("debian:11", ", from the base image debian:12 (FROM in line 1)")]
)
def test_a_stage_whose_base_has_instructions_may_have_the_file_from_them(image, says):
    text = "FROM debian:12 AS build\nFROM debian:13\nCOPY --from=build /app /app\n"
    one = origin(text, config(*BASE, "COPY /app /app # buildkit"), layer=1, triggers={image: 1})
    assert one.text == f"/app is amd64: `COPY --from=build` in line 3 (layer 2 of 2){says}"


def test_a_dockerfile_of_another_name_is_named_and_its_target_decides():
    text = "FROM debian:12 AS one\nCOPY app /app\nFROM one\nRUN make\n"
    one = origin(text, config(*ENTRIES[:3]), layer=1, file="docker/arm.Dockerfile", target="one")
    assert one.text == "/app is amd64: `COPY app /app` in line 2 of docker/arm.Dockerfile (layer 2 of 2)"


def test_arguments_of_the_build_decide_what_lint_says():
    text = f"{CROSS}ARG GOARCH\nRUN go build -o /app .\n{FROM_BUILD}"
    document = config(*BASE, *COPIED)
    assert origin(text, document, layer=1, args={"GOARCH": "arm64"}).cause is None
    assert origin(text, document, layer=1).cause.rule == "untargeted-cross-build"


def test_an_origin_as_json_has_what_is_known():
    one = origin(CASES["a default in that stage"].text, config(*BASE, *COPIED), layer=1)
    assert one.to_json() == {
        "path": "/app",
        "text": one.text,
        "layer": 2,
        "created_by": "COPY /app /app",
        "dockerfile": "Dockerfile",
        "instruction": "COPY --from=build",
        "line": 6,
        "source_line": 4,
        "stage_line": 1,
        "rule": "target-arg-default",
        "rule_line": 3,
        "message": "the default of TARGETARCH hides the value that BuildKit sets: it is always 'amd64'",
    }
    assert origin(None, {}, layer=0, layers=1).to_json() == {
        "path": "/app", "text": "/app is amd64: in layer 1 of 1", "layer": 1,
    }  # fmt: skip


def test_needed_files_come_first_and_few_are_traced():
    files = [ForeignFile(path=f"/{n}", architecture="amd64", needed=n == 90, layer=1) for n in range(100)]
    origins = trace(files, {}, 1)
    assert [one.path for one in origins[:3]] == ["/90", "/0", "/1"]
    assert len(origins) == 20


HOSTILE = "\x1b[2J\x1b]0;t\x07\u202e`x`\n::error::\r" + "w" * 100_000


def test_hostile_history_is_one_short_printable_line():
    document = config(f"COPY {HOSTILE} /app", f"RUN |1 A={HOSTILE} /bin/sh -c {HOSTILE}", HOSTILE)
    for layer in range(3):
        for text in (None, TEXT, f"FROM debian:12\nCOPY --from={'x' * 9000} a /app\n"):
            one = origin(text, document, layer=layer, path=f"/{HOSTILE}")
            assert one.text.isprintable()
            assert len(one.text) < 800
            written = json.dumps(one.to_json())
            assert "\\u001b" not in written.replace(json.dumps(one.to_json()["path"]), "")
            assert len(written) < 3000


@pytest.mark.parametrize(
    "entry",
    [
        "COPY " + "--a " * 200_000 + "/app",
        "RUN |1 " + "/" * 400_000,
        "RUN |1 " + "/a -c " * 100_000,
        "COPY " + "a " * 400_000,
        "COPY " + "a" * 800_000,
        "WORKDIR " + "../" * 200_000,
        " " * 800_000,
        "/bin/sh -c #(nop) " * 40_000,
    ],
)
def test_a_long_history_is_read(entry):
    """In time linear in its length: with the square of it, these would take hours."""
    text = f"FROM debian:12\nARG V\nCOPY {'$V' * 900} /app\nWORKDIR {'$V/' * 500}\nRUN {'/a ' * 300}\n"
    assert origin(text, config(entry, entry, entry), layer=1).text.startswith(
        "/app is amd64: in layer 2 of 3"
    )


def test_legacy_entries_are_read():
    entries = read_history(
        config(
            "/bin/sh -c #(nop) ADD file:1 in / ", "/bin/sh -c apt-get update", "/bin/sh -c #(nop)  CMD [] ?"
        )
    )
    assert entries == (
        Entry(word="ADD", rest="file:1 in / ", has_layer=True),
        Entry(word="RUN", rest="/bin/sh -c apt-get update", has_layer=True),
        Entry(word="CMD", rest="[]", has_layer=False),
    )
