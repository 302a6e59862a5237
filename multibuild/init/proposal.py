"""Which platforms a Dockerfile can be built for, why it cannot for others, and what will be slow or wrong. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from multibuild.dockerfile.parse import read_dockerfile
from multibuild.dockerfile.stages import UsedStage, used_stages
from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.init.toolchains import toolchain_of
from multibuild.platforms import Platform

KNOWN = tuple(
    Platform.parse(name)
    for name in (
        "linux/amd64",
        "linux/arm64",
        "linux/arm/v7",
        "linux/arm/v6",
        "linux/arm/v5",
        "linux/386",
        "linux/ppc64le",
        "linux/s390x",
        "linux/riscv64",
        "linux/mips64le",
        "linux/mipsle",
        "linux/loong64",
    )
)
"""What is asked about even where no base image has it, the most used first."""

COMMON = KNOWN[:3]
ASSUMED = KNOWN[:2]
"""What nearly every image has: proposed where a registry could not be asked."""

FEW = 6
"""Up to so many are all proposed; of more only the common ones, the others as comments: each costs a build."""

Answers = Mapping[str, frozenset[Platform] | str]
"""Image → the platforms it has, or why that is not known."""


@frozen
class Need:
    """An image that must exist for a platform; None: for the builder's own, whatever that is."""

    image: str
    platform: Platform | None
    line: int


@frozen
class Remark:
    """Something about the Dockerfile to know before building; `line` is 0 where it is about no line."""

    line: int
    message: str
    hint: str


@frozen
class Proposal:
    """`chosen` goes into the config, `possible` beside it as comments; `impossible` says why."""

    chosen: tuple[Platform, ...]
    possible: tuple[Platform, ...]
    impossible: Mapping[Platform, str]
    remarks: tuple[Remark, ...]
    unknown: Mapping[str, str]


def images_to_ask(text: str, target: str | None, builder: Platform) -> tuple[str, ...]:
    """Give the base images whose platforms decide anything, each once."""
    needs = (need for platform in KNOWN for need in needs_of(text, target, platform, builder))
    return tuple(dict.fromkeys(need.image for need in needs if need.platform and "$" not in need.image))


def needs_of(text: str, target: str | None, platform: Platform, builder: Platform) -> tuple[Need, ...]:
    """Give what a build for `platform` pulls. A stage of `$BUILDPLATFORM` needs its image for the builder alone."""
    stages = read_dockerfile(text, _arguments(platform, builder)).stages
    needs = []
    for used in used_stages(stages, target):
        stage = used.stage
        if stage is used.root and stage.base != "scratch":
            wanted = _platform_of(used, platform)
            needs.append(Need(image=stage.base, platform=wanted, line=stage.line))
        for name, source in zip(stage.copies_from, used.sources, strict=True):
            if source is None and not name.isdigit():
                needs.append(Need(image=name, platform=platform, line=stage.line))
    return tuple(needs)


def propose(text: str, target: str | None, answers: Answers, builder: Platform) -> Proposal:
    """Judge every platform that a base image has, or that people ask for."""
    offered = {platform for found in answers.values() if not isinstance(found, str) for platform in found}
    # FROM scratch alone: what compiles decides, and that is not ours to know.
    open_to_all = all(need.platform is None for need in needs_of(text, target, builder, builder))
    candidates = [*KNOWN, *sorted(offered - set(KNOWN))]
    possible, impossible = [], {}
    for platform in candidates:
        reason = _obstacle(needs_of(text, target, platform, builder), answers)
        if reason:
            impossible[platform] = reason
        elif open_to_all or platform in offered:
            possible.append(platform)
    unknown = {image: why for image, why in answers.items() if isinstance(why, str)}
    if not offered and not open_to_all:
        possible = list(ASSUMED)
    usual = ASSUMED if unknown else COMMON
    few = len(possible) <= FEW and not unknown
    chosen = possible if few else [platform for platform in possible if platform in usual]
    used = used_stages(read_dockerfile(text, _arguments(builder, builder)).stages, target)
    # A stage that others are FROM prepares; those others compile.
    bases = {stage for one in used for stage in one.chain[1:]}
    return Proposal(
        chosen=tuple(chosen or possible[:FEW]),
        possible=tuple(possible),
        impossible=impossible,
        remarks=tuple(remark for one in used for remark in _remarks(one, leaf=one.stage not in bases)),
        unknown=unknown,
    )


def has(available: frozenset[Platform], wanted: Platform) -> bool:
    """Whether an image has a platform; on ARM a lower variant will do, as for BuildKit (platforms.Only)."""
    lower = wanted.architecture == "arm" and any(
        (found.os, found.architecture) == (wanted.os, "arm") and found.variant <= wanted.variant
        for found in available
    )
    return wanted in available or lower


def _obstacle(needs: tuple[Need, ...], answers: Answers) -> str:
    for need in needs:
        available = answers.get(need.image)
        if need.platform is None or available is None or isinstance(available, str):
            continue
        if not has(available, need.platform):
            return f"{need.image} has no {need.platform} (line {need.line})"
    return ""


def _platform_of(used: UsedStage, platform: Platform) -> Platform | None:
    if used.runs_on == "build":
        return None
    if used.runs_on == "fixed":
        try:
            return Platform.parse(used.root.platform)
        except UsageError:
            return None
    return platform


def _remarks(used: UsedStage, *, leaf: bool) -> Iterator[Remark]:
    """Say what is slow although it need not be, and what gives every platform the same program."""
    stage, row = used.stage, toolchain_of(used, by_image=leaf)
    if "$" in used.root.base and stage is used.root:
        yield Remark(
            line=stage.line,
            message=f"{used.root.base} depends on a build argument without default: not checked",
            hint="give the ARG a default, or write its value under args",
        )
    if used.runs_on != "target" and used.role == "image" and stage is used.root:
        yield Remark(
            line=stage.line,
            message=f"{used.label} is always {stage.platform}: every platform would get that image",
            hint="remove --platform from the stages that become the image",
        )
    if row is None:
        return
    if used.runs_on == "target":
        place = f"in line {used.root.line}" if used.role == "builder" else "in a stage of its own"
        yield Remark(
            line=stage.line,
            message=f"{used.label} builds {row.name} under emulation on every platform but the builder's own",
            hint=f"write FROM --platform=$BUILDPLATFORM {place}; {row.advice}",
        )
    elif used.runs_on == "build" and not row.portable and not _looks_at_target(used):
        yield Remark(
            line=stage.line,
            message=f"{used.label} builds {row.name} for the builder's own platform, whatever the image is for",
            hint=f"tell it: {row.advice}",
        )


def _looks_at_target(used: UsedStage) -> bool:
    """Whether a stage is told what to compile for: by the automatic arguments, or by tonistiigi/xx."""
    declared = any(name.startswith("TARGET") for name in used.args)
    return declared or any("xx-" in command or "TARGET" in command for command in used.stage.runs)


def _arguments(platform: Platform, builder: Platform) -> dict[str, str]:
    """Give the automatic platform arguments (docs.docker.com/reference/dockerfile)."""
    given: dict[str, str] = {}
    for kind, of in (("TARGET", platform), ("BUILD", builder)):
        given |= {
            f"{kind}PLATFORM": str(of),
            f"{kind}OS": of.os,
            f"{kind}ARCH": of.architecture,
            f"{kind}VARIANT": of.variant,
        }
    return given
