"""The lint finding that explains a foreign file: of an instruction that the file has passed, or that decides it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from multibuild.dockerfile.source import SourceInstruction
from multibuild.frozen import frozen
from multibuild.lint.finding import LEVELS, Finding
from multibuild.lint.steps import arguments, variables
from multibuild.lint.view import StageView, View
from multibuild.prove.origin.maker import Located, chain_of, instruction_text


@frozen
class Way:
    """The instructions that a file has passed, the last one its maker, and the stages whose base decides it."""

    passed: tuple[Located, ...]
    bases: tuple[StageView, ...]


def cause_of(findings: Sequence[Finding], way: Way, view: View) -> Finding | None:
    """Return the worst finding on a file's way, of equal ones that which is nearest to its maker; hints are none."""
    ranked = [
        (LEVELS.index(one.level), rank, -one.line, number)
        for number, one in enumerate(findings)
        if one.level != "hint" and (rank := _rank(one.line, way, view)) is not None
    ]
    return findings[min(ranked)[-1]] if ranked else None


def _rank(line: int, way: Way, view: View) -> int | None:
    """Return how near a line is to the maker of a file; None for one that does not concern it."""
    passed = way.passed
    if passed and _spans(passed[-1].instruction, line):
        return 0
    if any(_spans(one.instruction, line) for one in passed):
        return 1
    if any(_spans(one, line) for one in _settings(way, view)):
        return 2
    return 3 if any(_spans(one, line) for one in _froms(way, view)) else None


def _spans(instruction: SourceInstruction, line: int) -> bool:
    return instruction.line <= line <= instruction.last_line


def _froms(way: Way, view: View) -> Iterator[SourceInstruction]:
    for stage in way.bases:
        yield from (one.steps[0].instruction for one in chain_of(view, stage))


def _settings(way: Way, view: View) -> Iterator[SourceInstruction]:
    """Yield the ARG and ENV instructions whose values reach an instruction on the way, or a FROM."""
    for one in way.passed:
        yield from _settings_of(one, view)
    texts = [instruction.rest.text for instruction in _froms(way, view)]
    for instruction in view.parsed.head:
        if instruction.word == "ARG" and any(_uses(text, _set_by(instruction)) for text in texts):
            yield instruction


def _settings_of(located: Located, view: View) -> Iterator[SourceInstruction]:
    """Yield the settings before an instruction that it uses; a program that RUN starts may read any of them."""
    text = None if located.instruction.word == "RUN" else instruction_text(located.instruction)
    declared: set[str] = set()
    for stage in chain_of(view, located.stage):
        for step in stage.steps:
            one = step.instruction
            if one.word not in {"ARG", "ENV"} or one.offset > located.instruction.offset:
                continue
            names = _set_by(one)
            declared |= names if one.word == "ARG" else set()
            if text is None or _uses(text, names):
                yield one
    for one in view.parsed.head:
        names = _set_by(one) & declared
        if names and (text is None or _uses(text, names)):
            yield one


def _set_by(instruction: SourceInstruction) -> set[str]:
    read = arguments if instruction.word == "ARG" else variables
    return {one.name for one in read(instruction)}


def _uses(text: str, names: set[str]) -> bool:
    return any(name in names for name in re.findall(r"\$\{?(\w+)", text))
