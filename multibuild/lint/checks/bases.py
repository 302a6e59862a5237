"""Rules on FROM: platforms, images of one architecture, pinned digests."""

from __future__ import annotations

import re
from collections.abc import Iterator

from multibuild.dockerfile.source import Text
from multibuild.errors import UsageError
from multibuild.lint.arch_names import UNKNOWN, arch_names
from multibuild.lint.checks.places import foreign_names, level_for
from multibuild.lint.finding import Edit, Found, Level
from multibuild.lint.shell.values import Origin, Value, expand_dockerfile
from multibuild.lint.steps import Flag, flags_of, mount_of
from multibuild.lint.view import Step, View, automatic_arguments
from multibuild.platforms import Platform

_BUILDPLATFORM = re.compile(r"[\"']?(?:\$\{?BUILDPLATFORM\b|(?:\$\{?BUILDOS\}?|linux)/\$\{?BUILDARCH\b)")


def _scope(view: View) -> dict[str, Value]:
    automatic = {name: Value(text) for name, text in automatic_arguments(view.platform).items()}
    return {**automatic, **view.globals}


def fixed_platform(view: View) -> Iterator[Found]:
    """Find stages of the image that are for one platform, or for the builder's."""
    for stage in view.stages:
        flags, _ = flags_of(stage.steps[0].instruction)
        flag = next((flag for flag in flags if flag.name == "platform"), None)
        if flag is None or not stage.is_image:
            continue
        written = flag.value.text
        wanted = expand_dockerfile(flag.value, _scope(view))
        if _BUILDPLATFORM.match(written):
            other = "$BUILDPLATFORM, the builder's own"
        elif UNKNOWN in wanted.text or _is_platform(wanted.text.strip("\"'"), view.platform):
            continue
        else:
            other = wanted.text.strip("\"'")
        start = flag.value.offset(0)
        yield Found(
            level=level_for("error", wanted),
            at=Origin(start, start + len(written)),
            message=f"{stage.used.label} becomes the image, and is always {other}: every platform gets that",
            fix="remove --platform: without it the stage is of the platform that is built",
            edits=_without(view, flag),
            builder="BUILD" in written,
        )


def _without(view: View, flag: Flag) -> tuple[Edit, ...]:
    """Return the edit that removes the flag with the blanks behind it."""
    text = view.parsed.source.text
    end = flag.value.offset(len(flag.value.text) - 1) + 1
    start = end - len(flag.value.text) - len("--platform=")
    if not text.startswith("--platform=", start) or not flag.value.is_contiguous(0, len(flag.value.text)):
        return ()
    behind = end
    while behind < len(text) and text[behind] in " \t":
        behind += 1
    return (Edit(start, behind, ""),)


def _is_platform(text: str, platform: Platform) -> bool:
    try:
        return Platform.parse(text) == platform
    except UsageError:
        return True  # BuildKit refuses it itself


def fixed_image(view: View) -> Iterator[Found]:
    """Find images that are of one architecture by their name: `arm64v8/alpine`, `tool:1-amd64`."""
    for stage in view.stages:
        if stage.used.stage is stage.used.root and not stage.is_cross:
            _, rest = flags_of(stage.steps[0].instruction)
            word = re.match(r"\S+", rest.text)
            if word is not None:
                level: Level = "error" if stage.is_image else "warning"
                yield from _image(view, rest.part(0, word.end()), _scope(view), level, "the base")
        for step in stage.steps:
            for name in _sources(step):
                if not stage.is_cross and not _is_stage(view, name.text):
                    yield from _image(view, name, {}, "error" if stage.is_image else "warning", "the image")


def _sources(step: Step) -> Iterator[Text]:
    one = step.copied
    if one is not None and one.source_stage is not None:
        yield one.source_stage
    for flag in step.flags if step.instruction.word == "RUN" else ():
        if flag.name == "mount" and "from" in (parts := mount_of(flag)):
            yield parts["from"]


def _is_stage(view: View, name: str) -> bool:
    return name.isdigit() or any(stage.name == name.lower() for stage in view.dockerfile.stages)


def _image(view: View, name: Text, scope: dict[str, Value], level: Level, what: str) -> Iterator[Found]:
    image = expand_dockerfile(name, scope)
    if image.text == "scratch" or _is_stage(view, image.text):
        return
    host, slash, rest = image.text.partition("/")
    is_host = slash and ("." in host or ":" in host or host == "localhost")
    shift = len(host) + 1 if is_host else 0
    named = (rest if is_host else image.text).partition("@")[0]
    names = [one for one in foreign_names(named, view.platform) if _names_image(named, one.start, one.end)]
    if not names or any(one.fits(view.platform) for one in arch_names(named)):
        return
    begin, end = names[0].start + shift, names[0].end + shift
    at = image.span(begin, end)
    yield Found(
        level=level_for(level, image, begin, end),
        at=image.origins[-1] if at == image.origin and image.origins else at,
        message=f"{what} {image.text} is of one architecture, as its name says ({names[0].text})",
        fix="name an image that has all platforms, or one for each with $TARGETARCH in its name",
        branch="branch" in image.marks,
    )


def _names_image(text: str, start: int, end: int) -> bool:
    """Whether a name is the first component (`arm64v8/…`) or ends the repository or the tag (`…-amd64`)."""
    before, behind = text[:start], text[end:]
    return (not before and behind.startswith("/")) or behind == "" or behind.startswith(":")


def digests(view: View) -> Iterator[Found]:
    """Find bases that a registry says to be of other platforms, and frontends of one platform alone."""
    for stage in view.stages:
        if stage.used.stage is not stage.used.root or stage.is_cross:
            continue
        base = stage.used.stage.base
        available = view.given.bases.get(base)
        if available is None or isinstance(available, str) or _has(available, view.platform):
            continue
        _, rest = flags_of(stage.steps[0].instruction)
        start = rest.offset(0)
        at = Origin(start, start + len(rest.text.split()[0]) if rest.text.split() else start)
        names = ", ".join(sorted(map(str, available)))
        if "@sha256:" in base:
            message = f"{base.partition('@')[0]} is pinned to a digest that has only {names}"
            fix = "pin the digest of the index: docker buildx imagetools inspect NAME:TAG prints it"
        else:
            message = f"{base} has only {names}"
            fix = "choose a base that has the platform, or leave the platform out"
        yield Found(level="error", at=at, message=message, fix=fix)


def _has(available: frozenset[Platform], platform: Platform) -> bool:
    """Whether an image has a platform; of ARM a lower variant counts, as in BuildKit (platforms.Only)."""
    return platform in available or any(
        (one.os, one.architecture) == (platform.os, "arm") == (platform.os, platform.architecture)
        and one.variant <= platform.variant
        for one in available
    )


def frontend(view: View) -> Iterator[Found]:
    """Find a `# syntax=` that is pinned to the digest of one platform: it runs on the builder's."""
    syntax = view.dockerfile.syntax or ""
    available = view.given.bases.get(syntax)
    if "@sha256:" not in syntax or available is None or isinstance(available, str) or len(available) != 1:
        return
    start = max(view.parsed.source.text.find(syntax), 0)
    yield Found(
        level="warning",
        at=Origin(start, start + len(syntax)),
        message=f"# syntax= is pinned to a digest that has only {next(iter(available))}: other builders cannot run it",
        fix="pin the digest of the index: docker buildx imagetools inspect NAME:TAG prints it",
    )
