"""What rules share: foreign names in a text, edits, and whether what a command writes gets into the image."""

from __future__ import annotations

import re
from collections.abc import Iterator

from multibuild.lint.arch_names import UNKNOWN, ArchName, arch_names
from multibuild.lint.finding import Edit, Found, Level
from multibuild.lint.shell.trace import Event
from multibuild.lint.shell.values import Expanded, Origin, expand_dockerfile
from multibuild.lint.view import StageView, Step, View
from multibuild.platforms import Platform

PRINTING = frozenset({"echo", "printf", "cat", "log", "sed", "grep", "awk", "export", "test", "[", "[["})
"""Commands whose words are data: a name of an architecture among them fetches and builds nothing."""

_SHARED_FOLDERS = frozenset(
    {"", "/", "/tmp", "/usr", "/usr/local", "/var", "/opt", "/root", "/home", "/etc", "/lib"}  # noqa: S108
)


_OTHER_SYSTEM = re.compile(
    r"windows|win(?:32|64|-(?:x64|x86|arm64))|mingw|darwin|macos|\bosx|apple|android|freebsd|-none-(?!linux)|-none\b|unknown-none|-elf\b|-uefi\b|\.(?:exe|msi|dll)\b",
    re.IGNORECASE,
)
_LINUX = re.compile(r"linux(?!-android)", re.IGNORECASE)
_EMULATOR = re.compile(r"(?:qemu|box)[-_](?:system-)?\Z", re.IGNORECASE)


def _is_family(name: ArchName, platform: Platform) -> bool:
    """Whether a name is that of the platform's family: some call arm64 `arm`, and amd64 `x86`."""
    return (name.text.lower(), platform.architecture) in {("arm", "arm64"), ("x86", "amd64")}


def foreign_names(text: str, platform: Platform) -> list[ArchName]:
    """Return the names of architectures in a text, if none of them fits the platform.

    What is for another system is data to an image of Linux, and an emulator is named after what it runs.
    """
    names = list(arch_names(text))
    if not names or any(name.fits(platform) or _is_family(name, platform) for name in names):
        return []
    if platform.os == "linux" and _OTHER_SYSTEM.search(text) and not _LINUX.search(text):
        return []
    return [name for name in names if not _EMULATOR.search(text, max(name.start - 20, 0), name.start)]


def template(text: str) -> str:
    """Return a text with a sign in place of each architecture."""
    pieces, at = [], 0
    for name in sorted(arch_names(text), key=lambda one: one.start):
        pieces += [text[at : name.start], "\x01"]
        at = max(name.end, at)
    return "".join([*pieces, text[at:]]).lower()


def place_of(word: Expanded, name: ArchName, shift: int = 0) -> Origin:
    """Return where a name stands: in the word itself, or where the value that holds it was written down."""
    span = word.span(name.start + shift, name.end + shift)
    if span == word.origin and word.origins:
        return word.origins[-1]
    return span


def level_for(level: Level, word: Expanded, begin: int = 0, end: int | None = None) -> Level:
    """Return a level, no error where a build argument may say otherwise in a part of a word."""
    stop = len(word.text) if end is None else end
    return "warning" if level == "error" and word.is_settable(begin, stop) else level


def reaches_image(view: View, stage: StageView, step: Step) -> bool:
    """Whether what a RUN writes gets into the image, as far as its paths show."""
    key = stage.index, step.instruction.offset
    if key not in view.reaching:
        view.reaching[key] = _reaches_image(view, stage, step)
    return view.reaching[key]


def _reaches_image(view: View, stage: StageView, step: Step) -> bool:
    if stage.is_image:
        return True
    copies = view.image_paths(stage)
    if any(path in {"/", ".", "./", "/*"} for path in copies):
        return True
    tokens = {token for event in step.trace.events for token in _tokens(event)}
    return any(_touches(token, path) for path in copies for token in tokens)


def touches(step: Step, path: str) -> bool:
    """Whether a step writes a path, as far as its words show: a command, or a COPY into its folder."""
    if step.copied is not None:
        target = expand_dockerfile(step.copied.destination, step.values).text
        return _touches(target.rstrip("/") or "/", path) or path.startswith(target.rstrip("/") + "/")
    return any(
        _touches(token, path) for event in step.trace.events for token in _tokens(event) if "/" in token
    )


def _tokens(event: Event) -> Iterator[str]:
    if event.name in {"go", "cargo"} and len(event.words) > 1 and event.words[1].text == "install":
        yield from ("/go/bin", "/usr/local/cargo/bin", "/root/.cargo/bin")
    for word in (*event.words[1:], *(target for _, target in event.redirects)):
        text = word.text.rpartition("=")[2] if word.text.startswith("-") else word.text
        if "://" not in text:
            yield text.rstrip("/") or "/"
        yield text.rpartition("/")[2]


def _touches(token: str, path: str) -> bool:
    """Whether a path of COPY is a path of a command, inside it or around it, or has its name."""
    path = path.rstrip("/*")
    if not token or UNKNOWN in token or token in {".", "./..."}:
        return False
    if token == path or token == path.rpartition("/")[2]:
        return True
    inside = token.startswith("/") and token not in _SHARED_FOLDERS and path.startswith(f"{token}/")
    return inside or (path not in _SHARED_FOLDERS and token.startswith(f"{path}/"))


def declaration(view: View, stage: StageView, step: Step, *names: str) -> tuple[Edit, ...]:
    """Return the edits that declare automatic arguments before a step, in a line each, where they are not yet."""
    missing = [name for name in names if name not in step.values and name not in stage.environment]
    if not missing or step.instruction.word == "FROM":
        return ()
    source = view.parsed.source
    line = step.instruction.line
    while line > 1 and source.line(line - 1).lstrip().startswith("#"):
        line -= 1
    offset = source.line_offsets[line - 1]
    newline = "\r\n" if source.text[: source.text.find("\n") + 1].endswith("\r\n") else "\n"
    return tuple(Edit(offset, offset, f"ARG {name}{newline}") for name in missing)


def declaration_at(view: View, at: Origin, *names: str) -> tuple[Edit, ...]:
    """Return the edits that declare automatic arguments for a place, which may be far above the step that uses it.

    Before the first FROM they need no declaration.
    """
    for stage in view.stages:
        for step in stage.steps:
            one = step.instruction
            if one.offset <= at.start and view.parsed.source.place(at.start).line <= one.last_line:
                return declaration(view, stage, step, *names)
    return ()


def replacing(at: Origin, text: str) -> tuple[Edit, ...]:
    """Return the edit that writes other text in a place, if that is in one piece."""
    return (Edit(at.start, at.end, text),) if at.whole else ()


def found_foreign(
    word: Expanded,
    names: list[ArchName],
    level: Level,
    message: str,
    fix: str,
    *,
    branch: bool,
    shift: int = 0,
) -> Found:
    """Return a finding for the first foreign name of a word."""
    return Found(
        level=level_for(level, word, names[0].start + shift, names[0].end + shift),
        at=place_of(word, names[0], shift),
        message=message.replace("{name}", names[0].text),
        fix=fix,
        branch=branch or "branch" in word.marks,
    )
