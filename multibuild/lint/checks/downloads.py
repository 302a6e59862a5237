"""What well-known downloads call architectures. A row a download, with the page that lists its files."""

from __future__ import annotations

import re
from collections.abc import Mapping

from multibuild.frozen import frozen


@frozen
class Download:
    """`address` matches its URLs; `names` are Docker's architecture → the words in its file names."""

    address: re.Pattern[str]
    names: Mapping[str, tuple[str, ...]]
    source: str


_KERNEL = {"amd64": ("x86_64",), "arm64": ("aarch64",)}
_DOCKER = {"amd64": ("amd64",), "arm64": ("arm64",)}


DOWNLOADS = (
    Download(address=re.compile(r"/protocolbuffers/protobuf/releases/"), names={"amd64": ("x86_64",), "arm64": ("aarch_64",), "ppc64le": ("ppcle_64",), "s390x": ("s390_64",), "386": ("x86_32",)}, source="github.com/protocolbuffers/protobuf/releases"),
    Download(address=re.compile(r"//nodejs\.org/dist/"), names={"amd64": ("x64",), "arm64": ("arm64",), "arm": ("armv7l",)}, source="nodejs.org/dist"),
    Download(address=re.compile(r"//awscli\.amazonaws\.com/awscli-exe"), names=_KERNEL, source="docs.aws.amazon.com/cli, installing"),
    Download(address=re.compile(r"//static\.rust-lang\.org/rustup/"), names=_KERNEL, source="rust-lang.github.io/rustup, other installation methods"),
    Download(address=re.compile(r"//(?:ziglang\.org/(?:download|builds)/)"), names=_KERNEL, source="ziglang.org/download"),
    Download(address=re.compile(r"//repo\.(?:anaconda\.com|continuum\.io)/(?:archive|miniconda)/"), names=_KERNEL, source="repo.anaconda.com/miniconda"),
    Download(address=re.compile(r"//download\.docker\.com/linux/static/"), names={**_KERNEL, "arm": ("armhf", "armel")}, source="download.docker.com/linux/static"),
    Download(address=re.compile(r"/docker/compose/releases/"), names={**_KERNEL, "arm": ("armv7", "armv6")}, source="github.com/docker/compose/releases"),
    Download(address=re.compile(r"/(?:krallin/tini|tianon/gosu)/releases/"), names={**_DOCKER, "arm": ("armhf", "armel"), "386": ("i386",), "ppc64le": ("ppc64el",)}, source="github.com/krallin/tini, github.com/tianon/gosu: releases"),
    Download(address=re.compile(r"/just-containers/s6-overlay/releases/"), names={"amd64": ("x86_64", "amd64"), "arm64": ("aarch64",)}, source="github.com/just-containers/s6-overlay/releases"),
    Download(address=re.compile(r"//(?:go\.dev/dl|dl\.google\.com/go|golang\.org/dl)/"), names={**_DOCKER, "arm": ("armv6l",), "386": ("386",)}, source="go.dev/dl"),
    Download(address=re.compile(r"//(?:dl\.k8s\.io/|storage\.googleapis\.com/kubernetes-release/|get\.helm\.sh/|releases\.hashicorp\.com/(?!vagrant/))"), names=_DOCKER, source="kubernetes.io, helm.sh, releases.hashicorp.com"),
    Download(address=re.compile(r"/(?:mikefarah/yq|docker/buildx|cloudflare/cloudflared|prometheus/\w+)/releases/"), names=_DOCKER, source="the releases of each"),
    Download(address=re.compile(r"/(?:cli/cli|bazelbuild/bazelisk|kubernetes-sigs/(?:kind|kustomize)|getsops/sops)/releases/"), names=_DOCKER, source="the releases of each"),
    Download(address=re.compile(r"/denoland/deno/releases/|//dl\.deno\.land/release/"), names=_KERNEL, source="docs.deno.com, installation"),
    Download(address=re.compile(r"/oven-sh/bun/releases/"), names={"amd64": ("x64",), "arm64": ("aarch64",)}, source="github.com/oven-sh/bun/releases"),
    Download(address=re.compile(r"/(?:astral-sh/(?:uv|ruff)|conda-forge/miniforge)/releases/"), names=_KERNEL, source="the releases of each"),
    Download(address=re.compile(r"/(?:LuaLS|sumneko)/lua-language-server/releases/"), names={"amd64": ("x64",), "arm64": ("arm64",)}, source="github.com/LuaLS/lua-language-server/releases"),
    Download(address=re.compile(r"/Yelp/dumb-init/releases/download/v1\.2\.[45]/dumb-init_1\.2\.\d_\w+\Z"), names=_KERNEL, source="github.com/Yelp/dumb-init/releases"),
    Download(address=re.compile(r"/hadolint/hadolint/releases/"), names={"amd64": ("x86_64",), "arm64": ("arm64",)}, source="github.com/hadolint/hadolint/releases"),
)  # fmt: skip

ONE_ARCHITECTURE: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"/krallin/tini/releases/download/[^/\s]{1,60}/tini(?:-static|-muslc)?\Z"), "amd64", "github.com/krallin/tini"),
    (re.compile(r"/sgerrand/alpine-pkg-glibc/releases/download/[^/\s]{1,60}/glibc-[^/\s]{1,60}\.apk\Z"), "amd64", "github.com/sgerrand/alpine-pkg-glibc"),
    (re.compile(r"//(?:uploader|cli)\.codecov\.io/\w{1,20}/(?:linux|alpine)/"), "amd64", "docs.codecov.com, the uploader"),
)  # fmt: skip
"""Addresses that name no architecture, and are of one; what they are of, and the page that lists the others."""


def only_architecture(url: str) -> str | None:
    """Return the architecture of a download whose address names none; None where that is not known."""
    return next((arch for address, arch, _ in ONE_ARCHITECTURE if address.search(url)), None)


def names_at(url: str, architecture: str) -> tuple[str, ...]:
    """Return what the download at a URL calls an architecture; () where that is not known."""
    for row in DOWNLOADS:
        if row.address.search(url):
            return row.names.get(architecture, ())
    return ()
