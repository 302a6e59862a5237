"""Dockerfiles that put the wrong architecture into an image, and what mends each.

`line` is where the rule reports; `fixable`: `--fix` alone makes `mended` out of `wrong`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One mistake: the rule and the level that name it, its line, and the files before and after."""

    name: str
    rule: str
    line: int
    wrong: str
    mended: str
    level: str = "error"
    fixable: bool = False


PAIRS: list[Pair] = []


def _pair(name, rule, line, wrong, mended, *, level="error", fixable=False):
    PAIRS.append(
        Pair(
            name=name,
            rule=rule,
            line=line,
            wrong=wrong.lstrip("\n"),
            mended=mended.lstrip("\n"),
            level=level,
            fixable=fixable,
        )
    )


_pair(
    "default-in-the-stage",
    "target-arg-default",
    2,
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETARCH=amd64
COPY . .
RUN CGO_ENABLED=0 GOARCH=${TARGETARCH} go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETARCH
COPY . .
RUN CGO_ENABLED=0 GOARCH=${TARGETARCH} go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    fixable=True,
)
_pair(
    "default-before-the-first-from",
    "target-arg-default",
    1,
    """
ARG TARGETARCH="amd64"
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETARCH
RUN GOARCH=$TARGETARCH go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    """
ARG TARGETARCH
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETARCH
RUN GOARCH=$TARGETARCH go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    fixable=True,
)
_pair(
    "default-of-the-platform",
    "target-arg-default",
    2,
    """
FROM gcr.io/distroless/static
ARG TARGETPLATFORM=linux/amd64
COPY $TARGETPLATFORM/app /app
""",
    """
FROM gcr.io/distroless/static
ARG TARGETPLATFORM
COPY $TARGETPLATFORM/app /app
""",
    fixable=True,
)
_pair(
    "default-among-others",
    "target-arg-default",
    2,
    """
FROM alpine:3.20
ARG VERSION=1.0 TARGETARCH=amd64 NAME=x
RUN wget https://example.org/$NAME-$VERSION-$TARGETARCH
""",
    """
FROM alpine:3.20
ARG VERSION=1.0 TARGETARCH NAME=x
RUN wget https://example.org/$NAME-$VERSION-$TARGETARCH
""",
    fixable=True,
)
_pair(
    "default-operator-in-a-stage",
    "target-arg-default",
    2,
    """
FROM alpine:3.20
ARG TARGETARCH=${TARGETARCH:-amd64}
RUN wget https://example.org/x-$TARGETARCH
""",
    """
FROM alpine:3.20
ARG TARGETARCH
RUN wget https://example.org/x-$TARGETARCH
""",
    fixable=True,
)
_pair(
    "default-of-the-builder",
    "target-arg-default",
    1,
    """
ARG BUILDPLATFORM=linux/amd64
FROM --platform=$BUILDPLATFORM node:22 AS ui
RUN npm run build
FROM nginx
COPY --from=ui /dist /usr/share/nginx/html
""",
    """
ARG BUILDPLATFORM
FROM --platform=$BUILDPLATFORM node:22 AS ui
RUN npm run build
FROM nginx
COPY --from=ui /dist /usr/share/nginx/html
""",
    level="warning",
    fixable=True,
)
_pair(
    "undeclared-in-a-cross-stage",
    "undeclared-target-arg",
    3,
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
COPY . .
RUN GOARCH=$TARGETARCH go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
COPY . .
ARG TARGETARCH
RUN GOARCH=$TARGETARCH go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    fixable=True,
)
_pair(
    "declared-before-from-alone",
    "undeclared-target-arg",
    4,
    """
ARG TARGETARCH
FROM alpine:3.20
# The tool of the platform.
RUN wget -O /usr/bin/tool https://example.org/tool-linux-$TARGETARCH
""",
    """
ARG TARGETARCH
FROM alpine:3.20
ARG TARGETARCH
# The tool of the platform.
RUN wget -O /usr/bin/tool https://example.org/tool-linux-$TARGETARCH
""",
    fixable=True,
)
_pair(
    "undeclared-in-copy",
    "undeclared-target-arg",
    2,
    """
FROM alpine:3.20
COPY bin/app-${TARGETARCH} /usr/bin/app
""",
    """
FROM alpine:3.20
ARG TARGETARCH
COPY bin/app-${TARGETARCH} /usr/bin/app
""",
    fixable=True,
)
_pair(
    "declared-in-another-stage",
    "undeclared-target-arg",
    5,
    """
FROM alpine:3.20 AS one
ARG TARGETARCH
RUN wget https://example.org/one-$TARGETARCH
FROM alpine:3.20
RUN case "$TARGETARCH" in amd64) a=x64 ;; arm64) a=a64 ;; esac; wget https://example.org/two-$a
COPY --from=one /one /one
""",
    """
FROM alpine:3.20 AS one
ARG TARGETARCH
RUN wget https://example.org/one-$TARGETARCH
FROM alpine:3.20
ARG TARGETARCH
RUN case "$TARGETARCH" in amd64) a=x64 ;; arm64) a=a64 ;; esac; wget https://example.org/two-$a
COPY --from=one /one /one
""",
    fixable=True,
)
_pair(
    "undeclared-in-a-mount",
    "undeclared-target-arg",
    2,
    """
FROM rust:1
RUN --mount=type=cache,id=target-$TARGETPLATFORM,target=/target cargo build
""",
    """
FROM rust:1
ARG TARGETPLATFORM
RUN --mount=type=cache,id=target-$TARGETPLATFORM,target=/target cargo build
""",
    fixable=True,
)
_pair(
    "argument-when-it-starts",
    "undeclared-target-arg",
    4,
    """
FROM alpine:3.20
ARG TARGETARCH
COPY bin/ /bin/
CMD /bin/app-$TARGETARCH
""",
    """
FROM alpine:3.20
ARG TARGETARCH
COPY bin/app-$TARGETARCH /bin/app
CMD /bin/app
""",
)
_pair(
    "declared-and-never-used",
    "unused-target-arg",
    2,
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETOS TARGETARCH
COPY . .
RUN go build -o /app .
FROM alpine:3.20
COPY --from=build /app /app
""",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETOS TARGETARCH
COPY . .
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /app .
FROM alpine:3.20
COPY --from=build /app /app
""",
    fixable=True,
)
_pair(
    "declared-and-never-used-rust",
    "unused-target-arg",
    2,
    """
FROM --platform=$BUILDPLATFORM rust:1 AS build
ARG TARGETARCH
COPY . .
RUN cargo build --release && cp target/release/app /app
FROM debian:bookworm-slim
COPY --from=build /app /app
""",
    """
FROM rust:1 AS build
COPY . .
RUN cargo build --release && cp target/release/app /app
FROM debian:bookworm-slim
COPY --from=build /app /app
""",
)
_pair(
    "go-for-the-builder",
    "untargeted-cross-build",
    4,
    """
FROM --platform=$BUILDPLATFORM golang:1.22-alpine AS build
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 go build -ldflags "-s -w" -o /usr/local/bin/app ./cmd/app
FROM alpine:3.20
COPY --from=build /usr/local/bin/app /usr/local/bin/app
""",
    """
FROM --platform=$BUILDPLATFORM golang:1.22-alpine AS build
WORKDIR /src
COPY . .
ARG TARGETOS
ARG TARGETARCH
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -ldflags "-s -w" -o /usr/local/bin/app ./cmd/app
FROM alpine:3.20
COPY --from=build /usr/local/bin/app /usr/local/bin/app
""",
    fixable=True,
)
_pair(
    "c-for-the-builder",
    "untargeted-cross-build",
    3,
    """
FROM --platform=$BUILDPLATFORM gcc:14 AS build
COPY . .
RUN gcc -O2 -static -o /app main.c
FROM scratch
COPY --from=build /app /app
""",
    """
FROM gcc:14 AS build
COPY . .
RUN gcc -O2 -static -o /app main.c
FROM scratch
COPY --from=build /app /app
""",
    level="warning",
)
_pair(
    "rust-for-a-fixed-platform",
    "untargeted-cross-build",
    3,
    """
FROM --platform=linux/amd64 rust:1 AS build
COPY . .
RUN cargo build --release --target-dir /out
FROM debian:bookworm-slim
COPY --from=build /out/release/app /app
""",
    """
FROM rust:1 AS build
COPY . .
RUN cargo build --release --target-dir /out
FROM debian:bookworm-slim
COPY --from=build /out/release/app /app
""",
)
_pair(
    "uname-in-a-cross-stage",
    "uname-in-cross-stage",
    2,
    """
FROM --platform=$BUILDPLATFORM alpine:3.20 AS fetch
RUN wget -O /tool https://example.org/tool-$(uname -m) && chmod +x /tool
FROM alpine:3.20
COPY --from=fetch /tool /usr/bin/tool
""",
    """
FROM --platform=$BUILDPLATFORM alpine:3.20 AS fetch
ARG TARGETARCH
RUN wget -O /tool https://example.org/tool-$TARGETARCH && chmod +x /tool
FROM alpine:3.20
COPY --from=fetch /tool /usr/bin/tool
""",
)
_pair(
    "dpkg-in-a-cross-stage",
    "uname-in-cross-stage",
    3,
    """
FROM --platform=$BUILDPLATFORM debian:bookworm AS fetch
WORKDIR /out
RUN arch="$(dpkg --print-architecture)"; curl -fsSL "https://example.org/tool-${arch}.tgz" | tar xz -C /out
FROM debian:bookworm-slim
COPY --from=fetch /out/tool /usr/bin/tool
""",
    """
FROM debian:bookworm AS fetch
WORKDIR /out
RUN arch="$(dpkg --print-architecture)"; curl -fsSL "https://example.org/tool-${arch}.tgz" | tar xz -C /out
FROM debian:bookworm-slim
COPY --from=fetch /out/tool /usr/bin/tool
""",
)
_pair(
    "case-on-uname-in-a-cross-stage",
    "uname-in-cross-stage",
    2,
    """
FROM --platform=$BUILDPLATFORM alpine:3.20 AS fetch
RUN case "$(uname -m)" in x86_64) a=amd64 ;; aarch64) a=arm64 ;; esac; wget -O /tool "https://example.org/tool-$a"
FROM alpine:3.20
COPY --from=fetch /tool /usr/bin/tool
""",
    """
FROM --platform=$BUILDPLATFORM alpine:3.20 AS fetch
ARG TARGETARCH
RUN case "$TARGETARCH" in amd64) a=amd64 ;; arm64) a=arm64 ;; esac; wget -O /tool "https://example.org/tool-$a"
FROM alpine:3.20
COPY --from=fetch /tool /usr/bin/tool
""",
)
_pair(
    "buildarch-for-go",
    "uname-in-cross-stage",
    4,
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG BUILDARCH
COPY . .
RUN GOARCH=$BUILDARCH go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG BUILDARCH
COPY . .
ARG TARGETARCH
RUN GOARCH=$TARGETARCH go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    fixable=True,
)
_pair(
    "buildarch-in-the-image",
    "uname-in-cross-stage",
    3,
    """
FROM alpine:3.20
ARG BUILDARCH
RUN wget -O /usr/bin/tool https://example.org/tool-$BUILDARCH
""",
    """
FROM alpine:3.20
ARG TARGETARCH
RUN wget -O /usr/bin/tool https://example.org/tool-$TARGETARCH
""",
)
_pair(
    "final-stage-of-amd64",
    "fixed-final-platform",
    4,
    """
FROM --platform=$BUILDPLATFORM node:22 AS ui
COPY . .
RUN npm run build
FROM --platform=linux/amd64 nginx:1.27
COPY --from=ui /dist /usr/share/nginx/html
""",
    """
FROM --platform=$BUILDPLATFORM node:22 AS ui
COPY . .
RUN npm run build
FROM nginx:1.27
COPY --from=ui /dist /usr/share/nginx/html
""",
    fixable=True,
)
_pair(
    "final-stage-of-the-builder",
    "fixed-final-platform",
    1,
    """
FROM --platform=$BUILDPLATFORM python:3.12-slim
COPY app.py /
CMD ["python", "/app.py"]
""",
    """
FROM python:3.12-slim
COPY app.py /
CMD ["python", "/app.py"]
""",
    fixable=True,
)
_pair(
    "base-stage-of-amd64",
    "fixed-final-platform",
    1,
    """
FROM --platform=linux/x86_64 debian:bookworm-slim AS base
RUN apt-get update
FROM base
COPY app.sh /
""",
    """
FROM debian:bookworm-slim AS base
RUN apt-get update
FROM base
COPY app.sh /
""",
    fixable=True,
)
_pair(
    "platform-from-an-argument",
    "fixed-final-platform",
    2,
    """
ARG PLATFORM=linux/amd64
FROM --platform=$PLATFORM alpine:3.20
RUN apk add curl
""",
    """
ARG PLATFORM=linux/amd64
FROM alpine:3.20
RUN apk add curl
""",
    level="warning",
    fixable=True,
)
_pair(
    "base-by-repository",
    "fixed-arch-base",
    1,
    """
FROM amd64/debian:bookworm-slim
RUN apt-get update
""",
    """
FROM debian:bookworm-slim
RUN apt-get update
""",
)
_pair(
    "base-by-tag",
    "fixed-arch-base",
    1,
    """
FROM registry.example.org:5000/team/base:1.4-arm64v8
COPY . .
""",
    """
FROM registry.example.org:5000/team/base:1.4
COPY . .
""",
)
_pair(
    "copy-from-an-image-by-tag",
    "fixed-arch-base",
    2,
    """
FROM alpine:3.20
COPY --from=example/tool:2-linux-amd64 /tool /usr/bin/tool
""",
    """
FROM alpine:3.20
COPY --from=example/tool:2 /tool /usr/bin/tool
""",
)
_pair(
    "goarch-in-run",
    "fixed-target",
    3,
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
COPY . .
RUN CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -a -o /app .
FROM alpine:3.20
COPY --from=build /app /app
""",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
COPY . .
ARG TARGETARCH
RUN CGO_ENABLED=0 GOOS=linux GOARCH=$TARGETARCH go build -a -o /app .
FROM alpine:3.20
COPY --from=build /app /app
""",
    fixable=True,
)
_pair(
    "goarch-in-the-target-stage",
    "fixed-target",
    4,
    """
FROM golang:1.22 AS build
WORKDIR /src
COPY . .
RUN GOOS=linux GOARCH=amd64 go build -o /app .
FROM alpine:3.20
COPY --from=build /app /app
""",
    """
FROM golang:1.22 AS build
WORKDIR /src
COPY . .
ARG TARGETARCH
RUN GOOS=linux GOARCH=$TARGETARCH go build -o /app .
FROM alpine:3.20
COPY --from=build /app /app
""",
    fixable=True,
)
_pair(
    "goarch-in-env",
    "fixed-target",
    2,
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ENV CGO_ENABLED=0 GOARCH=arm64
COPY . .
RUN go build -o /app .
FROM alpine:3.20
COPY --from=build /app /app
""",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETARCH
ENV CGO_ENABLED=0 GOARCH=$TARGETARCH
COPY . .
RUN go build -o /app .
FROM alpine:3.20
COPY --from=build /app /app
""",
    fixable=True,
)
_pair(
    "goarch-exported-in-a-heredoc",
    "fixed-target",
    6,
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
COPY . .
RUN <<EOF
set -e
export CGO_ENABLED=0
export GOARCH=amd64
go build -o /app .
EOF
FROM alpine:3.20
COPY --from=build /app /app
""",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
COPY . .
ARG TARGETARCH
RUN <<EOF
set -e
export CGO_ENABLED=0
export GOARCH=$TARGETARCH
go build -o /app .
EOF
FROM alpine:3.20
COPY --from=build /app /app
""",
    fixable=True,
)
_pair(
    "goarch-in-sh-c",
    "fixed-target",
    3,
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
COPY . .
RUN ["/bin/sh", "-c", "GOARCH=amd64 go build -o /app ."]
FROM alpine:3.20
COPY --from=build /app /app
""",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
COPY . .
ARG TARGETARCH
RUN ["/bin/sh", "-c", "GOARCH=$TARGETARCH go build -o /app ."]
FROM alpine:3.20
COPY --from=build /app /app
""",
    fixable=True,
)
_pair(
    "cargo-target",
    "fixed-target",
    3,
    """
FROM rust:1 AS build
COPY . .
RUN rustup target add x86_64-unknown-linux-musl && cargo build --release --target x86_64-unknown-linux-musl
FROM alpine:3.20
COPY --from=build /target/app /app
""",
    """
FROM rust:1 AS build
ARG TARGETARCH
COPY . .
RUN case $TARGETARCH in amd64) t=x86_64 ;; arm64) t=aarch64 ;; esac; cargo build --release --target $t-unknown-linux-musl
FROM alpine:3.20
COPY --from=build /target/app /app
""",
)
_pair(
    "cargo-build-target",
    "fixed-target",
    2,
    """
FROM --platform=$BUILDPLATFORM rust:1 AS build
ENV CARGO_BUILD_TARGET=x86_64-unknown-linux-musl
RUN cargo install --path . --root /out
FROM scratch
COPY --from=build /out/bin/app /app
""",
    """
FROM rust:1-alpine AS build
RUN cargo install --path . --root /out
FROM scratch
COPY --from=build /out/bin/app /app
""",
)
_pair(
    "dotnet-runtime",
    "fixed-target",
    3,
    """
FROM --platform=$BUILDPLATFORM mcr.microsoft.com/dotnet/sdk:8.0 AS build
COPY . .
RUN dotnet publish -c Release -r linux-x64 --self-contained -o /app
FROM mcr.microsoft.com/dotnet/runtime-deps:8.0
COPY --from=build /app /app
""",
    """
FROM --platform=$BUILDPLATFORM mcr.microsoft.com/dotnet/sdk:8.0 AS build
ARG TARGETARCH
COPY . .
RUN dotnet publish -c Release -a $TARGETARCH --self-contained -o /app
FROM mcr.microsoft.com/dotnet/runtime-deps:8.0
COPY --from=build /app /app
""",
)
_pair(
    "configure-host",
    "fixed-target",
    4,
    """
FROM debian:bookworm AS build
RUN apt-get update && apt-get install -y gcc make
COPY . .
RUN ./configure --host=x86_64-linux-gnu && make install DESTDIR=/out
FROM debian:bookworm-slim
COPY --from=build /out /
""",
    """
FROM debian:bookworm AS build
RUN apt-get update && apt-get install -y gcc make
COPY . .
RUN ./configure && make install DESTDIR=/out
FROM debian:bookworm-slim
COPY --from=build /out /
""",
)
_pair(
    "npm-cpu",
    "fixed-target",
    3,
    """
FROM node:22-slim
COPY package*.json ./
RUN npm ci --omit=dev --cpu=x64 --os=linux
""",
    """
FROM node:22-slim
COPY package*.json ./
RUN npm ci --omit=dev
""",
)
_pair(
    "pip-platform",
    "fixed-target",
    2,
    """
FROM python:3.12-slim
RUN pip install --platform manylinux2014_x86_64 --only-binary=:all: --target /deps numpy
""",
    """
FROM python:3.12-slim
RUN pip install --target /deps numpy
""",
)
_pair(
    "foreign-packages",
    "fixed-target",
    2,
    """
FROM debian:bookworm-slim
RUN dpkg --add-architecture amd64 && apt-get update
RUN apt-get install -y libc6:amd64
""",
    """
FROM debian:bookworm-slim
RUN apt-get update
RUN apt-get install -y libc6
""",
    level="warning",
)
_pair(
    "apt-source-of-one-architecture",
    "fixed-target",
    2,
    """
FROM debian:bookworm-slim
RUN echo "deb [arch=amd64 signed-by=/k.asc] https://apt.example.org stable main" > /etc/apt/sources.list.d/x.list && apt-get update && apt-get install -y x
""",
    """
FROM debian:bookworm-slim
RUN echo "deb [signed-by=/k.asc] https://apt.example.org stable main" > /etc/apt/sources.list.d/x.list && apt-get update && apt-get install -y x
""",
)
_pair(
    "url-in-the-image",
    "fixed-arch-url",
    3,
    """
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y curl
RUN curl -fsSL https://example.org/releases/v1/tool_linux_amd64.tar.gz | tar xz -C /usr/local/bin
""",
    """
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y curl
ARG TARGETARCH
RUN curl -fsSL https://example.org/releases/v1/tool_linux_${TARGETARCH}.tar.gz | tar xz -C /usr/local/bin
""",
)
_pair(
    "url-in-add",
    "fixed-arch-url",
    2,
    """
FROM debian:bookworm-slim
ADD https://github.com/krallin/tini/releases/download/v0.19.0/tini-amd64 /tini
RUN chmod +x /tini
""",
    """
FROM debian:bookworm-slim
ARG TARGETARCH
ADD https://github.com/krallin/tini/releases/download/v0.19.0/tini-$TARGETARCH /tini
RUN chmod +x /tini
""",
)
_pair(
    "url-in-a-variable",
    "fixed-arch-url",
    4,
    """
FROM alpine:3.20 AS fetch
ENV VERSION=1.2
RUN cd /tmp \\
 && wget -O t.zip "https://example.org/$VERSION/tool-$VERSION-x86_64-unknown-linux-musl.zip" \\
 && unzip t.zip -d /out
FROM alpine:3.20
COPY --from=fetch /out/tool /usr/bin/
""",
    """
FROM alpine:3.20 AS fetch
ENV VERSION=1.2
RUN cd /tmp \\
 && wget -O t.zip "https://example.org/$VERSION/tool-$VERSION-$(uname -m)-unknown-linux-musl.zip" \\
 && unzip t.zip -d /out
FROM alpine:3.20
COPY --from=fetch /out/tool /usr/bin/
""",
)
_pair(
    "url-from-a-shell-variable",
    "fixed-arch-url",
    2,
    """
FROM debian:bookworm-slim
RUN ARCH=amd64 && curl -fsSLo /usr/bin/tool "https://example.org/tool-${ARCH}"
""",
    """
FROM debian:bookworm-slim
RUN ARCH=$(dpkg --print-architecture) && curl -fsSLo /usr/bin/tool "https://example.org/tool-${ARCH}"
""",
)
_pair(
    "url-from-an-argument",
    "fixed-arch-url",
    2,
    """
FROM debian:bookworm-slim
ARG ARCH=x86_64
RUN curl -fsSLo /usr/bin/tool "https://example.org/tool-${ARCH}"
""",
    """
FROM debian:bookworm-slim
ARG TARGETARCH
RUN curl -fsSLo /usr/bin/tool "https://example.org/tool-${TARGETARCH}"
""",
    level="warning",
)
_pair(
    "the-same-name-in-both-arms",
    "fixed-arch-url",
    4,
    """
FROM alpine:3.20
ARG TARGETARCH
RUN case "$TARGETARCH" in \\
      amd64) a=x86_64 ;; arm64) a=x86_64 ;; \\
    esac; wget -O /t https://example.org/t-$a
""",
    """
FROM alpine:3.20
ARG TARGETARCH
RUN case "$TARGETARCH" in \\
      amd64) a=x86_64 ;; arm64) a=aarch64 ;; \\
    esac; wget -O /t https://example.org/t-$a
""",
)
_pair(
    "url-in-an-unrelated-condition",
    "fixed-arch-url",
    3,
    """
FROM alpine:3.20
ARG WITH_TOOL=yes
RUN if [ "$WITH_TOOL" = yes ]; then wget -O /t https://example.org/t-linux-x64; fi
""",
    """
FROM alpine:3.20
ARG WITH_TOOL=yes TARGETARCH
RUN if [ "$WITH_TOOL" = yes ]; then wget -O /t https://example.org/t-linux-$TARGETARCH; fi
""",
)
_pair(
    "copy-of-a-target-folder",
    "fixed-arch-copy",
    2,
    """
FROM alpine:3.20
COPY target/x86_64-unknown-linux-musl/release/app /app
""",
    """
FROM alpine:3.20
ARG TARGETARCH
COPY target/$TARGETARCH/app /app
""",
)
_pair(
    "copy-of-libraries",
    "fixed-arch-copy",
    4,
    """
FROM debian:bookworm AS build
RUN apt-get update && apt-get install -y libz-dev
FROM gcr.io/distroless/base
COPY --from=build /usr/lib/x86_64-linux-gnu/libz.so.1 /usr/lib/x86_64-linux-gnu/libz.so.1
""",
    """
FROM debian:bookworm AS build
RUN apt-get update && apt-get install -y libz-dev && mkdir /libs && cp /usr/lib/*-linux-gnu/libz.so.1 /libs/
FROM gcr.io/distroless/base
COPY --from=build /libs/ /usr/lib/
""",
)
_pair(
    "copy-of-musl",
    "fixed-arch-copy",
    3,
    """
FROM alpine:3.20 AS build
FROM scratch
COPY --from=build /lib/ld-musl-x86_64.so.1 /lib/
""",
    """
FROM alpine:3.20 AS build
FROM scratch
COPY --from=build /lib/ld-musl-*.so.1 /lib/
""",
)
_pair(
    "copy-in-json",
    "fixed-arch-copy",
    2,
    """
FROM alpine:3.20
COPY ["bin/linux_amd64/app", "/app"]
""",
    """
FROM alpine:3.20
ARG TARGETARCH
COPY ["bin/linux_$TARGETARCH/app", "/app"]
""",
)
_pair(
    "java-home",
    "fixed-arch-path",
    3,
    """
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y openjdk-17-jre-headless
ENV JAVA_HOME=/usr/lib/jvm/java-17-openjdk-amd64
""",
    """
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y openjdk-17-jre-headless && ln -s /usr/lib/jvm/java-17-openjdk-* /usr/lib/jvm/java
ENV JAVA_HOME=/usr/lib/jvm/java
""",
    level="warning",
)
_pair(
    "library-path",
    "fixed-arch-path",
    2,
    """
FROM debian:bookworm-slim
RUN ln -s /usr/lib/x86_64-linux-gnu/libjemalloc.so.2 /usr/local/lib/libjemalloc.so
""",
    """
FROM debian:bookworm-slim
RUN ln -s /usr/lib/*-linux-gnu/libjemalloc.so.2 /usr/local/lib/libjemalloc.so
""",
    level="warning",
)
_pair(
    "triple-from-targetarch",
    "arch-spelling",
    4,
    """
FROM --platform=$BUILDPLATFORM rust:1 AS build
ARG TARGETARCH
COPY . .
RUN cargo build --release --target ${TARGETARCH}-unknown-linux-musl && cp target/*/release/app /app
FROM scratch
COPY --from=build /app /app
""",
    """
FROM --platform=$BUILDPLATFORM rust:1 AS build
ARG TARGETARCH
COPY . .
RUN a=$(case $TARGETARCH in amd64) echo x86_64 ;; arm64) echo aarch64 ;; esac); cargo build --release --target $a-unknown-linux-musl && cp target/*/release/app /app
FROM scratch
COPY --from=build /app /app
""",
)
_pair(
    "case-with-names-of-the-kernel",
    "arch-spelling",
    4,
    """
FROM debian:bookworm-slim
ARG TARGETARCH
RUN case "${TARGETARCH}" in \\
      x86_64) sum=1 ;; \\
      aarch64) sum=2 ;; \\
    esac; echo "$sum  /x" | sha256sum -c -
""",
    """
FROM debian:bookworm-slim
ARG TARGETARCH
RUN case "${TARGETARCH}" in \\
      amd64) sum=1 ;; \\
      arm64) sum=2 ;; \\
    esac; echo "$sum  /x" | sha256sum -c -
""",
)
_pair(
    "test-with-the-name-of-the-kernel",
    "arch-spelling",
    3,
    """
FROM debian:bookworm-slim
ARG TARGETARCH
RUN if [ "$TARGETARCH" = "aarch64" ]; then touch /arm; fi
""",
    """
FROM debian:bookworm-slim
ARG TARGETARCH
RUN if [ "$TARGETARCH" = "arm64" ]; then touch /arm; fi
""",
)
_pair(
    "platform-without-its-system",
    "arch-spelling",
    3,
    """
FROM debian:bookworm-slim
ARG TARGETPLATFORM
RUN case $TARGETPLATFORM in amd64) a=1 ;; arm64) a=2 ;; esac; touch /$a
""",
    """
FROM debian:bookworm-slim
ARG TARGETPLATFORM
RUN case $TARGETPLATFORM in linux/amd64) a=1 ;; linux/arm64) a=2 ;; esac; touch /$a
""",
)
_pair(
    "platform-with-a-variant-it-never-has",
    "arch-spelling",
    3,
    """
FROM debian:bookworm-slim
ARG TARGETPLATFORM
RUN case $TARGETPLATFORM in linux/amd64) a=1 ;; linux/arm64/v8) a=2 ;; esac; touch /$a
""",
    """
FROM debian:bookworm-slim
ARG TARGETPLATFORM
RUN case $TARGETPLATFORM in linux/amd64) a=1 ;; linux/arm64) a=2 ;; esac; touch /$a
""",
)
_pair(
    "uname-against-dockers-names",
    "arch-spelling",
    2,
    """
FROM debian:bookworm-slim
RUN case "$(uname -m)" in amd64) a=1 ;; arm64) a=2 ;; esac; touch /$a
""",
    """
FROM debian:bookworm-slim
RUN case "$(uname -m)" in x86_64) a=1 ;; aarch64) a=2 ;; esac; touch /$a
""",
)
_pair(
    "goarch-from-uname",
    "arch-spelling",
    3,
    """
FROM golang:1.22 AS build
COPY . .
RUN GOARCH=$(uname -m) go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    """
FROM golang:1.22 AS build
COPY . .
ARG TARGETARCH
RUN GOARCH=$TARGETARCH go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    fixable=True,
)
_pair(
    "download-by-another-name",
    "arch-spelling",
    3,
    """
FROM debian:bookworm-slim
ARG TARGETARCH
RUN curl -fsSLO https://awscli.amazonaws.com/awscli-exe-linux-${TARGETARCH}.zip
""",
    """
FROM debian:bookworm-slim
ARG TARGETARCH
RUN curl -fsSLO https://awscli.amazonaws.com/awscli-exe-linux-$(uname -m).zip
""",
)
_pair(
    "goarm-with-a-v",
    "go-arm-variant",
    3,
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETARCH TARGETVARIANT
RUN GOARCH=$TARGETARCH GOARM=$TARGETVARIANT go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETARCH TARGETVARIANT
RUN GOARCH=$TARGETARCH GOARM=${TARGETVARIANT#v} go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    level="warning",
    fixable=True,
)
_pair(
    "cache-of-results",
    "shared-cache",
    3,
    """
FROM rust:1 AS build
WORKDIR /src
RUN --mount=type=cache,target=/src/target cargo build --release && cp target/release/app /app
FROM debian:bookworm-slim
COPY --from=build /app /app
""",
    """
FROM rust:1 AS build
WORKDIR /src
ARG TARGETPLATFORM
RUN --mount=type=cache,target=/src/target,id=/src/target-$TARGETPLATFORM cargo build --release && cp target/release/app /app
FROM debian:bookworm-slim
COPY --from=build /app /app
""",
    level="warning",
    fixable=True,
)
_pair(
    "cache-with-one-id",
    "shared-cache",
    2,
    """
FROM debian:bookworm AS build
RUN --mount=type=cache,id=build,target=/src/build make -C /src && cp /src/build/app /app
FROM debian:bookworm-slim
COPY --from=build /app /app
""",
    """
FROM debian:bookworm AS build
ARG TARGETPLATFORM
RUN --mount=type=cache,id=build-$TARGETPLATFORM,target=/src/build make -C /src && cp /src/build/app /app
FROM debian:bookworm-slim
COPY --from=build /app /app
""",
    level="warning",
    fixable=True,
)
_pair(
    "cache-of-alpine",
    "shared-cache",
    2,
    """
FROM alpine:3.20
RUN --mount=type=cache,target=/var/cache/apk apk add curl
""",
    """
FROM alpine:3.20
ARG TARGETPLATFORM
RUN --mount=type=cache,target=/var/cache/apk,id=/var/cache/apk-$TARGETPLATFORM apk add curl
""",
    level="warning",
    fixable=True,
)
_pair(
    "emulated-compile",
    "emulated-compile",
    3,
    """
FROM golang:1.22 AS build
COPY . .
RUN CGO_ENABLED=0 go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
COPY . .
ARG TARGETARCH
RUN CGO_ENABLED=0 GOARCH=$TARGETARCH go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    level="hint",
)
_pair(
    "a-package-of-the-builder",
    "cross-stage-program",
    4,
    """
FROM --platform=$BUILDPLATFORM debian:bookworm-slim AS tools
RUN apt-get update && apt-get install -y jq
FROM debian:bookworm-slim
COPY --from=tools /usr/bin/jq /usr/bin/jq
""",
    """
FROM debian:bookworm-slim AS tools
RUN apt-get update && apt-get install -y jq
FROM debian:bookworm-slim
COPY --from=tools /usr/bin/jq /usr/bin/jq
""",
    level="warning",
)
_pair(
    "a-shell-of-another-platform",
    "cross-stage-program",
    3,
    """
FROM --platform=linux/amd64 busybox:1.36 AS tools
FROM gcr.io/distroless/static
COPY --from=tools /bin/busybox /bin/sh
""",
    """
FROM busybox:1.36 AS tools
FROM gcr.io/distroless/static
COPY --from=tools /bin/busybox /bin/sh
""",
    level="warning",
)
_pair(
    "packages-of-the-builders-python",
    "cross-stage-program",
    5,
    """
FROM --platform=$BUILDPLATFORM python:3.12 AS deps
COPY requirements.txt .
RUN pip install -r requirements.txt
FROM python:3.12-slim
COPY --from=deps /usr/local/lib/python3.12/site-packages /usr/local/lib/python3.12/site-packages
""",
    """
FROM python:3.12 AS deps
COPY requirements.txt .
RUN pip install -r requirements.txt
FROM python:3.12-slim
COPY --from=deps /usr/local/lib/python3.12/site-packages /usr/local/lib/python3.12/site-packages
""",
    level="warning",
)
_pair(
    "node-by-dockers-name",
    "arch-spelling",
    3,
    """
FROM node:22-slim
ARG TARGETARCH
RUN npm ci --cpu=$TARGETARCH
""",
    """
FROM node:22-slim
RUN npm ci
""",
)
_pair(
    "the-loader-of-musl-by-dockers-name",
    "arch-spelling",
    4,
    """
FROM alpine:3.20 AS build
FROM scratch
ARG TARGETARCH
COPY --from=build /lib/ld-musl-$TARGETARCH.so.1 /lib/
""",
    """
FROM alpine:3.20 AS build
FROM scratch
COPY --from=build /lib/ld-musl-*.so.1 /lib/
""",
)
_pair(
    "xx-without-its-argument",
    "undeclared-target-arg",
    5,
    """
FROM --platform=$BUILDPLATFORM tonistiigi/xx AS xx
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
COPY --from=xx / /
COPY . .
RUN xx-go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    """
FROM --platform=$BUILDPLATFORM tonistiigi/xx AS xx
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
COPY --from=xx / /
COPY . .
ARG TARGETPLATFORM
RUN xx-go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    fixable=True,
)
_pair(
    "default-that-make-reads",
    "target-arg-default",
    2,
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETARCH=amd64
COPY . .
RUN make build
FROM scratch
COPY --from=build /app /app
""",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETARCH
COPY . .
RUN make build
FROM scratch
COPY --from=build /app /app
""",
    fixable=True,
)
_pair(
    "url-with-64bit",
    "fixed-arch-url",
    2,
    """
FROM debian:12-slim
RUN wget -q https://github.com/peak/s5cmd/releases/download/v2.2.2/s5cmd_2.2.2_Linux-64bit.tar.gz
""",
    """
FROM debian:12-slim
ARG TARGETARCH
RUN wget -q https://github.com/peak/s5cmd/releases/download/v2.2.2/s5cmd_2.2.2_linux_$TARGETARCH.deb
""",
)
_pair(
    "conda-by-its-own-name",
    "fixed-arch-url",
    2,
    """
FROM debian:12-slim
RUN wget -qO- https://micro.mamba.pm/api/micromamba/linux-64/latest | tar -xj bin/micromamba
""",
    """
FROM debian:12-slim
ARG TARGETARCH
RUN case $TARGETARCH in amd64) a=64 ;; arm64) a=aarch64 ;; esac; wget -qO- https://micro.mamba.pm/api/micromamba/linux-$a/latest | tar -xj bin/micromamba
""",
)
_pair(
    "codecov-for-one",
    "fixed-arch-url",
    2,
    """
FROM debian:12-slim
RUN curl -Os https://uploader.codecov.io/latest/linux/codecov
""",
    """
FROM debian:12-slim
ARG TARGETARCH
RUN case $TARGETARCH in amd64) a=linux ;; arm64) a=aarch64 ;; esac; curl -Os https://uploader.codecov.io/latest/$a/codecov
""",
)
_pair(
    "package-name-of-rpm",
    "fixed-target",
    2,
    """
FROM rockylinux:9
RUN microdnf install -y tool.x86_64
""",
    """
FROM rockylinux:9
ARG TARGETARCH
RUN microdnf install -y tool
""",
)
_pair(
    "asset-by-pattern",
    "fixed-arch-url",
    2,
    """
FROM debian:12-slim
RUN gh release download v1 -R o/t -p '*linux_amd64.tar.gz'
""",
    """
FROM debian:12-slim
ARG TARGETARCH
RUN gh release download v1 -R o/t -p "*linux_$TARGETARCH.tar.gz"
""",
)
_pair(
    "asset-by-jq",
    "fixed-arch-url",
    2,
    """
FROM debian:12-slim
RUN curl -s https://api.github.com/repos/o/t/releases/latest | jq -r '.assets[] | select(.name | contains("linux-amd64")) | .browser_download_url' | xargs curl -LO
""",
    """
FROM debian:12-slim
ARG TARGETARCH
RUN curl -s https://api.github.com/repos/o/t/releases/latest | jq -r --arg a "$TARGETARCH" '.assets[] | select(.name | contains("linux-" + $a)) | .browser_download_url' | xargs curl -LO
""",
)
_pair(
    "conda-subdir",
    "fixed-target",
    2,
    """
FROM continuumio/miniconda3
RUN CONDA_SUBDIR=linux-64 conda create -n e python
""",
    """
FROM continuumio/miniconda3
ARG TARGETARCH
RUN conda create -n e python
""",
)
_pair(
    "repository-of-one-architecture",
    "fixed-target",
    2,
    """
FROM ubuntu:22.04
RUN add-apt-repository "deb [arch=amd64] https://apt.example.org/linux focal stable" && apt-get update && apt-get install -y tool
""",
    """
FROM ubuntu:22.04
ARG TARGETARCH
RUN add-apt-repository "deb [arch=$(dpkg --print-architecture)] https://apt.example.org/linux focal stable" && apt-get update && apt-get install -y tool
""",
)
_pair(
    "sources-in-a-copied-heredoc",
    "fixed-target",
    7,
    """
FROM debian:12-slim
COPY <<EOF /etc/apt/sources.list.d/t.sources
Types: deb
URIs: https://apt.example.org
Suites: stable
Components: main
Architectures: amd64
EOF
RUN apt-get update && apt-get install -y tool
""",
    """
FROM debian:12-slim
COPY <<EOF /etc/apt/sources.list.d/t.sources
Types: deb
URIs: https://apt.example.org
Suites: stable
Components: main
EOF
RUN apt-get update && apt-get install -y tool
""",
)
_pair(
    "source-in-a-copied-heredoc",
    "fixed-target",
    3,
    """
FROM debian:12-slim
COPY <<EOF /etc/apt/sources.list.d/t.list
deb [arch=amd64 signed-by=/k.gpg] https://apt.example.org stable main
EOF
RUN apt-get update && apt-get install -y tool
""",
    """
FROM debian:12-slim
COPY <<EOF /etc/apt/sources.list.d/t.list
deb [signed-by=/k.gpg] https://apt.example.org stable main
EOF
RUN apt-get update && apt-get install -y tool
""",
)
_pair(
    "package-file-of-one-architecture",
    "fixed-target",
    3,
    """
FROM debian:12-slim
COPY debs/ /tmp/
RUN apt-get install -y /tmp/tool_1.0_amd64.deb
""",
    """
FROM debian:12-slim
COPY debs/ /tmp/
RUN apt-get install -y /tmp/tool_1.0_$(dpkg --print-architecture).deb
""",
)
_pair(
    "bind-mount-of-one-architecture",
    "fixed-arch-copy",
    2,
    """
FROM alpine:3.20
RUN --mount=type=bind,source=dist/linux-amd64,target=/d cp /d/app /usr/bin/app
""",
    """
FROM alpine:3.20
ARG TARGETARCH
RUN --mount=type=bind,source=dist/linux-$TARGETARCH,target=/d cp /d/app /usr/bin/app
""",
)
_pair(
    "variable-of-the-shell-alone",
    "untargeted-cross-build",
    4,
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS b
ARG TARGETARCH
COPY . .
RUN GOARCH=$TARGETARCH; go build -o /app .
FROM alpine:3.20
COPY --from=b /app /app
""",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS b
ARG TARGETARCH
COPY . .
RUN GOARCH=$TARGETARCH go build -o /app .
FROM alpine:3.20
COPY --from=b /app /app
""",
)
_pair(
    "march-of-gcc",
    "fixed-target",
    3,
    """
FROM debian:12-slim
COPY . .
RUN gcc -march=x86-64-v2 -o /usr/bin/app m.c
""",
    """
FROM debian:12-slim
COPY . .
RUN gcc -o /usr/bin/app m.c
""",
)
_pair(
    "goarch-in-go-env",
    "fixed-target",
    3,
    """
FROM golang:1.22
COPY . .
RUN go env -w GOARCH=amd64 && go build -o /usr/bin/app .
""",
    """
FROM golang:1.22
COPY . .
ARG TARGETARCH
RUN go env -w GOARCH=$TARGETARCH && go build -o /usr/bin/app .
""",
    fixable=True,
)
_pair(
    "final-stage-of-buildarch",
    "fixed-final-platform",
    1,
    """
FROM --platform=$BUILDOS/$BUILDARCH alpine:3
CMD x
""",
    """
FROM alpine:3
CMD x
""",
    fixable=True,
)
_pair(
    "final-platform-in-quotes",
    "fixed-final-platform",
    1,
    """
FROM --platform="linux/amd64" alpine:3
CMD x
""",
    """
FROM alpine:3
CMD x
""",
    fixable=True,
)
_pair(
    "language-server-by-dockers-name",
    "arch-spelling",
    3,
    """
FROM debian:12-slim
ARG TARGETARCH
RUN curl -sLo l.tgz https://github.com/LuaLS/lua-language-server/releases/download/3.9.3/lua-language-server-3.9.3-linux-${TARGETARCH}.tar.gz
""",
    """
FROM debian:12-slim
ARG TARGETARCH
RUN case $TARGETARCH in amd64) a=x64 ;; arm64) a=arm64 ;; esac; curl -sLo l.tgz https://github.com/LuaLS/lua-language-server/releases/download/3.9.3/lua-language-server-3.9.3-linux-$a.tar.gz
""",
)
_pair(
    "java-home-of-rpm",
    "fixed-arch-path",
    2,
    """
FROM amazonlinux:2023
ENV JAVA_HOME=/usr/lib/jvm/java-17-amazon-corretto.x86_64
""",
    """
FROM amazonlinux:2023
ENV JAVA_HOME=/usr/lib/jvm/java-17-amazon-corretto
""",
    level="warning",
)
_pair(
    "library-path-in-cmd",
    "fixed-arch-path",
    2,
    """
FROM debian:12-slim
CMD ["env", "LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", "app"]
""",
    """
FROM debian:12-slim
CMD ["env", "LD_PRELOAD=libjemalloc.so.2", "app"]
""",
    level="warning",
)
_pair(
    "rust-of-another-machine",
    "fixed-target",
    2,
    """
FROM rust:1
RUN rustup default stable-x86_64-unknown-linux-gnu && cargo build --release
""",
    """
FROM rust:1
RUN rustup default stable && cargo build --release
""",
)
_pair(
    "tini-without-a-name",
    "fixed-arch-url",
    3,
    """
FROM debian:12-slim
ARG TINI_VERSION=v0.19.0
ADD https://github.com/krallin/tini/releases/download/${TINI_VERSION}/tini /tini
""",
    """
FROM debian:12-slim
ARG TINI_VERSION=v0.19.0
ARG TARGETARCH
ADD https://github.com/krallin/tini/releases/download/${TINI_VERSION}/tini-$TARGETARCH /tini
""",
)
