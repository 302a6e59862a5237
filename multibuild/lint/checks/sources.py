"""Rules on what comes from outside: downloads, files of the context, files of other stages, and paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from multibuild.dockerfile.source import Text
from multibuild.errors import UsageError
from multibuild.lint.arch_names import UNKNOWN, ArchName, arch_names
from multibuild.lint.checks.downloads import only_architecture
from multibuild.lint.checks.places import (
    PRINTING,
    foreign_names,
    level_for,
    place_of,
    reaches_image,
    template,
)
from multibuild.lint.finding import Found, Level
from multibuild.lint.shell.trace import Event
from multibuild.lint.shell.values import Expanded, expand_dockerfile
from multibuild.lint.steps import exec_words, is_windows, mount_of, variables
from multibuild.lint.view import StageView, Step, View
from multibuild.platforms import Platform

_URL = re.compile(r"\b(?:https?|ftp|s3|gs)://[^/\s\"'|]*")
_FOR_ALL = re.compile(r"\bnoarch\b")
_CHECKED_WITH = re.compile(
    r"\.(?:asc|sig|minisig|sha(?:1|256|512)(?:sum)?|md5|pub|gpg|key|pem|crt)\Z|_all\.deb\Z",
    re.IGNORECASE,
)
"""Keys, signatures and sums, and packages for every architecture: their folder alone names one."""

_INTERPRETERS = frozenset({"node", "python", "python3", "ruby", "perl", "php"})
_NOT_FETCHING = PRINTING | {"git", "add-apt-repository", "apt-key", "tee"}
_TEXT_SUFFIXES = (
    ".md",
    ".txt",
    ".json",
    ".yaml",
    ".yml",
    ".conf",
    ".cfg",
    ".ini",
    ".toml",
    ".list",
    ".html",
    ".sh",
    ".xml",
    ".config",
    ".patch",
    ".diff",
    ".cmake",
    ".mk",
    ".env",
    ".repo",
    ".rules",
    ".service",
    ".asc",
    ".sig",
    ".sha256",
    ".sha512",
)
_LIBRARY_FOLDER = re.compile(
    r"(?:^|[/:=])(?:usr/)?lib/([a-z0-9_]+)-linux-(?:gnu|musl)[a-z0-9]*|/jvm/[\w.-]*[-.](amd64|arm64|armhf|ppc64el|s390x|i386|riscv64|x86_64|aarch64)\b|ld-musl-(\w+)\.so"
)


def urls(view: View) -> Iterator[Found]:
    """Find an architecture in a download URL."""
    fetched = {stage.index: list(_fetched(stage)) for stage in view.stages if not _is_windows(stage)}
    covered = _covered((word for found in fetched.values() for _, word, _ in found), view.platform)
    several = _several(word for found in fetched.values() for _, word, _ in found)
    for stage in view.stages:
        for step, word, event in fetched.get(stage.index, ()):
            match = _URL.search(word.text)
            begin = match.end() if match is not None else 0
            names = foreign_names(word.text[begin:], view.platform)
            if not names and not arch_names(word.text[begin:]):
                yield from _unnamed(view, stage, step, word, event)
            if not names or template(word.text) in covered or "build" in word.marks:
                continue
            if _FOR_ALL.search(word.text):
                continue
            reaches = event is None or reaches_image(view, stage, step)
            is_certain = reaches and not _is_beside(word, event) and template(word.text) not in several
            level: Level = "error" if is_certain else "warning"
            yield Found(
                level=level_for(level, word, names[0].start + begin, names[0].end + begin),
                at=place_of(word, names[0], begin),
                message=f"this downloads for {names[0].text}, whatever platform is built",
                fix="put $TARGETARCH into the address, or a name that a case on $TARGETARCH chooses",
                branch="branch" in word.marks or (event is not None and event.branch),
            )


def _is_windows(stage: StageView) -> bool:
    """Whether a stage is of Windows, which is built for its own platforms alone."""
    return is_windows(stage.used.root.base)


def _unnamed(
    view: View, stage: StageView, step: Step, word: Expanded, event: Event | None
) -> Iterator[Found]:
    """Find a download that is of one architecture although its address names none: `tini` beside `tini-arm64`."""
    only = only_architecture(word.text)
    if only is None or only == view.platform.architecture:
        return
    reaches = event is None or reaches_image(view, stage, step)
    yield Found(
        level=level_for("error" if reaches else "warning", word, word.text.rfind("/") + 1),
        at=word.origin,
        message=f"this downloads for {only}: the address without a name of an architecture is its",
        fix="choose the file of the platform by $TARGETARCH",
        branch="branch" in word.marks or (event is not None and event.branch),
    )


def _fetched(stage: StageView) -> Iterator[tuple[Step, Expanded, Event | None]]:
    """Yield the addresses that a stage downloads."""
    for step, event in stage.events():
        picks = _picks(step, event)
        if (event.name in _NOT_FETCHING and not picks) or "arch" in event.guards:
            continue
        for word in event.words[1:]:
            if picks and _URL.search(word.text) is None:
                yield step, word, event
                continue
            is_url = _URL.search(word.text) is not None
            if is_url or (event.name in {"curl", "wget", "aria2c"} and word.text.startswith(UNKNOWN)):
                yield step, word, event
    for step in stage.steps:
        one = step.copied
        if one is not None and step.instruction.word == "ADD":
            for source in one.sources:
                word = expand_dockerfile(source, step.values)
                if _URL.match(word.text):
                    yield step, word, None


def _picks(step: Step, event: Event) -> bool:
    """Whether a command chooses the file of a release by name: `gh release download -p`, `grep` in its list."""
    words = [word.text for word in event.words]
    if words[:3] == ["gh", "release", "download"]:
        return True
    is_filter = event.name in {"grep", "egrep", "jq"} and not any(
        re.match(r"-[a-zA-Z]*v", word) or "not" in word for word in words[1:]
    )
    return is_filter and any(
        "//api.github.com/repos/" in word.text for other in step.trace.events for word in other.words
    )


def _covered(words: Iterable[Expanded], platform: Platform) -> set[str]:
    """Return the templates of what is there for the platform, too: a file may take all, and choose later."""
    return {
        template(word.text) for word in words if any(name.fits(platform) for name in arch_names(word.text))
    }


def _several(words: Iterable[Expanded]) -> set[str]:
    """Return the templates of what is there for more than one architecture: it may be all that there are."""
    found: dict[str, set[str]] = {}
    for word in words:
        names = {name.architecture for name in arch_names(word.text)}
        found.setdefault(template(word.text), set()).update(names)
    return {key for key, names in found.items() if len(names) > 1}


def _is_beside(word: Expanded, event: Event | None) -> bool:
    """Whether a download is checked with, or only spoken of in a program of another language."""
    is_code = event is not None and event.name in _INTERPRETERS and " " in word.text
    # NVIDIA's keyring for every architecture holds the source of the one whose folder it is from.
    return is_code or (_CHECKED_WITH.search(word.text) is not None and "/cuda-keyring_" not in word.text)


def copies(view: View) -> Iterator[Found]:
    """Find an architecture in a source of COPY, ADD or a bind mount."""
    sources = {stage.index: list(_copied(stage)) for stage in view.stages if not _is_windows(stage)}
    covered = _covered((word for found in sources.values() for _, word in found), view.platform)
    several = _several(word for found in sources.values() for _, word in found)
    for stage in view.stages:
        for step, word in sources.get(stage.index, ()):
            names = foreign_names(word.text, view.platform)
            if not names or template(word.text) in covered or _URL.match(word.text):
                continue
            if _is_of_its_stage(view, step, names):
                continue
            is_likely = word.text.lower().endswith(_TEXT_SUFFIXES) or template(word.text) in several
            level: Level = "warning" if is_likely or stage.is_cross else "error"
            yield Found(
                level=level_for(level, word, names[0].start, names[0].end),
                at=place_of(word, names[0]),
                message=f"this copies what is for {names[0].text}, whatever platform is built",
                fix=_copy_advice(word),
                branch="branch" in word.marks,
            )


def _is_of_its_stage(view: View, step: Step, names: list[ArchName]) -> bool:
    """Whether the source is a stage of a fixed platform, which the path names: `cross-stage-program` tells."""
    one = step.copied
    source = (
        view.stage_named(one.source_stage.text) if one is not None and one.source_stage is not None else None
    )
    if source is None or source.used.runs_on != "fixed":
        return False
    try:
        return names[0].fits(Platform.parse(source.used.root.platform))
    except UsageError:
        return False


def _copied(stage: StageView) -> Iterator[tuple[Step, Expanded]]:
    for step in stage.steps:
        one = step.copied
        for source in one.sources if one is not None else ():
            yield step, expand_dockerfile(source, step.values)
        is_chosen = any("arch" in event.guards for event in step.trace.events)
        for flag in step.flags if step.instruction.word == "RUN" and not is_chosen else ():
            parts = mount_of(flag) if flag.name == "mount" else {}
            if "source" in parts and parts.get("type", parts["source"]).text in {
                "bind",
                parts["source"].text,
            }:
                yield step, expand_dockerfile(parts["source"], step.values)


def _copy_advice(word: Expanded) -> str:
    if "-linux-gnu" in word.text or "ld-musl" in word.text:
        return "collect the files in a folder of their own in the stage before, and copy that folder"
    return "put $TARGETARCH into the path, after ARG TARGETARCH in the stage"


def paths(view: View) -> Iterator[Found]:
    """Find folders of one architecture in ENV and in commands: libraries, Java's home."""
    for stage in view.stages:
        if stage.is_cross:
            continue
        for step in stage.steps:
            if step.instruction.word == "ENV":
                for one in variables(step.instruction):
                    if one.value is not None:
                        yield from _path(view, expand_dockerfile(one.value, step.values))
            for text in _started(stage, step):
                yield from _path(view, expand_dockerfile(text, {}))
        for _, event in stage.events():
            if event.name in PRINTING or "arch" in event.guards:
                continue
            for word in event.words[1:]:
                if _URL.search(word.text) is None:
                    yield from _path(view, word, branch=event.branch)


def _started(stage: StageView, step: Step) -> tuple[Text, ...]:
    """Return the words of what a container starts; a shell may make something else of its own form."""
    if step.instruction.word not in {"CMD", "ENTRYPOINT"} or not stage.is_image:
        return ()
    return exec_words(step.instruction.rest) or ()


def _path(view: View, word: Expanded, *, branch: bool = False) -> Iterator[Found]:
    matches = list(_LIBRARY_FOLDER.finditer(word.text))
    names = [name for match in matches for name in arch_names(match[0])]
    if not names or any(name.fits(view.platform) for name in arch_names(word.text)):
        return
    at = word.origins[-1] if word.origins else word.span(matches[0].start(), matches[0].end())
    yield Found(
        level="warning",
        at=at,
        message=f"{matches[0][0].lstrip(':=')} is there on {names[0].text} alone",
        fix="find the folder in the build (`ls -d /usr/lib/*-linux-gnu`, `readlink -f $(which java)`), and link to it",
        branch=branch or "branch" in word.marks,
    )
