"""Parser of Dockerfiles: stages, base images, and other inputs from outside the context.

The rules are those of BuildKit's Dockerfile frontend (docs.docker.com/reference/dockerfile): parser directives first,
then instructions, each continued after lines that end in the escape character; heredocs are not instructions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from multibuild.frozen import frozen

_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(\S+)\s*$")
# A separate word: `$((1<<N))` and bash's `<<<` are no heredocs.
_HEREDOC = re.compile(r"(?:^|\s)\d*<<(-?)([\"']?)([A-Za-z_][\w.-]*)\2(?=\s|$|[;|&>)])")
_SHEBANG = re.compile(r"\A#!.*\n")  # only `syntax` may follow one (BuildKit, parser.DetectSyntax)
_FLAG = re.compile(r"--([a-z-]+)=(\S+)")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")
_WORD = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")
# A source that begins with a variable may be an address, too.
_REMOTE = re.compile(r"(?:https?|git|ssh)://|^git@|^\$")
_HEREDOC_WORDS = frozenset({"RUN", "COPY", "ADD"})
_PLATFORM_ARGS = frozenset(
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


def read_dockerfile(text: str, args: Mapping[str, str]) -> Dockerfile:
    """Parse a Dockerfile; `args` are build arguments, which also fill `ARG`s before the first FROM.

    A byte order mark is ignored, as in BuildKit. Unresolved variables stay as written (`${X}`).
    """
    text = text.removeprefix("\ufeff")
    directives = _directives(_SHEBANG.sub("", text))
    values = {name: value for name, value in args.items() if name in _PLATFORM_ARGS}
    stages: list[Stage] = []
    images: list[str] = []
    adds_urls = False
    for instruction in instructions(text):
        rest = instruction.rest
        if instruction.word == "ARG" and not stages:
            for name, value in _declared(rest):
                if name in args:
                    values[name] = args[name]
                elif value is not None:
                    values[name] = expand(value, values)
        elif instruction.word == "FROM":
            stage = _stage(instruction, values)
            images += [stage.base] if not _is_stage(stage.base, stages) else []
            stages.append(stage)
        elif stages:
            stages[-1] = _extend(stages[-1], instruction)
            images += [name for name in _sources(instruction) if not _is_stage(name, stages)]
            adds_urls = adds_urls or (instruction.word == "ADD" and _may_fetch(rest))
    syntax = args.get("BUILDKIT_SYNTAX") or directives.get("syntax")
    return Dockerfile(
        stages=tuple(stages),
        images=tuple(dict.fromkeys(image for image in images if image != "scratch")),
        syntax=syntax,
        adds_urls=adds_urls,
    )


def instructions(text: str) -> Iterator[Instruction]:
    """Return the instructions in order, without comments, blank lines and heredoc bodies."""
    escape = "`" if _directives(text).get("escape") == "`" else "\\"
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        whole = line.strip()
        while whole.endswith(escape):
            whole = whole[:-1]
            following = next(lines, None)
            if following is None:
                break
            is_blank = not following[1].strip() or following[1].lstrip().startswith("#")
            whole += escape if is_blank else following[1].strip()
        word, rest = (*whole.split(None, 1), "")[:2]
        commands = [whole]
        for dash, _, end in _HEREDOC.findall(whole) if word.upper() in _HEREDOC_WORDS else ():
            for _, body in lines:
                if (body.lstrip("\t") if dash else body) == end:
                    break
                commands.append(body)
        yield Instruction(word=word.upper(), rest=rest.strip(), line=number, body="\n".join(commands[1:]))


def expand(text: str, values: Mapping[str, str]) -> str:
    """Expand `$X`, `${X}`, `${X:-default}`, `${X:+other}`, with or without the colon; unknown variables stay."""

    def fill(match: re.Match[str]) -> str:
        name, operator, other = match[1] or match[2], match[3] or "", match[4] or ""
        value = values.get(name, "")
        if name in _PLATFORM_ARGS and name not in values:
            return match[0]
        is_set = value if operator.startswith(":") else name in values
        if operator.endswith("+"):
            return other if is_set else ""
        if operator.endswith("-"):
            return value if is_set else other
        # The variant of most platforms is empty, which is a value.
        return value if value or name in _PLATFORM_ARGS else match[0]

    return _VARIABLE.sub(fill, text)


def _directives(text: str) -> dict[str, str]:
    """Return the parser directives: at the very top, one a line; the first other line ends them."""
    directives = {}
    for line in text.splitlines():
        match = _DIRECTIVE.match(line)
        if not match:
            break
        directives[match[1].lower()] = match[2]
    return directives


def _declared(rest: str) -> Iterator[tuple[str, str | None]]:
    """Return an ARG's names and defaults; None for a name without, which is unset or set by BuildKit."""
    for part in _WORD.findall(rest):
        name, sign, value = part.partition("=")
        yield name, value.strip("\"'") if sign else None


def _stage(instruction: Instruction, values: Mapping[str, str]) -> Stage:
    flags = dict(_FLAG.findall(instruction.rest))
    words = [word.strip("\"'") for word in instruction.rest.split() if not word.startswith("--")]
    name = words[2] if len(words) == 3 and words[1].upper() == "AS" else ""
    base = expand(words[0], values) if words else ""
    return Stage(name=name.lower(), base=base, platform=flags.get("platform", ""), line=instruction.line)


def _extend(stage: Stage, instruction: Instruction) -> Stage:
    """Add an instruction to its stage."""
    stage = replace(stage, copies_from=(*stage.copies_from, *_sources(instruction)))
    if instruction.word == "ARG":
        return replace(stage, args=(*stage.args, *(name for name, _ in _declared(instruction.rest))))
    if instruction.word == "RUN":
        command = "\n".join(filter(None, (instruction.rest, instruction.body)))
        return replace(stage, runs=(*stage.runs, command))
    return stage


def _is_stage(name: str, stages: list[Stage]) -> bool:
    return name.isdigit() or name.lower() in {stage.name for stage in stages if stage.name}


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
