"""Trace foreign files to their layers, the lines of the Dockerfile that made them, the lint rules that explain them.

All of it is pure: values of an image, of a Dockerfile and of the proof. Where it cannot be certain it says less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from multibuild.dockerfile.source import read_source
from multibuild.errors import ConfigError
from multibuild.frozen import frozen
from multibuild.lint.finding import Finding
from multibuild.lint.lint import lint_text
from multibuild.lint.view import LintInput, Parsed, StageView, View, view_for
from multibuild.platforms import Platform
from multibuild.prove.origin.cause import Way, cause_of
from multibuild.prove.origin.content_origin import (
    MAX_INSTRUCTION,
    MAX_NAME,
    Cause,
    ContentOrigin,
    Source,
    TracedLine,
)
from multibuild.prove.origin.history import (
    Alignment,
    Entry,
    align,
    copied_words,
    layer_entries,
    read_history,
)
from multibuild.prove.origin.maker import (
    Copy,
    Located,
    absolute,
    located_steps,
    maker_of,
    sources_of,
)
from multibuild.redact import redacted
from multibuild.terminal import one_line, shorten

if TYPE_CHECKING:
    from multibuild.prove.content.proof import ForeignFile

CountLayers = Callable[[str], int | None]
"""Returns how many layers a base image has that has ONBUILD instructions; None for any other or unknown image."""

MAX_FILES = 20
"""Foreign files of an image that are traced."""

MAX_STAGES = 20
"""Stages that a file is followed through."""


@frozen
class BuiltFrom:
    """The Dockerfile of an image: its text, its name in messages, and what it was built with for one platform.

    `contexts` are the names of further build contexts, which hide stages and images of these names.
    """

    text: str
    file: str
    platform: Platform
    target: str | None = None
    args: Mapping[str, str]
    contexts: frozenset[str] = frozenset()


def no_triggers(_image: str) -> None:
    """Return None: no base image is known to have ONBUILD instructions."""


def trace(
    foreign: Sequence[ForeignFile],
    config: Mapping[str, Any],
    layers: int,
    built_from: BuiltFrom | None = None,
    layers_below_triggers: CountLayers = no_triggers,
) -> tuple[ContentOrigin, ...]:
    """Return the origins of the first MAX_FILES files, needed ones first; without a Dockerfile only their layers.

    `config` is the untrusted image config, `layers` the number of layers in the manifest. BuildKit writes into no
    history that an instruction is an ONBUILD of the base image: `layers_below_triggers` is asked.
    """
    history = read_history(config)
    numbers = layer_entries(history, layers)
    reader = None
    if built_from is not None and numbers is not None:
        reader = _read(built_from, history, layers_below_triggers)
    if reader is not None and reader.alignment.is_shifted:
        reader, numbers = None, None
    chosen = sorted(foreign, key=lambda file: not file.needed)[:MAX_FILES]
    origins = []
    for file in chosen:
        number = file.layer if file.layer is not None and 0 < file.layer <= layers else 0
        origin = ContentOrigin(path=file.path, architecture=file.architecture, layer=number, layers=layers)
        if number and numbers is not None:
            entry = numbers[number - 1]
            origin = replace(origin, created_by=_shown(history[entry].shown))
            origin = reader.trace(origin, entry) if reader is not None else origin
        origins.append(origin)
    return tuple(origins)


def _shown(text: str) -> str:
    """Return an instruction for a sentence: one line, without secrets in addresses and without backquotes."""
    line = one_line(redacted(text[: 10 * MAX_INSTRUCTION])).replace("`", "'")
    return shorten(" ".join(line.split()), MAX_INSTRUCTION)


def _read(
    built_from: BuiltFrom, history: Sequence[Entry], layers_below_triggers: CountLayers
) -> _Tracer | None:
    """Return a tracer of a Dockerfile; None for one that this frontend's rules do not read."""
    given = LintInput(
        platforms=(built_from.platform,),
        target=built_from.target,
        args={built_from.platform: built_from.args},
        explicit=True,
    )
    try:
        view = view_for(Parsed(read_source(built_from.text)), given, built_from.platform)
    except ConfigError:
        return None
    syntax = view.dockerfile.syntax
    names = {name.lower() for name in built_from.contexts}
    hidden = any(stage.name in names for stage in view.dockerfile.stages if stage.name)
    if hidden or (syntax is not None and "dockerfile" not in syntax):
        return None
    findings: tuple[Finding, ...] = ()
    with suppress(ConfigError):
        findings = lint_text(built_from.text, built_from.file, given)
    steps = located_steps(view, view.stages[-1])
    alignment = align([one.instruction for one in steps], history)
    return _Tracer(
        view=view,
        file=built_from.file,
        contexts=frozenset(names),
        findings=findings,
        steps=steps,
        alignment=alignment,
        history=history,
        layers_below_triggers=layers_below_triggers,
    )


@dataclass(kw_only=True)
class _Followed:
    """The way of a file as far as it was followed."""

    passed: list[Located]
    bases: list[StageView]
    source: Source = ""
    name: str = ""
    stage_line: int = 0


@frozen
class _Tracer:
    """A Dockerfile and the history of an image that was built from it."""

    view: View
    file: str
    contexts: frozenset[str]
    findings: tuple[Finding, ...]
    steps: tuple[Located, ...]
    alignment: Alignment
    history: Sequence[Entry]
    layers_below_triggers: CountLayers

    def trace(self, origin: ContentOrigin, number: int) -> ContentOrigin:
        """Add to an origin what made the layer of a history's entry."""
        index = self.alignment.instructions.get(number)
        if index is not None:
            followed = self._follow(self.steps[index], number, origin.path)
            return origin if followed is None else self._with(origin, followed)
        root = self.view.stages[-1].used.root
        if not self.alignment.is_of_base(number) or root.base in {"scratch", ""}:
            return origin
        followed = _Followed(passed=[], bases=[self.view.stages[-1]])
        self._end_in_base(followed, self.view.stages[-1], origin.layer)
        return self._with(origin, followed)

    def _follow(self, located: Located, number: int, path: str) -> _Followed | None:
        followed = _Followed(passed=[located], bases=[])
        if located.instruction.word not in {"COPY", "ADD"}:
            followed.source, followed.bases = "run", [located.stage]
            return followed
        paths = self._copied_paths(located, number, path)
        if not paths and not self.alignment.is_complete:
            return None
        self._follow_copy(followed, paths)
        return followed

    def _copied_paths(self, located: Located, number: int, path: str) -> tuple[str, ...]:
        """Return where the COPY of a history's entry may have taken a file from, in the words of the history."""
        copied = located.step.copied
        words = copied_words(self.history[number], len(copied.sources) + 1) if copied else None
        if not words:
            return ()
        places = (entry.rest for entry in self.history[:number] if entry.word == "WORKDIR")
        workdir = list(accumulate(places, lambda before, place: absolute(place, before), initial="/"))[-1]
        return sources_of(Copy(sources=words[:-1], destination=words[-1], workdir=workdir), path)

    def _follow_copy(self, followed: _Followed, paths: tuple[str, ...]) -> None:
        """Follow a file through the stages that its COPY and those before it copy from."""
        for _ in range(MAX_STAGES):
            copied = followed.passed[-1].step.copied
            if copied is None or copied.source_stage is None:
                followed.source = "context"
                return
            name = copied.source_stage.text.strip("\"'")
            stage = self.view.stage_named(name)
            if stage is None or name.lower() in self.contexts:
                is_image = stage is None and name.lower() not in self.contexts and "$" not in name
                followed.source, followed.name = ("image", name) if is_image else ("", "")
                return
            followed.stage_line = stage.used.stage.line
            followed.bases = [stage]
            maker = maker_of(self.view, stage, paths) if paths else None
            if maker is None:
                return
            if maker.located is None:
                self._end_in_base(followed, stage)
                return
            followed.passed.append(maker.located)
            followed.bases = [maker.located.stage]
            if maker.located.instruction.word == "RUN":
                followed.source = "run" if maker.evidence == "certain" else "likely"
                return
            if maker.evidence == "likely":
                followed.source = "likely"
                return
            followed.bases, paths = [], maker.sources

    def _end_in_base(self, followed: _Followed, stage: StageView, layer: int | None = None) -> None:
        """End at the base image of a stage, or at an ONBUILD of it; say neither where the layer does not tell."""
        root = stage.used.root
        followed.bases, followed.stage_line = [stage], root.line
        if root.base.lower() in self.contexts or root.base == "scratch":
            return
        below = self.layers_below_triggers(root.base)
        if below is None or layer is not None:
            is_triggered = below is not None and layer is not None and layer > below
            followed.source, followed.name = "trigger" if is_triggered else "base", root.base

    def _with(self, origin: ContentOrigin, followed: _Followed) -> ContentOrigin:
        way = Way(passed=tuple(followed.passed), bases=tuple(followed.bases))
        finding = cause_of(self.findings, way, self.view)
        cause = Cause(rule=finding.rule, line=finding.line, message=finding.message) if finding else None
        return replace(
            origin,
            file=self.file,
            lines=tuple(
                TracedLine(instruction=_instruction(one), line=one.instruction.line)
                for one in followed.passed
            ),
            source=followed.source,
            name=shorten(one_line(followed.name), MAX_NAME),
            stage_line=followed.stage_line,
            cause=cause,
        )


def _instruction(located: Located) -> str:
    """Return an instruction in short: of a COPY from a stage, which one."""
    instruction, copied = located.instruction, located.step.copied
    if copied is not None and copied.source_stage is not None:
        return _shown(f"{instruction.word} --from={copied.source_stage.text}")
    return _shown(f"{instruction.word} {instruction.rest.text}")
