"""What CI systems, terminals and people put before each line of a log, found by what most lines have in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from multibuild.frozen import frozen

MAX_SAMPLE_LINES = 400
"""Of a block that are looked at to find out what stands before its lines."""

MAX_LAYERS = 6
"""Decorations around each other: a time stamp in a quotation in an indented block."""

MAX_PREFIX_CHARACTERS = 160
SHARE = 0.5
"""Of the lines that are not empty: what stands before so many of them is no part of the log."""

_STAMP = (
    r"\[?\d{4}[-/.]\d\d[-/.]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d| UTC)?\]?:?"
    r"(?: \d\d[OE][+ ]| std(?:out|err) [FP] |\s|\Z)"
)
_LOG_DATE = r"\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d\t"
FAMILIES: tuple[re.Pattern[str], ...] = (
    re.compile(_STAMP),  # GitHub, Azure, GitLab, Buildkite, Jenkins, kubectl, containerd
    re.compile(
        r"\[?\d\d?:\d\d:\d\d(?:[.,]\d{1,6})?(?: ?[AP]M)?\]?(?:[:A-Z]{1,2})?(?:\s{1,2}|\Z)"
    ),  # Jenkins, TeamCity
    re.compile(r"\[?\d{10}(?:\.\d{1,9})?\]?:?(?:\s|\Z)"),  # seconds since 1970
    re.compile(r"\[ {0,6}\d{1,6}\.\d{1,6}s?\](?:\s|\Z)"),  # seconds since the start
    re.compile(r"(?:build|error|simple|command)\t" + _LOG_DATE),  # Bamboo
    re.compile(
        r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [\w.-]{1,80} [\w./@-]{1,80}(?:\[\d{1,8}\])?: ?"
    ),  # journal
    re.compile(r"[^\t\n]{1,120}\t[^\t\n]{1,120}\t"),  # gh run view --log
    re.compile(r"Step #\d{1,3}(?: - \"[^\"\n]{1,80}\")?: ?"),  # Google Cloud Build
    re.compile(r"remote: ?"),  # git push to a platform that builds
    re.compile(r"(?:> ?|\| ?|\u2502 ?|\u2503 ?){1,6}"),  # quotations, frames
    re.compile(r"(?!(?:linux|windows)/|multibuild )[\w./-]{1,60} {0,40}\| ?"),  # compose
    re.compile(r"(?:# |// |\* |- |\+ |-- |;; )"),  # comments, lists, diffs
)
"""What may stand before each line, with who writes it."""

ANCHOR = re.compile(
    r"#\d{1,6} (?:\d{1,7}\.\d{1,3} |\[|DONE |CACHED|CANCELED|ERROR|sha256:|exporting |transferring |pushing )"
    r"|=> (?:ERROR |CACHED |CANCELED |\[|=> )|Step \d{1,4}(?:/\d{1,4})? : "
    r"|(?:\[\d{1,3}/\d{1,3}\] )?STEP \d{1,4}(?:/\d{1,4})?: "
    r"|INFO\[\d|[Ee]rror: (?:error )?building at STEP|error building image: "
    r"|(?:linux|windows)/[\w./]{1,40}(?: \| |: attempt \d)"
    r"|> \[[^\]\n]{1,120}\] (?:RUN|COPY|ADD|FROM|WORKDIR) |The command '/|(?:ERROR|error): failed to (?:solve"
    r"|build):|-{6,40}\Z|--- \["
)
"""What a line of a builder begins with, so that anything before it is a decoration."""

_MARK = re.compile(
    r"##\[[a-z]{1,20}\]|::(?:error|warning|notice|group|endgroup|debug)(?: [^:\n]{0,200})?::|\[command\]"
    r"|\[Pipeline\].{0,400}"
)
_FENCE = re.compile(r"\s{0,8}(?:`{3,20}|~{3,20})\s{0,4}\w{0,20}\s{0,4}\Z")
_DIGITS = re.compile(r"\d{1,20}")


@frozen
class Layer:
    """One decoration: a pattern for the begin of a line, or a number of blanks."""

    pattern: re.Pattern[str] | None = None
    blanks: int = 0

    def strip(self, lines: list[str]) -> list[str]:
        """Return the lines without the decoration, where they have it."""
        if self.pattern is None:
            size = self.blanks
            return [line.lstrip() if line[:size].strip() else line[size:] for line in lines]
        match = self.pattern.match
        return [line[found.end() :] if (found := match(line)) else line for line in lines]

    def share(self, lines: Sequence[str]) -> float:
        """Return the share of the lines, empty ones aside, that have the decoration."""
        matched = sum(1 for line in lines if self.pattern is not None and self.pattern.match(line))
        return matched / len(lines) if lines else 0.0


class Decorations:
    """Removes what stands before the lines of a log, block by block; a prefix once learned is known to later blocks."""

    def __init__(self) -> None:
        """Start without a learned prefix."""
        self._prefix: Layer | None = None

    def strip(self, lines: list[str]) -> list[str]:
        """Return the lines of a block without decorations."""
        removed: list[Layer] = []
        while len(removed) < MAX_LAYERS:
            layer = self._outermost(_sample(lines))
            if layer is None or (layer.pattern is not None and layer in removed):
                break
            removed.append(layer)
            lines = layer.strip(lines)
        return [_without_marks(line) if line.startswith(_MARK_BEGINS) else line for line in lines]

    def _outermost(self, sample: Sequence[str]) -> Layer | None:
        """Return what stands before most lines, None if they are bare."""
        sample = [line for line in sample if line.strip()]
        if sum(1 for line in sample if line.startswith("{")) >= SHARE * len(sample):
            return None  # documents of JSON, which may have the line of a builder in them
        if margin := min((len(line) - len(line.lstrip(" \t")) for line in sample), default=0):
            return Layer(blanks=margin)
        anchored = _anchored(sample)
        if sample and anchored >= SHARE * len(sample):
            return None
        for family in map(_family, FAMILIES):
            if family.share(sample) >= SHARE and _anchored(family.strip(list(sample))) >= anchored:
                return family
        return self._learned(sample)

    def _learned(self, sample: Sequence[str]) -> Layer | None:
        """Return the prefix that lines of a builder have in common, if most other lines have it too."""
        prefixes = Counter(
            line[: found.start()]
            for line in sample
            if (found := ANCHOR.search(line[:MAX_PREFIX_CHARACTERS])) and line[: found.start()].strip()
        )
        shapes = Counter[str]()
        for prefix, count in prefixes.items():
            shapes[_shape(prefix)] += count
        if shapes:
            shape, _ = shapes.most_common(1)[0]
            layer = Layer(pattern=re.compile(f"{shape}"))
            if layer.share(sample) >= SHARE:
                self._prefix = layer
                return layer
        if self._prefix is not None and self._prefix.share(sample) >= SHARE:
            return self._prefix
        return None


_MARK_BEGINS = ("##[", "::", "[command]", "[Pipeline]", "```", "~~~", " ", "\t")


def _anchored(sample: Sequence[str]) -> int:
    """Return the number of lines that are a builder's. Removal of a decoration shows more of them, never fewer."""
    return sum(1 for line in sample if ANCHOR.match(line))


def _family(pattern: re.Pattern[str]) -> Layer:
    return Layer(pattern=pattern)


def _sample(lines: Sequence[str]) -> Sequence[str]:
    """Return lines of the whole block, evenly spread."""
    return lines[:: max(1, len(lines) // MAX_SAMPLE_LINES)]


def _shape(prefix: str) -> str:
    """Return a pattern for prefixes that differ from this one in numbers and blanks only.

    One blank ends it: further ones are the begin of the line, as before a step's name in a block.
    """
    text = prefix.strip()
    end = prefix[len(prefix.rstrip()) :]
    words = (r"\d{1,20}".join(map(re.escape, _DIGITS.split(word))) for word in text.split())
    return r"\s{0,80}" + r"\s{1,80}".join(words) + re.escape(end[:1])


def _without_marks(line: str) -> str:
    """Remove the commands to a CI system at the begin of a line, and the fences of Markdown."""
    if _FENCE.match(line):
        return ""
    found = _MARK.match(line)
    return line[found.end() :] if found else line
