"""The platforms a Dockerfile can be built for, why not others, and warnings about slow or wrong builds. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from multibuild.dockerfile.parse import read_dockerfile
from multibuild.dockerfile.stages import UsedStage, used_stages
from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.lint.lint import ASSUMED_PLATFORMS, lint_text
from multibuild.lint.view import LintInput
from multibuild.platforms import Platform

DEFAULT_CANDIDATES = tuple(
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
"""Platforms that are considered even if no base image has them, the most common first."""

COMMON_PLATFORMS = DEFAULT_CANDIDATES[:3]
FALLBACK_PLATFORMS = DEFAULT_CANDIDATES[:2]
"""Platforms of nearly every image: the proposal where a registry does not answer."""

MAX_PROPOSED = 6
"""Up to so many platforms are all proposed; of more, only the common ones, as each costs a build."""

ImagePlatforms = Mapping[str, frozenset[Platform] | str]
"""Image → its platforms, or the reason why they are unknown."""


@frozen
class RequiredImage:
    """An image that a build pulls for `platform`; None stands for the builder's own."""

    name: str
    platform: Platform | None
    line: int


@frozen
class DockerfileWarning:
    """A warning about a line of the Dockerfile; `rule` is that of the lint, if one found it."""

    line: int
    message: str
    hint: str
    rule: str = ""


@frozen
class Proposal:
    """The platforms of the config (`chosen`), all `possible` ones, and the reason for each `impossible` one."""

    chosen: tuple[Platform, ...]
    possible: tuple[Platform, ...]
    impossible: Mapping[Platform, str]
    warnings: tuple[DockerfileWarning, ...]
    unknown: Mapping[str, str]


def images_to_query(text: str, target: str | None, builder: Platform) -> tuple[str, ...]:
    """Return the base images whose platforms restrict those of the build, each once."""
    images = chain.from_iterable(required_images(text, target, name, builder) for name in DEFAULT_CANDIDATES)
    return tuple(dict.fromkeys(image.name for image in images if image.platform and "$" not in image.name))


def required_images(
    text: str, target: str | None, platform: Platform, builder: Platform
) -> tuple[RequiredImage, ...]:
    """Return the images that a build for `platform` pulls; those of `$BUILDPLATFORM` stages are for the builder."""
    stages = read_dockerfile(text, {}, automatic=_arguments(platform, builder)).stages
    images = []
    for used in used_stages(stages, target):
        stage = used.stage
        if stage is used.root and stage.base != "scratch":
            base_platform = _platform_of(used, platform)
            images.append(RequiredImage(name=stage.base, platform=base_platform, line=stage.line))
        images += [RequiredImage(name=name, platform=platform, line=stage.line) for name in used.images]
    return tuple(images)


def propose_platforms(
    text: str, target: str | None, available: ImagePlatforms, builder: Platform
) -> Proposal:
    """Return the proposal, out of DEFAULT_CANDIDATES and all platforms of the base images."""
    offered = {
        name for platforms in available.values() if not isinstance(platforms, str) for name in platforms
    }
    # FROM scratch alone: the compiler decides, and its platforms are unknown.
    is_unrestricted = all(image.platform is None for image in required_images(text, target, builder, builder))
    candidates = [*DEFAULT_CANDIDATES, *sorted(offered - set(DEFAULT_CANDIDATES))]
    possible, impossible = [], {}
    for platform in candidates:
        reason = _obstacle(required_images(text, target, platform, builder), available)
        if reason:
            impossible[platform] = reason
        elif is_unrestricted or platform in offered:
            possible.append(platform)
    unknown = {image: reason for image, reason in available.items() if isinstance(reason, str)}
    if not offered and not is_unrestricted:
        possible = list(FALLBACK_PLATFORMS)
    preferred = FALLBACK_PLATFORMS if unknown else COMMON_PLATFORMS
    propose_all = len(possible) <= MAX_PROPOSED and not unknown
    chosen = possible if propose_all else [platform for platform in possible if platform in preferred]
    stages = used_stages(read_dockerfile(text, {}, automatic=_arguments(builder, builder)).stages, target)
    proposed = tuple(chosen or possible[:MAX_PROPOSED])
    return Proposal(
        chosen=proposed,
        possible=tuple(possible),
        impossible=impossible,
        warnings=tuple(_warnings(text, target, proposed, stages)),
        unknown=unknown,
    )


def has_platform(available: frozenset[Platform], platform: Platform) -> bool:
    """Whether an image has a platform; for ARM a lower variant counts, as in BuildKit (platforms.Only)."""
    lower = platform.architecture == "arm" and any(
        (other.os, other.architecture) == (platform.os, "arm") and other.variant <= platform.variant
        for other in available
    )
    return platform in available or lower


def _obstacle(images: tuple[RequiredImage, ...], available: ImagePlatforms) -> str:
    for image in images:
        platforms = available.get(image.name)
        if image.platform is None or platforms is None or isinstance(platforms, str):
            continue
        if not has_platform(platforms, image.platform):
            return f"{image.name} has no {image.platform} (line {image.line})"
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


def _warnings(
    text: str, target: str | None, platforms: tuple[Platform, ...], used: tuple[UsedStage, ...]
) -> Iterator[DockerfileWarning]:
    """Yield what the lint finds for the platforms, and the bases that are not known without an argument."""
    for one in used:
        if "$" in one.root.base and one.stage is one.root:
            yield DockerfileWarning(
                line=one.stage.line,
                message=f"{one.root.base} depends on a build argument without default: not checked",
                hint="give the ARG a default, or write its value under args",
            )
    given = LintInput(platforms=platforms or ASSUMED_PLATFORMS, target=target)
    for finding in lint_text(text, "", given):
        yield DockerfileWarning(
            line=finding.line, message=finding.message, hint=finding.fix, rule=finding.rule
        )


def _arguments(platform: Platform, builder: Platform) -> dict[str, str]:
    """Return the automatic platform arguments (docs.docker.com/reference/dockerfile)."""
    arguments: dict[str, str] = {}
    for kind, value in (("TARGET", platform), ("BUILD", builder)):
        arguments |= {
            f"{kind}PLATFORM": str(value),
            f"{kind}OS": value.os,
            f"{kind}ARCH": value.architecture,
            f"{kind}VARIANT": value.variant,
        }
    return arguments
