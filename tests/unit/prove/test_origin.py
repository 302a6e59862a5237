"""Foreign files are traced to their layer, their line and their rule: Dockerfile, history and file → sentence."""

import json
import time
from dataclasses import dataclass

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


def origin(text, document, *, layer, layers=None, path="/app", **built):
    """Return the origin of one file."""
    rows = document.get("history") or []
    count = sum(not row.get("empty_layer") for row in rows if isinstance(row, dict))
    file = ForeignFile(path=path, architecture="amd64", needed=True, layer=layer)
    built_from = None
    if text is not None:
        built_from = BuiltFrom(
            **{"text": text, "file": "Dockerfile", "platform": ARM64, "args": {}} | built
        )
    (one,) = trace([file], document, count if layers is None else layers, built_from)
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
    "settings between": Case(
        text="FROM debian:12\nENV A=b\nCOPY app /app\nLABEL a=b\nEXPOSE 80\nUSER 1\nCMD [\"/app\"]\n",
        history=(
            "ENV A=b ?", "COPY app /app # buildkit", "LABEL a=b ?", "EXPOSE [80/tcp] ?", "USER 1 ?",
            'CMD ["/app"] ?',
        ),
        layer=1,
        says="`COPY app /app` in line 3 (layer 2 of 2)",
    ),  # fmt: skip
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
        says="`COPY --from=build` in line 4 (layer 1 of 1), built by line 2; line 2: go build works for amd64"
        " [fixed-target]",
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
            "ARG TARGETARCH=arm64 ?", "COPY bin/arm64/app /app # buildkit", "ARG TARGETARCH=amd64 ?",
        ),
        layer=1,
        says="`COPY bin/$TARGETARCH/app /app` in line 3 (layer 2 of 2)",
    ),  # fmt: skip
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
        base=("/bin/sh -c #(nop) ADD file:1 in / ", '/bin/sh -c #(nop)  CMD ["sh"] ?', "/bin/sh -c apt-get x ?"),
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
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_file_is_traced(name):
    case = CASES[name]
    one = origin(case.text, config(*case.base, *case.history), layer=case.layer, path=case.path)
    expected = f"{case.path} is amd64: {case.says}"
    assert one.text == expected if "; line" not in case.says else one.text.startswith(expected)
