"""Parser of Dockerfiles: stages, base images, and other inputs from outside the context.

The rules are those of BuildKit's Dockerfile frontend (docs.docker.com/reference/dockerfile): parser directives first,
then instructions, each continued after lines that end in the escape character; heredocs are not instructions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from multibuild.dockerfile.bounded_text import read_bounded
from multibuild.dockerfile.source import Source, SourceInstruction, read_source
from multibuild.errors import ConfigError
from multibuild.frozen import frozen

MAX_DOCKERFILE_BYTES = 1 << 20
MAX_STAGES = 500
"""Chains of stages, each with all it is FROM, take room with the square of their number."""

MAX_IMAGES = 500
"""Each is a request to a registry before anything is built."""

MAX_EXPANDED_CHARACTERS = 4096
"""Of a variable: no reference of an image is nearly as long."""

_FLAG = re.compile(r"--([a-z-]+)=(\S+)")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]{0,256}))?\})")
_WORD = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")
# A source that begins with a variable may be an address, too.
_REMOTE = re.compile(r"(?:https?|git|ssh)://|^git@|^\$")
PLATFORM_ARGS = frozenset(
    f"{kind}{part}" for kind in ("TARGET", "BUILD") for part in ("PLATFORM", "OS", "ARCH", "VARIANT")
)
"""Set by BuildKit without a declaration, in FROM lines too (docs: "Automatic platform ARGs in the global scope")."""


@frozen
class Stage:
    """One `FROM` with the instructions up to the next. `base` has its variables resolved where possible.

    `platform` is `--platform` as written; `copies_from` the stages and images it copies or mounts from, by name or
    number; `args` the names it declares with ARG; `runs` the commands of its RUN lines.
    """

    name: str
    base: str
    platform: str
    line: int
    copies_from: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()


@frozen
class Dockerfile:
    """A build's inputs from outside the context. `images` are pulled; `adds_urls`: whether ADD may fetch URLs."""

    stages: tuple[Stage, ...]
    images: tuple[str, ...]
    syntax: str | None
    adds_urls: bool


@frozen
class Instruction:
    """One instruction: its word in capitals, the rest with continuation lines joined, and its line (from 1).

    `body` is the content of its heredocs.
    """

    word: str
    rest: str
    line: int
    body: str = ""


def load_text(path: Path, errors: str = "replace") -> str:
    """Return a Dockerfile's text; raises OSError when it cannot be read, ConfigError when it is too large."""
    return read_bounded(path, MAX_DOCKERFILE_BYTES).decode("utf-8", errors)


def read_dockerfile(
    text: str, args: Mapping[str, str], *, automatic: Mapping[str, str] | None = None
) -> Dockerfile:
    """Parse a Dockerfile; `args` are build arguments, which also fill `ARG`s before the first FROM.

    `automatic` are the values that BuildKit sets (TARGETARCH and its kind): other than a build argument, a default in
    the file hides them (dockerfile2llb/convert.go: the ARG is added to the global ones). A byte order mark is ignored,
    as in BuildKit. Unresolved variables stay as written (`${X}`). Raises ConfigError for a file beyond the limits.
    """
    _require_small(len(text), MAX_DOCKERFILE_BYTES, "characters")
    return parse_source(read_source(text), args, automatic=automatic)


def parse_source(
    source: Source, args: Mapping[str, str], *, automatic: Mapping[str, str] | None = None
) -> Dockerfile:
    """Parse a Dockerfile whose instructions are read already; see read_dockerfile."""
    reader = _Reader(args, automatic or {})
    for one in source.instructions:
        reader.add(_instruction(one))
    reader.end_stage()
    return Dockerfile(
        stages=tuple(reader.stages),
        images=tuple(image for image in reader.images if image != "scratch"),
        syntax=args.get("BUILDKIT_SYNTAX") or source.directives.get("syntax"),
        adds_urls=reader.adds_urls,
    )


def _require_small(count: int, limit: int, things: str) -> None:
    if count > limit:
        raise ConfigError(
            f"the Dockerfile has more than {limit} {things}", hint="split it, or look at what wrote it"
        )


class _Reader:
    """Collector of a Dockerfile's stages and images, in time linear in its instructions."""

    def __init__(self, args: Mapping[str, str], automatic: Mapping[str, str]) -> None:
        self.stages: list[Stage] = []
        self.images: dict[str, None] = {}
        self.adds_urls = False
        self._args = args
        self._values = {**automatic, **{name: value for name, value in args.items() if name in PLATFORM_ARGS}}
        self._names: set[str] = set()
        self._of_stage: list[Instruction] = []

    def add(self, instruction: Instruction) -> None:
        """Read the next instruction."""
        if instruction.word == "FROM":
            self._begin_stage(instruction)
        elif self.stages:
            self._of_stage.append(instruction)
            self._use(_sources(instruction))
            fetches = instruction.word == "ADD" and _may_fetch(instruction.rest)
            self.adds_urls = self.adds_urls or fetches
        elif instruction.word == "ARG":
            self._declare(instruction)

    def end_stage(self) -> None:
        """Add the instructions since the last FROM to its stage."""
        if self.stages:
            self.stages[-1] = _extend(self.stages[-1], self._of_stage)
            self._of_stage = []

    def _begin_stage(self, instruction: Instruction) -> None:
        self.end_stage()
        stage = _stage(instruction, self._values)
        self._use((stage.base,))
        self.stages.append(stage)
        self._names |= {stage.name} - {""}
        _require_small(len(self.stages), MAX_STAGES, "stages")

    def _declare(self, instruction: Instruction) -> None:
        for name, value in declared(instruction.rest):
            if name in self._args:
                self._values[name] = self._args[name]
            elif value is not None:
                self._values[name] = expand(value, self._values)

    def _use(self, names: Sequence[str]) -> None:
        """Add the names that are images: no stages above, no numbers."""
        for name in names:
            if not name.isdigit() and name.lower() not in self._names:
                self.images[name] = None
        _require_small(len(self.images), MAX_IMAGES, "images")


def instructions(text: str) -> Iterator[Instruction]:
    """Return the instructions in order, without comments, blank lines and heredoc bodies."""
    return map(_instruction, read_source(text).instructions)


def _instruction(one: SourceInstruction) -> Instruction:
    body = "\n".join(heredoc.body.text for heredoc in one.heredocs)
    return Instruction(word=one.word, rest=one.rest.text, line=one.line, body=body)


def expand(text: str, values: Mapping[str, str]) -> str:
    """Expand `$X`, `${X}`, `${X:-default}`, `${X:+other}`, with or without the colon; unknown variables stay.

    So does all of a text that would grow beyond MAX_EXPANDED_CHARACTERS: ten ARGs that name each other ten times make
    ten thousand million.
    """

    def fill(match: re.Match[str]) -> str:
        name, operator, other = match[1] or match[2], match[3] or "", match[4] or ""
        value = values.get(name, "")
        if name in PLATFORM_ARGS and name not in values:
            return match[0]
        is_set = value if operator.startswith(":") else name in values
        if operator.endswith("+"):
            return other if is_set else ""
        if operator.endswith("-"):
            return value if is_set else other
        # The variant of most platforms is empty, which is a value.
        return value if value or name in PLATFORM_ARGS else match[0]

    whole = _VARIABLE.sub(fill, text)
    return whole if len(whole) <= MAX_EXPANDED_CHARACTERS else text


def declared(rest: str) -> Iterator[tuple[str, str | None]]:
    """Return an ARG's names and defaults; None for a name without, which is unset or set by BuildKit."""
    for part in _WORD.findall(rest):
        name, sign, value = part.partition("=")
        yield name, value.strip("\"'") if sign else None


def _stage(instruction: Instruction, values: Mapping[str, str]) -> Stage:
    words = instruction.rest.split()
    flags = {flag[1]: flag[2] for word in words if (flag := _FLAG.fullmatch(word))}
    words = [word.strip("\"'") for word in words if not word.startswith("--")]
    name = words[2] if len(words) == 3 and words[1].upper() == "AS" else ""
    base = expand(words[0], values) if words else ""
    return Stage(name=name.lower(), base=base, platform=flags.get("platform", ""), line=instruction.line)


def _extend(stage: Stage, instructions: Sequence[Instruction]) -> Stage:
    """Add a stage's instructions to it."""
    return replace(
        stage,
        copies_from=tuple(dict.fromkeys(source for one in instructions for source in _sources(one))),
        args=tuple(name for one in instructions if one.word == "ARG" for name, _ in declared(one.rest)),
        runs=tuple(
            "\n".join(filter(None, (one.rest, one.body))) for one in instructions if one.word == "RUN"
        ),
    )


def _may_fetch(rest: str) -> bool:
    """Whether a source of an ADD (any word except the last, in either form) is or may be an address."""
    words = [word.strip("[]\"'") for word in re.split(r"[\s,]+", rest) if not word.startswith("--")]
    return any(_REMOTE.search(word) for word in words[:-1])


def _sources(instruction: Instruction) -> tuple[str, ...]:
    """Return the stages and images named by `COPY --from=` and `RUN --mount=…,from=`."""
    sources: list[str] = []
    for word in instruction.rest.split():
        if not word.startswith("--"):
            break
        flag = _FLAG.fullmatch(word)
        if flag is None:  # --link
            continue
        if flag[1] == "from" and instruction.word == "COPY":
            sources.append(flag[2])
        elif flag[1] == "mount" and instruction.word == "RUN":
            parts = (part.strip("\"'") for part in flag[2].split(","))
            sources += [part.removeprefix("from=") for part in parts if part.startswith("from=")]
    return tuple(sources)
