"""Reads what a Dockerfile builds on: its stages, base images, and what else it takes from outside. Pure.

The rules are those of BuildKit's Dockerfile frontend (docs.docker.com/reference/dockerfile): parser directives first,
then instructions, each may go on over lines that end in the escape character; heredocs are not instructions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from multibuild.frozen import frozen

_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(\S+)\s*$")
# A word of its own: `$((1<<N))` and bash's `<<<` are none.
_HEREDOC = re.compile(r"(?:^|\s)\d*<<(-?)([\"']?)([A-Za-z_][\w.-]*)\2(?=\s|$|[;|&>)])")
_SHEBANG = re.compile(r"\A#!.*\n")  # only `syntax` may follow one (BuildKit, parser.DetectSyntax)
_FLAG = re.compile(r"--([a-z-]+)=(\S+)")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")
_WORD = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")
# Where it begins with a variable it may be an address, too.
_REMOTE = re.compile(r"(?:https?|git|ssh)://|^git@|^\$")
_HEREDOC_WORDS = frozenset({"RUN", "COPY", "ADD"})
_PLATFORM_ARGS = frozenset(
    f"{kind}{part}" for kind in ("TARGET", "BUILD") for part in ("PLATFORM", "OS", "ARCH", "VARIANT")
)
"""BuildKit gives these without being asked, in FROM lines too (docs: "Automatic platform ARGs in the global scope")."""


@frozen
class Stage:
    """One `FROM`, and what follows it. `base` has its variables resolved where that is possible.

    `platform` is `--platform` as written; `takes` are the stages and images it copies or mounts from, by name or
    number; `args` the names it declares with ARG; `runs` the commands of its RUN lines.
    """

    name: str
    base: str
    platform: str
    line: int
    takes: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()


@frozen
class Dockerfile:
    """What a build takes from outside the context. `images` are pulled; `fetches` says whether ADD takes URLs."""

    stages: tuple[Stage, ...]
    images: tuple[str, ...]
    syntax: str | None
    fetches: bool


@frozen
class Instruction:
    """One instruction: its word in capitals, the rest with continuation lines joined, and its line (from 1).

    `body` is what its heredocs hold.
    """

    word: str
    rest: str
    line: int
    body: str = ""


def read_dockerfile(text: str, args: Mapping[str, str]) -> Dockerfile:
    """Read a Dockerfile; `args` are build arguments, which also fill `ARG`s before the first FROM.

    A byte order mark goes unseen, as it does in BuildKit.
    What cannot be resolved stays as it is written (`${X}`), so that a caller sees that it is unknown.
    """
    text = text.removeprefix("\ufeff")
    directives = _directives(_SHEBANG.sub("", text))
    known = {name: value for name, value in args.items() if name in _PLATFORM_ARGS}
    stages: list[Stage] = []
    images: list[str] = []
    fetches = False
    for instruction in instructions(text):
        rest = instruction.rest
        if instruction.word == "ARG" and not stages:
            for name, value in _declared(rest):
                if name in args:
                    known[name] = args[name]
                elif value is not None:
                    known[name] = expand(value, known)
        elif instruction.word == "FROM":
            stage = _stage(instruction, known)
            images += [stage.base] if not _is_stage(stage.base, stages) else []
            stages.append(stage)
        elif stages:
            stages[-1] = _with(stages[-1], instruction)
            images += [name for name in _sources(instruction) if not _is_stage(name, stages)]
            fetches = fetches or (instruction.word == "ADD" and _is_fetched(rest))
    syntax = args.get("BUILDKIT_SYNTAX") or directives.get("syntax")
    return Dockerfile(
        stages=tuple(stages),
        images=tuple(dict.fromkeys(image for image in images if image != "scratch")),
        syntax=syntax,
        fetches=fetches,
    )


def instructions(text: str) -> Iterator[Instruction]:
    """Give the instructions in order; comments, blank lines and heredoc bodies are no instructions."""
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
            nothing = not following[1].strip() or following[1].lstrip().startswith("#")
            whole += escape if nothing else following[1].strip()
        word, rest = (*whole.split(None, 1), "")[:2]
        commands = [whole]
        for dash, _, mark in _HEREDOC.findall(whole) if word.upper() in _HEREDOC_WORDS else ():
            for _, body in lines:
                if (body.lstrip("\t") if dash else body) == mark:
                    break
                commands.append(body)
        yield Instruction(word=word.upper(), rest=rest.strip(), line=number, body="\n".join(commands[1:]))


def expand(text: str, known: Mapping[str, str]) -> str:
    """Fill variables: `$X`, `${X}`, `${X:-default}`, `${X:+other}`, with or without the colon; unknown ones stay."""

    def fill(found: re.Match[str]) -> str:
        name, operator, other = found[1] or found[2], found[3] or "", found[4] or ""
        value = known.get(name, "")
        if name in _PLATFORM_ARGS and name not in known:
            return found[0]
        given = value if operator.startswith(":") else name in known
        if operator.endswith("+"):
            return other if given else ""
        if operator.endswith("-"):
            return value if given else other
        # The variant of most platforms is empty, and known to be.
        return value if value or name in _PLATFORM_ARGS else found[0]

    return _VARIABLE.sub(fill, text)


def _directives(text: str) -> dict[str, str]:
    """Parser directives stand at the very top, one a line; the first other line ends them."""
    found = {}
    for line in text.splitlines():
        match = _DIRECTIVE.match(line)
        if not match:
            break
        found[match[1].lower()] = match[2]
    return found


def _declared(rest: str) -> Iterator[tuple[str, str | None]]:
    """Give names and defaults; None for one without, which is unset or the platform's."""
    for part in _WORD.findall(rest):
        name, sign, value = part.partition("=")
        yield name, value.strip("\"'") if sign else None


def _stage(instruction: Instruction, known: Mapping[str, str]) -> Stage:
    flags = dict(_FLAG.findall(instruction.rest))
    words = [word.strip("\"'") for word in instruction.rest.split() if not word.startswith("--")]
    name = words[2] if len(words) == 3 and words[1].upper() == "AS" else ""
    base = expand(words[0], known) if words else ""
    return Stage(name=name.lower(), base=base, platform=flags.get("platform", ""), line=instruction.line)


def _with(stage: Stage, instruction: Instruction) -> Stage:
    """Return the stage with what an instruction adds to it."""
    stage = replace(stage, takes=(*stage.takes, *_sources(instruction)))
    if instruction.word == "ARG":
        return replace(stage, args=(*stage.args, *(name for name, _ in _declared(instruction.rest))))
    if instruction.word == "RUN":
        command = "\n".join(filter(None, (instruction.rest, instruction.body)))
        return replace(stage, runs=(*stage.runs, command))
    return stage


def _is_stage(name: str, stages: list[Stage]) -> bool:
    return name.isdigit() or name.lower() in {stage.name for stage in stages if stage.name}


def _is_fetched(rest: str) -> bool:
    """Whether a source of an ADD (any word but the last, in either form) is or may be an address."""
    words = [word.strip("[]\"'") for word in re.split(r"[\s,]+", rest) if not word.startswith("--")]
    return any(_REMOTE.search(word) for word in words[:-1])


def _sources(instruction: Instruction) -> tuple[str, ...]:
    """Give the stages and images named by `COPY --from=` and `RUN --mount=…,from=`."""
    found: list[str] = []
    for word in instruction.rest.split():
        if not word.startswith("--"):
            break
        flag = _FLAG.fullmatch(word)
        if flag is None:  # --link
            continue
        if flag[1] == "from" and instruction.word == "COPY":
            found.append(flag[2])
        elif flag[1] == "mount" and instruction.word == "RUN":
            parts = (part.strip("\"'") for part in flag[2].split(","))
            found += [part.removeprefix("from=") for part in parts if part.startswith("from=")]
    return tuple(found)
