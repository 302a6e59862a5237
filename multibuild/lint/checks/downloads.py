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


def _row(address: str, names: Mapping[str, tuple[str, ...]], source: str) -> Download:
    return Download(address=re.compile(address), names=names, source=source)


DOWNLOADS = (
    _row(
        r"/protocolbuffers/protobuf/releases/",
        {"amd64": ("x86_64",), "arm64": ("aarch_64",), "ppc64le": ("ppcle_64",), "s390x": ("s390_64",), "386": ("x86_32",)},
        "github.com/protocolbuffers/protobuf/releases",
    ),
    _row(r"//nodejs\.org/dist/", {"amd64": ("x64",), "arm64": ("arm64",), "arm": ("armv7l",)}, "nodejs.org/dist"),
    _row(r"//awscli\.amazonaws\.com/awscli-exe", _KERNEL, "docs.aws.amazon.com/cli, installing"),
    _row(r"//static\.rust-lang\.org/rustup/", _KERNEL, "rust-lang.github.io/rustup, other installation methods"),
    _row(r"//(?:ziglang\.org/(?:download|builds)/)", _KERNEL, "ziglang.org/download"),
    _row(r"//repo\.(?:anaconda\.com|continuum\.io)/", _KERNEL, "repo.anaconda.com/miniconda"),
    _row(r"//download\.docker\.com/linux/static/", {**_KERNEL, "arm": ("armhf", "armel")}, "download.docker.com/linux/static"),
    _row(r"/docker/compose/releases/", {**_KERNEL, "arm": ("armv7", "armv6")}, "github.com/docker/compose/releases"),
    _row(r"/(?:krallin/tini|tianon/gosu)/releases/", {**_DOCKER, "arm": ("armhf", "armel"), "386": ("i386",), "ppc64le": ("ppc64el",)}, "github.com/krallin/tini, github.com/tianon/gosu: releases"),
    _row(r"/just-containers/s6-overlay/releases/", {"amd64": ("x86_64", "amd64"), "arm64": ("aarch64",)}, "github.com/just-containers/s6-overlay/releases"),
    _row(r"//(?:go\.dev/dl|dl\.google\.com/go|golang\.org/dl)/", {**_DOCKER, "arm": ("armv6l",), "386": ("386",)}, "go.dev/dl"),
    _row(r"//(?:dl\.k8s\.io|storage\.googleapis\.com/kubernetes-release|get\.helm\.sh|releases\.hashicorp\.com)/", _DOCKER, "kubernetes.io, helm.sh, releases.hashicorp.com"),
    _row(r"/(?:mikefarah/yq|docker/buildx|cloudflare/cloudflared|prometheus/\w+)/releases/", _DOCKER, "the releases of each"),
    _row(r"/hadolint/hadolint/releases/", {"amd64": ("x86_64",), "arm64": ("arm64",)}, "github.com/hadolint/hadolint/releases"),
    _row(r"/BurntSushi/ripgrep/releases/", _KERNEL, "github.com/BurntSushi/ripgrep/releases"),
)  # fmt: skip


def names_at(url: str, architecture: str) -> tuple[str, ...]:
    """Return what the download at a URL calls an architecture; () where that is not known."""
    for row in DOWNLOADS:
        if row.address.search(url):
            return row.names.get(architecture, ())
    return ()
