"""The rules, one row each: docs/reference/lint.md is written from this table."""

from __future__ import annotations

from difflib import get_close_matches

from multibuild.errors import ConfigError
from multibuild.lint.checks import arguments, bases, cache, cross, sources, spelling, targets
from multibuild.lint.finding import Rule

_AUTOMATIC = "docs.docker.com/reference/dockerfile, automatic platform ARGs in the global scope"

RULES: tuple[Rule, ...] = (
    Rule(
        id="target-arg-default",
        level="error",
        meaning="A default on an automatic ARG: `ARG TARGETARCH=amd64`",
        why="The default hides the value that BuildKit sets, before the first FROM for the whole file: every platform gets"
        " that architecture. For BUILD arguments it is a warning: the result is right, and slow on other machines",
        fix="`ARG TARGETARCH`, without a default",
        source="github.com/docker/buildx/issues/510",
        check=arguments.defaults,
        fixable=True,
    ),
    Rule(
        id="undeclared-target-arg",
        level="error",
        meaning="TARGETARCH and its kind used in a stage that does not declare it, or when the container starts",
        why="Outside FROM lines it is empty then: compilers fall back to the machine they run on, addresses miss a part",
        fix="`ARG TARGETARCH` in the stage, above the first use",
        source=_AUTOMATIC,
        check=arguments.undeclared,
        fixable=True,
    ),
    Rule(
        id="unused-target-arg",
        level="error",
        meaning="TARGET arguments that a `$BUILDPLATFORM` stage declares, and nothing in it uses",
        why="A declaration alone changes nothing: the compiler works for the builder, and every platform gets its output",
        fix="`GOOS=$TARGETOS GOARCH=$TARGETARCH go build`; the target of other compilers",
        source="docs.docker.com/build/building/multi-platform, cross-compilation",
        check=cross.unused_arguments,
        fixable=True,
    ),
    Rule(
        id="untargeted-cross-build",
        level="error",
        meaning="A compiler in a `$BUILDPLATFORM` stage (or one of a fixed platform) that nothing tells the target",
        why="Its output is for the builder's architecture on every platform",
        fix="`ARG TARGETOS TARGETARCH` and `GOOS=$TARGETOS GOARCH=$TARGETARCH go build`; the target of other compilers",
        source="docs.docker.com/build/building/multi-platform, cross-compilation",
        check=cross.untargeted,
        fixable=True,
    ),
    Rule(
        id="uname-in-cross-stage",
        level="error",
        meaning="The builder's architecture where the target's belongs: `uname -m`, `dpkg --print-architecture` in a"
        " `$BUILDPLATFORM` stage, `$BUILDARCH`",
        why="Programs of such a stage say what the builder is. What is chosen by it and copied into the image is right on"
        " the builder's platform alone; for a tool of the build itself it is right, and only a hint",
        fix="`$TARGETARCH`, or `xx-info`",
        source="github.com/tonistiigi/xx",
        check=cross.wrong_machine,
        fixable=True,
    ),
    Rule(
        id="cross-stage-program",
        level="warning",
        meaning="A program or a library that a `$BUILDPLATFORM` stage has from its base or its package manager, copied into"
        " the image: `COPY --from=tools /usr/bin/curl`",
        why="Packages of such a stage are those of the builder's architecture",
        fix="install it in a stage without `--platform`",
        source="github.com/docker/buildx/issues/615",
        check=cross.foreign_programs,
    ),
    Rule(
        id="fixed-final-platform",
        level="error",
        meaning="A stage of the image with `--platform=linux/amd64` or `--platform=$BUILDPLATFORM`",
        why="The base, and all that runs on it, is of that platform in every image",
        fix="remove `--platform`",
        source="docs.docker.com/reference/build-checks/from-platform-flag-const-disallowed",
        check=bases.fixed_platform,
        fixable=True,
    ),
    Rule(
        id="fixed-arch-base",
        level="error",
        meaning="A base of one architecture by its name: `arm64v8/alpine`, `tool:1-amd64`",
        why="Other platforms get it too; BuildKit only warns (InvalidBaseImagePlatform)",
        fix="an image with all platforms, or `FROM tool:1-$TARGETARCH`",
        source="github.com/docker-library/official-images, architectures other than amd64",
        check=bases.fixed_image,
    ),
    Rule(
        id="single-platform-base",
        level="error",
        meaning="A base without the platform, most often pinned to the digest of one (`--online` asks every registry, otherwise one on this machine is)",
        why="FROM a digest takes what is there, whatever platform is built; BuildKit only warns",
        fix="the digest of the index: `docker buildx imagetools inspect NAME:TAG` prints it",
        source="docs.docker.com/reference/build-checks/invalid-base-image-platform",
        check=bases.digests,
    ),
    Rule(
        id="single-platform-syntax",
        level="warning",
        meaning="`# syntax=` pinned to the digest of one platform (asked like bases)",
        why="The frontend runs on the builder's platform: on another builder nothing builds",
        fix="the digest of the index",
        source="docs.docker.com/build/buildkit/frontend",
        check=bases.frontend,
    ),
    Rule(
        id="fixed-target",
        level="error",
        meaning="A compiler or an installer told to work for one architecture: `GOARCH=amd64`, `cargo --target x86_64-…`,"
        " `CARGO_BUILD_TARGET`, `dotnet -r linux-x64`, `npm --cpu=x64`, `dpkg --add-architecture`, `apt-get install x:amd64`,"
        " `deb [arch=amd64]`, `dpkg -i x_amd64.deb`",
        why="Every platform gets the same programs",
        fix="`$TARGETARCH`, or a name that a case on it chooses",
        source="go.dev/doc/install/source#environment, doc.rust-lang.org/cargo/reference/config.html#buildtarget",
        check=targets.fixed,
        fixable=True,
    ),
    Rule(
        id="fixed-arch-url",
        level="error",
        meaning="An architecture in an address that curl, wget or ADD downloads, or in the name by which `gh release download`,"
        " `grep` or `jq` choose a file of a release; an address that names none and is of one alone, such as `…/tini`",
        why="Every platform gets the program of that one",
        fix="`$TARGETARCH` in the address, or a name that a case on it chooses",
        source="docs.docker.com/build/building/multi-platform",
        check=sources.urls,
    ),
    Rule(
        id="fixed-arch-copy",
        level="error",
        meaning="An architecture in a source of COPY or of a bind mount: `bin/linux-amd64/app`, `/usr/lib/x86_64-linux-gnu/libz.so.1`",
        why="Every platform gets the program of that one; files of another stage are not there on other platforms",
        fix="`COPY bin/linux-$TARGETARCH/app`; collect libraries in a folder whose name has no architecture",
        source="wiki.debian.org/Multiarch/Tuples",
        check=sources.copies,
    ),
    Rule(
        id="fixed-arch-path",
        level="warning",
        meaning="A folder of one architecture in ENV or in a command: `JAVA_HOME=…-openjdk-amd64`, `/usr/lib/x86_64-linux-gnu`",
        why="On other platforms it is called otherwise, and is not there",
        fix="a link with one name, made in the build",
        source="wiki.debian.org/Multiarch/Tuples",
        check=sources.paths,
    ),
    Rule(
        id="arch-spelling",
        level="error",
        meaning="A name that the program or the download does not use: `$TARGETARCH-unknown-linux-musl`, `GOARCH=$(uname -m)`,"
        ' `case "$TARGETARCH" in x86_64)`',
        why="Docker and Go say amd64 and arm64, kernels and compilers x86_64 and aarch64, Debian armhf: the other's name"
        " is never equal, and never in the address",
        fix='`case "$TARGETARCH" in amd64) arch=x86_64 ;; arm64) arch=aarch64 ;; esac`',
        source="wiki.debian.org/Multiarch/Tuples, doc.rust-lang.org/rustc/platform-support.html",
        check=spelling.spelled,
        fixable=True,
    ),
    Rule(
        id="go-arm-variant",
        level="error",
        meaning="`GOARM=$TARGETVARIANT`, or no GOARM where linux/arm/v6 is cross-compiled",
        why="TARGETVARIANT is v7, GOARM has to be 7: Go refuses v7",
        fix="`GOARM=${TARGETVARIANT#v}`",
        source="go.dev/wiki/GoArm",
        check=arguments.wrong_variant,
        fixable=True,
    ),
    Rule(
        id="shared-cache",
        level="warning",
        meaning="A cache mount of results that all platforms share: `--mount=type=cache,target=/src/target`",
        why="Builds of several platforms write into it at the same time, and take each other's programs",
        fix="`id=target-$TARGETPLATFORM`, after `ARG TARGETPLATFORM`",
        source="github.com/moby/buildkit/issues/2598",
        check=cache.shared,
        fixable=True,
    ),
    Rule(
        id="emulated-compile",
        level="hint",
        meaning="A compiler in a stage of the target's platform",
        why="On every platform but the builder's own it runs under emulation, ten to twenty times as long",
        fix="`FROM --platform=$BUILDPLATFORM`, and the compiler's own way to name a target",
        source="docs.docker.com/build/building/multi-platform",
        check=cross.emulated,
    ),
)
RULE_IDS = frozenset(rule.id for rule in RULES)


def require_known(ids: list[str], where: str) -> None:
    """Raise ConfigError for the name of a rule that does not exist."""
    for name in ids:
        if name not in RULE_IDS:
            near = get_close_matches(name[:80], RULE_IDS, n=1)
            hint = f"perhaps you meant {near[0]}" if near else f"the rules are {', '.join(sorted(RULE_IDS))}"
            raise ConfigError(f"{where}: there is no rule '{name[:80]}'", hint=hint)
