"""Dockerfiles that are right on every platform, in the manner of well-known images: none has an error.

`HINTED` are those of them that a hint or a warning is right for.
"""

RIGHT: dict[str, str] = {}
HINTED: frozenset[str] = frozenset(
    {
        "go-emulated", "rust-emulated-simple", "c-autotools-emulated", "rust-cache-by-platform", "node-native-addons", "cgo-emulated",
        "ruby-gems-native", "php-extensions", "erlang-release", "dotnet-on-target", "nginx-modules", "apk-virtual-compile",
        "heredoc-compile", "java-on-target", "python-wheels-two-stages", "crystal-like-make", "node-vite-on-target", "ccache-compile",
    }
)  # fmt: skip


def _add(name: str, text: str) -> None:
    RIGHT[name] = text.lstrip("\n")


_add(
    "go-cross",
    """
# syntax=docker/dockerfile:1
FROM --platform=$BUILDPLATFORM golang:1.22-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -ldflags="-s -w" -o /out/app ./cmd/app
FROM gcr.io/distroless/static:nonroot
COPY --from=build /out/app /app
ENTRYPOINT ["/app"]
""",
)
_add(
    "go-cross-arm-variants",
    """
FROM --platform=${BUILDPLATFORM} golang:1.22 AS build
ARG TARGETOS TARGETARCH TARGETVARIANT
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.cache/go-build --mount=type=cache,target=/go/pkg/mod \\
    GOOS=${TARGETOS} GOARCH=${TARGETARCH} GOARM=${TARGETVARIANT#v} \\
    CGO_ENABLED=0 go build -o /app .
FROM scratch
COPY --from=build /app /app
ENTRYPOINT ["/app"]
""",
)
_add(
    "go-cross-env",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETOS
ARG TARGETARCH
ENV GOOS=$TARGETOS GOARCH=$TARGETARCH CGO_ENABLED=0
COPY . /src
RUN cd /src && go build -o /app
FROM alpine:3.20
COPY --from=build /app /usr/local/bin/app
CMD ["app"]
""",
)
_add(
    "go-emulated",
    """
FROM golang:1.22 AS build
COPY . .
RUN go build -o /app .
FROM debian:bookworm-slim
COPY --from=build /app /app
CMD ["/app"]
""",
)
_add(
    "go-make",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETARCH
WORKDIR /src
COPY . .
RUN make build GOARCH=${TARGETARCH} OUT=/app
FROM alpine
COPY --from=build /app /app
""",
)
_add(
    "go-make-reads-the-environment",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETOS
ARG TARGETARCH
WORKDIR /src
COPY . .
RUN ./hack/build.sh
FROM alpine
COPY --from=build /src/bin/app /app
""",
)
_add(
    "go-xx",
    """
FROM --platform=$BUILDPLATFORM tonistiigi/xx:1.5.0 AS xx
FROM --platform=$BUILDPLATFORM golang:1.22-alpine AS build
RUN apk add --no-cache clang lld
COPY --from=xx / /
ARG TARGETPLATFORM
RUN xx-apk add musl-dev gcc
WORKDIR /src
RUN --mount=target=. xx-go build -o /out/app . && xx-verify /out/app
FROM alpine
COPY --from=build /out/app /app
""",
)
_add(
    "go-tools-for-the-build",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
RUN go install github.com/golang/mock/mockgen@v1.6.0
ARG TARGETOS TARGETARCH
COPY . /src
WORKDIR /src
RUN go generate ./... && CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /bin/app ./cmd
FROM scratch
COPY --from=build /bin/app /bin/app
""",
)
_add(
    "go-case-for-arm",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETPLATFORM
COPY . .
RUN case "$TARGETPLATFORM" in \\
      "linux/amd64") GOARCH=amd64 ;; \\
      "linux/arm64") GOARCH=arm64 ;; \\
      "linux/arm/v7") GOARCH=arm GOARM=7 ;; \\
      *) echo "unknown platform $TARGETPLATFORM" >&2; exit 1 ;; \\
    esac && export GOARCH GOARM && CGO_ENABLED=0 go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
)
_add(
    "cgo-emulated",
    """
FROM golang:1.22-alpine AS build
RUN apk add --no-cache gcc musl-dev sqlite-dev
COPY . .
RUN CGO_ENABLED=1 go build -tags libsqlite3 -o /app .
FROM alpine
COPY --from=build /app /app
""",
)
_add(
    "rust-xx",
    """
FROM --platform=$BUILDPLATFORM tonistiigi/xx AS xx
FROM --platform=$BUILDPLATFORM rust:1-alpine AS build
RUN apk add clang lld
COPY --from=xx / /
WORKDIR /src
COPY . .
ARG TARGETPLATFORM
RUN xx-cargo build --release --target-dir ./build && \\
    xx-verify ./build/$(xx-cargo --print-target-triple)/release/app && \\
    cp ./build/$(xx-cargo --print-target-triple)/release/app /app
FROM alpine
COPY --from=build /app /app
""",
)
_add(
    "rust-case-target",
    """
FROM --platform=$BUILDPLATFORM rust:1.79 AS build
ARG TARGETARCH
RUN case "$TARGETARCH" in \\
      amd64) echo x86_64-unknown-linux-musl > /target ;; \\
      arm64) echo aarch64-unknown-linux-musl > /target ;; \\
      *) exit 1 ;; \\
    esac && rustup target add "$(cat /target)"
WORKDIR /src
COPY . .
RUN cargo build --release --target "$(cat /target)" && cp target/$(cat /target)/release/app /app
FROM scratch
COPY --from=build /app /app
""",
)
_add(
    "rust-cargo-zigbuild",
    """
FROM --platform=$BUILDPLATFORM ghcr.io/rust-cross/cargo-zigbuild AS build
ARG TARGETARCH
WORKDIR /app
COPY . .
RUN set -eux; \\
    case "${TARGETARCH}" in \\
      amd64) TARGET=x86_64-unknown-linux-musl;; \\
      arm64) TARGET=aarch64-unknown-linux-musl;; \\
    esac; \\
    rustup target add "$TARGET"; \\
    cargo zigbuild --release --target "$TARGET"; \\
    cp "target/$TARGET/release/app" /app/app
FROM scratch
COPY --from=build /app/app /app
""",
)
_add(
    "rust-emulated-simple",
    """
FROM rust:1-slim AS build
COPY . .
RUN cargo install --path . --root /out
FROM debian:bookworm-slim
COPY --from=build /out/bin/app /usr/local/bin/app
""",
)
_add(
    "rust-cache-by-platform",
    """
FROM rust:1 AS build
ARG TARGETPLATFORM
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \\
    --mount=type=cache,id=target-$TARGETPLATFORM,target=/src/target \\
    cargo build --release && cp target/release/app /app
FROM debian:bookworm-slim
COPY --from=build /app /app
""",
)
_add(
    "rust-stage-per-architecture",
    """
FROM --platform=$BUILDPLATFORM rust:1 AS base
WORKDIR /src
COPY . .
FROM base AS build-amd64
RUN rustup target add x86_64-unknown-linux-musl && cargo build --release --target x86_64-unknown-linux-musl && cp target/x86_64-unknown-linux-musl/release/app /app
FROM base AS build-arm64
RUN rustup target add aarch64-unknown-linux-musl && cargo build --release --target aarch64-unknown-linux-musl && cp target/aarch64-unknown-linux-musl/release/app /app
FROM build-$TARGETARCH AS build
FROM alpine
COPY --from=build /app /app
""",
)
_add(
    "node-bundle-on-the-builder",
    """
FROM --platform=$BUILDPLATFORM node:22-alpine AS assets
WORKDIR /app
COPY package*.json ./
RUN --mount=type=cache,target=/root/.npm npm ci
COPY . .
RUN npm run build
FROM nginx:alpine
COPY --from=assets /app/dist /usr/share/nginx/html
""",
)
_add(
    "node-two-stages",
    """
FROM node:22 AS deps
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev
FROM node:22-slim
WORKDIR /app
COPY --from=deps /app/node_modules ./node_modules
COPY . .
USER node
CMD ["node", "server.js"]
""",
)
_add(
    "node-native-addons",
    """
FROM node:22-alpine AS build
RUN apk add --no-cache python3 make g++
WORKDIR /app
COPY . .
RUN npm ci && make -C native
FROM node:22-alpine
COPY --from=build /app /app
CMD ["node", "/app"]
""",
)
_add(
    "node-vite-on-target",
    """
FROM node:22 AS build
COPY . .
RUN npm ci && npm run build
FROM nginx
COPY --from=build /dist /usr/share/nginx/html
""",
)
_add(
    "node-official-download",
    """
FROM debian:bookworm-slim
ENV NODE_VERSION=22.3.0
RUN ARCH= && dpkgArch="$(dpkg --print-architecture)" \\
    && case "${dpkgArch##*-}" in \\
      amd64) ARCH='x64';; \\
      ppc64el) ARCH='ppc64le';; \\
      s390x) ARCH='s390x';; \\
      arm64) ARCH='arm64';; \\
      armhf) ARCH='armv7l';; \\
      i386) ARCH='x86';; \\
      *) echo "unsupported architecture"; exit 1 ;; \\
    esac \\
    && curl -fsSLO --compressed "https://nodejs.org/dist/v$NODE_VERSION/node-v$NODE_VERSION-linux-$ARCH.tar.xz" \\
    && tar -xJf "node-v$NODE_VERSION-linux-$ARCH.tar.xz" -C /usr/local --strip-components=1
CMD ["node"]
""",
)
_add(
    "node-musl-x64-or-source",
    """
FROM alpine:3.20
RUN apk add --no-cache libstdc++ curl && ARCH= OPENSSL_ARCH='linux*' && alpineArch="$(apk --print-arch)" \\
      && case "${alpineArch##*-}" in \\
        x86_64) ARCH='x64' CHECKSUM="abc" OPENSSL_ARCH=linux-x86_64;; \\
        x86) OPENSSL_ARCH=linux-elf;; \\
        aarch64) OPENSSL_ARCH=linux-aarch64;; \\
        *) ;; \\
      esac \\
  && if [ -n "${CHECKSUM}" ]; then \\
    set -eu; \\
    curl -fsSLO "https://unofficial-builds.nodejs.org/download/release/v22/node-v22-linux-$ARCH-musl.tar.xz"; \\
  else \\
    echo "Building from source"; \\
    curl -fsSLO "https://nodejs.org/dist/v22/node-v22.tar.xz"; \\
  fi
""",
)
_add(
    "python-slim",
    """
FROM python:3.12-slim
WORKDIR /app
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements.txt
COPY . .
CMD ["python", "-m", "app"]
""",
)
_add(
    "python-wheels-two-stages",
    """
FROM python:3.12 AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libpq-dev
COPY . /src
RUN pip wheel --wheel-dir /wheels /src && make -C /src/ext
FROM python:3.12-slim
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir /wheels/*.whl
""",
)
_add(
    "python-uv",
    """
FROM python:3.12-slim
COPY --from=ghcr.io/astral-sh/uv:0.4 /uv /uvx /bin/
WORKDIR /app
RUN --mount=type=cache,target=/root/.cache/uv --mount=type=bind,source=uv.lock,target=uv.lock uv sync --frozen
COPY . .
CMD ["uv", "run", "app"]
""",
)
_add(
    "python-pip-per-architecture",
    """
FROM python:3.12-slim
ARG TARGETARCH
RUN if [ "$TARGETARCH" = "arm64" ]; then \\
      pip install --extra-index-url https://wheels.example.org/aarch64 onnxruntime; \\
    else \\
      pip install onnxruntime; \\
    fi
""",
)
_add(
    "java-jar-on-the-builder",
    """
FROM --platform=$BUILDPLATFORM maven:3-eclipse-temurin-21 AS build
COPY . /src
WORKDIR /src
RUN --mount=type=cache,target=/root/.m2 mvn -B -DskipTests package
FROM eclipse-temurin:21-jre
COPY --from=build /src/target/app.jar /app.jar
ENTRYPOINT ["java", "-jar", "/app.jar"]
""",
)
_add(
    "java-gradle-on-the-builder",
    """
FROM --platform=$BUILDPLATFORM gradle:8-jdk21 AS build
WORKDIR /home/gradle/src
COPY --chown=gradle:gradle . .
RUN ./gradlew bootJar --no-daemon
FROM eclipse-temurin:21-jre-alpine
COPY --from=build /home/gradle/src/build/libs/app.jar /app/app.jar
CMD ["java", "-jar", "/app/app.jar"]
""",
)
_add(
    "java-on-target",
    """
FROM maven:3 AS build
COPY . .
RUN mvn package
FROM eclipse-temurin:21
COPY --from=build /target/app.jar /
""",
)
_add(
    "java-temurin-download",
    r"""
FROM ubuntu:24.04
ENV JAVA_HOME=/opt/java/openjdk PATH=/opt/java/openjdk/bin:$PATH
RUN set -eux; \
    ARCH="$(dpkg --print-architecture)"; \
    case "${ARCH}" in \
       amd64) \
         ESUM='5d16'; \
         BINARY_URL='https://github.com/adoptium/temurin21-binaries/releases/download/jdk-21/OpenJDK21U-jre_x64_linux_hotspot_21.tar.gz'; \
         ;; \
       arm64) \
         ESUM='9d49'; \
         BINARY_URL='https://github.com/adoptium/temurin21-binaries/releases/download/jdk-21/OpenJDK21U-jre_aarch64_linux_hotspot_21.tar.gz'; \
         ;; \
       *) \
         echo "Unsupported arch: ${ARCH}"; \
         exit 1; \
         ;; \
    esac; \
    wget --progress=dot:giga -O /tmp/openjdk.tar.gz ${BINARY_URL}; \
    echo "${ESUM} */tmp/openjdk.tar.gz" | sha256sum -c -; \
    mkdir -p "$JAVA_HOME"; \
    tar --extract --file /tmp/openjdk.tar.gz --directory "$JAVA_HOME" --strip-components 1
""",
)
_add(
    "java-home-by-link",
    """
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y openjdk-17-jre-headless && ln -s "$(dirname "$(dirname "$(readlink -f "$(which java)")")")" /opt/java
ENV JAVA_HOME=/opt/java
""",
)
_add(
    "dotnet-cross",
    """
FROM --platform=$BUILDPLATFORM mcr.microsoft.com/dotnet/sdk:8.0 AS build
ARG TARGETARCH
WORKDIR /source
COPY *.csproj .
RUN dotnet restore -a $TARGETARCH
COPY . .
RUN dotnet publish -a $TARGETARCH --no-restore -o /app
FROM mcr.microsoft.com/dotnet/aspnet:8.0
WORKDIR /app
COPY --from=build /app .
ENTRYPOINT ["./aspnetapp"]
""",
)
_add(
    "dotnet-rid-table",
    """
FROM --platform=$BUILDPLATFORM mcr.microsoft.com/dotnet/sdk:7.0 AS build
ARG TARGETARCH
RUN case "$TARGETARCH" in amd64) echo linux-x64 ;; arm64) echo linux-arm64 ;; arm) echo linux-arm ;; esac > /rid
COPY . .
RUN dotnet publish -r "$(cat /rid)" --self-contained -o /app
FROM mcr.microsoft.com/dotnet/runtime-deps:7.0
COPY --from=build /app /app
""",
)
_add(
    "dotnet-on-target",
    """
FROM mcr.microsoft.com/dotnet/sdk:8.0 AS build
COPY . .
RUN dotnet publish -c Release -o /app
FROM mcr.microsoft.com/dotnet/aspnet:8.0
COPY --from=build /app .
""",
)
_add(
    "c-cross-debian",
    """
FROM --platform=$BUILDPLATFORM debian:bookworm AS build
ARG TARGETARCH
RUN case "$TARGETARCH" in \\
      amd64) triple=x86_64-linux-gnu; package=x86-64-linux-gnu ;; \\
      arm64) triple=aarch64-linux-gnu; package=aarch64-linux-gnu ;; \\
      arm) triple=arm-linux-gnueabihf; package=arm-linux-gnueabihf ;; \\
    esac; \\
    apt-get update && apt-get install -y gcc-$package libc6-dev-$TARGETARCH-cross && echo $triple > /triple
COPY . /src
RUN cd /src && ./configure --host="$(cat /triple)" && make && make install DESTDIR=/out
FROM debian:bookworm-slim
COPY --from=build /out/ /
""",
)
_add(
    "c-autotools-emulated",
    """
FROM alpine:3.20 AS build
RUN apk add --no-cache build-base
COPY . .
RUN ./configure --prefix=/usr && make -j"$(nproc)" && make DESTDIR=/out install
FROM alpine:3.20
COPY --from=build /out /
""",
)
_add(
    "c-gnu-arch-of-docker-library",
    r"""
FROM debian:bookworm-slim
RUN set -eux; \
    apt-get update; apt-get install -y --no-install-recommends dpkg-dev gcc make; \
    gnuArch="$(dpkg-architecture --query DEB_BUILD_GNU_TYPE)"; \
    cd /usr/src/x; \
    ./configure --build="$gnuArch" --enable-shared; \
    make -j "$(nproc)"; make install; ldconfig
""",
)
HINTED |= {"c-gnu-arch-of-docker-library"}
_add(
    "ccache-compile",
    """
FROM debian:bookworm AS build
RUN apt-get update && apt-get install -y gcc make ccache
RUN --mount=type=cache,target=/root/.ccache make CC="ccache gcc"
FROM debian:bookworm-slim
COPY --from=build /app /app
""",
)
_add(
    "cmake-toolchain-file",
    """
FROM --platform=$BUILDPLATFORM debian:bookworm AS build
ARG TARGETARCH
COPY . /src
RUN cmake -S /src -B /build -DCMAKE_TOOLCHAIN_FILE=/src/cmake/${TARGETARCH}.cmake && cmake --build /build && cmake --install /build --prefix /out
FROM debian:bookworm-slim
COPY --from=build /out /usr/local
""",
)
_add(
    "zig-cross",
    """
FROM --platform=$BUILDPLATFORM alpine:3.20 AS build
ARG TARGETARCH
RUN apk add --no-cache zig
COPY . .
RUN case $TARGETARCH in amd64) t=x86_64-linux-musl ;; arm64) t=aarch64-linux-musl ;; esac; zig build -Dtarget=$t -p /out
FROM scratch
COPY --from=build /out/bin/app /app
""",
)
_add(
    "download-with-targetarch",
    """
FROM alpine:3.20
ARG TARGETARCH
ARG KUBECTL_VERSION=v1.30.0
RUN apk add --no-cache curl && \\
    curl -fsSLo /usr/local/bin/kubectl "https://dl.k8s.io/release/${KUBECTL_VERSION}/bin/linux/${TARGETARCH}/kubectl" && \\
    chmod +x /usr/local/bin/kubectl
""",
)
_add(
    "download-terraform",
    """
FROM alpine:3.20 AS fetch
ARG TARGETOS TARGETARCH
ENV VERSION=1.9.0
RUN wget -q https://releases.hashicorp.com/terraform/${VERSION}/terraform_${VERSION}_${TARGETOS}_${TARGETARCH}.zip && unzip terraform_*.zip -d /out
FROM alpine:3.20
COPY --from=fetch /out/terraform /usr/local/bin/
""",
)
_add(
    "download-add-with-targetarch",
    """
FROM debian:bookworm-slim
ARG TARGETARCH
ADD --chmod=755 https://github.com/krallin/tini/releases/download/v0.19.0/tini-${TARGETARCH} /tini
ENTRYPOINT ["/tini", "--"]
""",
)
_add(
    "download-tini-debian-name",
    """
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y curl && \\
    dpkgArch="$(dpkg --print-architecture | awk -F- '{ print $NF }')" && \\
    curl -fsSLo /tini "https://github.com/krallin/tini/releases/download/v0.19.0/tini-$dpkgArch" && chmod +x /tini
""",
)
_add(
    "download-gosu-with-signature",
    r"""
FROM debian:bookworm-slim
ENV GOSU_VERSION 1.17
RUN set -eux; \
	savedAptMark="$(apt-mark showmanual)"; \
	apt-get update; \
	apt-get install -y --no-install-recommends ca-certificates gnupg wget; \
	rm -rf /var/lib/apt/lists/*; \
	arch=$(dpkg --print-architecture | awk -F- '{ print $NF }'); \
	wget -O /usr/local/bin/gosu "https://github.com/tianon/gosu/releases/download/$GOSU_VERSION/gosu-$arch"; \
	wget -O /usr/local/bin/gosu.asc "https://github.com/tianon/gosu/releases/download/$GOSU_VERSION/gosu-$arch.asc"; \
	export GNUPGHOME="$(mktemp -d)"; \
	gpg --batch --verify /usr/local/bin/gosu.asc /usr/local/bin/gosu; \
	chmod +x /usr/local/bin/gosu
""",
)
_add(
    "download-go-official",
    r"""
FROM buildpack-deps:bookworm-scm AS build
ENV GOLANG_VERSION 1.22.4
RUN set -eux; \
	now="$(date '+%s')"; \
	arch="$(dpkg --print-architecture)"; arch="${arch##*-}"; \
	url=; \
	case "$arch" in \
		'amd64') \
			url='https://dl.google.com/go/go1.22.4.linux-amd64.tar.gz'; \
			sha256='ba79d4526102575196273416239cca418a651e049c2b099f3159db85e7bade7d'; \
			;; \
		'armel') \
			export GOARCH='arm' GOARM='5' GOOS='linux'; \
			;; \
		'armhf') \
			url='https://dl.google.com/go/go1.22.4.linux-armv6l.tar.gz'; \
			sha256='e2b143fbacbc9cbd448e9ef41ac3981f0488ce849af1cf37e2341d09670661de'; \
			;; \
		'arm64') \
			url='https://dl.google.com/go/go1.22.4.linux-arm64.tar.gz'; \
			sha256='a8e177c354d2e4a1b61020aca3562e27ea3e8f8247eca3170e3fa1e0c2f9e771'; \
			;; \
		*) echo >&2 "error: unsupported architecture '$arch' (likely packaging update needed)"; exit 1 ;; \
	esac; \
	wget -O go.tgz "$url" --progress=dot:giga; \
	echo "$sha256 *go.tgz" | sha256sum -c -; \
	tar -C /usr/local -xzf go.tgz
FROM buildpack-deps:bookworm-scm
COPY --from=build /usr/local/go/ /usr/local/go/
""",
)
_add(
    "download-rustup-official",
    r"""
FROM debian:bookworm-slim
ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:$PATH RUST_VERSION=1.79.0
RUN set -eux; \
    apt-get update; apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev wget; \
    dpkgArch="$(dpkg --print-architecture)"; \
    case "${dpkgArch##*-}" in \
        amd64) rustArch='x86_64-unknown-linux-gnu'; rustupSha256='6aee' ;; \
        armhf) rustArch='armv7-unknown-linux-gnueabihf'; rustupSha256='3c4a' ;; \
        arm64) rustArch='aarch64-unknown-linux-gnu'; rustupSha256='2ffd' ;; \
        i386) rustArch='i686-unknown-linux-gnu'; rustupSha256='f3a5' ;; \
        *) echo >&2 "unsupported architecture: ${dpkgArch}"; exit 1 ;; \
    esac; \
    url="https://static.rust-lang.org/rustup/archive/1.27.1/${rustArch}/rustup-init"; \
    wget "$url"; \
    echo "${rustupSha256} *rustup-init" | sha256sum -c -; \
    chmod +x rustup-init; \
    ./rustup-init -y --no-modify-path --profile minimal --default-toolchain $RUST_VERSION --default-host ${rustArch}; \
    rm rustup-init
""",
)
_add(
    "download-awscli-uname",
    """
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y curl unzip && \\
    curl -fsSL "https://awscli.amazonaws.com/awscli-exe-linux-$(uname -m).zip" -o awscliv2.zip && unzip awscliv2.zip && ./aws/install
""",
)
_add(
    "download-protoc-substitution",
    """
FROM debian:bookworm
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ARG TARGETARCH
RUN ARCH=${TARGETARCH/amd64/x86_64} && ARCH=${ARCH/arm64/aarch_64} && \\
    curl -fsSLO "https://github.com/protocolbuffers/protobuf/releases/download/v27.0/protoc-27.0-linux-${ARCH}.zip"
""",
)
_add(
    "download-sed-names",
    """
FROM alpine:3.20
RUN ARCH=$(uname -m | sed 's/x86_64/amd64/;s/aarch64/arm64/') && wget -O /usr/bin/yq https://github.com/mikefarah/yq/releases/latest/download/yq_linux_${ARCH}
""",
)
_add(
    "download-s6-overlay",
    """
FROM alpine:3.20
ARG S6_VERSION=3.2.0.0
ARG TARGETARCH
RUN case "${TARGETARCH}" in \\
      amd64) S6_ARCH=x86_64 ;; \\
      arm64) S6_ARCH=aarch64 ;; \\
      arm) S6_ARCH=armhf ;; \\
    esac && \\
    wget -qO- https://github.com/just-containers/s6-overlay/releases/download/v${S6_VERSION}/s6-overlay-noarch.tar.xz | tar -C / -Jxp && \\
    wget -qO- "https://github.com/just-containers/s6-overlay/releases/download/v${S6_VERSION}/s6-overlay-${S6_ARCH}.tar.xz" | tar -C / -Jxp
ENTRYPOINT ["/init"]
""",
)
_add(
    "download-if-chain",
    """
FROM ubuntu:24.04
ARG TARGETPLATFORM
RUN if [ "$TARGETPLATFORM" = "linux/amd64" ]; then ARCHITECTURE=amd64; \\
    elif [ "$TARGETPLATFORM" = "linux/arm/v7" ]; then ARCHITECTURE=arm; \\
    elif [ "$TARGETPLATFORM" = "linux/arm64" ]; then ARCHITECTURE=aarch64; \\
    else ARCHITECTURE=amd64; fi \\
    && curl -sS -L -O --output-dir /tmp/ --create-dirs "https://example.org/release/tool-${ARCHITECTURE}.deb" \\
    && dpkg -i "/tmp/tool-${ARCHITECTURE}.deb"
""",
)
_add(
    "download-short-circuit",
    """
FROM debian:bookworm-slim
ARG TARGETARCH
RUN [ "$TARGETARCH" = amd64 ] && curl -fsSLo /t https://example.org/tool-x86_64 || true
RUN [ "$TARGETARCH" = arm64 ] && curl -fsSLo /t https://example.org/tool-aarch64 || true
RUN test "$(uname -m)" != x86_64 || curl -fsSLo /u https://example.org/u-amd64
RUN if [[ "$(dpkg --print-architecture)" == arm* ]]; then curl -O https://example.org/v-arm64; fi
""",
)
_add(
    "download-with-early-exit",
    """
FROM debian:bookworm-slim
ARG TARGETARCH
RUN if [ "$TARGETARCH" != "amd64" ]; then exit 0; fi; curl -fsSL https://example.org/only-x86_64.tgz | tar xz -C /opt
RUN [ "$(uname -m)" = "x86_64" ] || exit 0; curl -fsSLO https://example.org/other-amd64.deb
""",
)
_add(
    "download-all-then-choose",
    """
FROM alpine:3.20 AS fetch
RUN wget https://example.org/app-linux-amd64 https://example.org/app-linux-arm64 -P /bins
FROM alpine:3.20
ARG TARGETARCH
COPY --from=fetch /bins/app-linux-${TARGETARCH} /usr/bin/app
""",
)
_add(
    "download-loop",
    """
FROM --platform=$BUILDPLATFORM alpine:3.20 AS fetch
RUN for arch in amd64 arm64 arm; do wget -O /bins/app-$arch https://example.org/app-linux-$arch; done
FROM scratch
ARG TARGETARCH
COPY --from=fetch /bins/app-${TARGETARCH} /app
""",
)
_add(
    "download-checksums-per-architecture",
    """
FROM debian:bookworm-slim
ARG TARGETARCH
ARG VERSION=2.1.0
ARG SHA256_amd64=0011
ARG SHA256_arm64=2233
RUN eval "sum=\\$SHA256_${TARGETARCH}" && curl -fsSLo /tmp/x.tgz "https://example.org/x/${VERSION}/x-linux-${TARGETARCH}.tar.gz" && \\
    echo "$sum  /tmp/x.tgz" | sha256sum -c - && tar -C /usr/local -xzf /tmp/x.tgz
""",
)
_add(
    "download-functions-and-arrays",
    r"""
FROM debian:bookworm-slim
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ARG TARGETARCH
RUN declare -A names=([amd64]=x86_64 [arm64]=aarch64); \
    fetch() { curl -fsSL "https://example.org/$1-${names[$TARGETARCH]}.tgz" | tar xz -C /opt; }; \
    fetch one; fetch two
""",
)
_add(
    "stage-per-architecture",
    """
FROM debian:bookworm-slim AS download-amd64
ADD https://example.org/tool-linux-x86_64.tar.gz /tool.tar.gz
FROM debian:bookworm-slim AS download-arm64
ADD https://example.org/tool-linux-aarch64.tar.gz /tool.tar.gz
FROM download-${TARGETARCH} AS download
RUN tar xzf /tool.tar.gz -C /opt
FROM debian:bookworm-slim
COPY --from=download /opt /opt
""",
)
_add(
    "base-per-architecture",
    """
ARG VERSION=1.2
FROM registry.example.org/base:${VERSION}-amd64 AS base-amd64
FROM registry.example.org/base:${VERSION}-arm64v8 AS base-arm64
FROM base-${TARGETARCH}${TARGETVARIANT}
COPY app.py /
""",
)
_add(
    "goreleaser",
    """
FROM gcr.io/distroless/static
ARG TARGETPLATFORM
COPY $TARGETPLATFORM/app /usr/bin/app
ENTRYPOINT ["/usr/bin/app"]
""",
)
_add(
    "copy-prebuilt-by-arch",
    """
FROM alpine:3.20
ARG TARGETOS
ARG TARGETARCH
COPY dist/app-${TARGETOS}-${TARGETARCH} /usr/local/bin/app
COPY docs/INSTALL-amd64.md docs/INSTALL-arm64.md /usr/share/doc/app/
""",
)
_add(
    "bind-mount-by-arch",
    """
FROM alpine:3.20
ARG TARGETARCH
RUN --mount=type=bind,source=bin,target=/bins cp /bins/app-$TARGETARCH /app
""",
)
_add(
    "apt-cache-mounts",
    """
FROM ubuntu:24.04
RUN rm -f /etc/apt/apt.conf.d/docker-clean
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \\
    apt-get update && apt-get --no-install-recommends install -y gcc
""",
)
_add(
    "apt-docker-repository",
    """
FROM debian:bookworm-slim
RUN install -m 0755 -d /etc/apt/keyrings && curl -fsSL https://download.docker.com/linux/debian/gpg -o /etc/apt/keyrings/docker.asc && \\
    echo "deb [arch=$(dpkg --print-architecture) signed-by=/etc/apt/keyrings/docker.asc] https://download.docker.com/linux/debian bookworm stable" \\
    > /etc/apt/sources.list.d/docker.list && apt-get update && apt-get install -y docker-ce-cli
""",
)
_add(
    "apk-virtual-compile",
    """
FROM alpine:3.20
RUN apk add --no-cache --virtual .build-deps gcc make musl-dev \\
 && make -C /usr/src/app install \\
 && apk del .build-deps
""",
)
_add(
    "apk-arch-repository",
    """
FROM alpine:3.20
RUN apk add --no-cache --repository "https://apk.example.org/edge/community" foo && wget "https://example.org/$(apk --print-arch)/extra.apk"
""",
)
_add(
    "php-extensions",
    """
FROM php:8.3-fpm-alpine
RUN apk add --no-cache $PHPIZE_DEPS && docker-php-ext-install pdo_mysql opcache && make -C /ext install
""",
)
_add(
    "php-composer-on-the-builder",
    """
FROM --platform=$BUILDPLATFORM composer:2 AS vendor
COPY composer.* ./
RUN composer install --no-dev --prefer-dist
FROM php:8.3-apache
COPY --from=vendor /app/vendor /var/www/vendor
COPY . /var/www
""",
)
_add(
    "ruby-gems-native",
    """
FROM ruby:3.3 AS gems
COPY Gemfile* ./
RUN bundle install && make -C ext
FROM ruby:3.3-slim
COPY --from=gems /usr/local/bundle /usr/local/bundle
""",
)
_add(
    "erlang-release",
    """
FROM elixir:1.16 AS build
COPY . .
RUN mix deps.get && MIX_ENV=prod mix release && make -C c_src
FROM debian:bookworm-slim
COPY --from=build /_build/prod/rel/app /app
""",
)
_add(
    "nginx-modules",
    r"""
FROM nginx:1.27 AS build
RUN set -x && tempDir="$(mktemp -d)" && chown nobody:nobody $tempDir \
    && apt-get update && apt-get install -y gcc make libpcre2-dev \
    && curl -fSL https://nginx.org/download/nginx-$NGINX_VERSION.tar.gz | tar -C $tempDir -xz \
    && cd $tempDir/nginx-* && ./configure --with-compat --add-dynamic-module=/mod && make modules
FROM nginx:1.27
COPY --from=build /usr/lib/nginx/modules/x.so /usr/lib/nginx/modules/
""",
)
_add(
    "heredoc-case",
    """
# syntax=docker/dockerfile:1
FROM debian:bookworm-slim
ARG TARGETARCH
RUN <<EOF
set -eu
case "$TARGETARCH" in
  amd64)
    url=https://example.org/tool-linux-x64.tgz
    ;;
  arm64)
    url=https://example.org/tool-linux-arm64.tgz
    ;;
  *)
    echo "no tool for $TARGETARCH" >&2
    exit 1
    ;;
esac
curl -fsSL "$url" | tar xz -C /opt
EOF
""",
)
_add(
    "heredoc-compile",
    """
FROM alpine:3.20
RUN <<'SCRIPT'
#!/bin/sh
set -e
apk add gcc musl-dev
gcc -o /hello /hello.c
SCRIPT
""",
)
_add(
    "heredoc-files",
    """
FROM debian:bookworm-slim
COPY <<EOF /etc/motd
Built for x86_64, aarch64 and others. See https://example.org/app-linux-amd64.tar.gz
EOF
RUN cat <<EOF > /etc/app.conf
mirror = https://example.org/linux-amd64/
EOF
RUN python3 <<EOF
print("curl https://example.org/linux-amd64")
EOF
""",
)
_add(
    "comments-labels-and-text",
    """
# ARG TARGETARCH=amd64
# RUN curl https://example.org/app-linux-amd64.tgz
FROM alpine:3.20
LABEL org.opencontainers.image.description="Runs on amd64, arm64 and linux/arm/v7" arch.default=x86_64
ENV DESCRIPTION="x86_64 and aarch64 builds from https://example.org/app-linux-amd64.tgz"
RUN echo "GOARCH=amd64 is for https://example.org/app-linux-amd64.tgz" # curl https://example.org/app-linux-amd64.tgz
RUN printf 'see %s\\n' https://example.org/x86_64 > /README
CMD ["sh", "-c", "uname -m"]
""",
)
_add(
    "unused-test-stage",
    """
FROM alpine:3.20 AS base
FROM --platform=linux/amd64 golang:1.22 AS test
ARG TARGETARCH=amd64
RUN GOARCH=amd64 go build -o /t . && curl -O https://example.org/x-linux-amd64
FROM base
COPY app.sh /
""",
)
_add(
    "explicit-target-platform",
    """
FROM --platform=$TARGETPLATFORM alpine:3.20
RUN apk add --no-cache curl
FROM --platform=${TARGETPLATFORM:-linux/amd64} debian:bookworm-slim
RUN apt-get update
""",
)
_add(
    "certificates-from-the-builder",
    """
FROM --platform=$BUILDPLATFORM alpine:3.20 AS certs
RUN apk --no-cache add ca-certificates tzdata && update-ca-certificates
FROM scratch
ARG TARGETOS
ARG TARGETARCH
COPY --from=certs /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=certs /usr/share/zoneinfo /usr/share/zoneinfo
COPY bin/${TARGETOS}/${TARGETARCH}/app /app
""",
)
_add(
    "default-operator",
    """
FROM alpine:3.20
ARG TARGETARCH
RUN arch="${TARGETARCH:-$(apk --print-arch)}" && wget -O /x "https://example.org/x-$arch"
RUN a=${TARGETARCH}; b=${a:-amd64}; wget "https://example.org/y-$b"
""",
)
_add(
    "empty-without-buildkit",
    """
FROM debian:bookworm-slim
RUN ARCH="${TARGETARCH:-$(dpkg --print-architecture)}" && curl -fsSLO "https://example.org/z-$ARCH"
""",
)
_add(
    "crystal-like-make",
    """
FROM debian:bookworm AS build
RUN make release=1
FROM debian:bookworm-slim
COPY --from=build /bin/app /bin/app
""",
)
_add(
    "arm-toolchain-for-firmware",
    """
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y gcc-arm-none-eabi binutils-arm-none-eabi && echo arm-none-eabi-gcc
COPY firmware /firmware
""",
)
_add(
    "qemu-copied-by-name",
    """
FROM --platform=$BUILDPLATFORM alpine:3.20 AS qemu
RUN for a in x86_64 aarch64; do wget -O /qemu-$a-static https://example.org/qemu-$a-static; done
FROM scratch
COPY --from=qemu /qemu-x86_64-static /qemu-aarch64-static /usr/bin/
""",
)
_add(
    "powershell",
    """
# escape=`
FROM mcr.microsoft.com/windows/servercore:ltsc2022
SHELL ["powershell", "-Command"]
RUN Invoke-WebRequest https://example.org/x-win-amd64.zip -OutFile x.zip; `
    Expand-Archive x.zip
""",
)
_add(
    "multi-arch-vendor-images",
    """
FROM --platform=$BUILDPLATFORM node:22 AS ui
WORKDIR /ui
COPY ui .
RUN corepack enable && pnpm install --frozen-lockfile && pnpm run build
FROM --platform=$BUILDPLATFORM golang:1.22 AS api
ARG TARGETOS TARGETARCH
COPY . /src
COPY --from=ui /ui/dist /src/static
RUN cd /src && CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /api .
FROM gcr.io/distroless/base
COPY --from=api /api /api
ENTRYPOINT ["/api"]
""",
)
_add(
    "deno-and-bun",
    """
FROM denoland/deno:1.44 AS deno
COPY . .
RUN deno cache main.ts
FROM oven/bun:1
COPY --from=deno /app /app
RUN bun install --production
""",
)
_add(
    "python-c-functions-in-shell",
    """
FROM python:3.12-slim
ARG TARGETARCH TARGETVARIANT
RUN case "${TARGETARCH}${TARGETVARIANT}" in \\
      amd64*|arm64*) pip install numpy ;; \\
      armv7) pip install --extra-index-url https://www.piwheels.org/simple numpy ;; \\
      *) apt-get update && apt-get install -y python3-numpy ;; \\
    esac
""",
)
_add(
    "protoc-for-the-build-only",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG BUILDARCH
RUN case "$BUILDARCH" in amd64) a=x86_64 ;; arm64) a=aarch_64 ;; esac && \\
    curl -fsSLo /protoc.zip "https://github.com/protocolbuffers/protobuf/releases/download/v27.0/protoc-27.0-linux-$a.zip" && unzip /protoc.zip -d /usr/local
ARG TARGETOS TARGETARCH
COPY . /src
RUN cd /src && protoc --go_out=. *.proto && CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
)
_add(
    "crlf-and-tabs",
    "# syntax=docker/dockerfile:1\r\nFROM --platform=$BUILDPLATFORM golang:1.22 AS build\r\nARG TARGETARCH\r\n"
    "RUN\tGOARCH=$TARGETARCH \\\r\n\tgo build -o /app .\r\nFROM scratch\r\nCOPY --from=build /app /app\r\n",
)
_add(
    "dotnet-by-dockers-name",
    """
FROM --platform=$BUILDPLATFORM mcr.microsoft.com/dotnet/sdk:8.0 AS build
ARG TARGETARCH
COPY . .
RUN dotnet restore -r linux-$TARGETARCH && dotnet publish -r linux-musl-$TARGETARCH --no-restore -o /app
FROM mcr.microsoft.com/dotnet/runtime-deps:8.0-alpine
COPY --from=build /app /app
""",
)
_add(
    "conda-package-by-folder",
    """
FROM debian:bookworm-slim
ARG TARGETARCH
RUN case "$TARGETARCH" in amd64) folder=linux-64 ;; arm64) folder=linux-aarch64 ;; esac \\
    && curl -fsSLO "https://repo.anaconda.com/pkgs/main/$folder/openssl-3.0.15-h1.conda"
""",
)
_add(
    "hashicorp-packages-of-kernel-names",
    """
FROM debian:bookworm-slim
ARG TARGETARCH
RUN case "$TARGETARCH" in amd64) arch=x86_64 ;; arm64) arch=aarch64 ;; esac \\
    && curl -fsSLO "https://releases.hashicorp.com/vagrant/2.2.19/vagrant_2.2.19_$arch.deb"
""",
)
_add(
    "tool-of-the-build-compiled-before",
    """
FROM --platform=$BUILDPLATFORM golang:1.22 AS tools
RUN go build -o /out/gen ./cmd/gen
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
COPY --from=tools /out/gen /usr/local/bin/gen
ARG TARGETOS TARGETARCH
RUN gen && GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /out/app ./cmd/app
FROM alpine:3.20
COPY --from=build /out/app /usr/local/bin/app
""",
)
_add(
    "tool-of-the-build-mounted",
    """
FROM --platform=$BUILDPLATFORM rust:1.80 AS tools
RUN cargo build --release
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETOS TARGETARCH
RUN --mount=type=bind,from=tools,source=/target/release,target=/tools \\
    /tools/gen && GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /app .
FROM scratch
COPY --from=build /app /app
""",
)
_add(
    "stages-of-every-system",
    """
FROM golang:1.22 AS linux-one
ENV GOOS=linux GOARCH=amd64
COPY . .
FROM golang:1.22 AS linux-two
ENV GOOS=linux GOARCH=arm64
COPY . .
FROM golang:1.22 AS mac
ENV GOOS=darwin GOARCH=arm64
COPY . .
FROM scratch
COPY --from=linux-one /out/* /
COPY --from=linux-two /out/* /
COPY --from=mac /out/* /
""",
)
_add(
    "programs-for-windows-as-data",
    """
FROM debian:bookworm-slim AS build
RUN dpkg -i nothing_all.deb
FROM debian:bookworm-slim
ADD https://example.org/agents/agent-x64.exe /agents/agent.exe
COPY --from=build /root/.nuget/tools/x64/helper.exe /agents/helper.exe
COPY setup-x64.msi /agents/setup.msi
""",
)
_add(
    "an-image-of-windows",
    """
FROM mcr.microsoft.com/windows/servercore:ltsc2022
ADD https://example.org/runtime/redist.x64.zip redist.zip
COPY tools/x64/archive C:/archive
""",
)
