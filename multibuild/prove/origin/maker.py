"""The instruction of a stage that made a path, as far as the Dockerfile shows it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from multibuild.dockerfile.source import SourceInstruction
from multibuild.frozen import frozen
from multibuild.lint.arch_names import UNKNOWN
from multibuild.lint.shell.values import expand_dockerfile
from multibuild.lint.steps import flags_of
from multibuild.lint.view import StageView, Step, View

Evidence = Literal["certain", "likely"]

MAX_PATHS = 20
"""Paths that a file may have had in a stage: one for each source of a COPY."""

_SYSTEM = re.compile(r"/(?:usr/)?(?:s?bin|lib(?:exec|32|64|x32)?)/")
"""Where packages and the base image have their files: a RUN that does not name one of them proves nothing."""

_INSPECTS = re.compile(
    r"\s*(?:then\s+|do\s+|!\s+)?(?:strip|chmod|chown|chgrp|rm|ls|file|upx|test|\[|ldd|setcap|du|readelf|sha\d+sum)\b"
)
_COPIES = re.compile(r"\s*(?:then\s+|do\s+)?(?:cp|mv|install|ln)\s")
_BEFORE_PATH = r"(?<![\w./-])(?:\./)?"
_SEPARATOR = re.compile(r"[;&|\n]+")
_GLOB = re.compile(r"[*?\[]")


@frozen
class Located:
    """An instruction in a stage; `workdir` is absolute, or empty where it is not known."""

    stage: StageView
    step: Step
    workdir: str

    @property
    def instruction(self) -> SourceInstruction:
        """The instruction itself."""
        return self.step.instruction


@frozen
class Copy:
    """A COPY or ADD: the paths it takes and where it puts them, all variables expanded."""

    sources: tuple[str, ...]
    destination: str
    workdir: str


@frozen
class Maker:
    """What made a path: an instruction, and the paths that a COPY may have taken it from; or the base of a stage."""

    located: Located | None
    sources: tuple[str, ...] = ()
    evidence: Evidence = "certain"


def chain_of(view: View, stage: StageView) -> tuple[StageView, ...]:
    """Return a stage after those that it is FROM, the lowest first."""
    by_line = {one.used.stage.line: one for one in view.stages}
    return tuple(by_line[one.line] for one in reversed(stage.used.chain))


def located_steps(view: View, stage: StageView) -> tuple[Located, ...]:
    """Return the instructions of a stage and of those that it is FROM, in the order they run."""
    return tuple(_located(chain_of(view, stage)))


def _located(chain: Sequence[StageView]) -> Iterator[Located]:
    workdir = "/" if chain[0].used.root.base == "scratch" else ""
    for stage in chain:
        for step in stage.steps:
            if step.instruction.word == "WORKDIR":
                text = expand_dockerfile(step.instruction.rest, step.values).text.strip("\"'")
                workdir = "" if UNKNOWN in text else absolute(text, workdir)
            yield Located(stage=stage, step=step, workdir=workdir)


def absolute(path: str, workdir: str) -> str:
    """Return a path in normal form from the root; empty where the working directory decides and is not known."""
    if not path.startswith("/") and not workdir:
        return ""
    return posixpath.normpath("/" + posixpath.join(workdir, path).lstrip("/"))


def copy_in(located: Located) -> Copy | None:
    """Return what a COPY or ADD of a stage copies; None for an unknown name."""
    copied = located.step.copied
    if copied is None:
        return None
    words = [
        expand_dockerfile(text, located.step.values).text for text in (*copied.sources, copied.destination)
    ]
    if any(UNKNOWN in word for word in words):
        return None
    return Copy(sources=tuple(words[:-1]), destination=words[-1], workdir=located.workdir)


def is_exact(copy: Copy, path: str) -> bool:
    """Whether a COPY names a file itself: as its destination, or as a source that goes into a directory."""
    place = absolute(copy.destination, copy.workdir)
    return bool(place) and (
        path == place
        or any(path == posixpath.join(place, posixpath.basename(one.rstrip("/"))) for one in copy.sources)
    )


def sources_of(copy: Copy, path: str) -> tuple[str, ...]:
    """Return the paths that a COPY may have taken a file from; none when it cannot have put it there."""
    place = absolute(copy.destination, copy.workdir)
    if not place:
        return ()
    found: dict[str, None] = {}
    for source in copy.sources[:MAX_PATHS]:
        root = absolute(source, "/")
        if path == place and not _GLOB.search(source):
            found[root] = None
        if path.startswith(place.rstrip("/") + "/"):
            inner = path[len(place.rstrip("/")) + 1 :]
            if _GLOB.search(source):
                found[posixpath.join(posixpath.dirname(root), inner)] = None
            elif posixpath.basename(root) == inner:
                found[root] = None
                found[posixpath.join(root, inner)] = None
            else:
                found[posixpath.join(root, inner)] = None
    return tuple(found)[:MAX_PATHS]


def maker_of(view: View, stage: StageView, paths: Sequence[str]) -> Maker | None:
    """Return what made one of some paths in a stage; None where that is not to be seen.

    Certain are a COPY of the file itself, a RUN that writes to its path, and the only RUN that names its path. Likely
    is the first of several, a RUN that names the file, or the last RUN of the stage, unless the path is one of the
    system's, where packages and the base image have theirs.
    """
    seen = _Seen()
    for one in reversed(located_steps(view, stage)):
        if one.instruction.word in {"COPY", "ADD"}:
            maker = _copied(one, paths)
            if maker is not None and maker.evidence == "certain":
                return maker
            seen.covering = seen.covering or (None if seen.last else maker)
            seen.has_unknown |= maker is None and not _is_known(one)
        elif one.instruction.word == "RUN":
            if _writes(one, paths):
                return Maker(located=one)
            seen.add_run(one, paths)
    return seen.maker(paths)


@dataclass
class _Seen:
    """What a stage has besides a certain maker, in the order from its end."""

    naming_path: list[Located] = field(default_factory=list)
    naming_file: list[Located] = field(default_factory=list)
    last: Located | None = None
    covering: Maker | None = None
    has_unknown: bool = False

    def add_run(self, located: Located, paths: Sequence[str]) -> None:
        """Add a RUN that does not certainly write to one of the paths."""
        self.last = self.last or located
        if any(_names_path(located, path) for path in paths):
            self.naming_path.append(located)
        elif any(_names(located.instruction, posixpath.basename(path)) for path in paths):
            self.naming_file.append(located)

    def maker(self, paths: Sequence[str]) -> Maker | None:
        """Return the most likely maker; the base only where nothing else can be it."""
        if self.naming_path:
            is_only = len(self.naming_path) == 1
            return Maker(located=self.naming_path[-1], evidence="certain" if is_only else "likely")
        if self.naming_file:
            return Maker(located=self.naming_file[0], evidence="likely")
        if self.covering is not None or self.last is None:
            return self.covering or (None if self.has_unknown else Maker(located=None))
        if any(_SYSTEM.match(path) for path in paths):
            return None
        return Maker(located=self.last, evidence="likely")


def _is_known(located: Located) -> bool:
    """Whether the destination of a COPY is known: otherwise it may have made any file."""
    copy = copy_in(located)
    return copy is not None and bool(absolute(copy.destination, copy.workdir))


def _copied(located: Located, paths: Sequence[str]) -> Maker | None:
    copy = copy_in(located)
    if copy is None:
        return None
    for path in paths:
        sources = sources_of(copy, path)
        if sources:
            return Maker(
                located=located, sources=sources, evidence="certain" if is_exact(copy, path) else "likely"
            )
    return None


def _names_path(located: Located, path: str) -> bool:
    """Whether a RUN names a path in a command that may write it."""
    return any(_names(located.instruction, name, before=_BEFORE_PATH) for name in _names_of(located, path))


def _names_of(located: Located, path: str) -> list[str]:
    """Return a path from the root, and from the working directory if that is more than the file's name."""
    workdir = located.workdir.rstrip("/") + "/"
    inner = path[len(workdir) :] if located.workdir and path.startswith(workdir) else ""
    return [path, inner] if "/" in inner else [path]


def _writes(located: Located, paths: Sequence[str]) -> bool:
    """Whether a RUN has a path as the output of a command: behind -o or >, or at the end of cp, mv or install."""
    text = instruction_text(located.instruction)
    for name in {name for path in paths for name in _names_of(located, path) if name in text}:
        here = rf"[\"']?(?:\./)?{re.escape(name)}(?![\w./-])"
        output = re.compile(rf"(?:(?:^|\s)(?:-[oO]|--out(?:put)?[= ])\s*|>\s*|\bof=){here}")
        last = re.compile(rf"\s{here}[\"']?\s*\Z")
        for command in _SEPARATOR.split(text):
            if output.search(command) or (_COPIES.match(command) and last.search(command)):
                return True
    return False


def _names(instruction: SourceInstruction, name: str, *, before: str = r"(?<![\w.-])") -> bool:
    """Whether a command of a RUN names a file, other than to look at it or to change what is there."""
    if not name or name not in instruction_text(instruction):
        return False
    word = re.compile(rf"{before}{re.escape(name)}(?![\w./-])")
    return any(
        word.search(command) and not _INSPECTS.match(command)
        for command in _SEPARATOR.split(instruction_text(instruction))
    )


def instruction_text(instruction: SourceInstruction) -> str:
    """Return what an instruction says behind its flags, with its heredocs."""
    bodies = (heredoc.body.text for heredoc in instruction.heredocs)
    return "\n".join((flags_of(instruction)[1].text, *bodies))
