"""Reader of a Dockerfile's stages for `reach`: it refuses what the frontend might read otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from multibuild.dockerfile.context_paths import ContextPath, copied_words, path_of
from multibuild.dockerfile.parse import PLATFORM_ARGS, declared, expand
from multibuild.dockerfile.reach import DockerfileStage, GlobalArgument, NotCertain, StagedDockerfile
from multibuild.dockerfile.source import Source, SourceInstruction, read_source

_PLAIN_FRONTEND = re.compile(
    r"(?:docker\.io/)?docker/dockerfile(?::1(?:[.-][\w.-]*)?(?:@sha256:[0-9a-f]{64})?|:latest)?"
)
_DIRECTIVE = re.compile(r"\s*#\s*(syntax|escape|check)\s*=", re.IGNORECASE)
_ODD_BLANK = re.compile(r"[^\S \t\n]")
_ODD_END = re.compile(r"\\\\[ \t]*$", re.MULTILINE)
"""An escaped escape character at the end of a line continues it here, and not there."""

_FROM = re.compile(
    r"(?:--platform=(?P<platform>[^\s'\"\\]+)\s+)?(?P<base>[^-\s'\"\\][^\s'\"\\]*)"
    r"(?:\s+as\s+(?P<name>[a-z][\w.-]*))?",
    re.IGNORECASE | re.ASCII,
)
_SIMPLE = re.compile(r"(?:[^$\\'\"{}]|\$\w|\$\{\w+(?::?[-+][^${}'\"\\]{0,200})?\})*", re.ASCII)
"""A text whose variables `expand` fills as BuildKit does."""

_FLAG = re.compile(r"--([a-z-]+)(?:=([^\s'\"\\]*))?")
_FLAGS = {
    "RUN": frozenset({"mount", "network", "security", "device"}),
    "COPY": frozenset({"from", "chown", "chmod", "link", "parents", "exclude"}),
    "ADD": frozenset({"chown", "chmod", "link", "keep-git-dir", "checksum", "unpack", "exclude"}),
}
_OTHER_WORDS = frozenset(
    {"ARG", "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK"}
    | {"LABEL", "MAINTAINER", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)
MAX_GLOBAL_ARGS = 300
"""Each is looked for in all of the file."""

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_HEREDOC = re.compile(
    r"(?:^|(?<=\s))\d*<<(?P<dash>-?)(?P<quote>['\"]?)(?P<end>[A-Za-z_][\w.-]*)(?P=quote)(?=\s|$)", re.ASCII
)
_HEREDOC_WORD = re.compile(r"\d*<<")
_BEFORE_HEREDOCS = re.compile(r"[^'\"\\`$()]*")
_NOT_OF_THE_CONTEXT = frozenset({"cache", "tmpfs", "secret", "ssh"})
TARGET_ARGS = ("TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT")
"""Automatic arguments that people name files by: `COPY bin/$TARGETARCH/app /`."""

_TARGET_ARG = re.compile(rf"\$(?:({'|'.join(TARGET_ARGS)})(?!\w)|\{{({'|'.join(TARGET_ARGS)})\}})", re.ASCII)
_SETS_TARGET_ARG = re.compile(rf"(?:^|\s)(?:{'|'.join(TARGET_ARGS)})(?:=|\s|$)")
_FRONTENDS_OWN = "BUILDKIT_"
"""Begins the names of arguments that the frontend reads itself, such as BUILDKIT_SBOM_SCAN_CONTEXT."""

EPOCH = "SOURCE_DATE_EPOCH"
"""A global ARG of this name is read by the frontend, which can also look at a stage or the context for it."""


def take_apart(text: str, args: Mapping[str, str], automatic: Mapping[str, str]) -> StagedDockerfile:
    """Split a Dockerfile into its stages; raises NotCertain where the frontend might read it otherwise.

    `args` are build arguments, `automatic` the values of TARGETARCH and its kind.
    """
    if _FRONTENDS_OWN in text or any(name.startswith(_FRONTENDS_OWN) for name in args):
        raise NotCertain(f"an argument {_FRONTENDS_OWN}… is the frontend's")
    lines = text.replace("\r\n", "\n")
    if _ODD_BLANK.search(lines) or _ODD_END.search(lines):
        raise NotCertain("blanks that not all parsers take for the same")
    source = read_source(text)
    reader = _Reader(source, args, automatic)
    for one in source.instructions:
        reader.add(one)
    return StagedDockerfile(
        stages=reader.finished(), arguments=tuple(reader.arguments), directives=_directives(source)
    )


def _directives(source: Source) -> tuple[str, ...]:
    """Return the lines of parser directives; raises NotCertain for an escape character or another frontend."""
    first = source.instructions[0].line if source.instructions else len(source.line_offsets)
    lines = [source.line(number) for number in range(1, first)]
    matches = [(match[1].lower(), line) for line in lines if (match := _DIRECTIVE.match(line))]
    names = [name for name, _ in matches]
    if names != list(source.directives)[: len(names)] or "escape" in names:
        raise NotCertain("directives")
    if not _PLAIN_FRONTEND.fullmatch(source.directives.get("syntax", "docker/dockerfile")):
        raise NotCertain("another frontend")
    if source.text.startswith("#!"):
        raise NotCertain("a shebang")
    return tuple(line for _, line in matches)


class _Reader:
    """Collector of global ARGs and stages."""

    def __init__(self, source: Source, args: Mapping[str, str], automatic: Mapping[str, str]) -> None:
        self.arguments: list[GlobalArgument] = []
        self._lines = source.text.split("\n")
        self._text = source.text
        self._args = args
        self._values = {**automatic, **{name: value for name, value in args.items() if name in PLATFORM_ARGS}}
        self._automatic = automatic
        self._shadowed = set(args)
        self._doubtful: set[str] = {name for name in PLATFORM_ARGS if name not in self._values}
        self._stages: list[tuple[DockerfileStage, list[SourceInstruction]]] = []
        self._numbers: dict[str, int] = {}

    def add(self, one: SourceInstruction) -> None:
        """Add the next instruction; raises NotCertain for one that might be read otherwise."""
        word = self._text[one.offset : one.offset + len(one.word)]
        is_known = one.word in _OTHER_WORDS or one.word in _FLAGS
        if not (is_known and word.isascii() and word.upper() == one.word):
            raise NotCertain(f"the instruction {one.word}")
        if one.word == "ENV" and _SETS_TARGET_ARG.search(one.rest.text):
            raise NotCertain(
                "ENV has another value for an automatic argument, here and in what is built from this"
            )
        if one.word == "ARG":
            self._shadowed |= {name for name, value in declared(one.rest.text) if value is not None}
        if one.word == "FROM":
            self._begin_stage(one)
        elif self._stages:
            self._stages[-1][1].append(one)
        else:
            self._declare(one)

    def _begin_stage(self, one: SourceInstruction) -> None:
        match = _FROM.fullmatch(one.rest.text)
        if match is None:
            raise NotCertain("FROM")
        image, name = self._expanded(match["base"]), (match["name"] or "").lower()
        if image not in self._numbers and image.lower() in self._numbers:
            raise NotCertain("a stage in other letters")
        stage = DockerfileStage(
            text=(), image=image, name=name, platform=match["platform"] or "", base=self._numbers.get(image)
        )
        if name in self._numbers:
            raise NotCertain("two stages of one name")
        self._numbers |= {name: len(self._stages)} if name else {}
        self._stages.append((stage, [one]))

    def _expanded(self, base: str) -> str:
        names = {name for name in _NAME.findall(base) if f"${name}" in base or f"${{{name}" in base}
        if not _SIMPLE.fullmatch(base) or names & self._doubtful:
            raise NotCertain("a variable in FROM")
        image = expand(base, self._values) if "$" in base else base
        if not image or "$" in image:
            raise NotCertain("a variable in FROM")
        return image

    def _declare(self, one: SourceInstruction) -> None:
        names = []
        if one.word != "ARG" or len(self.arguments) >= MAX_GLOBAL_ARGS:
            raise NotCertain("what is before the first stage")
        for name, value in declared(one.rest.text):
            if not _NAME.fullmatch(name) or name == EPOCH or name.upper().endswith("_PROXY"):
                raise NotCertain("a global ARG")
            names.append(name)
            if name in self._args:
                self._doubtful.discard(name)
                self._values[name] = self._args[name]
            elif value is not None:
                self._set(name, value, is_quoted="'" in one.rest.text)
        self.arguments.append(
            GlobalArgument(
                names=tuple(names), text=self._raw(one), words=f"{one.rest.text}\n{self._raw(one)}"
            )
        )

    def _set(self, name: str, value: str, *, is_quoted: bool) -> None:
        """Set a default; in single quotes a variable is none."""
        is_variable = "$" in value
        used = set(_NAME.findall(value)) if is_variable else set()
        if not _SIMPLE.fullmatch(value) or used & self._doubtful or (is_variable and is_quoted):
            self._doubtful.add(name)
        else:
            self._doubtful.discard(name)
            self._values[name] = expand(value, self._values)

    def finished(self) -> tuple[DockerfileStage, ...]:
        """Return the stages, once all instructions were added: `--from` may name any of them."""
        if not self._stages:
            raise NotCertain("no stage")
        return tuple(self._finish(index) for index in range(len(self._stages)))

    def _finish(self, index: int) -> DockerfileStage:
        begun, instructions = self._stages[index]
        sources: list[int | str] = []
        paths: list[ContextPath | None] = []
        addresses = False
        values: dict[str, str] = {}
        for one in instructions:
            if one.word == "ARG":
                names = {name for name, _ in declared(one.rest.text)} - self._shadowed
                values |= {name: self._automatic[name] for name in names.intersection(TARGET_ARGS)}
            _require_plain(one, self._lines[one.last_line - 1])
            flags, rest = _split(one)
            for name in _names_after_from(one, flags):
                sources.append(self._source(name, index, is_numbered=one.word == "COPY"))
            if one.word in {"COPY", "ADD"} and not flags.get("from", [""])[-1]:
                words = [
                    _with_values(word, values, self._automatic["TARGETPLATFORM"])
                    for word in _copied_words(one, rest)
                ]
                local = [word for word in words if one.word == "COPY" or not _may_be_address(word)]
                addresses = addresses or len(local) < len(words)
                paths += [path_of(word, is_tree="parents" in flags) for word in local]
            paths += [path_of(source, is_tree=True) for source in _mounted_paths(flags)]
        known = tuple(path for path in paths if path is not None)
        return replace(
            begun,
            text=tuple(map(self._raw, instructions)),
            sources=tuple(sources),
            paths=known if len(known) == len(paths) else None,
            adds_urls=addresses,
            words="\n".join(self._words(instructions)),
        )

    def _source(self, name: str, index: int, *, is_numbered: bool) -> int | str:
        """Return the number of a stage that is named after `from`, else the image."""
        if "$" in name or name[0] in "+-" or (name[0].isdigit() and not (is_numbered and name.isdecimal())):
            raise NotCertain("--from")
        number = int(name[:9]) if name.isdecimal() and name.isascii() else self._numbers.get(name.lower())
        if number is not None and number >= index:
            raise NotCertain("a stage is taken from before it is built")
        return name if number is None else number

    def _raw(self, one: SourceInstruction) -> str:
        return "\n".join(self._lines[one.line - 1 : one.last_line])

    def _words(self, instructions: Sequence[SourceInstruction]) -> Iterator[str]:
        """Yield the text in which names of global ARGs are looked for: as written, and with lines joined."""
        for one in instructions:
            yield self._raw(one)
            yield one.rest.text


def _require_plain(one: SourceInstruction, last_line: str) -> None:
    """Raise NotCertain for a name of an ARG with variables, and for a `<<` that not all take for a heredoc."""
    text = one.rest.text
    if one.word == "ARG" and not all(_NAME.fullmatch(name) for name, _ in declared(text)):
        raise NotCertain("the name of an ARG")
    if one.word not in _FLAGS or "<<" not in text:
        return
    heredocs = list(_HEREDOC.finditer(text))
    counts = {text.count("<<"), len(heredocs), len(one.heredocs)}
    if len(counts) > 1 or not _BEFORE_HEREDOCS.fullmatch(text[: text.rindex("<<")]):
        raise NotCertain("a heredoc")
    end = last_line.removesuffix("\r")
    if (end.lstrip("\t") if heredocs[-1]["dash"] else end) != heredocs[-1]["end"]:
        raise NotCertain("a heredoc without an end")


def _split(one: SourceInstruction) -> tuple[dict[str, list[str]], str]:
    """Return the flags of an instruction, by name, and what follows them."""
    flags: dict[str, list[str]] = {}
    rest = one.rest.text
    while one.word in _FLAGS and rest.startswith("--"):
        word, *following = rest.split(None, 1)
        rest = following[0] if following else ""
        match = _FLAG.fullmatch(word)
        if match is None or match[1] not in _FLAGS[one.word]:
            raise NotCertain(f"the flag {word[:40]}")
        flags.setdefault(match[1], []).append(match[2] or "")
    return flags, rest


def _names_after_from(one: SourceInstruction, flags: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield what an instruction copies or mounts from: stages, images and named contexts."""
    if one.word == "COPY" and flags.get("from", [""])[-1]:
        yield flags["from"][-1]
    for mount in flags.get("mount", ()):
        if name := _options(mount).get("from"):
            yield name


def _mounted_paths(flags: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the paths of the context that are mounted: where a type may be `bind`, it counts as that."""
    for options in map(_options, flags.get("mount", ())):
        if not options.get("from") and options.get("type", "bind").lower() not in _NOT_OF_THE_CONTEXT:
            yield options.get("source", "")


def _options(mount: str) -> dict[str, str]:
    """Return the options of `--mount=`; `src` is `source`."""
    pairs = (part.partition("=") for part in mount.split(","))
    options = {name.lower(): value for name, _, value in pairs}
    if "src" in options and "source" in options:
        raise NotCertain("a mount with two sources")
    return {"source" if name == "src" else name: value for name, value in options.items()}


def _copied_words(one: SourceInstruction, rest: str) -> tuple[str, ...]:
    words = copied_words(rest)
    if words is None:
        raise NotCertain(f"the sources of {one.word}")
    return tuple(word for word in words if not (one.heredocs and _HEREDOC_WORD.match(word)))


def _with_values(word: str, values: Mapping[str, str], platform: str) -> str:
    """Return a word with the `values` of automatic arguments; one that builders may see otherwise stays, or is any."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in values or (name == "TARGETPLATFORM" and not _is_variant_certain(platform)):
            return match[0]
        return values[name] if name != "TARGETVARIANT" or _is_variant_certain(platform) else "*"

    return _TARGET_ARG.sub(value, word)


def _is_variant_certain(platform: str) -> bool:
    """Whether a platform is in the form that every BuildKit makes of it: arm has a variant, others have none."""
    architecture, _, variant = platform.partition("/")[2].partition("/")
    return variant in {"v5", "v6", "v7"} if architecture == "arm" else not variant


def _may_be_address(word: str) -> bool:
    """Whether a source of an ADD is or may be fetched: a URL, a repository, or a variable that holds one."""
    user, at, path = word.partition("@")
    return "://" in word or word.startswith("$") or (bool(at) and (user == "git" or ":" in path))
