"""Lint a Dockerfile: apply every rule to the view of every platform, and join what they find."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from multibuild.dockerfile.parse import MAX_DOCKERFILE_BYTES
from multibuild.dockerfile.source import Source, read_source
from multibuild.errors import ConfigError
from multibuild.lint.finding import LEVELS, Edit, Finding, Found, Level, Rule
from multibuild.lint.rules import RULES
from multibuild.lint.view import LintInput, Parsed, view_for
from multibuild.platforms import Platform
from multibuild.terminal import one_line, shorten

ASSUMED_PLATFORMS = (Platform.parse("linux/amd64"), Platform.parse("linux/arm64"))
"""Without a config: what nearly every image with more than one platform is for."""

MAX_FINDINGS = 500
"""Of a file; more are one mistake over and over."""

MAX_FOUND = 300
"""Of a rule on one platform."""

MAX_MESSAGE = 300

_IGNORE = re.compile(r"#\s*multibuild:\s*ignore=([a-z0-9, -]+)")


@dataclass(slots=True)
class _Joined:
    """What several platforms have in common."""

    rule: Rule
    found: Found
    platforms: list[Platform] = field(default_factory=list)


def lint_text(text: str, file: str, given: LintInput | None = None) -> tuple[Finding, ...]:
    """Return the findings of a Dockerfile in the order of their places; `file` is its name in them.

    Raises ConfigError for a file beyond the limits, without FROM, or without the target.
    """
    if len(text) > MAX_DOCKERFILE_BYTES:
        raise ConfigError(
            f"the Dockerfile has more than {MAX_DOCKERFILE_BYTES} characters", hint="look at what wrote it"
        )
    given = given or LintInput(platforms=ASSUMED_PLATFORMS)
    parsed = Parsed(read_source(text))
    joined: dict[tuple[str, int, str], _Joined] = {}
    is_single = len({platform.architecture for platform in given.platforms}) == 1
    for platform in given.platforms:
        view = view_for(parsed, given, platform)
        for rule in RULES:
            for found in islice(rule.check(view), MAX_FOUND):
                if found.branch and not given.explicit:
                    continue
                if is_single and found.builder and found.level == "error":
                    found = replace(found, level="warning")  # noqa: PLW2901
                _join(joined, rule, found, platform)
    findings = [_finding(one, parsed.source, file, given) for one in _causes(joined.values())]
    kept = [one for one in findings if not _is_ignored(one, parsed.source)]
    kept.sort(key=lambda one: (one.line, one.column, one.rule))
    return tuple(_without_repetition(kept)[:MAX_FINDINGS])


def _causes(joined: Iterable[_Joined]) -> list[_Joined]:
    """Leave out what only follows from the default of an automatic ARG: the default is what is to mend."""
    every = list(joined)
    defaults = [one.found.at for one in every if one.rule.id == "target-arg-default"]
    return [
        one
        for one in every
        if one.rule.id == "target-arg-default"
        or not any(span.start <= one.found.at.start < span.end for span in defaults)
    ]


def _join(joined: dict[tuple[str, int, str], _Joined], rule: Rule, found: Found, platform: Platform) -> None:
    key = (rule.id, found.at.start, rule.id if rule.id == "arch-spelling" else found.message)
    one = joined.setdefault(key, _Joined(rule, found))
    if LEVELS.index(found.level) < LEVELS.index(one.found.level):
        one.found = found
    if platform not in one.platforms:
        one.platforms.append(platform)


def _finding(one: _Joined, source: Source, file: str, given: LintInput) -> Finding:
    found = one.found
    start, end = source.place(found.at.start), source.place(max(found.at.end, found.at.start))
    names = tuple(map(str, one.platforms))
    message = found.message
    if given.explicit and len(names) < len(given.platforms):
        message = f"{message} (wrong for {', '.join(names)})"
    return Finding(
        rule=one.rule.id,
        level=found.level,
        file=file,
        line=start.line,
        column=start.column,
        end_column=end.column if end.line == start.line else start.column + 1,
        message=shorten(one_line(message), MAX_MESSAGE),
        fix=shorten(one_line(found.fix), MAX_MESSAGE),
        platforms=names,
        edits=found.edits,
    )


def _without_repetition(findings: Sequence[Finding]) -> list[Finding]:
    """Keep one finding of a rule at a place: the worst."""
    best: dict[tuple[str, int, int], Finding] = {}
    for one in findings:
        key = (one.rule, one.line, one.column)
        if key not in best or LEVELS.index(one.level) < LEVELS.index(best[key].level):
            best[key] = one
    return list(best.values())


def _is_ignored(finding: Finding, source: Source) -> bool:
    """Whether the comments right above the line, or above its instruction, name the rule."""
    lines = {finding.line}
    for instruction in source.instructions:
        if instruction.line <= finding.line <= instruction.last_line:
            lines.add(instruction.line)
    return any(finding.rule in _ignored_above(line, source) for line in lines)


def _ignored_above(line: int, source: Source) -> set[str]:
    names: set[str] = set()
    while line > 1 and (text := source.line(line - 1).strip()).startswith("#"):
        if match := _IGNORE.match(text):
            names |= {name.strip() for name in match[1].split(",")}
        line -= 1
    return names


def ignored_by_config(findings: Iterable[Finding], ignore: Sequence[str]) -> tuple[Finding, ...]:
    """Return the findings that a config does not ignore: `rule`, or `rule:line`."""
    rules = {entry for entry in ignore if ":" not in entry}
    places = {entry for entry in ignore if ":" in entry}
    return tuple(one for one in findings if one.rule not in rules and f"{one.rule}:{one.line}" not in places)


def fails(findings: Iterable[Finding], level: str) -> bool:
    """Whether there is a finding of the level that fails (error, warning, never), or a worse one."""
    failing: Mapping[str, tuple[Level, ...]] = {"error": ("error",), "warning": ("error", "warning")}
    return any(one.level in failing.get(level, ()) for one in findings)


def edits_of(findings: Iterable[Finding]) -> tuple[Edit, ...]:
    """Return the edits of findings in order, each once; of two that overlap the first."""
    chosen: list[Edit] = []
    every = dict.fromkeys(edit for one in findings for edit in one.edits)
    for edit in sorted(every, key=lambda edit: (edit.start, edit.end)):
        if chosen and edit.start < chosen[-1].end:
            continue
        chosen.append(edit)
    return tuple(chosen)
