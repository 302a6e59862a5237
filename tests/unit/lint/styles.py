"""How public images are built for several architectures: a file of each style, and the mistakes that are made in it.

The file has no error, and no warning either; each mistake is text that stands there instead, and the rule that names it
on the line of `at` (of the new text, where that is not said).
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """Text, what is written instead, and what is found then."""

    old: str
    new: str
    rule: str
    level: str = "error"
    at: str = ""


@dataclass(frozen=True, kw_only=True)
class Style:
    """A right file with the mistakes that are made in its manner."""

    name: str
    text: str
    mistakes: tuple[Mistake, ...] = ()


STYLES: list[Style] = []


def _style(name, text, *mistakes):
    STYLES.append(Style(name=name, text=text.lstrip("\n"), mistakes=mistakes))


def _m(old, new, rule, level="error", at=""):
    return Mistake(old=old, new=new, rule=rule, level=level, at=at)


# Downloads.

_style(
    "assoc-array-of-names",
    r"""
FROM debian:bookworm-slim
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ARG TARGETARCH
ARG VERSION=3.1
RUN declare -A names=([amd64]=x86_64 [arm64]=aarch64 [arm]=armv7); \
    curl -fsSL "https://example.org/v${VERSION}/tool-${names[$TARGETARCH]}-linux.tgz" | tar xz -C /usr/local
""",
    _m("[amd64]=x86_64 [arm64]=aarch64", "[amd64]=x86_64 [arm64]=x86_64", "fixed-arch-url"),
    _m("ARG TARGETARCH\n", "", "undeclared-target-arg", at="curl"),
)
_style(
    "assoc-array-in-a-heredoc",
    """
FROM ubuntu:24.04
ARG TARGETPLATFORM
RUN <<EOT bash
set -euo pipefail
declare -A sums=(
  # of the release notes
  ["linux/amd64"]="aa11"
  ["linux/arm64"]="bb22"
)
declare -A names=(
  ["linux/amd64"]="linux-x64"
  ["linux/arm64"]="linux-arm64"
)
curl -fsSLo /tmp/t.tgz "https://example.org/t-${names[$TARGETPLATFORM]}.tgz"
echo "${sums[$TARGETPLATFORM]}  /tmp/t.tgz" | sha256sum -c -
EOT
""",
    _m(
        '["linux/arm64"]="linux-arm64"',
        '["linux/arm64"]="linux-x64"',
        "fixed-arch-url",
        at='linux/arm64"]="linux-x64',
    ),
    _m("${names[$TARGETPLATFORM]}", "linux-x64", "fixed-arch-url", at="curl"),
    _m("ARG TARGETPLATFORM\n", "", "undeclared-target-arg", at="curl"),
)
_style(
    "heredoc-for-bash",
    """
# syntax=docker/dockerfile:1
FROM debian:bookworm-slim
ARG TARGETARCH
RUN <<EOT bash -eux
if [ "arm64" = "$TARGETARCH" ]; then
  curl -fsSLO https://example.org/repos/sbsa/keyring-arm64.deb
else
  curl -fsSLO https://example.org/repos/x86_64/keyring-amd64.deb
fi
dpkg -i keyring*.deb
EOT
""",
    _m('if [ "arm64" = "$TARGETARCH" ]', 'if [ "aarch64" = "$TARGETARCH" ]', "arch-spelling"),
    _m("ARG TARGETARCH\n", "", "undeclared-target-arg", at="if ["),
)
_style(
    "echo-through-sed",
    r"""
FROM buildpack-deps:bookworm-curl AS download
ARG TARGETARCH
ARG VERSION=1.44.0
RUN export T=$(echo $TARGETARCH | sed -e 's/arm64/aarch64/' -e 's/amd64/x86_64/') \
  && export ZIP=deno-${T}-unknown-linux-gnu.zip \
  && curl -fsSL https://example.org/deno/releases/v${VERSION}/${ZIP} -o /tmp/d.zip \
  && unzip /tmp/d.zip -d /out
FROM scratch
COPY --from=download /out/deno /deno
""",
    _m("ARG TARGETARCH\n", "", "undeclared-target-arg", at="export T"),
    _m("-e 's/arm64/aarch64/' ", "", "arch-spelling", "warning", at="&& export ZIP"),
)
_style(
    "uname-through-sed-for-docker-names",
    r"""
FROM alpine:3.20
ARG KUBECTL=1.30.0
RUN arch="$(uname -m | sed -E 's/^x86_64$/amd64/; s/(aarch64|arm64)/arm64/; s/armv7.*/arm/')"; \
    wget -O /usr/local/bin/kubectl "https://dl.k8s.io/release/v${KUBECTL}/bin/linux/${arch}/kubectl" && chmod +x /usr/local/bin/kubectl
""",
    _m(
        """$(uname -m | sed -E 's/^x86_64$/amd64/; s/(aarch64|arm64)/arm64/; s/armv7.*/arm/')""",
        "$(uname -m)",
        "arch-spelling",
        at="wget",
    ),
    _m("s/^x86_64$/amd64/; ", "", "arch-spelling", at="wget"),
)
_style(
    "checksum-by-indirection",
    r"""
FROM debian:bookworm-slim
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ARG TARGETARCH
ARG SHA256_amd64=0a
ARG SHA256_arm64=0b
RUN sum="SHA256_${TARGETARCH}" && curl -fsSLo /usr/bin/t "https://example.org/t-linux-${TARGETARCH}" && \
    echo "${!sum}  /usr/bin/t" | sha256sum -c -
""",
    _m("t-linux-${TARGETARCH}", "t-linux-amd64", "fixed-arch-url"),
)
_style(
    "file-name-by-indirection",
    r"""
FROM debian:bookworm-slim
SHELL ["/bin/bash", "-c"]
ARG TARGETARCH
RUN FILE_amd64=tool-x86_64.tgz FILE_arm64=tool-aarch64.tgz; key=FILE_$TARGETARCH; curl -fsSLO "https://example.org/${!key}"
""",
    _m("FILE_arm64=tool-aarch64.tgz", "FILE_arm64=tool-x86_64.tgz", "fixed-arch-url"),
)
_style(
    "eval-of-a-name",
    r"""
FROM alpine:3.20
ARG TARGETARCH
ENV URL_amd64=https://example.org/t-x86_64.tgz URL_arm64=https://example.org/t-aarch64.tgz
RUN eval "url=\$URL_${TARGETARCH}"; wget -qO- "$url" | tar xz -C /usr/local
""",
)
_style(
    "function-with-names-as-arguments",
    r"""
FROM debian:bookworm-slim
ARG TARGETARCH
RUN set -eux; \
    install_tool() { \
      curl -fsSLo /tmp/t.tgz "https://example.org/t/$1/t-$1-$2.tgz"; \
      echo "$3  /tmp/t.tgz" | sha256sum -c -; \
      tar xzf /tmp/t.tgz -C /usr/local/bin; \
    }; \
    case "$TARGETARCH" in \
      amd64) install_tool 1.2 x86_64 aa ;; \
      arm64) install_tool 1.2 aarch64 bb ;; \
      *) echo "no tool for $TARGETARCH" >&2; exit 1 ;; \
    esac
""",
    _m("t-$1-$2.tgz", "t-$1-x86_64.tgz", "fixed-arch-url"),
    _m("      amd64) install", "      x86_64) install", "arch-spelling"),
)
_style(
    "function-that-prints-the-name",
    r"""
FROM debian:bookworm-slim
RUN arch_of() { case "$(uname -m)" in x86_64) echo amd64 ;; aarch64) echo arm64 ;; *) return 1 ;; esac; }; \
    curl -fsSLo /usr/bin/t "https://example.org/t_linux_$(arch_of)" && chmod +x /usr/bin/t
""",
)
_style(
    "name-from-a-case-in-a-substitution",
    r"""
FROM debian:bookworm-slim
ARG TARGETARCH
RUN arch="$(case "$TARGETARCH" in (amd64) echo x86_64 ;; (arm64) echo aarch64 ;; esac)"; \
    curl -fsSL "https://awscli.amazonaws.com/awscli-exe-linux-$arch.zip" -o /tmp/a.zip
""",
    _m("(arm64) echo aarch64", "(arm64) echo arm64", "arch-spelling", at="curl"),
    _m("(arm64) echo aarch64", "(arm64) echo x86_64", "fixed-arch-url"),
    _m("(arm64) echo", "(aarch64) echo", "arch-spelling"),
)
_style(
    "short-circuit-in-a-substitution",
    r"""
FROM debian:bookworm-slim
ARG TARGETARCH
RUN curl -fsSLo /tmp/p.zip "https://github.com/protocolbuffers/protobuf/releases/download/v27.0/protoc-27.0-linux-$([ "$TARGETARCH" = arm64 ] && echo aarch_64 || echo x86_64).zip"
""",
    _m("echo aarch_64", "echo aarch64", "arch-spelling"),
    _m("= arm64 ]", "= aarch64 ]", "arch-spelling"),
)
_style(
    "dpkg-name-by-awk-and-cut",
    r"""
FROM debian:bookworm-slim
RUN arch="$(dpkg --print-architecture | cut -d- -f1)"; curl -fsSLo /usr/bin/gosu "https://github.com/tianon/gosu/releases/download/1.17/gosu-$arch"
RUN arch="$(dpkg --print-architecture | awk -F- '{ print $NF }')"; curl -fsSLo /usr/bin/su-exec "https://example.org/su-exec-$arch"
""",
    _m("$(dpkg --print-architecture | cut -d- -f1)", "amd64", "fixed-arch-url", at="gosu-$arch"),
)
_style(
    "platform-by-cut",
    r"""
FROM alpine:3.20
ARG TARGETPLATFORM
RUN arch="$(echo "$TARGETPLATFORM" | cut -d/ -f2)"; wget -O /usr/bin/yq "https://github.com/mikefarah/yq/releases/latest/download/yq_linux_$arch"
RUN file="$(echo $TARGETPLATFORM | tr / -)"; wget -O /usr/bin/t "https://example.org/t-$file"
""",
    _m("yq_linux_$arch", "yq_linux_amd64", "fixed-arch-url"),
    _m("ARG TARGETPLATFORM\n", "", "undeclared-target-arg", at="cut"),
)
_style(
    "long-bit",
    """
FROM debian:bookworm-slim
RUN if [ "$(getconf LONG_BIT)" = 64 ]; then bits=64; else bits=32; fi; curl -fsSLo /t "https://example.org/t-$(uname -m)-$bits"
""",
)
_style(
    "rpm-eval",
    """
FROM fedora:41
RUN dnf install -y "https://example.org/el9/$(rpm --eval '%{_arch}')/tool.rpm"
RUN curl -fsSLo /usr/bin/t "https://example.org/t-$(arch)"
""",
    _m("$(arch)", "x86_64", "fixed-arch-url"),
    _m("$(rpm --eval '%{_arch}')", "x86_64", "fixed-arch-url"),
)
_style(
    "add-with-checksums-in-stages",
    """
FROM scratch AS tini-amd64
ADD --chmod=755 --checksum=sha256:93dcc18adc78c65a028a84799ecf8ad40c936fdfc5f2a57b1acda5a8117fa82c https://github.com/krallin/tini/releases/download/v0.19.0/tini-amd64 /tini
FROM scratch AS tini-arm64
ADD --chmod=755 --checksum=sha256:07952557df20bfd2a95f9bef198b445e006171969499a1d361bd9e6f8e5e0e81 https://github.com/krallin/tini/releases/download/v0.19.0/tini-arm64 /tini
FROM tini-$TARGETARCH AS tini
FROM debian:bookworm-slim
COPY --from=tini /tini /tini
ENTRYPOINT ["/tini", "--"]
""",
    _m("v0.19.0/tini-arm64", "v0.19.0/tini-amd64", "fixed-arch-url", at="07952557"),
    _m("COPY --from=tini /tini", "COPY --from=tini-amd64 /tini", "fixed-arch-url", at="93dcc18"),
)
_style(
    "add-by-docker-name",
    """
FROM debian:bookworm-slim
ARG TARGETOS
ARG TARGETARCH
ADD --chmod=0755 https://dl.k8s.io/release/v1.30.0/bin/${TARGETOS}/${TARGETARCH}/kubectl /usr/local/bin/kubectl
ADD https://get.helm.sh/helm-v3.15.0-linux-${TARGETARCH}.tar.gz /tmp/helm.tgz
""",
    _m("bin/${TARGETOS}/${TARGETARCH}", "bin/linux/amd64", "fixed-arch-url"),
    _m("ARG TARGETARCH\n", "", "undeclared-target-arg", at="kubectl /usr"),
    _m("ARG TARGETARCH\n", "ARG TARGETARCH=amd64\n", "target-arg-default"),
)
_style(
    "s6-overlay-table",
    r"""
FROM alpine:3.20
ARG TARGETARCH TARGETVARIANT
ARG S6_OVERLAY_VERSION=3.2.0.2
RUN case "${TARGETARCH}${TARGETVARIANT}" in \
      amd64*) S6_ARCH=x86_64 ;; \
      arm64*) S6_ARCH=aarch64 ;; \
      armv7) S6_ARCH=arm ;; \
      armv6) S6_ARCH=armhf ;; \
      386) S6_ARCH=i686 ;; \
      riscv64|s390x) S6_ARCH="${TARGETARCH}" ;; \
      *) echo "unsupported: ${TARGETARCH}${TARGETVARIANT}"; exit 1 ;; \
    esac; \
    for part in noarch "$S6_ARCH"; do \
      wget -qO- "https://github.com/just-containers/s6-overlay/releases/download/v${S6_OVERLAY_VERSION}/s6-overlay-${part}.tar.xz" | tar -C / -Jxp; \
    done
""",
    _m("      arm64*) S6_ARCH=aarch64", "      aarch64) S6_ARCH=aarch64", "arch-spelling"),
)
_style(
    "s6-overlay-by-uname",
    """
FROM alpine:3.20
ADD https://github.com/just-containers/s6-overlay/releases/download/v3.2.0.2/s6-overlay-noarch.tar.xz /tmp
RUN wget -O /tmp/s6.tar.xz "https://github.com/just-containers/s6-overlay/releases/download/v3.2.0.2/s6-overlay-$(uname -m).tar.xz" && tar -C / -Jxpf /tmp/s6.tar.xz
""",
    _m("s6-overlay-$(uname -m)", "s6-overlay-x86_64", "fixed-arch-url"),
    _m("s6-overlay-$(uname -m)", "s6-overlay-aarch64", "fixed-arch-url"),
)
_style(
    "dumb-init-and-gosu",
    r"""
FROM debian:bookworm-slim
RUN set -eux; \
    arch="$(dpkg --print-architecture)"; arch="${arch##*-}"; \
    curl -fsSLo /usr/local/bin/gosu "https://github.com/tianon/gosu/releases/download/1.17/gosu-$arch"; \
    curl -fsSLo /usr/local/bin/dumb-init "https://github.com/Yelp/dumb-init/releases/download/v1.2.5/dumb-init_1.2.5_$(uname -m)"; \
    chmod +x /usr/local/bin/gosu /usr/local/bin/dumb-init
""",
    _m("gosu-$arch", "gosu-$(uname -m)", "arch-spelling"),
    _m("_$(uname -m)", "_x86_64", "fixed-arch-url"),
)
_style(
    "hashicorp-zips-with-signature",
    r"""
FROM --platform=$BUILDPLATFORM alpine:3.20 AS fetch
ARG TARGETOS TARGETARCH
ARG TERRAFORM_VERSION=1.9.0
RUN apk add --no-cache curl unzip gnupg
WORKDIR /work
RUN base="https://releases.hashicorp.com/terraform/${TERRAFORM_VERSION}" && zip="terraform_${TERRAFORM_VERSION}_${TARGETOS}_${TARGETARCH}.zip" && \
    curl -fsSLO "$base/$zip" && curl -fsSLO "$base/terraform_${TERRAFORM_VERSION}_SHA256SUMS" && \
    grep "$zip" "terraform_${TERRAFORM_VERSION}_SHA256SUMS" | sha256sum -c - && unzip "$zip" -d /out
FROM alpine:3.20
COPY --from=fetch /out/terraform /usr/local/bin/terraform
""",
    _m("_${TARGETOS}_${TARGETARCH}.zip", "_linux_amd64.zip", "fixed-arch-url", at="zip="),
    _m("ARG TARGETOS TARGETARCH\n", "", "undeclared-target-arg", at="zip="),
    _m("_${TARGETARCH}.zip", "_$(uname -m).zip", "uname-in-cross-stage", at="$base/$zip"),
)
_style(
    "gcloud-and-az",
    r"""
FROM debian:bookworm-slim
ARG TARGETARCH
RUN case "$TARGETARCH" in amd64) g=x86_64 ;; arm64) g=arm ;; *) exit 1 ;; esac; \
    curl -fsSL "https://dl.google.com/dl/cloudsdk/channels/rapid/downloads/google-cloud-cli-470.0.0-linux-$g.tar.gz" | tar xz -C /opt
RUN echo "deb [arch=$TARGETARCH signed-by=/etc/apt/keyrings/ms.gpg] https://packages.example.org/repos/azure-cli/ bookworm main" \
      > /etc/apt/sources.list.d/azure-cli.list && apt-get update && apt-get install -y azure-cli
""",
    _m("cli-470.0.0-linux-$g", "cli-470.0.0-linux-x86_64", "fixed-arch-url"),
    _m("[arch=$TARGETARCH signed", "[arch=amd64 signed", "fixed-target"),
)
_style(
    "miniforge-and-micromamba",
    r"""
FROM debian:bookworm-slim AS conda
RUN curl -fsSLo /tmp/m.sh "https://github.com/conda-forge/miniforge/releases/latest/download/Miniforge3-$(uname)-$(uname -m).sh" && bash /tmp/m.sh -b -p /opt/conda
FROM debian:bookworm-slim
ARG TARGETARCH
RUN [ "$TARGETARCH" = arm64 ] && a=aarch64 || a=64; curl -fsSL "https://micro.mamba.pm/api/micromamba/linux-$a/latest" | tar -xj -C /usr/local bin/micromamba
COPY --from=conda /opt/conda /opt/conda
""",
    _m("$(uname)-$(uname -m)", "Linux-x86_64", "fixed-arch-url"),
    _m('[ "$TARGETARCH" = arm64 ]', '[ "$TARGETARCH" = aarch64 ]', "arch-spelling"),
)
_style(
    "miniconda-by-uname",
    """
FROM debian:bookworm-slim
RUN wget -qO /tmp/c.sh https://repo.anaconda.com/miniconda/Miniconda3-latest-Linux-$(uname -m).sh && bash /tmp/c.sh -b -p /opt/conda
""",
    _m("$(uname -m)", "x86_64", "fixed-arch-url"),
    _m("$(uname -m)", "$(dpkg --print-architecture)", "arch-spelling"),
)
_style(
    "bazelisk",
    """
FROM debian:bookworm-slim
ARG TARGETARCH
RUN curl -fsSLo /usr/local/bin/bazel "https://github.com/bazelbuild/bazelisk/releases/download/v1.20.0/bazelisk-linux-${TARGETARCH}" && chmod +x /usr/local/bin/bazel
""",
    _m("bazelisk-linux-${TARGETARCH}", "bazelisk-linux-amd64", "fixed-arch-url"),
)
_style(
    "deno-by-uname-and-bun",
    r"""
FROM debian:bookworm-slim
ARG TARGETARCH
RUN curl -fsSLo /tmp/deno.zip "https://dl.deno.land/release/v1.44.0/deno-$(uname -m)-unknown-linux-gnu.zip" && unzip /tmp/deno.zip -d /usr/local/bin
RUN case "$TARGETARCH" in amd64) b=x64-baseline ;; arm64) b=aarch64 ;; esac; \
    curl -fsSLo /tmp/bun.zip "https://github.com/oven-sh/bun/releases/latest/download/bun-linux-$b.zip" && unzip -j /tmp/bun.zip -d /usr/local/bin
""",
    _m("deno-$(uname -m)", "deno-${TARGETARCH}", "arch-spelling"),
    _m("bun-linux-$b", "bun-linux-x64", "fixed-arch-url"),
)
_style(
    "github-release-by-jq",
    r"""
FROM alpine:3.20
ARG TARGETARCH
RUN url="$(curl -fsSL https://api.example.org/repos/x/y/releases/latest | jq -r --arg a "$TARGETARCH" '.assets[] | select(.name | endswith("linux-" + $a)) | .url')"; \
    curl -fsSLo /usr/bin/y "$url"
""",
)
_style(
    "chrome-on-amd64-alone",
    r"""
FROM debian:bookworm-slim
ARG TARGETARCH
RUN apt-get update; if [ "$TARGETARCH" = "amd64" ]; then \
      curl -fsSLO https://dl.example.org/linux/direct/chrome-stable_current_amd64.deb && apt-get install -y ./chrome-stable_current_amd64.deb; \
    else \
      apt-get install -y chromium; \
    fi
""",
    _m('if [ "$TARGETARCH" = "amd64" ]; then', "if true; then", "fixed-arch-url", at="curl"),
)
_style(
    "cuda-repository-by-table",
    r"""
FROM ubuntu:24.04
ARG TARGETARCH
RUN case ${TARGETARCH} in \
      "amd64")  NVARCH=x86_64  ;; \
      "arm64")  NVARCH=sbsa  ;; \
    esac && \
    curl -fsSLO https://developer.example.org/cuda/repos/ubuntu2404/${NVARCH}/cuda-keyring_1.1-1_all.deb && dpkg -i cuda-keyring_1.1-1_all.deb
""",
    _m("repos/ubuntu2404/${NVARCH}", "repos/ubuntu2404/x86_64", "fixed-arch-url"),
    _m('"amd64")  NVARCH', '"x86_64")  NVARCH', "arch-spelling"),
)
_style(
    "qemu-of-the-emulated-by-name",
    """
FROM multiarch/qemu-user-static:x86_64-aarch64 AS qemu
FROM alpine:3.20
COPY --from=qemu /usr/bin/qemu-aarch64-static /usr/bin/
RUN wget -O /usr/bin/qemu-arm-static https://example.org/qemu-arm-static
""",
)
_style(
    "files-of-other-systems-as-data",
    """
FROM nginx:1.27
ADD https://example.org/releases/agent-windows-amd64.exe /usr/share/nginx/html/
RUN curl -fsSLo /usr/share/nginx/html/agent.pkg https://example.org/releases/agent-darwin-arm64.pkg
""",
)

_style(
    "own-argument-for-the-architecture",
    r"""
FROM debian:bookworm-slim
ARG BUILD_ARCH=amd64
RUN S6="${BUILD_ARCH}"; if [ "${BUILD_ARCH}" = "amd64" ]; then S6="x86_64"; elif [ "${BUILD_ARCH}" = "arm64" ]; then S6="aarch64"; fi; \
    echo "$S6"
""",
    _m(
        'echo "$S6"',
        'curl -fsSL "https://example.org/s6-$S6.tgz" | tar xz',
        "fixed-arch-url",
        "warning",
        at="S6=",
    ),
    _m(
        'echo "$S6"',
        '[ "$BUILD_ARCH" != amd64 ] || curl -fsSLO https://example.org/x-amd64.tgz',
        "fixed-arch-url",
        "warning",
    ),
)

_style(
    "packages-for-every-architecture",
    """
FROM rockylinux:9
RUN dnf install -y https://mirror.example.org/9/os/x86_64/Packages/headers-2.2-1.noarch.rpm
""",
    _m("headers-2.2-1.noarch.rpm", "tool-2.2-1.x86_64.rpm", "fixed-arch-url"),
)

# Go.

_style(
    "go-arm-variant-without-v",
    """
FROM --platform=$BUILDPLATFORM golang:1.22-alpine AS build
ARG TARGETOS TARGETARCH TARGETVARIANT
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOARM="${TARGETVARIANT#"v"}" go build -trimpath -o /out/app .
FROM gcr.io/distroless/static
COPY --from=build /out/app /app
""",
    _m('"${TARGETVARIANT#"v"}"', "$TARGETVARIANT", "go-arm-variant", "warning"),
    _m("GOARCH=$TARGETARCH", "GOARCH=amd64", "fixed-target"),
    _m(
        'GOOS=$TARGETOS GOARCH=$TARGETARCH GOARM="${TARGETVARIANT#"v"}" ',
        "",
        "unused-target-arg",
        at="ARG TARGETOS",
    ),
    _m("ARG TARGETOS TARGETARCH TARGETVARIANT\n", "", "undeclared-target-arg", at="GOARCH"),
    _m("FROM gcr.io", "FROM --platform=linux/amd64 gcr.io", "fixed-final-platform"),
)
_style(
    "go-env-of-the-stage-base",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS base
ENV CGO_ENABLED=0
WORKDIR /src
COPY go.* ./
RUN go mod download
FROM base AS test
RUN --mount=target=. go test ./...
FROM base AS build
ARG TARGETOS
ARG TARGETARCH
RUN --mount=target=. --mount=type=cache,target=/root/.cache/go-build GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -o /out/app ./cmd/app
FROM scratch AS bin
COPY --from=build /out/app /
FROM alpine:3.20 AS image
COPY --from=build /out/app /usr/local/bin/app
""",
    _m("GOOS=${TARGETOS} GOARCH=${TARGETARCH} ", "", "unused-target-arg", at="ARG TARGETARCH"),
    _m(
        "FROM alpine:3.20 AS image",
        "FROM --platform=$BUILDPLATFORM alpine:3.20 AS image",
        "fixed-final-platform",
    ),
)
_style(
    "go-all-builds-in-one-stage",
    r"""
FROM golang:1.22 AS build
COPY . .
RUN CGO_ENABLED=0 GOARCH=amd64 go build -o /out/app-amd64 . && \
    CGO_ENABLED=0 GOARCH=arm64 go build -o /out/app-arm64 . && \
    GOOS=darwin GOARCH=arm64 go build -o /out/app-darwin .
FROM alpine:3.20
ARG TARGETARCH
COPY --from=build /out/app-${TARGETARCH} /usr/bin/app
""",
    _m("/out/app-${TARGETARCH}", "/out/app-amd64", "fixed-arch-copy"),
)
_style(
    "go-builds-of-a-script-for-each",
    """
FROM golang:1.22-bookworm AS build
RUN dpkg --add-architecture amd64 && dpkg --add-architecture arm64 && apt-get update
COPY . .
RUN ARCH=amd64 GOARCH=amd64 ./build-and-test.sh
RUN ARCH=arm64 GOARCH=arm64 ./build-and-test.sh
FROM scratch
ARG TARGETARCH
COPY --from=build /go/bin/app-${TARGETARCH} /app
""",
    _m("RUN ARCH=arm64 GOARCH=arm64 ./build-and-test.sh\n", "", "fixed-target", at="GOARCH=amd64"),
    _m(" && dpkg --add-architecture arm64", "", "fixed-target", "warning", at="RUN dpkg"),
)
_style(
    "go-releases-in-a-loop",
    r"""
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
COPY . .
RUN for arch in amd64 arm64; do CGO_ENABLED=0 GOARCH=$arch go build -o /out/linux/$arch/app . ; done
FROM alpine:3.20
ARG TARGETPLATFORM
COPY --from=build /out/${TARGETPLATFORM}/app /usr/bin/app
""",
    _m("/out/${TARGETPLATFORM}/app", "/out/linux/amd64/app", "fixed-arch-copy"),
)
_style(
    "go-xx-from-the-base-stage",
    """
FROM --platform=$BUILDPLATFORM tonistiigi/xx:1.6.1 AS xx
FROM --platform=$BUILDPLATFORM golang:1.22-alpine AS base
COPY --from=xx / /
RUN apk add --no-cache git file
ENV CGO_ENABLED=0
FROM base AS build
ARG TARGETPLATFORM
RUN --mount=type=bind,target=. --mount=type=cache,target=/root/.cache xx-go build -o /usr/bin/app ./cmd && xx-verify --static /usr/bin/app
FROM scratch AS binary
COPY --from=build /usr/bin/app /
FROM alpine:3.20
COPY --from=binary /app /usr/bin/app
""",
    _m("ARG TARGETPLATFORM\n", "", "undeclared-target-arg", at="xx-go"),
    _m(
        "xx-go build -o /usr/bin/app ./cmd && xx-verify --static /usr/bin/app",
        "go build -o /usr/bin/app ./cmd",
        "unused-target-arg",
        at="ARG TARGETPLATFORM",
    ),
)
_style(
    "goxx-helpers",
    """
FROM --platform=$BUILDPLATFORM crazymax/goxx:1.22 AS base
WORKDIR /src
FROM base AS build
ARG TARGETPLATFORM
RUN --mount=type=cache,sharing=private,target=/var/cache/apt goxx-apt-get install -y binutils gcc g++ pkg-config
RUN --mount=type=bind,source=. goxx-go build -o /out/app ./cmd
FROM debian:bookworm-slim
COPY --from=build /out/app /usr/bin/app
""",
)
_style(
    "go-cgo-with-debian-cross-compilers",
    r"""
FROM --platform=$BUILDPLATFORM golang:1.22-bookworm AS build
ARG TARGETARCH
RUN dpkg --add-architecture "$TARGETARCH" && apt-get update && apt-get install -y "crossbuild-essential-$TARGETARCH" "libsqlite3-dev:$TARGETARCH"
COPY . .
RUN case "$TARGETARCH" in \
      amd64) export CC=x86_64-linux-gnu-gcc ;; \
      arm64) export CC=aarch64-linux-gnu-gcc ;; \
    esac; CGO_ENABLED=1 GOARCH=$TARGETARCH go build -o /app .
FROM debian:bookworm-slim
COPY --from=build /app /app
""",
    _m('dpkg --add-architecture "$TARGETARCH"', "dpkg --add-architecture arm64", "fixed-target", "warning"),
    _m('"libsqlite3-dev:$TARGETARCH"', "libsqlite3-dev:arm64", "fixed-target", "warning"),
    _m("arm64) export CC=aarch64-linux-gnu-gcc", "aarch64) export CC=aarch64-linux-gnu-gcc", "arch-spelling"),
)
_style(
    "go-fixed-builder-and-goarch",
    """
FROM --platform=linux/amd64 golang:1.22 AS build
ARG TARGETOS TARGETARCH
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /app .
FROM alpine:3.20
COPY --from=build /app /app
""",
    _m("GOOS=$TARGETOS GOARCH=$TARGETARCH ", "", "unused-target-arg", at="ARG TARGETOS"),
)
_style(
    "go-arch-translated-by-a-tool",
    """
FROM --platform=$BUILDPLATFORM qmcgaw/xcputranslate:v0.6.0 AS xcputranslate
FROM --platform=$BUILDPLATFORM golang:1.22-alpine AS build
COPY --from=xcputranslate /xcputranslate /usr/local/bin/xcputranslate
COPY . .
ARG TARGETPLATFORM
RUN GOARCH="$(xcputranslate translate -field arch -targetplatform ${TARGETPLATFORM})" \\
    GOARM="$(xcputranslate translate -field arm -targetplatform ${TARGETPLATFORM})" \\
    CGO_ENABLED=0 go build -trimpath -o /tmp/entrypoint cmd/main.go
FROM alpine:3.20
COPY --from=build /tmp/entrypoint /entrypoint
""",
    _m("ARG TARGETPLATFORM\n", "", "undeclared-target-arg", at="GOARCH="),
)
_style(
    "go-windows-and-linux-binaries",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETOS TARGETARCH
COPY . .
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /out/app . && GOOS=windows GOARCH=amd64 go build -o /out/helper.exe ./helper
FROM alpine:3.20
COPY --from=build /out/ /opt/app/
""",
    _m("GOOS=$TARGETOS GOARCH=$TARGETARCH go build", "GOOS=linux GOARCH=amd64 go build", "fixed-target"),
)

_style(
    "go-by-env-and-wrappers",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETOS TARGETARCH
COPY . .
RUN env CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /app .
RUN command -v go && exec env GOARCH=$TARGETARCH go build -o /tool ./tool
FROM scratch
COPY --from=build /app /tool /
""",
    _m("GOARCH=$TARGETARCH go build -o /app", "GOARCH=amd64 go build -o /app", "fixed-target"),
    _m("GOARCH=$TARGETARCH go build -o /app", "GOARCH=$(uname -m) go build -o /app", "uname-in-cross-stage"),
)
_style(
    "go-arch-as-an-argument",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETARCH
ARG GOARCH=$TARGETARCH
COPY . .
RUN CGO_ENABLED=0 go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    _m("ARG GOARCH=$TARGETARCH", "ARG GOARCH=amd64", "fixed-target", "warning"),
    _m("ARG TARGETARCH\n", "", "undeclared-target-arg", "warning", at="ARG GOARCH"),
)
_style(
    "go-tool-for-the-image",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS tools
ARG TARGETOS TARGETARCH
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go install example.org/x/y@latest && find /go/bin -name y -exec mv {} /y ';'
FROM alpine:3.20
COPY --from=tools /y /usr/bin/y
""",
    _m(
        "CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go install example.org/x/y@latest && find /go/bin -name y -exec mv {} /y ';'\nFROM alpine:3.20\nCOPY --from=tools /y",
        "go install example.org/x/y@latest\nFROM alpine:3.20\nCOPY --from=tools /go/bin/y",
        "unused-target-arg",
        at="ARG TARGETOS",
    ),
)

# Rust, C and others that cross-compile.

_style(
    "cargo-target-per-stage-of-a-platform",
    """
FROM --platform=linux/amd64 rust:1-slim AS build-amd64
RUN rustup target add x86_64-unknown-linux-musl
FROM --platform=linux/arm64 rust:1-slim AS build-arm64
RUN rustup target add aarch64-unknown-linux-musl
FROM build-${TARGETARCH} AS build
COPY . .
RUN cargo build --release && cp target/release/app /app
FROM scratch
COPY --from=build /app /app
""",
    _m(
        "FROM build-${TARGETARCH} AS build",
        "FROM build-amd64 AS build",
        "untargeted-cross-build",
        at="cargo build",
    ),
)
_style(
    "cross-images-as-stages",
    """
FROM --platform=$BUILDPLATFORM ghcr.io/cross-rs/x86_64-unknown-linux-musl:main AS cross-amd64
ENV TRIPLE=x86_64-unknown-linux-musl
FROM --platform=$BUILDPLATFORM ghcr.io/cross-rs/aarch64-unknown-linux-musl:main AS cross-arm64
ENV TRIPLE=aarch64-unknown-linux-musl
FROM cross-${TARGETARCH} AS build
RUN curl -fsSL https://sh.rustup.example.org | sh -s -- -y --target $TRIPLE
COPY . .
RUN cargo build --release --target $TRIPLE && mv target/$TRIPLE/release/app /app
FROM scratch
COPY --from=build /app /app
""",
    _m("ENV TRIPLE=aarch64-unknown-linux-musl", "ENV TRIPLE=x86_64-unknown-linux-musl", "fixed-target"),
)
_style(
    "zigbuild-names-by-file",
    r"""
FROM --platform=$BUILDPLATFORM rust:1 AS build
ARG TARGETPLATFORM
RUN case "$TARGETPLATFORM" in \
      "linux/amd64") echo "x86_64-unknown-linux-musl" > rust_target.txt ;; \
      "linux/arm64") echo "aarch64-unknown-linux-musl" > rust_target.txt ;; \
      *) exit 1 ;; \
    esac
RUN rustup target add $(cat rust_target.txt)
COPY . .
RUN cargo zigbuild --release --target $(cat rust_target.txt) && cp target/$(cat rust_target.txt)/release/app /app
FROM scratch
COPY --from=build /app /app
""",
    _m('"linux/arm64") echo', '"linux/aarch64") echo', "arch-spelling"),
    _m("ARG TARGETPLATFORM\n", "", "undeclared-target-arg", at="case"),
    _m(
        "--release --target $(cat rust_target.txt)",
        "--release --target x86_64-unknown-linux-musl",
        "fixed-target",
    ),
)
_style(
    "cargo-chef-emulated",
    """
FROM lukemathwalker/cargo-chef:latest-rust-1 AS chef
WORKDIR /app
FROM chef AS planner
COPY . .
RUN cargo chef prepare --recipe-path recipe.json
FROM chef AS builder
COPY --from=planner /app/recipe.json recipe.json
RUN cargo chef cook --release --recipe-path recipe.json
COPY . .
RUN cargo build --release --bin app
FROM debian:bookworm-slim AS runtime
COPY --from=builder /app/target/release/app /usr/local/bin
""",
    _m(
        "cargo build --release --bin app",
        "cargo build --release --target x86_64-unknown-linux-gnu --bin app",
        "fixed-target",
    ),
    _m("/app/target/release/app", "/app/target/x86_64-unknown-linux-gnu/release/app", "fixed-arch-copy"),
)
_style(
    "rust-linkers-in-env",
    """
FROM --platform=$BUILDPLATFORM rust:1 AS build
RUN apt-get update && apt-get install -y gcc-aarch64-linux-gnu gcc-x86-64-linux-gnu
ENV CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
ENV CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc
ARG TARGETARCH
COPY . .
RUN t=$([ "$TARGETARCH" = amd64 ] && echo x86_64 || echo aarch64)-unknown-linux-gnu; rustup target add $t && cargo build --release --target $t && cp target/$t/release/app /app
FROM debian:bookworm-slim
COPY --from=build /app /app
""",
    _m("&& echo x86_64 || echo aarch64", "&& echo x86_64 || echo x86_64", "fixed-target"),
    _m("&& echo x86_64 || echo aarch64", "&& echo amd64 || echo arm64", "arch-spelling"),
)
_style(
    "cmake-cross-by-processor",
    r"""
FROM --platform=$BUILDPLATFORM debian:bookworm AS build
ARG TARGETARCH
RUN case "$TARGETARCH" in amd64) p=x86_64 ;; arm64) p=aarch64 ;; esac; apt-get update && apt-get install -y cmake "g++-$(echo $p | tr _ -)-linux-gnu"; echo $p > /p
COPY . /src
RUN p="$(cat /p)"; cmake -S /src -B /b -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$p" -DCMAKE_CXX_COMPILER="$p-linux-gnu-g++" && cmake --build /b && cp /b/app /app
FROM debian:bookworm-slim
COPY --from=build /app /app
""",
    _m("ARG TARGETARCH\n", "", "undeclared-target-arg", at="case"),
    _m('-DCMAKE_SYSTEM_PROCESSOR="$p"', "-DCMAKE_SYSTEM_PROCESSOR=aarch64", "fixed-target", "warning"),
)
_style(
    "musl-cross-toolchain-by-download",
    r"""
FROM --platform=$BUILDPLATFORM debian:bookworm AS build
ARG TARGETARCH
RUN case "$TARGETARCH" in amd64) t=x86_64-linux-musl ;; arm64) t=aarch64-linux-musl ;; arm) t=arm-linux-musleabihf ;; esac; \
    curl -fsSL "https://musl.example.org/$t-cross.tgz" | tar xz -C /opt --strip-components=1 && ln -s /opt/bin/$t-gcc /usr/local/bin/target-gcc
COPY . .
RUN target-gcc -static -O2 -o /app main.c
FROM scratch
COPY --from=build /app /app
""",
    _m("$t-cross.tgz", "x86_64-linux-musl-cross.tgz", "fixed-arch-url", "warning"),
    _m("arm64) t=aarch64", "aarch64) t=aarch64", "arch-spelling"),
)
_style(
    "xx-clang-and-cmake",
    """
FROM --platform=$BUILDPLATFORM tonistiigi/xx AS xx
FROM --platform=$BUILDPLATFORM alpine:3.20 AS build
RUN apk add --no-cache clang lld cmake make
COPY --from=xx / /
ARG TARGETPLATFORM
RUN xx-apk add --no-cache gcc musl-dev g++ zlib-dev
COPY . /src
RUN cmake $(xx-clang --print-cmake-defines) -S /src -B /b && make -C /b && cp /b/app /app && xx-verify /app
FROM alpine:3.20
COPY --from=build /app /app
""",
    _m("ARG TARGETPLATFORM\n", "", "undeclared-target-arg", at="xx-apk"),
)
_style(
    "meson-cross-file-by-name",
    """
FROM --platform=$BUILDPLATFORM debian:bookworm AS build
ARG TARGETARCH
RUN apt-get update && apt-get install -y meson ninja-build crossbuild-essential-$TARGETARCH
COPY . /src
RUN meson setup /b /src --cross-file /src/meson/$TARGETARCH.ini && ninja -C /b && DESTDIR=/out ninja -C /b install
FROM debian:bookworm-slim
COPY --from=build /out/ /
""",
    _m("/src/meson/$TARGETARCH.ini", "/src/meson/arm64.ini", "fixed-target", "warning"),
)
_style(
    "vcpkg-triplets",
    r"""
FROM debian:bookworm AS build
ARG TARGETARCH
RUN case "$TARGETARCH" in amd64) echo x64-linux ;; arm64) echo arm64-linux ;; esac > /triplet
RUN git clone --depth 1 https://github.com/microsoft/vcpkg /vcpkg && /vcpkg/bootstrap-vcpkg.sh && VCPKG_FORCE_SYSTEM_BINARIES=1 /vcpkg/vcpkg install --triplet "$(cat /triplet)" fmt
FROM debian:bookworm-slim
COPY --from=build /vcpkg/installed /vcpkg/installed
""",
    _m("amd64) echo x64-linux", "x86_64) echo x64-linux", "arch-spelling"),
)
_style(
    "conan-profiles",
    r"""
FROM --platform=$BUILDPLATFORM debian:bookworm AS build
ARG TARGETARCH
COPY . /src
RUN conan install /src -pr:h=/src/profiles/linux-$TARGETARCH -pr:b=default --build=missing && cmake --preset conan-release -DCMAKE_TOOLCHAIN_FILE=/src/toolchains/$TARGETARCH.cmake && cmake --build /src/build && cp /src/build/app /app
FROM debian:bookworm-slim
COPY --from=build /app /app
""",
)
_style(
    "android-and-firmware-as-data",
    """
FROM debian:bookworm
RUN apt-get update && apt-get install -y gcc-arm-none-eabi make
ENV TARGET=aarch64-linux-android
COPY . .
RUN ./configure --host=$TARGET --prefix=/opt/sysroot
""",
)
_style(
    "wasm-on-the-builder",
    """
FROM --platform=$BUILDPLATFORM rust:1 AS build
RUN rustup target add wasm32-unknown-unknown && cargo install wasm-pack@0.13.0
COPY . .
RUN cargo build --release --target wasm32-unknown-unknown && cp target/wasm32-unknown-unknown/release/app.wasm /app.wasm
FROM --platform=$BUILDPLATFORM golang:1.22 AS go
COPY . .
RUN GOOS=js GOARCH=wasm go build -o /main.wasm . && GOOS=wasip1 GOARCH=wasm go build -o /w.wasm .
FROM nginx:1.27
COPY --from=build /app.wasm /usr/share/nginx/html/
COPY --from=go /main.wasm /usr/share/nginx/html/
""",
)

# Languages whose results are the same everywhere, and those that are not.

_style(
    "node-sharp-on-the-target",
    """
FROM --platform=$BUILDPLATFORM node:22-slim AS build
WORKDIR /app
COPY package*.json ./
RUN npm ci
COPY . .
RUN npm run build
FROM node:22-slim AS deps
WORKDIR /app
COPY package*.json ./
RUN npm ci --omit=dev
FROM node:22-slim
COPY --from=deps /app/node_modules /app/node_modules
COPY --from=build /app/dist /app/dist
CMD ["node", "/app/dist/main.js"]
""",
    _m("npm ci --omit=dev", "npm ci --omit=dev --cpu=x64", "fixed-target"),
)
_style(
    "node-optional-packages-of-the-platform",
    """
FROM node:22-slim
ARG TARGETARCH
RUN npm install --no-save "@esbuild/linux-$(node -p process.arch)" @types/node@22
""",
    _m('"@esbuild/linux-$(node -p process.arch)"', "@esbuild/linux-x64@0.23.0", "fixed-target", "warning"),
)
_style(
    "go-cgo-with-zig",
    r"""
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETARCH
COPY . .
RUN case "$TARGETARCH" in amd64) t=x86_64-linux-musl ;; arm64) t=aarch64-linux-musl ;; esac; \
    CGO_ENABLED=1 CC="zig cc -target $t" GOARCH=$TARGETARCH go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    _m("zig cc -target $t", "zig cc -target x86_64-linux-musl", "fixed-target", "warning"),
)
_style(
    "node-cross-install-by-cpu",
    r"""
FROM --platform=$BUILDPLATFORM node:22-slim AS deps
ARG TARGETARCH
COPY package*.json ./
RUN case "$TARGETARCH" in amd64) cpu=x64 ;; *) cpu="$TARGETARCH" ;; esac; npm ci --omit=dev --os=linux --cpu="$cpu"
FROM node:22-slim
COPY --from=deps /node_modules /app/node_modules
""",
    _m('--cpu="$cpu"', '--cpu="$TARGETARCH"', "arch-spelling"),
    _m('--cpu="$cpu"', "--cpu=x64", "fixed-target"),
)
_style(
    "python-wheels-by-platform-tag",
    r"""
FROM --platform=$BUILDPLATFORM python:3.12 AS deps
ARG TARGETARCH
COPY requirements.txt .
RUN case $TARGETARCH in amd64) p=manylinux2014_x86_64 ;; arm64) p=manylinux2014_aarch64 ;; esac; \
    pip install --platform $p --only-binary=:all: --target /deps -r requirements.txt
FROM python:3.12-slim
COPY --from=deps /deps /usr/local/lib/python3.12/site-packages
""",
    _m("--platform $p", "--platform manylinux2014_x86_64", "fixed-target"),
    _m("arm64) p=manylinux2014_aarch64", "arm64) p=manylinux2014_arm64", "arch-spelling", at="pip install"),
)
_style(
    "python-venv-on-the-target",
    """
FROM python:3.12-slim AS build
RUN python -m venv /venv
COPY requirements.txt .
RUN /venv/bin/pip install -r requirements.txt
FROM python:3.12-slim
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH
""",
    _m(
        "FROM python:3.12-slim AS build",
        "FROM --platform=$BUILDPLATFORM python:3.12-slim AS build",
        "cross-stage-program",
        "warning",
        at="COPY --from=build /venv",
    ),
)
_style(
    "uv-on-the-target",
    """
FROM --platform=$TARGETPLATFORM ghcr.io/astral-sh/uv:python3.12-bookworm-slim AS build
WORKDIR /app
RUN --mount=type=cache,target=/root/.cache/uv --mount=type=bind,source=uv.lock,target=uv.lock uv sync --locked --no-install-project
FROM python:3.12-slim
COPY --from=build /app/.venv /app/.venv
""",
)
_style(
    "uv-by-target-triple",
    r"""
FROM --platform=$BUILDPLATFORM ubuntu:24.04 AS build
ARG TARGETPLATFORM
RUN case "$TARGETPLATFORM" in \
      "linux/arm64") echo "aarch64-unknown-linux-musl" > rust_target.txt ;; \
      "linux/amd64") echo "x86_64-unknown-linux-musl" > rust_target.txt ;; \
      *) exit 1 ;; \
    esac
COPY rust-toolchain.toml .
RUN rustup target add $(cat rust_target.txt)
RUN cargo zigbuild --bin uv --target $(cat rust_target.txt) --release && cp target/$(cat rust_target.txt)/release/uv /uv
FROM scratch
COPY --from=build /uv /
""",
)
_style(
    "jlink-on-the-target",
    """
FROM --platform=$BUILDPLATFORM maven:3-eclipse-temurin-21 AS jar
COPY . /src
RUN mvn -f /src/pom.xml -B package
FROM eclipse-temurin:21-jdk AS jre
RUN jlink --add-modules java.base,java.logging --strip-debug --no-header-files --output /jre
FROM debian:bookworm-slim
ENV JAVA_HOME=/opt/jre PATH=/opt/jre/bin:$PATH
COPY --from=jre /jre /opt/jre
COPY --from=jar /src/target/app.jar /app.jar
CMD ["java", "-jar", "/app.jar"]
""",
    _m("JAVA_HOME=/opt/jre", "JAVA_HOME=/usr/lib/jvm/java-21-openjdk-amd64", "fixed-arch-path", "warning"),
)
_style(
    "jdk-table-of-files",
    r"""
FROM debian:bookworm-slim
ARG TARGETARCH
RUN case "$TARGETARCH" in \
      amd64) file=jdk-21_linux-x64_bin.tar.gz sum=aa ;; \
      arm64) file=jdk-21_linux-aarch64_bin.tar.gz sum=bb ;; \
      *) echo "no JDK for $TARGETARCH"; exit 1 ;; \
    esac; \
    curl -fsSLO "https://download.example.org/java/21/latest/$file" && echo "$sum  $file" | sha256sum -c - && tar xzf "$file" -C /opt
""",
    _m(
        "file=jdk-21_linux-aarch64_bin",
        "file=jdk-21_linux-x64_bin",
        "fixed-arch-url",
        at="arm64) file=jdk-21_linux-x64",
    ),
)
_style(
    "graalvm-native-on-the-target",
    """
FROM ghcr.io/graalvm/native-image-community:21 AS build
COPY . .
RUN ./mvnw -Pnative native:compile -DskipTests
FROM debian:bookworm-slim
COPY --from=build /app/target/app /app
""",
)
_style(
    "dotnet-arch-and-aot",
    """
FROM --platform=$BUILDPLATFORM mcr.microsoft.com/dotnet/sdk:9.0-alpine AS build
ARG TARGETARCH
WORKDIR /source
COPY --link *.csproj .
RUN dotnet restore --arch $TARGETARCH
COPY --link . .
RUN dotnet publish -a $TARGETARCH --no-restore -o /app
FROM mcr.microsoft.com/dotnet/runtime-deps:9.0-alpine
COPY --link --from=build /app .
USER $APP_UID
""",
    _m("publish -a $TARGETARCH", "publish -a x64", "fixed-target"),
    _m("dotnet publish -a $TARGETARCH", "dotnet publish -r linux-musl-x64", "fixed-target"),
    _m("ARG TARGETARCH\n", "", "undeclared-target-arg", at="restore --arch"),
    _m(
        "FROM mcr.microsoft.com/dotnet/runtime-deps:9.0-alpine",
        "FROM mcr.microsoft.com/dotnet/runtime-deps:9.0-alpine-amd64",
        "fixed-arch-base",
    ),
)
_style(
    "php-composer-and-extensions",
    """
FROM --platform=$BUILDPLATFORM composer:2 AS vendor
COPY composer.json composer.lock ./
RUN composer install --no-dev --ignore-platform-reqs --no-scripts
FROM php:8.3-fpm
ADD --chmod=0755 https://github.com/mlocati/docker-php-extension-installer/releases/latest/download/install-php-extensions /usr/local/bin/
RUN install-php-extensions gd intl opcache
COPY --from=vendor /app/vendor /var/www/vendor
""",
    _m("FROM php:8.3-fpm", "FROM --platform=linux/amd64 php:8.3-fpm", "fixed-final-platform"),
)
_style(
    "ruby-bundle-on-the-target",
    """
FROM ruby:3.3-slim AS gems
RUN apt-get update && apt-get install -y build-essential
COPY Gemfile Gemfile.lock ./
RUN bundle config set --local deployment true && bundle install
FROM ruby:3.3-slim
COPY --from=gems /vendor/bundle /vendor/bundle
ENV LD_PRELOAD=libjemalloc.so.2
""",
    _m(
        "LD_PRELOAD=libjemalloc.so.2",
        "LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
        "fixed-arch-path",
        "warning",
    ),
    _m(
        "FROM ruby:3.3-slim AS gems",
        "FROM --platform=$BUILDPLATFORM ruby:3.3-slim AS gems",
        "cross-stage-program",
        "warning",
        at="COPY --from=gems",
    ),
)
_style(
    "jemalloc-by-a-link",
    """
FROM ruby:3.3-slim
RUN apt-get update && apt-get install -y libjemalloc2 && ln -s /usr/lib/$(uname -m)-linux-gnu/libjemalloc.so.2 /usr/local/lib/libjemalloc.so
ENV LD_PRELOAD=/usr/local/lib/libjemalloc.so
""",
    _m("/usr/lib/$(uname -m)-linux-gnu", "/usr/lib/x86_64-linux-gnu", "fixed-arch-path", "warning"),
)
_style(
    "elixir-release-on-the-target",
    """
FROM hexpm/elixir:1.17.0-erlang-27.0-debian-bookworm-20240612-slim AS build
ENV MIX_ENV=prod
COPY . .
RUN mix local.hex --force && mix deps.get --only prod && mix release
FROM debian:bookworm-slim
COPY --from=build /_build/prod/rel/app /app
CMD ["/app/bin/server"]
""",
)
_style(
    "nix-closure",
    """
FROM nixos/nix:2.22.1 AS build
COPY . /src
RUN nix --extra-experimental-features "nix-command flakes" --option filter-syscalls false build /src && mkdir /closure && cp -R $(nix-store -qR result/) /closure
FROM scratch
COPY --from=build /closure /nix/store
COPY --from=build /result /app
CMD ["/app/bin/app"]
""",
)
_style(
    "nix-system-by-table",
    r"""
FROM --platform=$BUILDPLATFORM nixos/nix:2.22.1 AS build
ARG TARGETARCH
COPY . /src
RUN case "$TARGETARCH" in amd64) system=x86_64-linux ;; arm64) system=aarch64-linux ;; esac; nix build "/src#packages.$system.default" && cp -rL result /out
FROM scratch
COPY --from=build /out /app
""",
    _m("amd64) system=x86_64-linux", "x86_64) system=x86_64-linux", "arch-spelling"),
)

# Stages and bases.

_style(
    "stages-by-platform-words",
    """
FROM alpine:3.20 AS base
FROM base AS base-linux-amd64
RUN wget -O /opt/lib.tgz https://example.org/lib-x86_64.tgz
FROM base AS base-linux-arm64
RUN wget -O /opt/lib.tgz https://example.org/lib-aarch64.tgz
FROM base-${TARGETOS}-${TARGETARCH} AS final
RUN tar xzf /opt/lib.tgz -C /usr/local
""",
    _m(
        "FROM base-${TARGETOS}-${TARGETARCH} AS final",
        "FROM base-linux-amd64 AS final",
        "fixed-arch-url",
        at="lib-x86_64",
    ),
)
_style(
    "root-file-systems-by-stage",
    """
FROM scratch AS arch-amd64
ADD rootfs/x86_64/minirootfs-x86_64.tar.gz /
FROM scratch AS arch-arm64
ADD rootfs/aarch64/minirootfs-aarch64.tar.gz /
FROM arch-${TARGETARCH}
CMD ["/bin/sh"]
""",
    _m("FROM arch-${TARGETARCH}", "FROM arch-arm64", "fixed-arch-copy", at="ADD rootfs/aarch64"),
)
_style(
    "bases-by-stage-of-fixed-platform",
    """
ARG BASE=debian:bookworm-slim
FROM --platform=linux/amd64 ${BASE} AS base-amd64
RUN apt-get update && apt-get install -y intel-media-va-driver
FROM --platform=linux/arm64 ${BASE} AS base-arm64
RUN apt-get update && apt-get install -y libv4l-0 && curl -fsSLo /usr/bin/t "https://example.org/t-$(uname -m)"
FROM base-${TARGETARCH}
COPY app.py /
""",
    _m("FROM base-${TARGETARCH}", "FROM base-amd64", "fixed-final-platform", at="AS base-amd64"),
)
_style(
    "variants-of-stages-by-arg",
    """
ARG VARIANT=slim
FROM debian:bookworm AS base-full
FROM debian:bookworm-slim AS base-slim
FROM base-${VARIANT}
ARG TARGETARCH
COPY bin/${TARGETARCH}/app /usr/bin/app
""",
    _m("bin/${TARGETARCH}/app", "bin/arm64/app", "fixed-arch-copy"),
)
_style(
    "copy-from-images-by-tag",
    """
FROM debian:bookworm-slim
COPY --from=mikefarah/yq:4 /usr/bin/yq /usr/bin/yq
COPY --from=docker:27-cli /usr/local/bin/docker /usr/local/bin/docker
COPY --from=docker/buildx-bin:0.16 /buildx /usr/libexec/docker/cli-plugins/docker-buildx
COPY --from=registry.k8s.io/kubectl:v1.30.0 /bin/kubectl /usr/local/bin/
""",
    _m("mikefarah/yq:4 ", "mikefarah/yq:4-amd64 ", "fixed-arch-base"),
    _m("docker:27-cli ", "arm64v8/docker:27-cli ", "fixed-arch-base"),
)
_style(
    "data-of-a-builders-stage",
    """
FROM --platform=$BUILDPLATFORM alpine:3.20 AS data
RUN apk add --no-cache git ca-certificates && git clone --depth 1 https://github.com/x/data /data
FROM --platform=linux/amd64 node:22 AS docs
COPY docs .
RUN npm ci && npm run build
FROM nginx:1.27-alpine
COPY --from=data /data /usr/share/nginx/html/data
COPY --from=data /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=docs /build /usr/share/nginx/html/docs
""",
    _m(
        "COPY --from=data /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/",
        "COPY --from=data /usr/bin/git /usr/bin/",
        "cross-stage-program",
        "warning",
    ),
)
_style(
    "unpacked-for-the-target-on-the-builder",
    """
FROM --platform=$BUILDPLATFORM debian:bookworm-slim AS fetch
ARG TARGETARCH
RUN apt-get update && apt-get install -y curl xz-utils
RUN curl -fsSL "https://example.org/ffmpeg-release-${TARGETARCH}-static.tar.xz" | tar xJ --strip-components=1 -C /usr/local/bin
FROM debian:bookworm-slim
COPY --from=fetch /usr/local/bin/ffmpeg /usr/local/bin/ffmpeg
""",
    _m("ffmpeg-release-${TARGETARCH}-static", "ffmpeg-release-amd64-static", "fixed-arch-url"),
    _m(
        "ffmpeg-release-${TARGETARCH}-static",
        "ffmpeg-release-$(dpkg --print-architecture)-static",
        "uname-in-cross-stage",
    ),
)
_style(
    "rustup-by-its-own-choice",
    """
FROM debian:bookworm-slim
RUN curl -fsSL https://sh.rustup.rs | sh -s -- -y --profile minimal
""",
    _m("-s -- -y", "-s -- -y --default-host x86_64-unknown-linux-gnu", "fixed-target"),
)
_style(
    "files-of-the-target-beside-a-builder",
    """
FROM debian:bookworm-slim
ARG TARGETARCH
ARG TARGETPLATFORM
ADD https://example.org/x-$TARGETARCH /x
COPY $TARGETPLATFORM/app /app
""",
    _m("ARG TARGETARCH\n", "ARG BUILDARCH\n", "undeclared-target-arg", at="ADD"),
    _m(
        "ARG TARGETPLATFORM\nADD https://example.org/x-$TARGETARCH /x\nCOPY $TARGETPLATFORM",
        "ARG BUILDPLATFORM\nADD https://example.org/x-$TARGETARCH /x\nCOPY $BUILDPLATFORM",
        "uname-in-cross-stage",
        at="COPY",
    ),
)
_style(
    "cross-only-where-it-is-another-platform",
    """
FROM --platform=${BUILDPLATFORM} rust:1 AS build
ARG TARGETPLATFORM
ARG BUILDPLATFORM
COPY . .
RUN if [ "${TARGETPLATFORM}" = "linux/arm64" ] && [ "${BUILDPLATFORM}" != "linux/arm64" ]; then \\
      rustup target add aarch64-unknown-linux-gnu && cargo build -r --target aarch64-unknown-linux-gnu && cp target/aarch64-unknown-linux-gnu/release/app /app; \\
    else \\
      cargo build -r && cp target/release/app /app; \\
    fi
FROM debian:bookworm-slim
COPY --from=build /app /app
""",
)
_style(
    "choice-by-if-on-the-target",
    """
FROM --platform=$BUILDPLATFORM debian:bookworm AS fetch
ARG TARGETARCH
RUN if [ "$TARGETARCH" = amd64 ]; then u=x64; else u=arm64; fi; curl -fsSLo /out/t https://example.org/t-$u
FROM debian:bookworm-slim
COPY --from=fetch /out/t /t
""",
    _m('[ "$TARGETARCH" = amd64 ]', '[ "$(uname -m)" = x86_64 ]', "uname-in-cross-stage"),
    _m('RUN if [ "$TARGETARCH" = amd64 ]', 'RUN m=$(uname -m); if [ "$m" = x86_64 ]', "uname-in-cross-stage"),
)
_style(
    "tool-of-the-builder-by-buildarch",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG BUILDOS BUILDARCH TARGETOS TARGETARCH
RUN curl -fsSLo /usr/local/bin/buf "https://example.org/buf-${BUILDOS}-${BUILDARCH}" && chmod +x /usr/local/bin/buf
COPY . .
RUN buf generate && CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
    _m("GOARCH=$TARGETARCH", "GOARCH=$BUILDARCH", "uname-in-cross-stage"),
    _m(
        "COPY --from=build /app /app",
        "COPY --from=build /app /usr/local/bin/buf /",
        "uname-in-cross-stage",
        at="curl",
    ),
)
_style(
    "goreleaser-by-platform",
    """
FROM alpine:3.20
ARG TARGETPLATFORM
RUN apk add --no-cache ca-certificates
COPY ${TARGETPLATFORM}/app /usr/bin/app
ENTRYPOINT ["/usr/bin/app"]
""",
    _m("${TARGETPLATFORM}/app", "linux/amd64/app", "fixed-arch-copy"),
    _m("ARG TARGETPLATFORM\n", "", "undeclared-target-arg", at="COPY"),
)
_style(
    "prebuilt-with-goarm-folders",
    """
FROM gcr.io/distroless/static
ARG TARGETOS
ARG TARGETARCH
ARG TARGETVARIANT
COPY dist/app_${TARGETOS}_${TARGETARCH}${TARGETVARIANT} /app
""",
    _m("dist/app_${TARGETOS}_${TARGETARCH}${TARGETVARIANT}", "dist/app_linux_amd64_v1", "fixed-arch-copy"),
)
_style(
    "libraries-by-triple-folder",
    r"""
FROM debian:bookworm AS build
RUN apt-get update && apt-get install -y libpq5 && mkdir -p /libs && cp -P /usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)/libpq.so.* /libs/
FROM gcr.io/distroless/base-debian12
COPY --from=build /libs/ /usr/lib/
""",
    _m(
        "COPY --from=build /libs/ /usr/lib/",
        "COPY --from=build /usr/lib/x86_64-linux-gnu/libpq.so.5 /usr/lib/",
        "fixed-arch-copy",
    ),
)
_style(
    "distroless-loader-by-wildcards",
    """
FROM debian:bookworm-slim AS build
RUN apt-get update && apt-get install -y tini
FROM gcr.io/distroless/cc
COPY --from=build /usr/bin/tini-static /tini
COPY --from=build /lib/*-linux-gnu/libz.so.1 /lib/
""",
    _m("/lib/*-linux-gnu/libz.so.1", "/lib/aarch64-linux-gnu/libz.so.1", "fixed-arch-copy"),
)
_style(
    "empty-argument-is-an-error",
    r"""
FROM alpine:3.20
ARG TARGETARCH
RUN if [ -z "${TARGETARCH}" ]; then echo "TARGETARCH is not set, use BuildKit" >&2; exit 1; fi; \
    wget -O /usr/bin/t "https://example.org/t-${TARGETARCH:?}"
""",
    _m("t-${TARGETARCH:?}", "t-amd64", "fixed-arch-url"),
)
_style(
    "own-name-for-the-argument",
    """
FROM alpine:3.20
ARG TARGETARCH
ENV ARCH=$TARGETARCH
RUN wget -O /usr/bin/t "https://example.org/t-$ARCH" && wget -O /usr/bin/u "https://example.org/u-${ARCH/amd64/x86_64}"
""",
    _m("ARG TARGETARCH\n", "", "undeclared-target-arg", at="ENV ARCH"),
    _m("ARG TARGETARCH\nENV", "ENV", "undeclared-target-arg", at="ENV ARCH"),
    _m("ARG TARGETARCH\nENV ARCH=", "ARG ARCH=", "undeclared-target-arg", "warning", at="ARG ARCH"),
    _m("ENV ARCH=$TARGETARCH", "ENV ARCH=amd64", "fixed-arch-url"),
)
_style(
    "renamed-in-env",
    """
FROM alpine:3.20
ARG TARGETARCH
ENV NODE_ARCH=${TARGETARCH/amd64/x64}
RUN wget -qO- "https://nodejs.org/dist/v22.3.0/node-v22.3.0-linux-${NODE_ARCH}.tar.gz" | tar xz -C /usr/local --strip-components=1
""",
    _m("${TARGETARCH/amd64/x64}", "${TARGETARCH}", "arch-spelling", at="wget"),
    _m("${TARGETARCH/amd64/x64}", "x64", "fixed-arch-url"),
)
_style(
    "windows-stage-beside-linux",
    r"""
# escape=`
FROM mcr.microsoft.com/windows/nanoserver:ltsc2022 AS windows
RUN curl.exe -L -o C:\tool.zip https://example.org/tool-linux-amd64.zip && `
    tar -xf C:\tool.zip
FROM mcr.microsoft.com/windows/servercore:ltsc2022
SHELL ["pwsh", "-Command", "$ErrorActionPreference = 'Stop';"]
RUN $env:ARCH = 'amd64'; Invoke-WebRequest \"https://example.org/go.windows-$env:ARCH.zip\" -OutFile go.zip
COPY --from=windows C:\tool C:\tool
""",
)
_style(
    "caches-by-platform",
    """
FROM rust:1 AS build
ARG TARGETPLATFORM
WORKDIR /src
COPY . .
RUN --mount=type=cache,id=cargo-registry,target=/usr/local/cargo/registry --mount=type=cache,id=target-${TARGETPLATFORM},target=/src/target,sharing=locked cargo build --release && cp target/release/app /app
FROM debian:bookworm-slim
COPY --from=build /app /app
""",
    _m("id=target-${TARGETPLATFORM},", "", "shared-cache", "warning", at="RUN"),
    _m("id=target-${TARGETPLATFORM}", "id=target", "shared-cache", "warning"),
    _m("ARG TARGETPLATFORM\n", "", "undeclared-target-arg", at="RUN"),
)
_style(
    "tests-and-lint-beside-the-image",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS base
WORKDIR /src
FROM golangci/golangci-lint:v1.59 AS lint-bin
FROM base AS lint
RUN --mount=target=. --mount=from=lint-bin,source=/usr/bin/golangci-lint,target=/usr/bin/golangci-lint golangci-lint run
FROM --platform=linux/amd64 base AS e2e
RUN curl -fsSLO https://example.org/kind-linux-amd64
FROM base AS build
ARG TARGETOS TARGETARCH
RUN --mount=target=. CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
)
_style(
    "multiarch-packages-on-purpose",
    r"""
FROM debian:bookworm-slim
RUN if [ "$(dpkg --print-architecture)" = amd64 ]; then dpkg --add-architecture i386 && apt-get update && apt-get install -y libc6:i386; fi
""",
    _m(
        'if [ "$(dpkg --print-architecture)" = amd64 ]; then dpkg',
        "if true; then dpkg",
        "fixed-target",
        "warning",
    ),
)
_style(
    "third-party-apt-source",
    r"""
FROM debian:bookworm-slim
RUN curl -fsSL https://apt.example.org/key.gpg | gpg --dearmor -o /usr/share/keyrings/x.gpg && \
    echo "deb [arch=$(dpkg --print-architecture) signed-by=/usr/share/keyrings/x.gpg] https://apt.example.org/debian stable main" | tee /etc/apt/sources.list.d/x.list && \
    apt-get update && apt-get install -y x
""",
    _m("[arch=$(dpkg --print-architecture) ", "[arch=amd64 ", "fixed-target"),
)
_style(
    "argument-of-the-whole-file",
    """
ARG GO_VERSION=1.22
ARG TARGETARCH
FROM --platform=$BUILDPLATFORM golang:${GO_VERSION} AS build
ARG TARGETARCH
RUN --mount=target=. CGO_ENABLED=0 GOARCH=$TARGETARCH go build -o /app .
FROM registry.example.org/base:1-${TARGETARCH}
COPY --from=build /app /app
""",
    _m(
        "FROM registry.example.org/base:1-${TARGETARCH}",
        "FROM registry.example.org/base:1-amd64",
        "fixed-arch-base",
    ),
    _m("ARG TARGETARCH\nRUN", "RUN", "undeclared-target-arg", at="RUN"),
)
_style(
    "make-with-names-of-go",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETOS TARGETARCH
COPY . .
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH make bin/app
FROM alpine:3.20
COPY --from=build /go/bin/app /app
""",
    _m("GOARCH=$TARGETARCH make", "GOARCH=amd64 make", "fixed-target"),
    _m("ARG TARGETOS TARGETARCH\n", "", "undeclared-target-arg", at="make"),
)
_style(
    "docker-cli-by-uname",
    """
FROM debian:bookworm-slim
RUN curl -fsSL "https://download.docker.com/linux/static/stable/$(uname -m)/docker-27.0.3.tgz" | tar xz --strip-components=1 -C /usr/local/bin docker/docker
RUN curl -fsSLo /usr/local/bin/docker-compose "https://github.com/docker/compose/releases/download/v2.28.1/docker-compose-$(uname -s)-$(uname -m)"
""",
    _m("stable/$(uname -m)/docker", "stable/x86_64/docker", "fixed-arch-url"),
    _m("stable/$(uname -m)/docker", "stable/$(dpkg --print-architecture)/docker", "arch-spelling"),
    _m("$(uname -s)-$(uname -m)", "linux-aarch64", "fixed-arch-url"),
)

# What only looks like a mistake.

_style(
    "looks-tini-if",
    """
FROM debian:12-slim
ARG TARGETARCH
RUN if [ "$TARGETARCH" = amd64 ]; then curl -fsSLo /tini https://github.com/krallin/tini/releases/download/v0.19.0/tini; else curl -fsSLo /tini https://github.com/krallin/tini/releases/download/v0.19.0/tini-arm64; fi
""",
)
_style(
    "looks-codecov-case",
    """
FROM debian:12-slim
ARG TARGETARCH
RUN case $TARGETARCH in amd64) a=linux ;; arm64) a=aarch64 ;; esac; curl -Os https://uploader.codecov.io/latest/$a/codecov
""",
)
_style(
    "looks-glibc-if",
    """
FROM alpine:3
RUN if [ "$(uname -m)" = x86_64 ]; then wget https://github.com/sgerrand/alpine-pkg-glibc/releases/download/2.35-r1/glibc-2.35-r1.apk; else apk add gcompat; fi
""",
)
_style(
    "looks-hugo-case",
    """
FROM debian:12-slim
ARG TARGETARCH
RUN case $TARGETARCH in amd64) a=Linux-64bit ;; arm64) a=Linux-ARM64 ;; esac; wget https://github.com/gohugoio/hugo/releases/download/v0.101.0/hugo_0.101.0_$a.tar.gz
""",
)
_style(
    "looks-ssm",
    """
FROM debian:12-slim
RUN case $(dpkg --print-architecture) in amd64) a=ubuntu_64bit ;; arm64) a=ubuntu_arm64 ;; esac; curl -O https://s3.amazonaws.com/session-manager-downloads/plugin/latest/$a/session-manager-plugin.deb && dpkg -i session-manager-plugin.deb
""",
)
_style(
    "looks-conda-case",
    """
FROM debian:12
RUN case $(uname -m) in x86_64) s=linux-64 ;; aarch64) s=linux-aarch64 ;; esac; CONDA_SUBDIR=$s conda create -n e python
""",
)
_style(
    "looks-mount-both",
    """
FROM debian:12-slim
ARG TARGETARCH
RUN --mount=type=bind,source=dist/linux-amd64,target=/amd64 --mount=type=bind,source=dist/linux-arm64,target=/arm64 cp /$TARGETARCH/app /usr/bin/
""",
)
_style(
    "looks-mount-bind-default",
    """
FROM debian:12-slim
RUN --mount=source=requirements.txt,target=/r pip install -r /r
""",
)
_style(
    "looks-dpkg-if",
    """
FROM debian:12-slim
COPY debs/ /d/
RUN if [ $(dpkg --print-architecture) = amd64 ]; then dpkg -i /d/tool_amd64.deb; else dpkg -i /d/tool_arm64.deb; fi
""",
)
_style(
    "looks-rpm-uname",
    """
FROM rockylinux:9
RUN dnf install -y glibc-devel.$(uname -m)
""",
)
_style(
    "looks-yum-i686",
    """
FROM rockylinux:9
ARG TARGETARCH
RUN if [ $TARGETARCH = amd64 ]; then yum install -y glibc.i686; fi
""",
)
_style(
    "looks-pip-whl",
    """
FROM python:3
COPY w /w
RUN pip install /w/x-1.0-py3-none-any.whl /w/y-1.0-cp311-cp311-manylinux_2_17_$(uname -m).whl
""",
)
_style(
    "looks-deb822",
    """
FROM debian:12-slim
COPY <<EOF /etc/apt/sources.list.d/t.sources
Types: deb
URIs: https://a.example.org
Suites: stable
Components: main
Architectures: amd64 arm64
EOF
RUN apt-get update
""",
)
_style(
    "looks-list-both",
    """
FROM debian:12-slim
COPY <<EOF /etc/apt/sources.list.d/t.list
deb [arch=amd64,arm64 signed-by=/k] https://a.example.org stable main
EOF
RUN apt-get update
""",
)
_style(
    "looks-add-apt2",
    """
FROM ubuntu:22.04
RUN add-apt-repository "deb [arch=$(dpkg --print-architecture)] https://a.example.org x main"
""",
)
_style(
    "looks-gh-both",
    """
FROM debian:12-slim
ARG TARGETARCH
RUN gh release download v1 -R o/t -p 't_amd64' && gh release download v1 -R o/t -p 't_arm64' && mv t_$TARGETARCH /t
""",
)
_style(
    "looks-grep-arch",
    """
FROM debian:12-slim
ARG TARGETARCH
RUN curl -s https://api.github.com/repos/o/t/releases/latest | grep browser_download_url | grep linux_$TARGETARCH | cut -d '"' -f 4 | wget -qi -
""",
)
_style(
    "looks-grep-v",
    """
FROM debian:12-slim
RUN curl -s https://api.github.com/repos/o/t/releases/latest | grep browser_download_url | grep -v arm64 | head -1
""",
)
_style(
    "looks-jq-tag",
    """
FROM debian:12-slim
RUN V=$(curl -s https://api.github.com/repos/o/t/releases/latest | jq -r .tag_name); curl -LO https://example.org/$V/t-$(uname -m)
""",
)
_style(
    "looks-go-export2",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS b
ARG TARGETOS TARGETARCH TARGETVARIANT
RUN GOARCH=$TARGETARCH; export GOARCH; go build -o /app .
FROM scratch
COPY --from=b /app /app
""",
)
_style(
    "looks-go-seta",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS b
ARG TARGETOS TARGETARCH TARGETVARIANT
RUN set -a; GOARCH=$TARGETARCH; go build -o /app .
FROM scratch
COPY --from=b /app /app
""",
)
_style(
    "looks-go-envcmd",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS b
ARG TARGETOS TARGETARCH TARGETVARIANT
RUN GOARCH=$TARGETARCH; env GOARCH=$GOARCH go build -o /app .
FROM scratch
COPY --from=b /app /app
""",
)
_style(
    "looks-go-arg",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS b
ARG TARGETOS TARGETARCH TARGETVARIANT
ARG GOARCH
RUN GOARCH=$TARGETARCH; go build -o /app .
FROM scratch
COPY --from=b /app /app
""",
)
_style(
    "looks-march-case",
    """
FROM gcc:13
ARG TARGETARCH
COPY . .
RUN case $TARGETARCH in amd64) m=x86-64-v2 ;; arm64) m=armv8-a ;; esac; gcc -march=$m -o /a m.c
""",
)
_style(
    "looks-rustup-uname",
    """
FROM rust:1
RUN rustup default stable-$(uname -m)-unknown-linux-gnu
""",
)
_style(
    "looks-final-target-q",
    """
FROM --platform="$TARGETPLATFORM" alpine:3
CMD x
""",
)
_style(
    "looks-build-os",
    """
FROM --platform=$BUILDOS/$BUILDARCH golang:1 AS b
ARG TARGETARCH
RUN GOARCH=$TARGETARCH go build -o /app .
FROM scratch
COPY --from=b /app /app
""",
)
_style(
    "looks-kernel",
    """
FROM debian:12-slim
RUN curl -O https://cdn.example.org/linux-6.4.tar.xz && apt-get install -y linux-headers-6.4
""",
)
_style(
    "looks-dumb-deb",
    """
FROM debian:12-slim
ARG TARGETARCH
RUN curl -LO https://github.com/Yelp/dumb-init/releases/download/v1.2.5/dumb-init_1.2.5_${TARGETARCH}.deb && dpkg -i dumb-init_*.deb
""",
)
