"""Compilers that can cross-compile: how to recognise one in a stage, and what to write instead. One table."""

from __future__ import annotations

import re
from collections.abc import Mapping

from multibuild.dockerfile.stages import UsedStage
from multibuild.frozen import frozen
from multibuild.lint.shell.trace import Event


@frozen
class Toolchain:
    """A compiler. `image` matches the last part of an image's name.

    The output of a `portable` one is the same for every platform; a `certain` one builds for the machine that it runs
    on, unless told otherwise in the same place; a `native` one for nothing else. `advice` follows "write FROM
    --platform=$BUILDPLATFORM"; `source` is where it is described.
    """

    name: str
    image: str
    advice: str
    source: str
    portable: bool = False
    certain: bool = False
    native: bool = False


TOOLCHAINS = (
    Toolchain(
        name="Go",
        image=r"golang",
        advice="ARG TARGETOS TARGETARCH, and GOOS=$TARGETOS GOARCH=$TARGETARCH go build",
        source="docs.docker.com/build/building/multi-platform, cross-compilation",
        certain=True,
    ),
    Toolchain(
        name="Rust",
        image=r"rust",
        advice="ARG TARGETARCH, and cargo build --target with the target and linker of that architecture",
        source="doc.rust-lang.org/rustc/targets",
        certain=True,
    ),
    Toolchain(
        name=".NET",
        image=r"sdk",
        advice="ARG TARGETARCH, and dotnet publish -a $TARGETARCH",
        source="github.com/dotnet/dotnet-docker, samples: building images for a specific platform",
    ),
    Toolchain(
        name="Zig",
        image=r"zig",
        advice="ARG TARGETARCH, and zig build -Dtarget for that architecture",
        source="ziglang.org/documentation, targets",
    ),
    Toolchain(
        name="C",
        image=r"gcc|clang",
        advice="ARG TARGETARCH, and the cross compiler of that architecture (Debian: crossbuild-essential-*)",
        source="wiki.debian.org/CrossCompiling",
    ),
    Toolchain(
        name="Java",
        image=r"maven|gradle",
        advice="jars are the same on every platform",
        source="docs.docker.com/build/building/multi-platform",
        portable=True,
    ),
    Toolchain(
        name="JavaScript",
        image=r"(?!)",  # a node image as often runs the program as it builds it
        advice="bundled scripts are the same on every platform",
        source="docs.docker.com/build/building/multi-platform",
        portable=True,
    ),
    Toolchain(
        name="a program of Bun or Deno",
        image=r"(?!)",
        advice="bun build --compile --target=bun-linux-…, deno compile --target …",
        source="bun.com/docs/bundler/executables, docs.deno.com: deno compile",
        certain=True,
    ),
    Toolchain(
        name="Swift",
        image=r"swift",
        advice="ARG TARGETARCH, and swift build --swift-sdk of that architecture",
        source="swift.org/documentation/articles/static-linux-getting-started.html",
    ),
    Toolchain(
        name="a program of this platform",
        image=r"(?!)",
        advice="remove --platform: native-image and PyInstaller build for the platform that they run on, and no other",
        source="pyinstaller.org: what PyInstaller does and how; graalvm.org: native image",
        native=True,
    ),
)


def toolchain_of_image(used: UsedStage) -> Toolchain | None:
    """Return the toolchain of a stage that runs something, by its image."""
    name = used.root.base.rpartition("/")[2].partition("@")[0].partition(":")[0].lower()
    return next((row for row in TOOLCHAINS if used.stage.runs and re.fullmatch(row.image, name)), None)


_COMMANDS: Mapping[str, tuple[str, frozenset[str]]] = {
    "go": ("Go", frozenset({"build", "install"})),
    "cargo": ("Rust", frozenset({"build", "install", "rustc", "b"})),
    "rustc": ("Rust", frozenset()),
    "dotnet": (".NET", frozenset({"publish", "build"})),
    "zig": ("Zig", frozenset({"build", "cc", "c++", "build-exe"})),
    **dict.fromkeys(
        ("make", "cmake", "ninja", "meson", "gcc", "g++", "cc", "c++", "clang", "clang++", "configure"),
        ("C", frozenset()),
    ),
    **dict.fromkeys(("mvn", "mvnw", "gradle", "gradlew"), ("Java", frozenset())),
    "swift": ("Swift", frozenset({"build"})),
    **dict.fromkeys(("native-image", "pyinstaller"), ("a program of this platform", frozenset())),
    **dict.fromkeys(("npm", "yarn", "pnpm", "bun"), ("JavaScript", frozenset({"build", "run build"}))),
}
_BY_NAME = {row.name: row for row in TOOLCHAINS}


def compiles(event: Event) -> Toolchain | None:
    """Return the toolchain that a command runs."""
    name, verbs = _COMMANDS.get(event.name, ("", frozenset()))
    options = {word.text for word in event.words[1:]}
    if (event.name == "bun" and "--compile" in options) or (event.name == "deno" and "compile" in options):
        return _BY_NAME["a program of Bun or Deno"]
    words = [word.text for word in event.words[1:] if not word.text.startswith(("-", "+"))]
    if not name or (verbs and not (verbs & {" ".join(words[:1]), " ".join(words[:2]).partition(":")[0]})):
        return None
    return _BY_NAME[name]
